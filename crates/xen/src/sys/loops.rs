//! `/dev/loop-control`, loop devices, and what sysfs says of the block backend.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::{ioctl, ioctl_value, open_device};
use crate::domid::DomId;
use crate::seam::{BlockHost, Errno, LoopDevice};

/// `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE`, `LOOP_CLR_FD` of `uapi/linux/loop.h`.
const CTL_GET_FREE: u64 = 0x4C82;
const CONFIGURE: u64 = 0x4C0A;
const CLR_FD: u64 = 0x4C01;
/// `LO_FLAGS_READ_ONLY` and `LO_FLAGS_AUTOCLEAR` of the same header.
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;
/// `LOOP_MAJOR` of `uapi/linux/major.h`.
const LOOP_MAJOR: u32 = 7;
/// Where the kernel lists the backends that it serves: `TYPE-DOMID-DEVICE`.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";
/// How often another one may take the free device that we were told of.
const RACES: u32 = 64;

/// `struct loop_config`; the fields in between are all zero here.
#[repr(C)]
struct LoopConfig {
    file: u32,
    block_size: u32,
    before_flags: [u64; 6],
    key_size: u32,
    flags: u32,
    after_flags: [u64; 30],
}
const _: () = assert!(size_of::<LoopConfig>() == 304);
const _: () = assert!(std::mem::offset_of!(LoopConfig, flags) == 8 + 52);

/// dom0's own loop devices.
pub(crate) struct LoopHost;

impl BlockHost for LoopHost {
    fn attach(&self, file: &Path, read_only: bool) -> io::Result<LoopDevice> {
        let backing = OpenOptions::new().read(true).write(!read_only).open(file)?;
        let control = open_device("/dev/loop-control")?;
        for _ in 0..RACES {
            let minor = ioctl_value(control.as_fd(), CTL_GET_FREE, 0)
                .map_err(to_io)?
                .unsigned_abs();
            let device = open_loop(minor, read_only)?;
            match configure(&device, &backing, read_only) {
                Ok(()) => {
                    return Ok(LoopDevice {
                        major: LOOP_MAJOR,
                        minor,
                        hold: Some(device.into()),
                    });
                }
                Err(Errno(libc::EBUSY)) => {}
                Err(errno) => return Err(to_io(errno)),
            }
        }
        Err(to_io(Errno(libc::EBUSY)))
    }

    fn backing_file(&self, minor: u32) -> Option<PathBuf> {
        let path = format!("/sys/block/loop{minor}/loop/backing_file");
        let text = fs::read_to_string(path).ok()?;
        Some(PathBuf::from(text.trim_end_matches('\n')))
    }

    fn detach(&self, minor: u32, file: &Path) -> io::Result<()> {
        // While this is open, the number stays with its file: a device that is in
        // use is not given a new one.
        let device = open_loop(minor, true)?;
        if self.backing_file(minor).as_deref() != Some(file) {
            return Ok(());
        }
        match ioctl_value(device.as_fd(), CLR_FD, 0) {
            // Detached in the meantime.
            Ok(_) | Err(Errno(libc::ENXIO)) => Ok(()),
            Err(errno) => Err(to_io(errno)),
        }
    }

    fn backends(&self, domain: DomId) -> Vec<u32> {
        let prefix = format!("vbd-{domain}-");
        let entries = fs::read_dir(BACKENDS).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_prefix(&prefix)?
                    .parse()
                    .ok()
            })
            .collect()
    }

    fn backend_open(&self, domain: DomId, device: u32) -> bool {
        // xen-blkback adds this attribute once it holds the block device.
        Path::new(BACKENDS)
            .join(format!("vbd-{domain}-{device}/physical_device"))
            .exists()
    }
}

fn open_loop(minor: u32, read_only: bool) -> io::Result<File> {
    let path = format!("/dev/loop{minor}");
    let device = OpenOptions::new().read(true).write(!read_only).open(path)?;
    let metadata = device.metadata()?;
    let (major, found) = (libc::major(metadata.rdev()), libc::minor(metadata.rdev()));
    if !metadata.file_type().is_block_device() || (major, found) != (LOOP_MAJOR, minor) {
        return Err(io::Error::other(
            "the device node is not that of the loop device",
        ));
    }
    Ok(device)
}

fn configure(device: &File, backing: &File, read_only: bool) -> Result<(), Errno> {
    let mut config = LoopConfig {
        file: backing.as_raw_fd().unsigned_abs(),
        block_size: 0,
        before_flags: [0; 6],
        key_size: 0,
        flags: AUTOCLEAR | if read_only { READ_ONLY } else { 0 },
        after_flags: [0; 30],
    };
    // SAFETY: the structure is what CONFIGURE takes; it holds a descriptor that
    // is open during the call, and no address.
    unsafe { ioctl(device.as_fd(), CONFIGURE, &mut config) }.map(drop)
}

fn to_io(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}
