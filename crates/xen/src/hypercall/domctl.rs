//! `domctl.h`: the life of a domain.

use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{
    Argument, Buffer, Call, DomctlVersion, HypercallError, Xen, arguments, get_array, get_u16,
    get_u32, get_u64, number,
};
use crate::domid::DomId;
use crate::seam::Errno;

/// `XEN_DOMCTL_*`.
mod command {
    pub(super) const CREATE_DOMAIN: u32 = 1;
    pub(super) const DESTROY_DOMAIN: u32 = 2;
    pub(super) const PAUSE_DOMAIN: u32 = 3;
    pub(super) const UNPAUSE_DOMAIN: u32 = 4;
    pub(super) const GET_DOMAIN_INFO: u32 = 5;
    pub(super) const MAX_MEM: u32 = 11;
    pub(super) const MAX_VCPUS: u32 = 15;
    pub(super) const HYPERCALL_INIT: u32 = 22;
    pub(super) const SET_PAGING_MEMPOOL_SIZE: u32 = 86;
}

/// `struct xen_domctl`: `cmd`, `interface_version`, `domain`, padding, and from here
/// on the union.
pub(super) const UNION: usize = 16;
/// Its size: the union is padded to 128 bytes.
const DOMCTL_BYTES: usize = UNION + 128;

/// The union for one command: offsets count from its beginning.
pub(super) type Payload = Buffer<128>;

/// `xen_domctl_createdomain` without what depends on the version.
mod createdomain {
    pub(super) const SSIDREF: usize = 0;
    pub(super) const HANDLE: usize = 4;
    pub(super) const FLAGS: usize = 20;
    pub(super) const MAX_VCPUS: usize = 28;
    pub(super) const MAX_EVTCHN_PORT: usize = 32;
    pub(super) const MAX_GRANT_FRAMES: usize = 36;
    pub(super) const MAX_MAPTRACK_FRAMES: usize = 40;
    pub(super) const GRANT_OPTS: usize = 44;
    /// `arch.emulation_flags`, in front of and behind `altp2m_opts`.
    pub(super) const ARCH_4_17: usize = 56;
    pub(super) const ARCH_4_19: usize = 60;
    const _: () = assert!(HANDLE + 16 == FLAGS);
    const _: () = assert!(ARCH_4_17 == GRANT_OPTS + 3 * 4 && ARCH_4_19 == ARCH_4_17 + 4);
    const _: () = assert!(ARCH_4_19 + 8 <= 128);
}

/// Size of `xen_domctl_getdomaininfo`.
pub(super) const DOMAIN_INFO_BYTES: usize = 112;

/// `xen_domctl_getdomaininfo`, the same from 4.17 to 4.22.
mod domaininfo {
    pub(super) const DOMAIN: usize = 0;
    pub(super) const FLAGS: usize = 4;
    pub(super) const TOTAL_PAGES: usize = 8;
    pub(super) const MAX_PAGES: usize = 16;
    pub(super) const SHARED_INFO_FRAME: usize = 48;
    pub(super) const MAX_VCPU_ID: usize = 68;
    pub(super) const HANDLE: usize = 76;
    const _: () = assert!(HANDLE + 16 <= super::DOMAIN_INFO_BYTES);
}

/// `SECINITSID_DOMU` of Xen's `flask` policy: how an unlabelled guest is called
/// when XSM is on; without effect otherwise.
const SSIDREF_DOMU: u32 = 12;
/// libxl's own default; enough for dozens of devices with a queue a vCPU.
const MAX_EVENT_PORT: u32 = 1023;
/// "The hypervisor's own default" (`max_grant_frames`).
const DEFAULT_FRAMES: u32 = u32::MAX;
/// Grant table version 1 only: version 2 is needed above 16 TiB alone, and was
/// the worse in Xen's security advisories.
const GRANT_VERSION_1: u32 = 1;
/// `XEN_DOMCTL_CDF_hvm` and `_hap`.
const CDF_HVM: u32 = 1 << 0;
const CDF_HAP: u32 = 1 << 1;
/// `XEN_X86_EMU_LAPIC` of `arch-x86/xen.h`: all that a PVH guest has emulated.
const EMULATE_LAPIC: u32 = 1 << 0;

/// How long a large domain may take to give its memory back.
const DESTROY_LIMIT: Duration = Duration::from_mins(2);
/// `-ERESTART` of Xen, which Linux passes on.
const ERESTART: i32 = 85;

/// What a domain is created with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Creation {
    /// The handle.
    pub(crate) uuid: Uuid,
    /// With hardware-assisted paging and a local APIC (PVH), or not (PV).
    pub(crate) hvm: bool,
    /// How many vCPUs.
    pub(crate) vcpus: u32,
}

/// `XEN_DOMINF_*`: the low flags, and the shutdown code above them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DomainFlags(pub(crate) u32);

impl DomainFlags {
    /// Being destroyed.
    pub(crate) fn dying(self) -> bool {
        self.0 & 1 != 0
    }

    /// Has hardware-assisted virtualisation.
    pub(crate) fn hvm(self) -> bool {
        self.0 & (1 << 1) != 0
    }

    /// The code that the guest shut down with, if it did.
    pub(crate) fn shutdown(self) -> Option<u32> {
        (self.0 & (1 << 2) != 0).then_some((self.0 >> 16) & 0xFF)
    }

    /// Paused by its controller.
    pub(crate) fn paused(self) -> bool {
        self.0 & (1 << 3) != 0
    }
}

/// What Xen says of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info {
    /// Its number.
    pub(crate) domain: DomId,
    /// Its handle.
    pub(crate) uuid: Uuid,
    /// Its state.
    pub(crate) flags: DomainFlags,
    /// Pages that it has now.
    pub(crate) total_pages: u64,
    /// Pages that it may have.
    pub(crate) max_pages: u64,
    /// vCPUs that it may bring up.
    pub(crate) vcpus: u32,
    /// Machine frame of the shared info page.
    pub(crate) shared_info_frame: u64,
}

impl Xen {
    /// Creates a paused domain without memory; Xen picks the number.
    pub(crate) fn create(&self, creation: &Creation) -> Result<DomId, HypercallError> {
        const OPERATION: &str = "XEN_DOMCTL_createdomain";
        let payload = encode_creation(creation, self.version);
        let buffers = self
            .domctl((OPERATION, command::CREATE_DOMAIN), 0, &payload, None)?
            .1;
        // The number comes back in the field for the domain.
        DomId::new(get_u16(&buffers[0], 8)).ok_or(HypercallError {
            operation: OPERATION,
            errno: Errno(libc::EPROTO),
        })
    }

    /// The domain of this number, if there is one; dying ones are.
    pub(crate) fn info(&self, domain: DomId) -> Result<Option<Info>, HypercallError> {
        let answer = self.domctl(
            ("XEN_DOMCTL_getdomaininfo", command::GET_DOMAIN_INFO),
            domain.get(),
            &Payload::default(),
            None,
        );
        match answer {
            // An older Xen answers with the next domain from this number on.
            Ok((_, buffers)) => {
                Ok(decode_info(&buffers[0][UNION..]).filter(|info| info.domain == domain))
            }
            Err(error) if error.errno() == libc::ESRCH => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The domain of this number, which the caller has just made.
    pub(crate) fn existing(&self, domain: DomId) -> Result<Info, HypercallError> {
        self.info(domain)?.ok_or(HypercallError {
            operation: "XEN_DOMCTL_getdomaininfo",
            errno: Errno(libc::ESRCH),
        })
    }

    /// Stops all vCPUs.
    pub(crate) fn pause(&self, domain: DomId) -> Result<(), HypercallError> {
        self.simple(
            "XEN_DOMCTL_pausedomain",
            command::PAUSE_DOMAIN,
            domain,
            &Payload::default(),
        )
    }

    /// Lets the vCPUs run.
    pub(crate) fn unpause(&self, domain: DomId) -> Result<(), HypercallError> {
        self.simple(
            "XEN_DOMCTL_unpausedomain",
            command::UNPAUSE_DOMAIN,
            domain,
            &Payload::default(),
        )
    }

    /// Gives a domain's memory back. Xen does it piece by piece; pages that
    /// somebody else has mapped stay, and keep the domain listed as dying.
    pub(crate) fn destroy(&self, domain: DomId) -> Result<(), HypercallError> {
        let deadline = Instant::now() + DESTROY_LIMIT;
        loop {
            let answer = self.simple(
                "XEN_DOMCTL_destroydomain",
                command::DESTROY_DOMAIN,
                domain,
                &Payload::default(),
            );
            match answer {
                Err(error)
                    if matches!(error.errno(), libc::EAGAIN | ERESTART)
                        && Instant::now() < deadline =>
                {
                    thread::yield_now();
                }
                // Gone in the meantime.
                Err(error) if error.errno() == libc::ESRCH => return Ok(()),
                other => return other,
            }
        }
    }

    /// Makes room for vCPUs.
    pub(crate) fn set_max_vcpus(&self, domain: DomId, vcpus: u32) -> Result<(), HypercallError> {
        let mut payload = Payload::default();
        payload.put_u32(0, vcpus);
        self.simple("XEN_DOMCTL_max_vcpus", command::MAX_VCPUS, domain, &payload)
    }

    /// Limits the domain's memory, in KiB.
    pub(crate) fn set_max_memory(&self, domain: DomId, kib: u64) -> Result<(), HypercallError> {
        let mut payload = Payload::default();
        payload.put_u64(0, kib);
        self.simple("XEN_DOMCTL_max_mem", command::MAX_MEM, domain, &payload)
    }

    /// Sets the memory for a guest's second-level page tables, in bytes.
    pub(crate) fn set_paging_pool(&self, domain: DomId, bytes: u64) -> Result<(), HypercallError> {
        let mut payload = Payload::default();
        payload.put_u64(0, bytes);
        let operation = "XEN_DOMCTL_set_paging_mempool_size";
        self.simple(
            operation,
            command::SET_PAGING_MEMPOOL_SIZE,
            domain,
            &payload,
        )
    }

    /// Has Xen fill a PV guest's page with its hypercall stubs.
    pub(crate) fn fill_hypercall_page(
        &self,
        domain: DomId,
        mfn: u64,
    ) -> Result<(), HypercallError> {
        let mut payload = Payload::default();
        payload.put_u64(0, mfn);
        self.simple(
            "XEN_DOMCTL_hypercall_init",
            command::HYPERCALL_INIT,
            domain,
            &payload,
        )
    }

    fn simple(
        &self,
        operation: &'static str,
        command: u32,
        domain: DomId,
        payload: &Payload,
    ) -> Result<(), HypercallError> {
        self.domctl((operation, command), domain.get(), payload, None)
            .map(drop)
    }

    /// A domctl; `pointed` is a buffer, and where the whole structure points to
    /// it.
    pub(super) fn domctl(
        &self,
        (operation, command): (&'static str, u32),
        domain: u16,
        payload: &Payload,
        pointed: Option<(usize, Vec<u8>)>,
    ) -> Result<(u64, Vec<Vec<u8>>), HypercallError> {
        let mut whole = Buffer::<DOMCTL_BYTES>::default();
        whole.put_u32(0, command);
        whole.put_u32(4, self.version.0);
        whole.put_u16(8, domain);
        whole.put(UNION, &payload.0);
        let mut call = Call {
            number: number::DOMCTL,
            arguments: arguments([Argument::Buffer(0)]),
            buffers: vec![whole.to_vec()],
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

/// `xen_domctl_createdomain` in the layout of a version.
fn encode_creation(creation: &Creation, version: DomctlVersion) -> Payload {
    use createdomain as at;
    let (flags, emulation) = if creation.hvm {
        (CDF_HVM | CDF_HAP, EMULATE_LAPIC)
    } else {
        (0, 0)
    };
    let mut payload = Payload::default();
    payload.put_u32(at::SSIDREF, SSIDREF_DOMU);
    payload.put(at::HANDLE, creation.uuid.as_bytes());
    payload.put_u32(at::FLAGS, flags);
    payload.put_u32(at::MAX_VCPUS, creation.vcpus);
    payload.put_u32(at::MAX_EVTCHN_PORT, MAX_EVENT_PORT);
    payload.put_u32(at::MAX_GRANT_FRAMES, DEFAULT_FRAMES);
    // Guests are frontends only: they map nobody's pages.
    payload.put_u32(at::MAX_MAPTRACK_FRAMES, 0);
    payload.put_u32(at::GRANT_OPTS, GRANT_VERSION_1);
    let arch = if version.has_altp2m_opts() {
        at::ARCH_4_19
    } else {
        at::ARCH_4_17
    };
    payload.put_u32(arch, emulation);
    payload
}

/// `None` for an answer about one of the reserved numbers.
pub(super) fn decode_info(bytes: &[u8]) -> Option<Info> {
    use domaininfo as at;
    Some(Info {
        domain: DomId::new(get_u16(bytes, at::DOMAIN))?,
        uuid: Uuid::from_bytes(get_array(bytes, at::HANDLE)),
        flags: DomainFlags(get_u32(bytes, at::FLAGS)),
        total_pages: get_u64(bytes, at::TOTAL_PAGES),
        max_pages: get_u64(bytes, at::MAX_PAGES),
        vcpus: get_u32(bytes, at::MAX_VCPU_ID).wrapping_add(1),
        shared_info_frame: get_u64(bytes, at::SHARED_INFO_FRAME),
    })
}
