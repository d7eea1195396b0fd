//! Shared memory mappings that unmap themselves.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::seam::{Errno, Pages};

/// Bytes of a page on x86-64.
pub(super) const PAGE: usize = 4096;

/// A shared mapping of a device file.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and this value is
// its only owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `pages` pages of the device from `offset` on, readable and writable.
    pub(super) fn new(fd: BorrowedFd<'_>, pages: usize, offset: i64) -> Result<Self, Errno> {
        let len = pages
            .checked_mul(PAGE)
            .filter(|len| *len > 0)
            .ok_or(Errno(libc::EINVAL))?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let hint = std::ptr::null_mut();
        // SAFETY: the kernel chooses the address, so no memory of ours is
        // replaced; the descriptor is open for the duration of the call.
        let base = unsafe { libc::mmap(hint, len, protection, flags, fd.as_raw_fd(), offset) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno(libc::ENOMEM))?;
        Ok(Self { base, len })
    }

    /// The address, for the kernel.
    pub(super) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// How many bytes are mapped.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A pointer to `count` bytes at `offset`.
    fn at(&self, offset: usize, count: usize) -> *mut u8 {
        let inside = offset.checked_add(count).is_some_and(|end| end <= self.len);
        assert!(
            inside,
            "{count} bytes at {offset} lie outside of a mapping of {}",
            self.len
        );
        // SAFETY: the offset was just checked to lie within the mapping.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Copies bytes to where the other side may access them at the same time, which
    /// [`Pages::write`] is not for.
    pub(super) fn store(&self, offset: usize, bytes: &[u8]) {
        let target = self.at(offset, bytes.len());
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: `at` checked the whole range, and the mapping lives as long as
            // `self`; all access to bytes that a running guest shares is atomic.
            let cell = unsafe { AtomicU8::from_ptr(target.wrapping_add(index)) };
            cell.store(*byte, Ordering::Relaxed);
        }
    }

    /// A 32-bit field that both sides may access.
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "the mapping begins at a page, and the offset is checked"
    )]
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset.is_multiple_of(4),
            "a 32-bit field at {offset} is not aligned"
        );
        let pointer = self.at(offset, 4).cast::<u32>();
        // SAFETY: the field lies in the mapping, which lives as long as `self`
        // and is page-aligned, so the field is aligned; all access is atomic.
        unsafe { AtomicU32::from_ptr(pointer) }
    }
}

impl Pages for Mapping {
    fn write(&self, offset: usize, bytes: &[u8]) {
        let target = self.at(offset, bytes.len());
        // SAFETY: the target was checked to hold that many bytes; it is a mapping
        // of a device, so no Rust object lies there and it cannot overlap `bytes`.
        // Nobody accesses it meanwhile: it is a hypercall's buffer between calls, or
        // a page of a domain that is being built and does not run.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    fn clear(&self, offset: usize, count: usize) {
        let target = self.at(offset, count);
        // SAFETY: as in `write`.
        unsafe { std::ptr::write_bytes(target, 0, count) };
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        let source = self.at(offset, bytes.len());
        for (index, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: the range was checked above; the guest may write at the
            // same time, which is why the access is atomic.
            let cell = unsafe { AtomicU8::from_ptr(source.wrapping_add(index)) };
            *byte = cell.load(Ordering::Relaxed);
        }
    }

    fn load_u32(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and nothing
        // that borrows from it outlives `self`.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of a whole mapping cannot fail");
    }
}
