//! Drives the hypercalls that turn an empty domain into one that holds a plan.
//!
//! What goes where is decided by [`crate::image`], before there is a domain;
//! this module gives the domain its memory, copies what was planned, and sets
//! registers. It makes no xenstore node and no device, and cleans nothing up: a
//! domain whose build failed is destroyed by the caller.

mod memory;
mod populate;

use thiserror::Error;

use crate::domid::{DomId, Port};
use crate::hypercall::{HypercallError, Xen};
use crate::image::pvh::{ContextError, SavedContext};
use crate::image::{PAGE_BYTES, PlanError, Request, pv, pvh};
use crate::kernel::Kernel;
use memory::GuestMemory;
use populate::Populated;

/// What a domain may have beyond its pages, as with libxl
/// (`LIBXL_MAXMEM_CONSTANT`), in KiB.
const MEMORY_SLACK_KIB: u64 = 1024;

/// `GNTTAB_RESERVED_CONSOLE` and `_XENSTORE` of `grant_table.h`.
pub(crate) const CONSOLE_GRANT: u32 = 0;
const STORE_GRANT: u32 = 1;
/// `grant_entry_v1`: flags and domid (16 bits each), frame.
const GRANT_ENTRY_BYTES: usize = 8;
/// `GTF_permit_access`, for domain 0.
const PERMIT_DOM0: u32 = 1;

/// Why a domain could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Xen refused a step.
    #[error("the domain could not be built")]
    Hypercall(#[from] HypercallError),
    /// Xen has less memory than the guest needs.
    #[error("the host has too little free memory for a guest of {needed_mib} MiB")]
    OutOfMemory {
        /// What the guest needs, with its tables.
        needed_mib: u64,
    },
    /// The plan and what was given to it do not belong together.
    #[error("the guest's memory could not be filled")]
    Plan(#[from] PlanError),
    /// Xen's description of the vCPUs is of no use.
    #[error("the guest's vCPUs could not be set up")]
    Context(#[from] ContextError),
}

/// A guest's layout.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// Paravirtualised.
    Pv(pv::Plan),
    /// In a hardware container, booted directly.
    Pvh(pvh::Plan),
}

/// The domain and what it is to hold.
#[derive(Clone, Copy)]
pub(crate) struct Order<'a> {
    /// An empty, paused domain.
    pub(crate) domain: DomId,
    /// Its layout, made for the kernel and the initrd.
    pub(crate) plan: &'a Plan,
    /// The kernel.
    pub(crate) kernel: &'a Kernel,
    /// The initrd's parts.
    pub(crate) initrd: &'a [&'a [u8]],
    /// How many vCPUs.
    pub(crate) vcpus: u32,
}

/// A ring that the guest shares with dom0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    /// Machine frame (PV) or guest frame (PVH).
    pub(crate) frame: u64,
    /// The guest's end of its event channel.
    pub(crate) port: Port,
}

/// What the rest of dom0 must know of a domain that was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Built {
    /// The xenstore ring.
    pub(crate) store: Ring,
    /// The console ring.
    pub(crate) console: Ring,
}

impl Plan {
    /// Lays a guest out.
    pub(crate) fn new(pvh: bool, request: &Request<'_>) -> Result<Self, PlanError> {
        if pvh {
            Ok(Self::Pvh(pvh::Plan::new(request)?))
        } else {
            Ok(Self::Pv(pv::Plan::new(request)?))
        }
    }

    /// How many pages the domain gets in all.
    fn total_pages(&self) -> u64 {
        match self {
            Self::Pv(plan) => plan.memory().count,
            Self::Pvh(plan) => plan.total_pages(),
        }
    }
}

/// Builds the domain; its vCPUs stay paused.
pub(crate) fn build(xen: &Xen, order: &Order<'_>) -> Result<Built, BuildError> {
    let result = match order.plan {
        Plan::Pv(plan) => build_pv(xen, order, plan),
        Plan::Pvh(plan) => build_pvh(xen, order, plan),
    };
    result.map_err(|error| match error {
        // Every step may need memory of Xen's own.
        BuildError::Hypercall(refused) if refused.errno() == libc::ENOMEM => out_of_memory(order),
        other => other,
    })
}

fn out_of_memory(order: &Order<'_>) -> BuildError {
    let needed_mib = (order.plan.total_pages() * PAGE_BYTES).div_ceil(1 << 20);
    BuildError::OutOfMemory { needed_mib }
}

fn build_pv(xen: &Xen, order: &Order<'_>, plan: &pv::Plan) -> Result<Built, BuildError> {
    let domain = order.domain;
    size(xen, order)?;
    let p2m = reserve(xen, order, || populate::pv(xen, domain, plan.memory()))?;
    let (store_port, console_port) = (xen.allocate_port(domain)?, xen.allocate_port(domain)?);
    let shared_info_frame = shared_info_frame(xen, domain)?;
    let live = pv::Live {
        p2m: &p2m,
        shared_info_frame,
        store_port: store_port.0,
        console_port: console_port.0,
    };
    let memory = GuestMemory::pv(xen, domain, &p2m);
    for load in plan.loads(order.kernel, order.initrd)? {
        memory.write(load)?;
    }
    for run in plan.runs(&live)? {
        memory.write(run.load())?;
    }
    if let Some(page) = plan.hypercall_page() {
        xen.fill_hypercall_page(domain, memory.frame(page))?;
    }
    // Nothing maps the page tables any more.
    xen.pin_top_table(domain, memory.frame(plan.top_table()))?;
    xen.map(domain, &[shared_info_frame])?
        .write(0, &*pv::shared_info_page());
    xen.set_vcpu_context(domain, &*plan.vcpu_context(&live)?)?;
    let built = Built {
        store: Ring {
            frame: memory.frame(plan.store()),
            port: store_port,
        },
        console: Ring {
            frame: memory.frame(plan.console()),
            port: console_port,
        },
    };
    seed_grants(xen, domain, &built)?;
    Ok(built)
}

fn build_pvh(xen: &Xen, order: &Order<'_>, plan: &pvh::Plan) -> Result<Built, BuildError> {
    let domain = order.domain;
    size(xen, order)?;
    xen.set_paging_pool(domain, paging_pool_bytes(order))?;
    let e820: Vec<u8> = plan
        .memory_map()
        .iter()
        .flat_map(pvh::MemoryRegion::e820_entry)
        .collect();
    xen.set_memory_map(domain, &e820)?;
    reserve(xen, order, || {
        for range in plan.ram() {
            if populate::hvm(xen, domain, *range)? == Populated::Short {
                return Ok(None);
            }
        }
        for range in plan.extra_pages() {
            if populate::hvm(xen, domain, range)? == Populated::Short {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })?;
    let (store_port, console_port) = (xen.allocate_port(domain)?, xen.allocate_port(domain)?);
    for (param, value) in plan.hvm_params(store_port.0, console_port.0) {
        xen.set_hvm_param(domain, param, value)?;
    }
    let context = xen.hvm_context(domain)?;
    let saved = SavedContext::parse(&context)?;
    let memory = GuestMemory::hvm(xen, domain);
    for load in plan.loads(order.kernel, order.initrd)? {
        memory.write(load)?;
    }
    for run in plan.runs(&saved)? {
        memory.write(run.load())?;
    }
    xen.set_hvm_context(domain, &plan.context(&saved)?)?;
    let built = Built {
        store: Ring {
            frame: plan.store().0,
            port: store_port,
        },
        console: Ring {
            frame: plan.console().0,
            port: console_port,
        },
    };
    seed_grants(xen, domain, &built)?;
    Ok(built)
}

/// vCPUs, and how much memory there may be.
fn size(xen: &Xen, order: &Order<'_>) -> Result<(), BuildError> {
    xen.set_max_vcpus(order.domain, order.vcpus)?;
    let kib = order.plan.total_pages() * (PAGE_BYTES / 1024) + MEMORY_SLACK_KIB;
    xen.set_max_memory(order.domain, kib)?;
    Ok(())
}

/// Populates under a claim: of two guests that are built at the same time and do
/// not both fit, one is refused at once, and not both half way.
fn reserve<T>(
    xen: &Xen,
    order: &Order<'_>,
    populate: impl FnOnce() -> Result<Option<T>, HypercallError>,
) -> Result<T, BuildError> {
    xen.claim(order.domain, order.plan.total_pages())?;
    let populated = populate()?.ok_or_else(|| out_of_memory(order))?;
    // What is left of the claim (nothing, if Xen counted as we did).
    xen.claim(order.domain, 0)?;
    Ok(populated)
}

fn shared_info_frame(xen: &Xen, domain: DomId) -> Result<u64, HypercallError> {
    Ok(xen.existing(domain)?.shared_info_frame)
}

/// As libxl sizes it (`libxl_get_required_paging_memory`): a MiB for each vCPU,
/// and 8 KiB for each MiB of memory.
fn paging_pool_bytes(order: &Order<'_>) -> u64 {
    let mib = (order.plan.total_pages() * PAGE_BYTES).div_ceil(1 << 20);
    (256 * u64::from(order.vcpus) + 2 * mib) * PAGE_BYTES
}

/// Lets dom0 map the two rings by grant, in the entries reserved for them.
fn seed_grants(xen: &Xen, domain: DomId, built: &Built) -> Result<(), BuildError> {
    let table = xen.map_grant_table(domain)?;
    for (reference, frame) in [
        (CONSOLE_GRANT, built.console.frame),
        (STORE_GRANT, built.store.frame),
    ] {
        let at = reference as usize * GRANT_ENTRY_BYTES;
        // Version 1 has 32 bits for a frame: 16 TiB.
        let frame = u32::try_from(frame).map_err(|_| PlanError::Placement {
            what: "a ring lies above what a grant of version 1 can name",
        })?;
        table.store_u32(at + 4, frame);
        table.store_u32(at, PERMIT_DOM0);
    }
    Ok(())
}
