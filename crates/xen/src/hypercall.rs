//! Hypercalls as typed Rust, for Xen 4.17 to 4.22 from one binary.
//!
//! Structures are encoded field by field at the offsets of Xen's public headers;
//! no pointer is handled here (see [`crate::seam`]). What differs between the
//! versions of the control interface is in [`DomctlVersion`].

mod context;
mod domctl;
mod hvm;
mod memory;
mod sysctl;

use thiserror::Error;

use crate::domid::{DomId, Port};
use crate::seam::{Argument, Call, Errno, Link, Pages, Privcmd};

pub(crate) use domctl::{Creation, Info};
use sysctl::SysctlVersion;

/// `__HYPERVISOR_*` of Xen's `xen.h`.
mod number {
    pub(super) const MEMORY_OP: u64 = 12;
    pub(super) const MMUEXT_OP: u64 = 26;
    pub(super) const EVENT_CHANNEL_OP: u64 = 32;
    pub(super) const HVM_OP: u64 = 34;
    pub(super) const SYSCTL: u64 = 35;
    pub(super) const DOMCTL: u64 = 36;
}

/// `EVTCHNOP_alloc_unbound` of `event_channel.h`.
const ALLOC_UNBOUND: u64 = 6;
/// `MMUEXT_PIN_L4_TABLE` of `xen.h`.
const PIN_L4_TABLE: u32 = 3;

/// A hypercall that Xen refused.
#[derive(Debug, Error)]
#[error("Xen refused {operation}")]
pub struct HypercallError {
    operation: &'static str,
    #[source]
    errno: Errno,
}

impl HypercallError {
    /// The error number, in Linux's numbering.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno.0
    }

    fn new(operation: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { operation, errno }
    }
}

/// Why no version of the control interface could be used.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Xen knows none of the versions that this crate knows.
    #[error(
        "this Xen's control interface (domctl, sysctl) is not known: Xen 4.17 to 4.22 are supported"
    )]
    Unsupported,
    /// The probe itself was refused.
    #[error("dom0 may not control domains: is this the control domain, and is the caller root?")]
    Refused(#[source] HypercallError),
}

/// `XEN_DOMCTL_INTERFACE_VERSION`: 0x15 is Xen 4.17, 0x16 is 4.18, 0x17 is 4.19
/// to 4.21, 0x18 is 4.22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DomctlVersion(u32);

impl DomctlVersion {
    const KNOWN: std::ops::RangeInclusive<u32> = 0x15..=0x18;

    /// Whether `xen_domctl_createdomain` has `altp2m_opts`, which moved the
    /// fields behind it.
    fn has_altp2m_opts(self) -> bool {
        self.0 >= 0x17
    }
}

/// The hypervisor.
pub(crate) struct Xen {
    privcmd: Box<dyn Privcmd>,
    version: DomctlVersion,
    sysctl: SysctlVersion,
}

impl Xen {
    /// Finds out which versions of the control interfaces this Xen speaks.
    pub(crate) fn probe(privcmd: Box<dyn Privcmd>) -> Result<Self, ProbeError> {
        let mut xen = Self {
            privcmd,
            version: DomctlVersion(0),
            sysctl: SysctlVersion::NONE,
        };
        xen.probe_domctl()?;
        xen.probe_sysctl()?;
        Ok(xen)
    }

    fn probe_domctl(&mut self) -> Result<(), ProbeError> {
        for version in DomctlVersion::KNOWN {
            self.version = DomctlVersion(version);
            match self.info(DomId::ZERO) {
                Ok(_) => return Ok(()),
                // How Xen says "another version".
                Err(error) if error.errno() == libc::EACCES => {}
                Err(error) => return Err(ProbeError::Refused(error)),
            }
        }
        Err(ProbeError::Unsupported)
    }

    /// The version that was found.
    pub(crate) fn version(&self) -> u32 {
        self.version.0
    }

    /// Maps pages of a domain: machine frames for PV guests, guest frames for
    /// all others.
    pub(crate) fn map(
        &self,
        domain: DomId,
        frames: &[u64],
    ) -> Result<Box<dyn Pages>, HypercallError> {
        self.privcmd
            .map_frames(domain, frames)
            .map_err(HypercallError::new("a mapping of the guest's memory"))
    }

    /// Maps the first frame of a domain's grant table.
    pub(crate) fn map_grant_table(&self, domain: DomId) -> Result<Box<dyn Pages>, HypercallError> {
        self.privcmd
            .map_grant_table(domain)
            .map_err(HypercallError::new("a mapping of the guest's grant table"))
    }

    /// Allocates an event channel in a domain that dom0 may bind to.
    pub(crate) fn allocate_port(&self, domain: DomId) -> Result<Port, HypercallError> {
        // struct evtchn_alloc_unbound: dom, remote_dom, port.
        let mut buffer = Buffer::<8>::default();
        buffer.put_u16(0, domain.get());
        buffer.put_u16(2, DomId::ZERO.get());
        let mut call = Call {
            number: number::EVENT_CHANNEL_OP,
            arguments: arguments([Argument::Value(ALLOC_UNBOUND), Argument::Buffer(0)]),
            buffers: vec![buffer.to_vec()],
            links: Vec::new(),
        };
        self.privcmd
            .hypercall(&mut call)
            .map_err(HypercallError::new("EVTCHNOP_alloc_unbound"))?;
        Ok(Port(get_u32(&call.buffers[0], 4)))
    }

    /// Pins a PV guest's level-4 page table: Xen checks and types all tables.
    pub(crate) fn pin_top_table(&self, domain: DomId, mfn: u64) -> Result<(), HypercallError> {
        // struct mmuext_op: cmd, arg1.mfn, arg2.
        let mut buffer = Buffer::<24>::default();
        buffer.put_u32(0, PIN_L4_TABLE);
        buffer.put_u64(8, mfn);
        let mut call = Call {
            number: number::MMUEXT_OP,
            arguments: [
                Argument::Buffer(0),
                Argument::Value(1),
                Argument::Value(0),
                Argument::Value(u64::from(domain.get())),
                Argument::Value(0),
            ],
            buffers: vec![buffer.to_vec()],
            links: Vec::new(),
        };
        self.privcmd
            .hypercall(&mut call)
            .map_err(HypercallError::new("MMUEXT_PIN_L4_TABLE"))
            .map(drop)
    }

    /// A call of one command with one structure, and what that points to.
    fn command<const N: usize>(
        &self,
        operation: &'static str,
        (number, command): (u64, u64),
        structure: &Buffer<N>,
        pointed: Option<(usize, Vec<u8>)>,
    ) -> Result<(u64, Vec<Vec<u8>>), HypercallError> {
        let mut call = Call {
            number,
            arguments: arguments([Argument::Value(command), Argument::Buffer(0)]),
            buffers: vec![structure.to_vec()],
            links: Vec::new(),
        };
        call.point_to(pointed);
        let result = self
            .privcmd
            .hypercall(&mut call)
            .map_err(HypercallError::new(operation))?;
        Ok((result, call.buffers))
    }
}

impl Call {
    /// Adds a buffer that the first one points to at an offset.
    fn point_to(&mut self, pointed: Option<(usize, Vec<u8>)>) {
        if let Some((offset, bytes)) = pointed {
            let to = self.buffers.len();
            self.buffers.push(bytes);
            self.links.push(Link {
                from: 0,
                offset,
                to,
            });
        }
    }
}

/// Fills the arguments up with zeros.
fn arguments<const N: usize>(given: [Argument; N]) -> [Argument; 5] {
    let mut all = [Argument::Value(0); 5];
    all[..N].copy_from_slice(&given);
    all
}

/// A structure that is being encoded: `N` bytes, zero where nothing was put.
/// Offsets are constants of this module, so one out of range is a bug.
struct Buffer<const N: usize>([u8; N]);

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Buffer<N> {
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn put_u16(&mut self, offset: usize, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }

    fn put_u32(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }

    fn put_u64(&mut self, offset: usize, value: u64) {
        self.put(offset, &value.to_le_bytes());
    }

    fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

fn get_array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N]
        .try_into()
        .expect("the slice has the array's length")
}

fn get_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(get_array(bytes, offset))
}

fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(get_array(bytes, offset))
}

fn get_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(get_array(bytes, offset))
}
