//! `sysctl.h`: the list of domains.
//!
//! `XEN_DOMCTL_getdomaininfo` cannot be used to walk over them: up to Xen 4.18 it
//! answers with the next domain from a number on, since 4.19 with that very
//! domain or none.

use super::domctl::{DOMAIN_INFO_BYTES, decode_info};
use super::{
    Argument, Buffer, Call, HypercallError, Info, ProbeError, Xen, arguments, get_u32, number,
};
use crate::domid::DomId;

/// `XEN_SYSCTL_getdomaininfolist`.
const GET_DOMAIN_INFO_LIST: u32 = 6;
/// `struct xen_sysctl`: `cmd`, `interface_version`, and from here on the union,
/// padded to 128 bytes.
const UNION: usize = 8;
const SYSCTL_BYTES: usize = UNION + 128;
/// `struct xen_sysctl_getdomaininfolist`: `first_domain`, `max_domains`,
/// `buffer`, `num_domains`.
const FIRST_DOMAIN: usize = UNION;
const MAX_DOMAINS: usize = UNION + 4;
const BUFFER: usize = UNION + 8;
const NUM_DOMAINS: usize = UNION + 16;

/// Domains of one call.
const BATCH: u32 = 128;

/// `XEN_SYSCTL_INTERFACE_VERSION`: 0x15 is Xen 4.17 to 4.20, 0x16 is 4.21 and
/// 4.22.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SysctlVersion(u32);

impl SysctlVersion {
    const KNOWN: [Self; 2] = [Self(0x15), Self(0x16)];
    /// Before it is known.
    pub(super) const NONE: Self = Self(0);
}

impl Xen {
    /// Finds the version of the host's own interface.
    pub(super) fn probe_sysctl(&mut self) -> Result<(), ProbeError> {
        for version in SysctlVersion::KNOWN {
            self.sysctl = version;
            match self.list_from(DomId::ZERO, 1) {
                Ok(_) => return Ok(()),
                Err(error) if error.errno() == libc::EACCES => {}
                Err(error) => return Err(ProbeError::Refused(error)),
            }
        }
        Err(ProbeError::Unsupported)
    }

    /// All domains by number, dying ones too.
    pub(crate) fn list(&self) -> Result<Vec<Info>, HypercallError> {
        let mut domains = Vec::new();
        let mut next = Some(DomId::ZERO);
        while let Some(first) = next {
            let some = self.list_from(first, BATCH)?;
            let full = some.len() == BATCH as usize;
            next = some
                .last()
                .filter(|_| full)
                .and_then(|last| DomId::new(last.domain.get() + 1));
            domains.extend(some);
        }
        Ok(domains)
    }

    fn list_from(&self, first: DomId, max: u32) -> Result<Vec<Info>, HypercallError> {
        let mut whole = Buffer::<SYSCTL_BYTES>::default();
        whole.put_u32(0, GET_DOMAIN_INFO_LIST);
        whole.put_u32(4, self.sysctl.0);
        whole.put_u16(FIRST_DOMAIN, first.get());
        whole.put_u32(MAX_DOMAINS, max);
        let mut call = Call {
            number: number::SYSCTL,
            arguments: arguments([Argument::Buffer(0)]),
            buffers: vec![whole.to_vec()],
            links: Vec::new(),
        };
        call.point_to(Some((BUFFER, vec![0; max as usize * DOMAIN_INFO_BYTES])));
        self.privcmd
            .hypercall(&mut call)
            .map_err(HypercallError::new("XEN_SYSCTL_getdomaininfolist"))?;
        let count = get_u32(&call.buffers[0], NUM_DOMAINS).min(max) as usize;
        let entries = call.buffers[1].chunks_exact(DOMAIN_INFO_BYTES).take(count);
        Ok(entries.filter_map(decode_info).collect())
    }
}
