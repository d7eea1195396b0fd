//! Decompressing a bzImage's payload, never beyond a limit.

use std::borrow::Cow;
use std::io::{self, Read};

use super::KernelError;
use super::bytes::u32_at;

/// What `lz4 -l` compresses at a time (LZ4 frame format, "Legacy frame").
const LZ4_BLOCK_BYTES: usize = 8 << 20;
/// Memory for an xz decoder: Linux compresses with a dictionary of at most
/// 128 MiB.
const XZ_MEMORY_BYTES: u64 = 192 << 20;

/// The ELF image in a payload. Linux appends the image's size, four bytes, to
/// formats that do not end in it themselves.
pub(super) fn inflate(payload: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, KernelError> {
    let (format, image, rest) = match payload {
        [0x7f, b'E', b'L', b'F', ..] if payload.len() > limit => {
            return Err(KernelError::InflatedTooBig { limit });
        }
        [0x7f, b'E', b'L', b'F', ..] => return Ok(Cow::Borrowed(payload)),
        [0x1f, 0x8b, ..] => {
            let mut decoder = flate2::bufread::GzDecoder::new(payload);
            let image = read_all("gzip", &mut decoder, limit)?;
            ("gzip", image, decoder.into_inner())
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0)
                .map_err(|error| bad("xz")(error.into()))?;
            let mut decoder = liblzma::bufread::XzDecoder::new_stream(payload, stream);
            let image = read_all("xz", &mut decoder, limit)?;
            ("xz", image, decoder.into_inner())
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::Decoder::with_buffer(payload).map_err(bad("zstd"))?;
            let mut decoder = decoder.single_frame();
            let image = read_all("zstd", &mut decoder, limit)?;
            ("zstd", image, decoder.finish())
        }
        [0x02, 0x21, 0x4c, 0x18, blocks @ ..] => {
            let (image, rest) = lz4(blocks, limit)?;
            ("lz4", image, rest)
        }
        _ => {
            let mut magic = [0; 6];
            let known = payload.len().min(magic.len());
            magic[..known].copy_from_slice(&payload[..known]);
            return Err(KernelError::UnknownCompression { magic });
        }
    };
    check_size(format, image.len(), rest)?;
    Ok(Cow::Owned(image))
}

fn bad(format: &'static str) -> impl Fn(io::Error) -> KernelError {
    move |source| KernelError::BadPayload { format, source }
}

fn read_all(
    format: &'static str,
    decoder: &mut impl Read,
    limit: usize,
) -> Result<Vec<u8>, KernelError> {
    let mut image = Vec::new();
    // One byte more than allowed tells a full image from a longer one.
    let most = (limit as u64).saturating_add(1);
    decoder
        .take(most)
        .read_to_end(&mut image)
        .map_err(bad(format))?;
    if image.len() > limit {
        return Err(KernelError::InflatedTooBig { limit });
    }
    Ok(image)
}

/// The legacy frame: blocks with their compressed size in front, no end mark.
/// What is left at the end is shorter than a block. Every block but the last one
/// is full: without that, five bytes each could make millions of blocks, and each
/// costs the clearing of a whole one.
fn lz4(blocks: &[u8], limit: usize) -> Result<(Vec<u8>, &[u8]), KernelError> {
    let mut image = Vec::new();
    let mut rest = blocks;
    while rest.len() > 4 {
        let block = u32_at(rest, 0)
            .and_then(|length| usize::try_from(length).ok())
            .and_then(|length| rest.get(4..)?.get(..length))
            .ok_or(KernelError::Truncated {
                what: "a block of the lz4 payload",
            })?;
        rest = &rest[4 + block.len()..];
        let done = image.len();
        let room = LZ4_BLOCK_BYTES.min(limit - done);
        image.resize(done + room, 0);
        let written = match lz4_flex::block::decompress_into(block, &mut image[done..]) {
            Ok(written) => written,
            Err(lz4_flex::block::DecompressError::OutputTooSmall { .. })
                if room < LZ4_BLOCK_BYTES =>
            {
                return Err(KernelError::InflatedTooBig { limit });
            }
            Err(error) => return Err(bad("lz4")(io::Error::other(error))),
        };
        image.truncate(done + written);
        if written < LZ4_BLOCK_BYTES && rest.len() > 4 {
            return Err(KernelError::PayloadMismatch {
                format: "lz4",
                what: "a block in its midst is not full",
            });
        }
    }
    Ok((image, rest))
}

/// Whether what follows the stream is what Linux's build puts there.
fn check_size(format: &'static str, image_bytes: usize, rest: &[u8]) -> Result<(), KernelError> {
    let what = match *rest {
        [] => return Ok(()),
        [a, b, c, d] if u32::from_le_bytes([a, b, c, d]) as usize == image_bytes => return Ok(()),
        [_, _, _, _] => "it inflates to another size than the one written behind it",
        _ => "there are bytes behind its end",
    };
    Err(KernelError::PayloadMismatch { format, what })
}
