//! The seam between the typed code of this crate and dom0's kernel.
//!
//! Everything above speaks bytes and numbers, and is safe code; the devices
//! below own every pointer. The traits have two implementations: [`crate::sys`]
//! on the real devices, and a simulator for this crate's tests that records what
//! was asked and keeps guest memory in a map.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domid::DomId;

/// An error number, from Xen or from Linux: both use Linux's numbers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// What the calling thread's last system call left behind.
    pub(crate) fn last() -> Self {
        Self(
            io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
        )
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

/// An argument of a hypercall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Argument {
    /// A number.
    Value(u64),
    /// The address of a buffer, by its place in [`Call::buffers`].
    Buffer(usize),
}

/// A pointer within a buffer (`XEN_GUEST_HANDLE`) to another buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The buffer that holds the pointer.
    pub(crate) from: usize,
    /// Where in it the pointer's eight bytes are.
    pub(crate) offset: usize,
    /// The buffer that is pointed to.
    pub(crate) to: usize,
}

/// A hypercall with everything that it points to. The buffers are copied into
/// memory that cannot fault, and copied back when the call has returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// `__HYPERVISOR_*` of Xen's `xen.h`.
    pub(crate) number: u64,
    /// The arguments; unused ones are zero.
    pub(crate) arguments: [Argument; 5],
    /// What is pointed to.
    pub(crate) buffers: Vec<Vec<u8>>,
    /// The pointers among the buffers.
    pub(crate) links: Vec<Link>,
}

/// `/dev/xen/privcmd`: hypercalls, and the memory of other domains.
pub(crate) trait Privcmd: Send + Sync {
    /// Does the call; the buffers hold what Xen wrote into them afterwards.
    fn hypercall(&self, call: &mut Call) -> Result<u64, Errno>;

    /// Maps pages of another domain, in this order, readable and writable.
    /// `frames` are machine frames for PV guests, guest frames for all others.
    fn map_frames(&self, domain: DomId, frames: &[u64]) -> Result<Box<dyn Pages>, Errno>;

    /// Maps the first frame of another domain's grant table (version 1).
    fn map_grant_table(&self, domain: DomId) -> Result<Box<dyn Pages>, Errno>;
}

/// Mapped pages, which the other domain may be writing at this moment. Unmapped
/// when dropped. A range beyond the mapping is a bug of the caller, and panics.
pub(crate) trait Pages: Send {
    /// Copies bytes in.
    fn write(&self, offset: usize, bytes: &[u8]);

    /// Writes zero bytes.
    fn clear(&self, offset: usize, count: usize);

    /// Copies bytes out.
    fn read(&self, offset: usize, bytes: &mut [u8]);

    /// Reads a 32-bit field; what the other side wrote before it is visible
    /// afterwards. `offset` is a multiple of four.
    fn load_u32(&self, offset: usize) -> u32;

    /// Writes a 32-bit field after everything that was written before it.
    /// `offset` is a multiple of four.
    fn store_u32(&self, offset: usize, value: u32);
}

/// A bound event channel.
pub(crate) trait Doorbell: Send + Sync {
    /// Wakes the other side.
    fn ring(&self) -> Result<(), Errno>;

    /// Waits until the other side rang, and says whether it did.
    fn wait(&self, timeout: Duration) -> Result<bool, Errno>;
}

/// A block device over a file.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    /// Major number of the block device.
    pub(crate) major: u32,
    /// Minor number of the block device, which is also the loop's number.
    pub(crate) minor: u32,
    /// Keeps the device while nobody else has it open: the last one to close it
    /// detaches the file. `None` in the simulator.
    #[expect(dead_code, reason = "held, not used: dropping it is what matters")]
    pub(crate) hold: Option<OwnedFd>,
}

/// Loop devices, and the kernel's block backend (xen-blkback) as sysfs shows it.
pub(crate) trait BlockHost: Send + Sync {
    /// Attaches a file to a free loop device that detaches itself with its last
    /// user.
    fn attach(&self, file: &Path, read_only: bool) -> io::Result<LoopDevice>;

    /// The file that a loop device has attached.
    fn backing_file(&self, minor: u32) -> Option<PathBuf>;

    /// Detaches a loop device from this file as soon as nobody uses it. One that has
    /// another file by now is left alone.
    fn detach(&self, minor: u32, file: &Path) -> io::Result<()>;

    /// The block backends that the kernel has for a domain, by device number.
    fn backends(&self, domain: DomId) -> Vec<u32>;

    /// Whether the backend has opened its block device.
    fn backend_open(&self, domain: DomId, device: u32) -> bool;
}

/// What the console needs: shared pages by grant, and event channels.
pub(crate) trait Channels: Send + Sync {
    /// Maps one page that the domain granted to dom0.
    fn map_grant(&self, domain: DomId, reference: u32) -> Result<Box<dyn Pages>, Errno>;

    /// Binds the domain's unbound port that waits for dom0.
    fn bind(&self, domain: DomId, port: u32) -> Result<Box<dyn Doorbell>, Errno>;
}
