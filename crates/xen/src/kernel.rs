//! Guest kernels: bytes of unknown origin in, checked segments and Xen notes out.
//!
//! A kernel is a raw 64-bit x86 ELF image or a Linux bzImage that holds one,
//! compressed with gzip, xz, lz4 or zstd. Nothing here knows where the kernel
//! will be placed in a guest (see [`crate::image`]), and nothing calls Xen.

mod bytes;
mod bzimage;
mod elf;
mod inflate;
mod notes;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

pub use notes::XenNotes;

/// How large a kernel may be, on disk and once inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file as it was given.
    pub file_bytes: usize,
    /// Bytes of the ELF image after decompression. Decompression stops here, so
    /// that a bomb costs no more memory than this.
    pub inflated_bytes: usize,
}

impl Default for Limits {
    /// 100 MiB on disk, 256 MiB inflated: a distribution's kernel needs 14 and
    /// 53 MiB.
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            file_bytes: 100 * MIB,
            inflated_bytes: 256 * MIB,
        }
    }
}

/// Why a kernel cannot be used, and what would help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// Neither magic number is there.
    #[error(
        "not an x86-64 ELF image or a Linux bzImage: give a vmlinuz or an uncompressed vmlinux file"
    )]
    UnknownFormat,
    /// The file exceeds [`Limits::file_bytes`].
    #[error("the kernel file has {bytes} bytes, more than the limit of {limit}")]
    FileTooBig {
        /// Size of the file.
        bytes: usize,
        /// The limit it exceeds.
        limit: usize,
    },
    /// The payload inflates beyond [`Limits::inflated_bytes`].
    #[error("the kernel inflates to more than the limit of {limit} bytes")]
    InflatedTooBig {
        /// The limit it exceeds.
        limit: usize,
    },
    /// A table or a range lies outside the file.
    #[error("the kernel file is cut short or damaged: {what} lies outside of it")]
    Truncated {
        /// The part that is not there.
        what: &'static str,
    },
    /// The bzImage setup header is older than the fields that are needed.
    #[error(
        "bzImage boot protocol {major}.{minor:02} is too old: 2.08 or later is needed to find the payload"
    )]
    OldBootProtocol {
        /// Major number of the boot protocol.
        major: u8,
        /// Minor number of the boot protocol.
        minor: u8,
    },
    /// The payload has a compression that is not read.
    #[error(
        "the kernel's compression is not known (first bytes {magic:02x?}): build it with gzip, xz, lz4 or zstd"
    )]
    UnknownCompression {
        /// The first bytes of the payload.
        magic: [u8; 6],
    },
    /// The decompressor gave up.
    #[error("the {format} payload of the kernel is damaged")]
    BadPayload {
        /// Name of the compression.
        format: &'static str,
        /// What the decompressor said.
        #[source]
        source: std::io::Error,
    },
    /// The stream ended well, but it is not what the builder compressed.
    #[error("the {format} payload of the kernel is damaged: {what}")]
    PayloadMismatch {
        /// Name of the compression.
        format: &'static str,
        /// The check that failed.
        what: &'static str,
    },
    /// An ELF image, but not a kernel for this machine.
    #[error("the ELF image is not a 64-bit little-endian x86-64 executable: {what}")]
    WrongElf {
        /// The header field that is wrong.
        what: &'static str,
    },
    /// A program header that cannot be loaded.
    #[error("program header {index} of the ELF image is not usable: {what}")]
    BadSegment {
        /// Position in the program header table.
        index: usize,
        /// The check that failed.
        what: &'static str,
    },
    /// Two loadable segments want the same memory.
    #[error("two segments of the ELF image overlap at physical address {paddr:#x}")]
    OverlappingSegments {
        /// Where the later one begins.
        paddr: u64,
    },
    /// There is nothing to load.
    #[error("the ELF image has no loadable segment")]
    NoSegments,
    /// The image was not built for Xen.
    #[error(
        "the kernel has no Xen notes: it was built without Xen guest support (CONFIG_XEN_PV or CONFIG_XEN_PVH)"
    )]
    NoXenNotes,
    /// The areas that hold notes are larger than any kernel's, all together.
    #[error("the kernel has more than {limit} bytes of notes")]
    NotesTooLong {
        /// The limit that they exceed.
        limit: usize,
    },
    /// A note has a size or a text that its type does not allow.
    #[error("Xen note {kind} of the kernel has an unusable value")]
    BadNote {
        /// The note's number in Xen's `elfnote.h`.
        kind: u32,
    },
}

/// Rights that the ELF image wants for a segment (`p_flags`). A boot loader does
/// not enforce them: the kernel maps itself again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFlags {
    /// `PF_R`.
    pub read: bool,
    /// `PF_W`.
    pub write: bool,
    /// `PF_X`.
    pub execute: bool,
}

/// One loadable segment: its file bytes, then zeroes up to its memory size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Guest-physical address: the ELF image's own, less the `PADDR_OFFSET` note.
    pub paddr: u64,
    /// Virtual address as the ELF image states it.
    pub vaddr: u64,
    /// The bytes that come from the file. Never longer than `mem_bytes`.
    pub bytes: &'a [u8],
    /// Size in memory, in bytes. Never zero, and `paddr + mem_bytes` never
    /// exceeds [`MAX_PADDR`].
    pub mem_bytes: u64,
    /// Rights that the image wants.
    pub flags: SegmentFlags,
}

/// No segment may end above this physical address: one TiB is far beyond any
/// kernel, and keeps every later sum away from overflow.
pub const MAX_PADDR: u64 = 1 << 40;

/// A kernel whose headers, segments and notes have been checked. It owns the
/// inflated bytes, and can be shared between launches.
pub struct Kernel {
    bytes: Vec<u8>,
    segments: Vec<Placement>,
    notes: XenNotes,
}

/// A segment as ranges of [`Kernel::bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placement {
    paddr: u64,
    vaddr: u64,
    file: Range<usize>,
    mem_bytes: u64,
    flags: SegmentFlags,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("bytes", &self.bytes.len())
            .field("segments", &self.segments)
            .field("notes", &self.notes)
            .finish()
    }
}

impl Kernel {
    /// Reads a kernel from a raw ELF image or a bzImage.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, KernelError> {
        if bytes.len() > limits.file_bytes {
            return Err(KernelError::FileTooBig {
                bytes: bytes.len(),
                limit: limits.file_bytes,
            });
        }
        let image = if elf::is_elf(bytes) {
            if bytes.len() > limits.inflated_bytes {
                return Err(KernelError::InflatedTooBig {
                    limit: limits.inflated_bytes,
                });
            }
            Cow::Borrowed(bytes)
        } else {
            let payload = bzimage::payload(bytes)?;
            inflate::inflate(payload, limits.inflated_bytes)?
        };
        let elf = elf::Elf::parse(&image)?;
        let notes = elf.xen_notes()?;
        let segments = elf.segments(notes.paddr_offset)?;
        Ok(Self {
            bytes: image.into_owned(),
            segments,
            notes,
        })
    }

    /// The segments to load, by ascending physical address, without overlaps.
    /// There is at least one.
    #[must_use]
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'_>> {
        self.segments.iter().map(|placement| Segment {
            paddr: placement.paddr,
            vaddr: placement.vaddr,
            bytes: &self.bytes[placement.file.clone()],
            mem_bytes: placement.mem_bytes,
            flags: placement.flags,
        })
    }

    /// What the kernel told Xen about itself.
    #[must_use]
    pub fn notes(&self) -> &XenNotes {
        &self.notes
    }

    /// Whether it can start as a PV guest: it names a virtual entry point, and
    /// asks for nothing that a PV guest never gets.
    #[must_use]
    pub fn supports_pv(&self) -> bool {
        self.notes.entry.is_some() && !self.notes.requires_more_than_pv()
    }

    /// Whether it can start as a PVH guest: it names a 32-bit physical entry
    /// point.
    #[must_use]
    pub fn supports_pvh(&self) -> bool {
        self.notes.phys32_entry.is_some()
    }
}
