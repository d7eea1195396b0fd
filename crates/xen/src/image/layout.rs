//! Placing little-endian fields in byte buffers, and rounding.
//!
//! The offsets that come in are constants of this crate, each asserted against
//! its buffer's size by the code that uses it.

use std::ops::Range;

use super::{Load, PAGE_BYTES, PlanError, Request};
use crate::kernel::{Kernel, Segment};

/// Writes a little-endian 32-bit field.
pub(super) fn put_u32(buffer: &mut [u8], offset: usize, value: u32) {
    buffer[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes a little-endian 64-bit field.
pub(super) fn put_u64(buffer: &mut [u8], offset: usize, value: u64) {
    buffer[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

/// A size that is known to fit, because it was bounded by a buffer or a page.
pub(super) fn to_len(size: u64) -> usize {
    usize::try_from(size).expect("this crate is for 64-bit hosts only")
}

/// Pages that hold this many bytes.
pub(super) fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES)
}

/// MiB that hold this many pages.
pub(super) fn pages_to_mib(pages: u64) -> u64 {
    pages.div_ceil(256)
}

/// The most memory a plan describes, in pages: 1 TiB.
pub(super) const MAX_MEMORY_PAGES: u64 = 1 << 28;

/// The most vCPUs a plan describes: `HVM_MAX_VCPUS` of Xen's
/// `hvm/hvm_info_table.h`.
pub(super) const MAX_VCPUS: u32 = 128;

/// Checks what both kinds of guest ask of a request. `cmdline_limit` is in bytes
/// without the NUL.
pub(super) fn check(request: &Request<'_>, cmdline_limit: usize) -> Result<(), PlanError> {
    if request.memory_pages > MAX_MEMORY_PAGES {
        return Err(PlanError::MemoryTooLarge {
            given_mib: pages_to_mib(request.memory_pages),
            limit_mib: pages_to_mib(MAX_MEMORY_PAGES),
        });
    }
    if !(1..=MAX_VCPUS).contains(&request.vcpus) {
        return Err(PlanError::Vcpus {
            given: request.vcpus,
            limit: MAX_VCPUS,
        });
    }
    if request.cmdline.len() > cmdline_limit || request.cmdline.contains('\0') {
        return Err(PlanError::CommandLine {
            bytes: request.cmdline.len(),
            limit: cmdline_limit,
        });
    }
    Ok(())
}

/// [`PlanError::MemoryTooSmall`], if `needed` pages are more than there are.
pub(super) fn check_fits(request: &Request<'_>, needed: u64) -> Result<(), PlanError> {
    if needed > request.memory_pages {
        return Err(PlanError::MemoryTooSmall {
            needed_mib: pages_to_mib(needed),
            given_mib: request.memory_pages / 256,
        });
    }
    Ok(())
}

/// Where the kernel lies in guest-physical memory: bytes from the lowest to the
/// highest segment.
pub(super) fn kernel_extent(kernel: &Kernel) -> Range<u64> {
    let mut segments = kernel.segments();
    let extent = |segment: Segment<'_>| segment.paddr..segment.paddr + segment.mem_bytes;
    let first = segments.next().map(extent).unwrap_or_default();
    segments.map(extent).fold(first, |so_far, next| {
        so_far.start.min(next.start)..so_far.end.max(next.end)
    })
}

/// The loads of the kernel's segments and of the initrd's parts, one after the
/// other from `initrd_paddr` on.
pub(super) fn loads<'a>(
    kernel: &'a Kernel,
    initrd: &[&'a [u8]],
    initrd_paddr: u64,
    initrd_bytes: u64,
) -> Result<Vec<Load<'a>>, PlanError> {
    let given = initrd.iter().map(|part| part.len() as u64).sum();
    if given != initrd_bytes {
        return Err(PlanError::InitrdChanged {
            planned: initrd_bytes,
            given,
        });
    }
    let mut loads: Vec<_> = kernel
        .segments()
        .map(|segment| Load {
            paddr: segment.paddr,
            bytes: segment.bytes,
            zeros: segment.mem_bytes - segment.bytes.len() as u64,
        })
        .collect();
    let mut paddr = initrd_paddr;
    for part in initrd {
        loads.push(Load {
            paddr,
            bytes: part,
            zeros: 0,
        });
        paddr += part.len() as u64;
    }
    Ok(loads)
}
