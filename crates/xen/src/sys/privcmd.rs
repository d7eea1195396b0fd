//! `/dev/xen/privcmd` and `/dev/xen/hypercall`: hypercalls and foreign memory.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::mapping::{Mapping, PAGE};
use super::{ioctl, open_device};
use crate::domid::DomId;
use crate::seam::{Argument, Call, Errno, Pages, Privcmd};

/// `IOCTL_PRIVCMD_HYPERCALL`, `_MMAPBATCH_V2` and `_MMAP_RESOURCE` of
/// `uapi/xen/privcmd.h`: `_IOC(_IOC_NONE, 'P', 0 | 4 | 7, size)`.
const HYPERCALL: u64 = 0x0030_5000;
const MMAP_BATCH_V2: u64 = 0x0020_5004;
const MMAP_RESOURCE: u64 = 0x0020_5007;

/// `XENMEM_resource_grant_table` of Xen's `memory.h`; its id 0 is the table of
/// shared entries.
const RESOURCE_GRANT_TABLE: u32 = 1;

/// How often, and how far apart, a page that Xen has paged out is asked for.
const PAGED_OUT_TRIES: u32 = 100;
const PAGED_OUT_PAUSE: Duration = Duration::from_micros(100);

/// Pages of a buffer that is kept for the next call.
const KEPT_PAGES: usize = 16;
/// How many such buffers are kept: as many as there are threads that build.
const KEPT_BUFFERS: usize = 8;

#[repr(C)]
struct HypercallRequest {
    number: u64,
    arguments: [u64; 5],
}
const _: () = assert!(size_of::<HypercallRequest>() == 0x30);

#[repr(C)]
struct BatchRequest {
    count: u32,
    domain: u16,
    address: u64,
    frames: u64,
    errors: u64,
}
const _: () = assert!(size_of::<BatchRequest>() == 0x20);

#[repr(C)]
struct ResourceRequest {
    domain: u16,
    kind: u32,
    id: u32,
    first: u32,
    count: u64,
    address: u64,
}
const _: () = assert!(size_of::<ResourceRequest>() == 0x20);

/// The two devices.
pub(crate) struct PrivcmdDevice {
    privcmd: File,
    hypercall: File,
    /// Buffers of [`KEPT_PAGES`] pages that no call uses now.
    idle: Mutex<Vec<Mapping>>,
}

impl PrivcmdDevice {
    /// Opens both, or says which one is not there.
    pub(crate) fn open() -> Result<Self, (&'static str, io::Error)> {
        let open = |path: &'static str| open_device(path).map_err(|source| (path, source));
        Ok(Self {
            privcmd: open("/dev/xen/privcmd")?,
            // Memory from here is never moved or paged out while Xen uses it.
            hypercall: open("/dev/xen/hypercall")?,
            idle: Mutex::new(Vec::new()),
        })
    }

    fn take_buffer(&self, bytes: usize) -> Result<Mapping, Errno> {
        if bytes > KEPT_PAGES * PAGE {
            return Mapping::new(self.hypercall.as_fd(), bytes.div_ceil(PAGE), 0);
        }
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        kept.map_or_else(|| Mapping::new(self.hypercall.as_fd(), KEPT_PAGES, 0), Ok)
    }

    fn give_back(&self, buffer: Mapping) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() == KEPT_PAGES * PAGE && idle.len() < KEPT_BUFFERS {
            idle.push(buffer);
        }
    }
}

/// Where each buffer of a call goes in one mapping, and how long that must be.
fn place(buffers: &[Vec<u8>]) -> (Vec<usize>, usize) {
    let mut next: usize = 0;
    let offsets = buffers
        .iter()
        .map(|buffer| {
            let at = next;
            next = (at + buffer.len()).next_multiple_of(8);
            at
        })
        .collect();
    (offsets, next)
}

impl Privcmd for PrivcmdDevice {
    fn hypercall(&self, call: &mut Call) -> Result<u64, Errno> {
        let (offsets, bytes) = place(&call.buffers);
        let memory = self.take_buffer(bytes)?;
        let address = |buffer: usize| memory.address() + offsets[buffer] as u64;
        for link in &call.links {
            let field = &mut call.buffers[link.from][link.offset..link.offset + 8];
            field.copy_from_slice(&address(link.to).to_le_bytes());
        }
        for (buffer, offset) in call.buffers.iter().zip(&offsets) {
            memory.write(*offset, buffer);
        }
        let mut request = HypercallRequest {
            number: call.number,
            arguments: call.arguments.map(|argument| match argument {
                Argument::Value(value) => value,
                Argument::Buffer(buffer) => address(buffer),
            }),
        };
        // SAFETY: the structure is what HYPERCALL takes. Its addresses, and those
        // in the buffers, lie in `memory`, which lives until after the call and
        // holds each buffer in full; how much Xen writes behind an address is
        // decided by the length fields that `crate::hypercall` fills in.
        let result = unsafe { ioctl(self.privcmd.as_fd(), HYPERCALL, &mut request) };
        for (buffer, offset) in call.buffers.iter_mut().zip(&offsets) {
            memory.read(*offset, buffer);
        }
        self.give_back(memory);
        // The ioctl's own result is Xen's: never negative here.
        result.map(|value| u64::from(value.unsigned_abs()))
    }

    fn map_frames(&self, domain: DomId, frames: &[u64]) -> Result<Box<dyn Pages>, Errno> {
        let mapping = Mapping::new(self.privcmd.as_fd(), frames.len(), 0)?;
        let mut pending: Vec<usize> = (0..frames.len()).collect();
        let mut errors = vec![0; frames.len()];
        self.map_batch(domain, mapping.address(), frames, &mut errors)?;
        for _ in 0..PAGED_OUT_TRIES {
            pending.retain(|page| errors[*page] == -libc::ENOENT);
            if pending.is_empty() {
                break;
            }
            // Xen has started to page these in.
            thread::sleep(PAGED_OUT_PAUSE);
            for page in &pending {
                let address = mapping.address() + (page * PAGE) as u64;
                let one = page..&(page + 1);
                let range = *one.start..*one.end;
                self.map_batch(domain, address, &frames[range.clone()], &mut errors[range])?;
            }
        }
        match errors.iter().find(|error| **error != 0) {
            Some(error) => Err(Errno(-error)),
            None => Ok(Box::new(mapping)),
        }
    }

    fn map_grant_table(&self, domain: DomId) -> Result<Box<dyn Pages>, Errno> {
        let mapping = Mapping::new(self.privcmd.as_fd(), 1, 0)?;
        let mut request = ResourceRequest {
            domain: domain.get(),
            kind: RESOURCE_GRANT_TABLE,
            id: 0,
            first: 0,
            count: 1,
            address: mapping.address(),
        };
        // SAFETY: the structure is what MMAP_RESOURCE takes, and the address is
        // that of a fresh mapping of this device of exactly one page.
        unsafe { ioctl(self.privcmd.as_fd(), MMAP_RESOURCE, &mut request) }?;
        Ok(Box::new(mapping))
    }
}

impl PrivcmdDevice {
    /// Maps frames at an address within a mapping of privcmd; each page's own
    /// error is left in `errors`.
    fn map_batch(
        &self,
        domain: DomId,
        address: u64,
        frames: &[u64],
        errors: &mut [i32],
    ) -> Result<(), Errno> {
        let mut request = BatchRequest {
            count: u32::try_from(frames.len()).map_err(|_| Errno(libc::EINVAL))?,
            domain: domain.get(),
            address,
            frames: frames.as_ptr() as u64,
            errors: errors.as_mut_ptr() as u64,
        };
        assert_eq!(frames.len(), errors.len(), "each frame has its error");
        // SAFETY: the structure is what MMAP_BATCH_V2 takes; `frames` and
        // `errors` have `count` entries and outlive the call; the address lies in
        // a mapping of this device that is long enough, as both callers see to.
        match unsafe { ioctl(self.privcmd.as_fd(), MMAP_BATCH_V2, &mut request) } {
            // Some page is paged out: `errors` says which.
            Ok(_) | Err(Errno(libc::ENOENT)) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
