//! The kernels and initrds that guests boot with: the host's own, and those in images.
//!
//! The host's files are read and digested once, and these bytes are what boots: what a
//! policy judged by digest is what runs, even when the files are replaced meanwhile.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use xenios_core::{BootDefaults, BootFile, Digest, ErrorKind, ImageFacts, PortError};
use xenios_xen::kernel::{Kernel, KernelError, Limits};

use self::recent::Recent;
use crate::config;

mod recent;
#[cfg(test)]
mod tests;

/// A host's initrd is larger than this only by mistake.
const MAX_INITRD: u64 = 256 << 20;

/// Kernels out of images that are kept parsed; each may take as much memory as a kernel
/// inflates to.
const KERNELS_KEPT: usize = 4;

/// The host's boot files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file cannot be read.
    #[error("cannot read {path}, which [boot] names", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{path} has more than {limit} bytes; is it the right file?", path = path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// The kernel cannot boot as a guest.
    #[error("the kernel {path} cannot boot a guest", path = path.display())]
    Kernel {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KernelError,
    },
}

/// Where kernels and initrds inside images are found.
pub trait BootImages: Send + Sync {
    /// The file with the image's kernel.
    fn kernel(&self, image: &ImageFacts) -> Result<PathBuf, PortError>;
    /// The file with the image's initrd.
    fn initrd(&self, image: &ImageFacts) -> Result<PathBuf, PortError>;
}

/// One of the host's files: what policies see, and what boots.
struct HostFile<T> {
    name: String,
    digest: Digest,
    content: Arc<T>,
}

/// Every kernel and initrd of this host.
pub struct BootFiles {
    kernel: HostFile<Kernel>,
    initrd: HostFile<Vec<u8>>,
    images: ImageFiles,
}

/// Kernels and initrds inside images.
struct ImageFiles {
    images: Arc<dyn BootImages>,
    /// By the digest of their image.
    kernels: Recent<Kernel>,
}

impl BootFiles {
    /// Reads the host's files.
    pub fn load(boot: &config::Boot, images: Arc<dyn BootImages>) -> Result<Self, BootError> {
        let limits = Limits::default();
        let bytes = read_bounded(&boot.kernel, limits.file_bytes as u64)?;
        let kernel = Kernel::parse(&bytes, &limits).map_err(|source| BootError::Kernel {
            path: boot.kernel.clone(),
            source,
        })?;
        let initrd = read_bounded(&boot.initrd, MAX_INITRD)?;
        Ok(Self {
            kernel: HostFile::new(&boot.kernel, &bytes, kernel),
            initrd: HostFile {
                name: file_name(&boot.initrd),
                digest: digest(&initrd),
                content: Arc::new(initrd),
            },
            images: ImageFiles::new(images),
        })
    }

    /// The host's files, as policies see them.
    #[must_use]
    pub fn defaults(&self) -> BootDefaults {
        BootDefaults {
            kernel: self.kernel.pinned(),
            initrd: self.initrd.pinned(),
        }
    }

    /// The kernel that a spec was pinned to.
    pub fn kernel(&self, pinned: &BootFile) -> Result<Arc<Kernel>, PortError> {
        match pinned {
            BootFile::HostDefault { digest, .. } => self.kernel.get("kernel", digest),
            BootFile::Image(facts) => self.images.kernel(facts),
        }
    }

    /// The initrd that a spec was pinned to.
    pub fn initrd(&self, pinned: &BootFile) -> Result<Arc<Vec<u8>>, PortError> {
        match pinned {
            BootFile::HostDefault { digest, .. } => self.initrd.get("initrd", digest),
            BootFile::Image(facts) => self.images.initrd(facts),
        }
    }
}

impl ImageFiles {
    fn new(images: Arc<dyn BootImages>) -> Self {
        Self {
            images,
            kernels: Recent::new(KERNELS_KEPT),
        }
    }

    /// The image's kernel, read and parsed unless it was lately.
    fn kernel(&self, facts: &ImageFacts) -> Result<Arc<Kernel>, PortError> {
        self.kernels.get(facts.reference.digest(), || {
            let limits = Limits::default();
            let bytes = read_cached(&self.images.kernel(facts)?, limits.file_bytes as u64)?;
            Kernel::parse(&bytes, &limits).map_err(|error| {
                let message = format!("the image's kernel cannot boot a guest: {error}");
                PortError::new(ErrorKind::Permanent, message).caused_by(error)
            })
        })
    }

    fn initrd(&self, facts: &ImageFacts) -> Result<Arc<Vec<u8>>, PortError> {
        read_cached(&self.images.initrd(facts)?, MAX_INITRD).map(Arc::new)
    }
}

impl<T> HostFile<T> {
    fn new(path: &Path, bytes: &[u8], content: T) -> Self {
        Self {
            name: file_name(path),
            digest: digest(bytes),
            content: Arc::new(content),
        }
    }

    fn pinned(&self) -> BootFile {
        BootFile::HostDefault {
            name: self.name.clone(),
            digest: self.digest.clone(),
        }
    }

    /// The content, when it still is what was judged.
    fn get(&self, what: &str, judged: &Digest) -> Result<Arc<T>, PortError> {
        if *judged != self.digest {
            let message = format!(
                "the host's {what} was replaced after this guest was admitted; \
                 create the guest again"
            );
            return Err(PortError::new(ErrorKind::Permanent, message));
        }
        Ok(Arc::clone(&self.content))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn digest(bytes: &[u8]) -> Digest {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
        .parse()
        .expect("64 hex digits are a digest")
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, BootError> {
    let failed = |source| BootError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(BootError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// A file in the image cache; the tenant does not see its path.
fn read_cached(path: &Path, limit: u64) -> Result<Vec<u8>, PortError> {
    read_bounded(path, limit).map_err(|error| {
        let kind = match error {
            BootError::TooLarge { .. } => ErrorKind::Permanent,
            _ => ErrorKind::Transient,
        };
        PortError::new(kind, "a boot file of the image cannot be read").caused_by(error)
    })
}
