//! What manifest and config say of an image, checked and complete.

use std::fmt;

use crate::digest::Digest;
use crate::error::{Error, Part};
use crate::limits::Limits;
use crate::manifest::{Config, Manifest, PLATFORM};
use crate::reference::PinnedReference;

/// What runs in an image, as its config says.
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
        // Names only: a value may be a secret.
        let names: Vec<_> = self.env.iter().map(|e| e.split('=').next()).collect();
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
    /// Of the compressed layer.
    pub digest: Digest,
    /// Compressed size in bytes.
    pub size_bytes: u64,
}

/// What is known of an image before any layer is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// What was asked for, by digest: the digest that was asked for if one was, else
    /// that of the manifest.
    pub reference: PinnedReference,
    /// Of the manifest that is used. It differs from the reference's where that one
    /// names an index.
    pub manifest: Digest,
    /// `os/architecture`.
    pub platform: String,
    /// Lowest layer first.
    pub layers: Vec<LayerFacts>,
    /// What runs in it.
    pub config: ImageConfig,
    /// The manifest's annotations, by name.
    pub annotations: Vec<(String, String)>,
}

/// Manifest and config, which belong together.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) config: Config,
}

impl Image {
    pub(crate) fn facts(self, reference: PinnedReference) -> ImageFacts {
        ImageFacts {
            reference,
            manifest: self.digest,
            platform: PLATFORM.to_owned(),
            layers: self
                .manifest
                .layers
                .iter()
                .map(|layer| LayerFacts {
                    digest: layer.digest,
                    size_bytes: layer.size,
                })
                .collect(),
            config: self.config.run,
            annotations: self.manifest.annotations.into_iter().collect(),
        }
    }
}

/// Refuses a manifest that promises too much, before anything more is fetched.
pub(crate) fn check_sizes(manifest: &Manifest, limits: &Limits) -> Result<(), Error> {
    if manifest.layers.len() > limits.layers {
        return Err(Error::LimitExceeded {
            what: "layers",
            limit: limits.layers as u64,
        });
    }
    let total = manifest
        .layers
        .iter()
        .try_fold(0_u64, |sum, layer| sum.checked_add(layer.size));
    if total.is_none_or(|total| total > limits.compressed_bytes) {
        return Err(Error::LimitExceeded {
            what: "bytes of compressed layers",
            limit: limits.compressed_bytes,
        });
    }
    if manifest.config.size > limits.config_bytes {
        return Err(too_big(Part::Config, limits.config_bytes));
    }
    Ok(())
}

/// A document beyond its limit.
pub(crate) fn too_big(what: Part, limit: u64) -> Error {
    Error::LimitExceeded {
        what: match what {
            Part::Config => "bytes of config",
            _ => "bytes of manifest",
        },
        limit,
    }
}
