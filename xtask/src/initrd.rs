//! The base initrd of guests: the static init and the modules that its kernel
//! needs for a root filesystem. The daemon appends the guest's launch
//! configuration, so this one is the same for every guest.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cpio::{Archive, Source};
use crate::kernel::{CHECKSUM, Kernel};

/// In this order, each after its dependencies: the disk, the filesystems that
/// the packer writes, and the writable layer.
const MODULES: &[&str] = &["xen-blkfront", "squashfs", "erofs", "overlay"];

/// Writes the initrd that starts `init`, with modules of `kernel`.
pub(crate) fn build(init: &Path, kernel: &Kernel, out: &Path) -> Result<()> {
    let mut archive = Archive::new();
    for folder in ["dev", "proc", "sys"] {
        archive.directory(folder);
    }
    archive.file("init", 0o755, Source::Path(init.to_path_buf()));
    let checksum = [CHECKSUM].into_iter().filter(|name| kernel.has(name));
    let wanted: Vec<&str> = checksum.chain(MODULES.iter().copied()).collect();
    let mut order = String::new();
    for module in kernel.modules(&wanted)? {
        let path = format!("/lib/modules/{}", module.file);
        order.push_str(&path);
        order.push('\n');
        archive.file(&path, 0o644, Source::Bytes(module.bytes));
    }
    archive.text("xenios/modules", 0o644, &order);

    let file = File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut gzip = GzEncoder::new(BufWriter::new(file), Compression::best());
    archive.write(&mut gzip)?;
    gzip.finish()
        .context("cannot finish the initrd")?
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    pad(out)
}

/// Another archive may follow on a boundary of 4 bytes; zero bytes between are
/// skipped by the kernel.
fn pad(path: &Path) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(length.next_multiple_of(4))
        .context("cannot pad the initrd")
}

/// A copy of a binary without debug sections: dom0 and guests hold their files
/// in memory.
pub(crate) fn strip(binary: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = binary.file_name().context("a binary has a name")?;
    let out = folder.join(name);
    crate::process::output(
        crate::process::command("strip")
            .arg("-o")
            .arg(&out)
            .arg(binary),
    )?;
    Ok(out)
}
