//! A kernel and an initrd out of an image.
//!
//! `kernel/image` and `krata/initrd` are the names that kernel images made for krata
//! use; `xenios/initrd` is our own and comes first. Whether the bytes are a kernel
//! is not decided here.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::cache::StagedDirectory;
use crate::error::{Error, ImageFault};
use crate::layer::Merged;
use crate::limits::Limits;
use crate::path::ImagePath;
use crate::tree::Kind;

/// Where an image has its kernel.
const KERNEL: &[&str] = &["kernel/image"];
/// Where an image has its initrd; the first that is there counts.
const INITRD: &[&str] = &["xenios/initrd", "krata/initrd"];

/// Name of the kernel's file in the cache.
const KERNEL_FILE: &str = "kernel";
/// Name of the initrd's file in the cache.
const INITRD_FILE: &str = "initrd";

/// Files in the cache, made of one image. They stay as long as the cache does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFiles {
    /// The kernel, if the image has one.
    pub kernel: Option<PathBuf>,
    /// The initrd, if the image has one.
    pub initrd: Option<PathBuf>,
}

impl BootFiles {
    /// What the complete directory `path` holds.
    pub(crate) fn in_directory(path: &Path) -> Self {
        let file = |name: &str| Some(path.join(name)).filter(|file| file.is_file());
        Self {
            kernel: file(KERNEL_FILE),
            initrd: file(INITRD_FILE),
        }
    }
}

/// Copies kernel and initrd of `merged`, as far as it has them, into `directory`.
pub(crate) fn extract(
    merged: &Merged,
    limits: &Limits,
    directory: &StagedDirectory,
) -> Result<(), Error> {
    for (name, candidates) in [(KERNEL_FILE, KERNEL), (INITRD_FILE, INITRD)] {
        for path in candidates {
            if let Some(mut content) = open(merged, limits, path)? {
                let doing = "store a boot file in its image cache";
                let mut file = directory.file(name)?;
                io::copy(&mut content, &mut file)
                    .and_then(|_| file.sync_all())
                    .map_err(Error::host(doing))?;
                break;
            }
        }
    }
    Ok(())
}

/// The content of `path`, through links, if there is such a file.
fn open<'a>(
    merged: &'a Merged,
    limits: &Limits,
    path: &'static str,
) -> Result<Option<impl Read + use<'a>>, Error> {
    let fault = |fault| Err(ImageFault::BootFile { path, fault }.into());
    let Ok(wanted) = ImagePath::parse(path.as_bytes(), limits.depth) else {
        return Ok(None);
    };
    let Some(node) = merged.tree.find(&wanted, true) else {
        // A link into nowhere is a mistake that should not boot the host's own file.
        return match merged.tree.find(&wanted, false) {
            Some(_) => fault("is a symbolic link that leads nowhere"),
            None => Ok(None),
        };
    };
    let Kind::File(body) = merged.tree.node(node).kind else {
        return fault("is not a regular file");
    };
    if body.len == 0 {
        return fault("is empty");
    }
    if body.len > limits.boot_file_bytes {
        return Err(Error::BootFileTooBig {
            path,
            limit: limits.boot_file_bytes,
        });
    }
    Ok(Some(merged.spools[body.layer].read(body)))
}
