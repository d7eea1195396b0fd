//! `/dev/xen/gntdev` and `/dev/xen/evtchn`: granted pages and event channels.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use super::mapping::Mapping;
use super::{ioctl, open_device};
use crate::domid::DomId;
use crate::seam::{Channels, Doorbell, Errno, Pages};

/// `IOCTL_GNTDEV_MAP_GRANT_REF` and `_UNMAP_GRANT_REF` of `uapi/xen/gntdev.h`.
const MAP_GRANT_REF: u64 = 0x0018_4700;
const UNMAP_GRANT_REF: u64 = 0x0010_4701;
/// `IOCTL_EVTCHN_BIND_INTERDOMAIN` and `_NOTIFY` of `uapi/xen/evtchn.h`.
const BIND_INTERDOMAIN: u64 = 0x0008_4501;
const NOTIFY: u64 = 0x0004_4504;

#[repr(C)]
struct MapGrant {
    count: u32,
    pad: u32,
    /// Where the kernel says that the mapping begins in the device file.
    index: u64,
    domain: u32,
    reference: u32,
}
const _: () = assert!(size_of::<MapGrant>() == 0x18);

#[repr(C)]
struct UnmapGrant {
    index: u64,
    count: u32,
    pad: u32,
}
const _: () = assert!(size_of::<UnmapGrant>() == 0x10);

#[repr(C)]
struct BindInterdomain {
    domain: u32,
    port: u32,
}
const _: () = assert!(size_of::<BindInterdomain>() == 8);

/// Opens both devices anew for each console: closing them gives back everything,
/// whatever happened before.
pub(crate) struct ChannelDevices;

/// A granted page. The mapping goes first, then the kernel's record of it, then
/// the device: the order of the fields is the order of dropping.
struct GrantedPage {
    mapping: Mapping,
    _record: GrantRecord,
}

struct GrantRecord {
    device: File,
    index: u64,
}

impl Drop for GrantRecord {
    fn drop(&mut self) {
        let mut request = UnmapGrant {
            index: self.index,
            count: 1,
            pad: 0,
        };
        // SAFETY: the structure is what UNMAP_GRANT_REF takes; it has no address.
        // A failure is of no matter: closing the device unmaps too.
        let _ = unsafe { ioctl(self.device.as_fd(), UNMAP_GRANT_REF, &mut request) };
    }
}

impl Pages for GrantedPage {
    fn write(&self, offset: usize, bytes: &[u8]) {
        // The guest runs and may look at the page now.
        self.mapping.store(offset, bytes);
    }

    fn clear(&self, offset: usize, count: usize) {
        self.mapping.clear(offset, count);
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        self.mapping.read(offset, bytes);
    }

    fn load_u32(&self, offset: usize) -> u32 {
        self.mapping.load_u32(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.mapping.store_u32(offset, value);
    }
}

/// An event channel; closing the device unbinds it.
struct BoundPort {
    device: File,
    port: u32,
}

impl Doorbell for BoundPort {
    fn ring(&self) -> Result<(), Errno> {
        let mut port = self.port;
        // SAFETY: NOTIFY takes a structure of one 32-bit port, without address.
        unsafe { ioctl(self.device.as_fd(), NOTIFY, &mut port) }.map(drop)
    }

    fn wait(&self, timeout: Duration) -> Result<bool, Errno> {
        let mut poll = libc::pollfd {
            fd: self.device.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to one `pollfd`, and the count says one.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout) };
        if ready < 0 {
            let errno = Errno::last();
            return if errno.0 == libc::EINTR {
                Ok(false)
            } else {
                Err(errno)
            };
        }
        if ready == 0 {
            return Ok(false);
        }
        let errno = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
        let mut port = [0; 4];
        match (&self.device).read(&mut port) {
            // The driver gives whole ports, of four bytes each.
            Ok(4) => {}
            Ok(_) => return Err(Errno(libc::EIO)),
            // Another thread that waits here took the event.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(errno(error)),
        }
        // Writing the port back unmasks it.
        (&self.device).write_all(&port).map_err(errno)?;
        Ok(true)
    }
}

impl Channels for ChannelDevices {
    fn map_grant(&self, domain: DomId, reference: u32) -> Result<Box<dyn Pages>, Errno> {
        let device = open_device("/dev/xen/gntdev").map_err(|error| no_device(&error))?;
        let mut request = MapGrant {
            count: 1,
            pad: 0,
            index: 0,
            domain: u32::from(domain.get()),
            reference,
        };
        // SAFETY: the structure is what MAP_GRANT_REF takes for a count of one.
        unsafe { ioctl(device.as_fd(), MAP_GRANT_REF, &mut request) }?;
        let record = GrantRecord {
            device,
            index: request.index,
        };
        let offset = i64::try_from(record.index).map_err(|_| Errno(libc::EINVAL))?;
        let mapping = Mapping::new(record.device.as_fd(), 1, offset)?;
        Ok(Box::new(GrantedPage {
            mapping,
            _record: record,
        }))
    }

    fn bind(&self, domain: DomId, port: u32) -> Result<Box<dyn Doorbell>, Errno> {
        // Reading never waits: several threads may look at one channel.
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/xen/evtchn")
            .map_err(|error| no_device(&error))?;
        let mut request = BindInterdomain {
            domain: u32::from(domain.get()),
            port,
        };
        // SAFETY: the structure is what BIND_INTERDOMAIN takes; no address in it.
        let local = unsafe { ioctl(device.as_fd(), BIND_INTERDOMAIN, &mut request) }?;
        Ok(Box::new(BoundPort {
            device,
            port: local.unsigned_abs(),
        }))
    }
}

fn no_device(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::ENODEV))
}
