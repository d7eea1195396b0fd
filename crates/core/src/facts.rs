//! What is known of images once they are pinned, and a spec with those facts.
//!
//! Fetching them is the work of [`crate::port::Images`].

use std::fmt;

use crate::digest::Digest;
use crate::reference::PinnedReference;
use crate::spec::{GuestSpec, SpecDraft};

/// The parts of an OCI image config that decide what runs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`: `NAME=value` each.
    pub env: Vec<String>,
    /// `WorkingDir`; empty when the image names none.
    pub working_dir: String,
    /// `User`; empty when the image names none.
    pub user: String,
}

impl fmt::Debug for ImageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No values: an image's env is as likely to hold a secret as a spec's.
        let names: Vec<_> = self
            .env
            .iter()
            .map(|e| e.split('=').next().unwrap_or(""))
            .collect();
        f.debug_struct("ImageConfig")
            .field("entrypoint", &self.entrypoint)
            .field("cmd", &self.cmd)
            .field("env", &names)
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .finish()
    }
}

/// One layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFacts {
    /// Of the compressed layer, as the manifest gives it.
    pub digest: Digest,
    /// Compressed size in bytes, as the manifest gives it.
    pub size_bytes: u64,
}

/// What manifest and config say of a pinned image; no layer was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image by digest.
    pub reference: PinnedReference,
    /// `os/architecture`, for example `linux/amd64`.
    pub platform: String,
    /// Lowest layer first.
    pub layers: Vec<LayerFacts>,
    /// What runs in it.
    pub config: ImageConfig,
    /// The manifest's annotations.
    pub annotations: Vec<(String, String)>,
}

/// Where a kernel or an initrd comes from, by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootFile {
    /// The daemon's own file.
    HostDefault {
        /// Its file name, for people and policies.
        name: String,
        /// Of the file's bytes.
        digest: Digest,
    },
    /// A file inside an OCI image.
    Image(Box<ImageFacts>),
}

/// The host's own kernel and initrd, for guests that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootDefaults {
    /// The kernel.
    pub kernel: BootFile,
    /// The initrd.
    pub initrd: BootFile,
}

/// A spec whose every reference is a digest, with the facts that policies judge.
/// It is what runs, once [admitted](crate::Admitted).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedSpec {
    /// The spec after the mutating policies, as it was written.
    pub spec: GuestSpec,
    /// The image.
    pub image: ImageFacts,
    /// The kernel.
    pub kernel: BootFile,
    /// The initrd.
    pub initrd: BootFile,
}

impl PinnedSpec {
    /// The spec with every reference pinned, as the API shows it. The host's own
    /// kernel and initrd stay empty.
    #[must_use]
    pub fn to_draft(&self) -> SpecDraft {
        let named = |file: &BootFile| match file {
            BootFile::HostDefault { .. } => String::new(),
            BootFile::Image(facts) => facts.reference.to_string(),
        };
        SpecDraft {
            image: self.image.reference.to_string(),
            kernel: named(&self.kernel),
            initrd: named(&self.initrd),
            ..self.spec.to_draft()
        }
    }
}
