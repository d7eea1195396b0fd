//! Block devices (vbd): a file of dom0 through a loop device and xen-blkback.
//!
//! No hotplug script: the backend is told its block device directly.

#[cfg(test)]
mod tests;

use std::path::Path;

use thiserror::Error;
use uuid::Uuid;

use crate::domid::DomId;
use crate::seam::LoopDevice;
use crate::xenstore::{Edit, Permissions, StorePath};

/// Major number of `xvd` devices in Linux (`XENVBD_MAJOR`); each has 16 minors.
const XVD_MAJOR: u32 = 202;
const XVD_MINORS_BITS: u32 = 4;
/// Letters that the old numbering has room for.
const OLD_NUMBERING: u32 = 16;
/// The extended numbering (`docs/man/xen-vbd-interface.7`): bit 28, and 256
/// partitions a disk.
const EXTENDED: u32 = 1 << 28;
const EXTENDED_BITS: u32 = 8;

/// `enum xenbus_state` of `io/xenbus.h`.
pub(crate) mod state {
    pub(crate) const INITIALISING: &str = "1";
    pub(crate) const CLOSING: &str = "5";
    pub(crate) const CLOSED: &str = "6";
}

/// Not the name of a disk.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a disk's name: xvda to xvdz are")]
pub struct DiskNameError(String);

/// The name of a disk in the guest: `xvda` to `xvdz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DiskName(u8);

impl DiskName {
    /// Reads a name.
    pub(crate) fn parse(name: &str) -> Result<Self, DiskNameError> {
        match name.as_bytes() {
            [b'x', b'v', b'd', letter @ b'a'..=b'z'] => Ok(Self(letter - b'a')),
            _ => Err(DiskNameError(name.to_owned())),
        }
    }

    /// The device's number, which both ends know it by (`virtual-device`).
    pub(crate) fn device(self) -> u32 {
        let index = u32::from(self.0);
        if index < OLD_NUMBERING {
            (XVD_MAJOR << 8) | (index << XVD_MINORS_BITS)
        } else {
            EXTENDED | (index << EXTENDED_BITS)
        }
    }

    fn text(self) -> String {
        format!("xvd{}", char::from(b'a' + self.0))
    }
}

/// Where a domain's block backends are described. Only dom0 writes here.
pub(crate) fn backends(domain: DomId) -> StorePath {
    StorePath::domain(DomId::ZERO).join(&format!("backend/vbd/{domain}"))
}

/// Where the kernel says what went wrong with a domain's block backends.
pub(crate) fn backend_errors(domain: DomId) -> StorePath {
    StorePath::domain(DomId::ZERO).join(&format!("error/backend/vbd/{domain}"))
}

/// One backend.
pub(crate) fn backend(domain: DomId, device: u32) -> StorePath {
    backends(domain).join(&device.to_string())
}

/// The guest's end, which the guest may write.
pub(crate) fn frontend(domain: DomId, device: u32) -> StorePath {
    StorePath::domain(domain).join(&format!("device/vbd/{device}"))
}

/// Our own record of which loop device holds which file, for teardown: below
/// `/vm/UUID`, which no guest can read.
pub(crate) fn records(uuid: Uuid) -> StorePath {
    StorePath::vm(uuid).join("xenios/vbd")
}

/// A disk that has its loop device.
pub(crate) struct Vbd<'a> {
    /// Its name in the guest.
    pub(crate) name: DiskName,
    /// The file.
    pub(crate) file: &'a Path,
    /// Whether the guest may only read.
    pub(crate) read_only: bool,
    /// The loop device over the file.
    pub(crate) attached: &'a LoopDevice,
}

impl Vbd<'_> {
    /// Both ends, and the record.
    pub(crate) fn edits(&self, domain: DomId, uuid: Uuid) -> Vec<Edit> {
        let device = self.name.device();
        let (front, back) = (frontend(domain, device), backend(domain, device));
        let record = records(uuid).join(&device.to_string());
        let physical = format!("{:x}:{:x}", self.attached.major, self.attached.minor);
        let mode = if self.read_only { "r" } else { "w" };
        let mut edits = vec![
            Edit::write(record.join("loop"), self.attached.minor.to_string()),
            Edit::write(record.join("file"), self.file.to_string_lossy()),
            Edit::write(back.clone(), ""),
            Edit::Grant(
                back.clone(),
                Permissions {
                    owner: DomId::ZERO,
                    reader: Some(domain),
                },
            ),
            Edit::write(front.clone(), ""),
            Edit::Grant(
                front.clone(),
                Permissions {
                    owner: domain,
                    reader: Some(DomId::ZERO),
                },
            ),
        ];
        let backend_nodes = [
            ("frontend", front.as_str()),
            ("frontend-id", &domain.to_string()),
            ("online", "1"),
            ("removable", "0"),
            ("bootable", "1"),
            ("dev", &self.name.text()),
            ("type", "phy"),
            ("mode", mode),
            ("device-type", "disk"),
            ("discard-enable", "0"),
            ("physical-device", &physical),
            ("state", state::INITIALISING),
        ];
        edits.extend(backend_nodes.map(|(name, value)| Edit::write(back.join(name), value)));
        let frontend_nodes = [
            ("backend", back.as_str()),
            ("backend-id", "0"),
            ("virtual-device", &device.to_string()),
            ("device-type", "disk"),
            ("protocol", "x86_64-abi"),
            ("state", state::INITIALISING),
        ];
        edits.extend(frontend_nodes.map(|(name, value)| Edit::write(front.join(name), value)));
        edits
    }
}
