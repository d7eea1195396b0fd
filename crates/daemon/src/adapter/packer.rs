//! Core's images and root filesystems over `xenios_packer`.
//!
//! The packer's errors say what they are and are safe for a tenant; here they only
//! change their type.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use xenios_core::port::{Images, Rootfs, Rootfses};
use xenios_core::{
    BootDefaults, BootFile, Digest, ErrorKind, ImageConfig, ImageFacts, ImageReference, LayerFacts,
    PinnedReference, PinnedSpec, PortError,
};
use xenios_packer as packer;

use super::boot::BootImages;
use crate::config;

/// The packer of this host.
pub struct PackerPort {
    packer: packer::Packer,
}

/// The packer cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PackerOpenError {
    /// A file that a registry's entry names.
    #[error("cannot read {path}, which [[registries]] {authority} names", path = path.display())]
    Read {
        /// The registry.
        authority: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The packer refused its configuration.
    #[error("the image packer cannot be set up")]
    Config(#[source] packer::ConfigError),
}

impl PackerPort {
    /// Opens the cache, and the registries that may be contacted.
    pub fn open(cache: &Path, registries: &[config::Registry]) -> Result<Self, PackerOpenError> {
        let registries = registries.iter().map(registry).collect::<Result<_, _>>()?;
        let config = packer::PackerConfig {
            cache_dir: cache.to_owned(),
            registries,
            limits: packer::Limits::default(),
        };
        let packer = packer::Packer::new(config).map_err(PackerOpenError::Config)?;
        Ok(Self { packer })
    }

    fn boot_files(&self, image: &ImageFacts) -> Result<packer::BootFiles, PortError> {
        self.packer
            .boot_files(&pinned(&image.reference)?)
            .map_err(port_error)
    }
}

fn registry(registry: &config::Registry) -> Result<packer::Registry, PackerOpenError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| PackerOpenError::Read {
            authority: registry.authority.clone(),
            path: path.clone(),
            source,
        })
    };
    let credentials = match &registry.credentials {
        None => None,
        Some((username, file)) => Some(packer::Credentials {
            username: username.clone(),
            password: read(file)?.trim_end_matches(['\r', '\n']).to_owned(),
        }),
    };
    Ok(packer::Registry {
        authority: registry.authority.clone(),
        plain_http: registry.plain_http,
        allow_private: registry.allow_private,
        ca_pem: registry.ca.as_ref().map(read).transpose()?,
        credentials,
    })
}

impl Rootfses for PackerPort {
    fn pack(&self, spec: &PinnedSpec) -> Result<Rootfs, PortError> {
        let began = Instant::now();
        if let BootFile::Image(facts) = &spec.kernel {
            self.kernel(facts).map_err(|error| about("kernel", error))?;
        }
        if let BootFile::Image(facts) = &spec.initrd {
            self.initrd(facts).map_err(|error| about("initrd", error))?;
        }
        let boot_files = began.elapsed();
        let packed = self
            .packer
            .rootfs(&pinned(&spec.image.reference)?)
            .map_err(port_error)?;
        Ok(Rootfs {
            path: packed.path,
            pull: boot_files + packed.pull,
            pack: packed.pack,
        })
    }
}

impl BootImages for PackerPort {
    fn kernel(&self, image: &ImageFacts) -> Result<PathBuf, PortError> {
        let files = self.boot_files(image)?;
        files
            .kernel
            .ok_or_else(|| not_in_image("the kernel image holds no `kernel/image`"))
    }

    fn initrd(&self, image: &ImageFacts) -> Result<PathBuf, PortError> {
        let files = self.boot_files(image)?;
        files.initrd.ok_or_else(|| {
            not_in_image("the initrd image holds neither `xenios/initrd` nor `krata/initrd`")
        })
    }
}

/// Says which of the spec's images an error is about.
fn about(field: &str, error: PortError) -> PortError {
    PortError {
        message: format!("{field}: {}", error.message),
        ..error
    }
}

fn not_in_image(message: &str) -> PortError {
    PortError::new(ErrorKind::Permanent, message)
}

/// Image facts from the registries, and the host's own boot files beside them.
pub struct RegistryImages {
    packer: Arc<PackerPort>,
    defaults: BootDefaults,
}

impl RegistryImages {
    /// `defaults` serve specs that name no kernel or no initrd.
    #[must_use]
    pub fn new(packer: Arc<PackerPort>, defaults: BootDefaults) -> Self {
        Self { packer, defaults }
    }
}

impl Images for RegistryImages {
    fn facts(&self, reference: &ImageReference) -> Result<ImageFacts, PortError> {
        let asked: packer::Reference = reference
            .to_string()
            .parse()
            .map_err(|error: packer::ReferenceError| malformed(error))?;
        let facts = self.packer.packer.facts(&asked).map_err(port_error)?;
        facts_to_core(facts)
    }

    fn boot_defaults(&self) -> BootDefaults {
        self.defaults.clone()
    }
}

/// Both crates parse the same syntax, each for itself: text is what they share.
fn pinned(reference: &PinnedReference) -> Result<packer::PinnedReference, PortError> {
    reference
        .to_string()
        .parse()
        .map_err(|error: packer::ReferenceError| malformed(error))
}

fn facts_to_core(facts: packer::ImageFacts) -> Result<ImageFacts, PortError> {
    let layers = facts.layers.into_iter().map(|layer| {
        Ok(LayerFacts {
            digest: digest(&layer.digest)?,
            size_bytes: layer.size_bytes,
        })
    });
    Ok(ImageFacts {
        reference: facts
            .reference
            .to_string()
            .parse()
            .map_err(|error: xenios_core::ReferenceError| malformed(error))?,
        platform: facts.platform,
        layers: layers.collect::<Result<_, PortError>>()?,
        config: ImageConfig {
            entrypoint: facts.config.entrypoint,
            cmd: facts.config.cmd,
            env: facts.config.env,
            working_dir: facts.config.working_dir,
            user: facts.config.user,
        },
        annotations: facts.annotations,
    })
}

fn digest(digest: &packer::Digest) -> Result<Digest, PortError> {
    digest.to_string().parse().map_err(malformed)
}

fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    let message = format!("the image's reference cannot be used: {error}");
    PortError::new(ErrorKind::Permanent, message).caused_by(error)
}

fn port_error(error: packer::Error) -> PortError {
    let kind = match error.kind() {
        packer::ErrorKind::Transient => ErrorKind::Transient,
        packer::ErrorKind::Exhausted => ErrorKind::Exhausted,
        packer::ErrorKind::NotFound => ErrorKind::NotFound,
        packer::ErrorKind::Refused
        | packer::ErrorKind::Tampered
        | packer::ErrorKind::Invalid
        | packer::ErrorKind::LimitExceeded
        | packer::ErrorKind::Internal => ErrorKind::Permanent,
    };
    PortError::new(kind, error.to_string()).caused_by(error)
}
