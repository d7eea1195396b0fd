//! dom0's device files: the only code here that holds pointers.
//!
//! Nothing in this module knows what a hypercall means or what is in a page;
//! [`crate::seam`] says what it offers. Numbers and layouts of ioctls are those
//! of Linux's `include/uapi/xen/` and of Xen's `tools/include/xen-sys/Linux/`.

#![expect(
    unsafe_code,
    reason = "ioctls and shared mappings of dom0's Xen devices have no safe interface"
)]

mod channels;
mod loops;
mod mapping;
mod privcmd;
mod sockets;

pub(crate) use channels::ChannelDevices;
pub(crate) use loops::LoopHost;
pub(crate) use privcmd::PrivcmdDevice;
pub(crate) use sockets::connect_unix;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::seam::Errno;

/// Opens a device file for reading and writing.
fn open_device(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// An ioctl whose argument is `argument`, which the kernel may read and write.
///
/// # Safety
/// `T` must be the very structure that `request` takes on this device, and every
/// address in it must be valid for what the request does with it.
unsafe fn ioctl<T>(fd: BorrowedFd<'_>, request: u64, argument: &mut T) -> Result<i32, Errno> {
    // SAFETY: the pointer is valid for the whole structure during the call, the
    // caller vouches for the structure's type and for the addresses in it.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// An ioctl whose argument is a number.
fn ioctl_value(fd: BorrowedFd<'_>, request: u64, value: u64) -> Result<i32, Errno> {
    // SAFETY: every request that is given here (`loop.h`) takes its argument as
    // a number and touches no memory of ours.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, value) };
    if result < 0 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}
