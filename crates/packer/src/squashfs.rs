//! A merged tree as a squashfs image.
//!
//! [`write`] is the seam: a tree and its file bodies in, an image out, the same
//! bytes for the same tree. `backhand` writes it for now. That loses extended
//! attributes (file capabilities among them) and the identity of hard links, which
//! become copies; it compresses on one thread, and takes cubic time in the depth of
//! a tree, which [`Limits::depth`] bounds.
//!
//! Files are not deduplicated: `backhand` takes two files for the same when 64 bits
//! of a hash that is no cryptographic one agree, so one package of an image could
//! choose what another one's file holds.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use backhand::compression::{CompressionOptions, Compressor, Zstd};
use backhand::{BackhandError, FilesystemCompressor, FilesystemWriter, NodeHeader};

use crate::error::Error;
use crate::layer::Merged;
use crate::limits::Limits;
use crate::tree::{Device, Kind, Meta, Node, ROOT};

/// 445 MB/s on one core for a ratio of 4.5 on Debian's files; level 6 has a third of
/// the speed for 7 % less.
const ZSTD_LEVEL: u32 = 3;
/// Most different users and groups. squashfs holds 65,535, but `backhand` looks
/// each one up from the start of the list.
const MAX_IDS: usize = 4096;
/// Longest target of a symbolic link, in bytes. squashfs holds 65,535, but
/// `backhand` panics beyond this.
const MAX_TARGET: usize = 255;

/// Writes `merged` to `out`, which is empty, and cuts it to what was written.
pub(crate) fn write(merged: &Merged, limits: &Limits, out: &File) -> Result<(), Error> {
    check(merged, limits)?;
    let zstd = CompressionOptions::Zstd(Zstd {
        compression_level: ZSTD_LEVEL,
    });
    let compressor =
        FilesystemCompressor::new(Compressor::Zstd, Some(zstd)).map_err(writer_fault)?;
    let mut writer = FilesystemWriter::default();
    writer.set_compressor(compressor);
    writer.set_time(0);
    writer.set_no_duplicate_files(false);
    let root = &merged.tree.node(ROOT).meta;
    // The time of the root has no setter; it stays 0.
    writer.set_root_mode(root.mode);
    writer.set_root_uid(root.uid);
    writer.set_root_gid(root.gid);
    // Setting the root's owner does not enter it in the table of owners; a push does,
    // even one that is refused because the root is there already.
    let _ = writer.push_dir("/", header(root));
    for (path, node) in merged.tree.entries() {
        push(&mut writer, merged, &path, node).map_err(writer_fault)?;
    }
    let mut file = out;
    // `backhand` unwraps where it serialises. `check` refuses what is known to fail
    // there; what is not known must not take the caller along. The writer is gone
    // after this, so nothing broken is seen.
    let (_, written) = catch_unwind(AssertUnwindSafe(|| writer.write(&mut file)))
        .map_err(|_| Error::Writer("the squashfs writer panicked".into()))?
        .map_err(writer_fault)?;
    out.set_len(written)
        .and_then(|()| file.rewind())
        .map_err(Error::host("write the filesystem image"))
}

/// Refuses what the writer could not or should not write, before it starts.
fn check(merged: &Merged, limits: &Limits) -> Result<(), Error> {
    let mut bytes = 0_u64;
    let mut names = 0_usize;
    let mut paths = 0_u64;
    let mut attributes = 0_usize;
    let mut ids = BTreeSet::new();
    for (path, Node { meta, kind }) in merged.tree.entries() {
        names += 1;
        // `backhand` holds the whole path of each entry.
        paths += path.len() as u64;
        attributes += usize::from(!meta.xattrs.is_empty());
        ids.extend([meta.uid, meta.gid]);
        if let Kind::File(body) = kind {
            // Each name of a hard-linked file becomes a copy.
            bytes = bytes.saturating_add(body.len);
        }
        let limit = |what, limit| Err(Error::LimitExceeded { what, limit });
        if matches!(kind, Kind::Symlink(target) if target.len() > MAX_TARGET) {
            return limit("bytes in the target of a symbolic link", MAX_TARGET as u64);
        }
        if bytes > limits.file_bytes {
            return limit("bytes of files", limits.file_bytes);
        }
        if names > limits.entries {
            return limit("files and directories", limits.entries as u64);
        }
        if paths > limits.metadata_bytes {
            return limit("bytes of paths", limits.metadata_bytes);
        }
        if ids.len() > MAX_IDS {
            return limit("users and groups", MAX_IDS as u64);
        }
    }
    if attributes > 0 {
        tracing::warn!(
            files = attributes,
            "extended attributes of these files, such as file capabilities, are not kept"
        );
    }
    Ok(())
}

fn push<'c>(
    writer: &mut FilesystemWriter<'_, '_, 'c>,
    merged: &'c Merged,
    path: &[u8],
    Node { meta, kind }: &Node,
) -> Result<(), BackhandError> {
    let path = Path::new(OsStr::from_bytes(path));
    let header = header(meta);
    match kind {
        Kind::Directory(_) => writer.push_dir(path, header),
        Kind::File(body) => {
            let content = merged.spools[body.layer].read(*body);
            writer.push_file(content, path, header)
        }
        Kind::Symlink(target) => writer.push_symlink(OsStr::from_bytes(target), path, header),
        Kind::Char(device) => writer.push_char_device(encode(*device), path, header),
        Kind::Block(device) => writer.push_block_device(encode(*device), path, header),
        Kind::Fifo => writer.push_fifo(path, header),
    }
}

fn header(meta: &Meta) -> NodeHeader {
    NodeHeader::new(meta.mode, meta.uid, meta.gid, meta.mtime)
}

/// Linux's `new_encode_dev` (`include/linux/kdev_t.h`), as squashfs stores it.
fn encode(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

fn writer_fault(fault: BackhandError) -> Error {
    match fault {
        // A full disk is no fault of the writer.
        BackhandError::StdIo(source) => Error::Host {
            doing: "write the filesystem image",
            source,
        },
        other => Error::Writer(Box::new(other)),
    }
}

#[cfg(test)]
mod tests;
