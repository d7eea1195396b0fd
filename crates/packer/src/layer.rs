//! Layers of an image: decompressed, verified, and merged into one tree.
//!
//! A decompressed layer is a file without a name in the cache directory: it never
//! holds more than the limits allow and is gone with the process.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;

use crate::cache::Cache;
use crate::digest::{Digest, Hashing};
use crate::error::{Error, ImageFault, NodeFault, Part};
use crate::image::Image;
use crate::limits::Limits;
use crate::spool::Spool;
use crate::tar::{Member, Members};
use crate::text::Printable;
use crate::tree::Tree;

/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// RFC 8878, section 3.1.1.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Log 2 of the most memory that a zstd frame may make its decoder use: 128 MiB,
/// zstd's own default, which covers every level up to 19.
const ZSTD_WINDOW_LOG: u32 = 27;
/// How much is decompressed at once, in bytes.
const CHUNK: usize = 128 * 1024;

/// An image's merged tree and the archives that hold its files.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) tree: Tree,
    /// By layer.
    pub(crate) spools: Vec<Spool>,
}

/// Merges the layers of `image`, whose blobs are in `cache`.
pub(crate) fn merge(image: &Image, cache: &Cache, limits: &Limits) -> Result<Merged, Error> {
    let mut tree = Tree::new(limits);
    let mut spools = Vec::with_capacity(image.manifest.layers.len());
    let mut left = limits.expanded_bytes;
    for (layer, (blob, diff_id)) in image
        .manifest
        .layers
        .iter()
        .zip(&image.config.diff_ids)
        .enumerate()
    {
        let path = cache.blob(&blob.digest);
        let file = File::open(&path).map_err(Error::host("read a layer from its image cache"))?;
        let spool = expand(file, cache.anonymous()?, layer, left)
            .map_err(|fault| fault.into_error(limits))
            .and_then(|(spool, digest)| {
                if digest == *diff_id {
                    Ok(spool)
                } else {
                    Err(Error::DigestMismatch {
                        what: Part::Layer(layer),
                    })
                }
            })
            .inspect_err(|_| forget_if_damaged(cache, &blob.digest))?;
        left -= spool.len;
        apply(&mut tree, &spool, layer, limits)?;
        spools.push(spool);
    }
    Ok(Merged { tree, spools })
}

/// Removes a blob that is no longer what it was when it was stored, so that the next
/// call fetches it again. Most faults are not the blob's but the image's, whose config
/// may lie about it, or the host's: other images need the blob as it is.
fn forget_if_damaged(cache: &Cache, digest: &Digest) {
    let same = || -> io::Result<bool> {
        let mut hashing = Hashing::new(io::sink());
        io::copy(&mut File::open(cache.blob(digest))?, &mut hashing)?;
        Ok(hashing.finish().1 == *digest)
    };
    if matches!(same(), Ok(false)) {
        cache.forget(digest);
    }
}

/// Applies the archive `spool` as layer number `layer`.
pub(crate) fn apply(
    tree: &mut Tree,
    spool: &Spool,
    layer: usize,
    limits: &Limits,
) -> Result<(), Error> {
    // Marks first: they act on lower layers alone, wherever they stand.
    let mut members = Members::new(spool, layer, limits);
    while let Some(member) = members.next()? {
        match member {
            Member::Whiteout(path) => tree.whiteout(&path),
            Member::Opaque(path) => tree.opaque(&path),
            Member::Node { .. } | Member::HardLink { .. } => {}
        }
    }
    let mut members = Members::new(spool, layer, limits);
    while let Some(member) = members.next()? {
        let (path, put) = match member {
            Member::Whiteout(_) | Member::Opaque(_) => continue,
            Member::Node { path, meta, kind } => {
                let put = tree.put(&path, layer, meta, kind);
                (path, put)
            }
            Member::HardLink { path, target } => {
                let put = tree.hard_link(&path, layer, &target);
                (path, put)
            }
        };
        put.map_err(|fault| {
            fault.into_error(|fault: NodeFault| {
                Error::Image(ImageFault::Node {
                    layer,
                    name: Printable::new(path.as_bytes()),
                    fault,
                })
            })
        })?;
    }
    Ok(())
}

/// Why a layer could not be decompressed.
enum ExpandFault {
    Error(Error),
    TooLong,
}

impl ExpandFault {
    fn into_error(self, limits: &Limits) -> Error {
        match self {
            Self::Error(error) => error,
            Self::TooLong => Error::LimitExceeded {
                what: "bytes of decompressed layers",
                limit: limits.expanded_bytes,
            },
        }
    }
}

impl From<Error> for ExpandFault {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Decompresses `blob` into `out`, at most `left` bytes.
fn expand(blob: File, out: File, layer: usize, left: u64) -> Result<(Spool, Digest), ExpandFault> {
    let damaged = |_| Error::Image(ImageFault::Compression { layer });
    let mut reader = decoder(blob).map_err(damaged)?;
    let mut out = Hashing::new(out);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = reader.read(&mut chunk).map_err(damaged)?;
        if read == 0 {
            break;
        }
        if out.len() + read as u64 > left {
            return Err(ExpandFault::TooLong);
        }
        out.write_all(&chunk[..read])
            .map_err(Error::host("decompress a layer"))?;
    }
    let (file, digest, len) = out.finish();
    Ok((Spool { file, len }, digest))
}

/// Reads `blob` decompressed. The data says in which format it is: media types lie
/// often enough. What is neither gzip nor zstd is taken for plain tar, and its
/// parser refuses the rest.
fn decoder(blob: File) -> io::Result<Box<dyn Read>> {
    let mut reader = BufReader::with_capacity(CHUNK, blob);
    let start = reader.fill_buf()?;
    if start.starts_with(GZIP_MAGIC) {
        // eStargz and pigz write many members.
        return Ok(Box::new(MultiGzDecoder::new(reader)));
    }
    if start.starts_with(ZSTD_MAGIC) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(reader))
}

#[cfg(test)]
mod tests;
