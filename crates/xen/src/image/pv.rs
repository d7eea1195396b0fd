//! The initial address space of a 64-bit PV guest.
//!
//! The order follows "Start-of-day memory layout" in Xen's `xen.h`: kernel,
//! initrd, list of frames, start info, xenstore ring, console ring, page tables,
//! stack, at least 512 KiB of padding, up to a 4 MiB boundary; all of it mapped
//! from `VIRT_BASE` on, page by page, onto guest pages from 0 on. A kernel that
//! says so in its notes gets the list of frames mapped at `INIT_P2M`, and the
//! initrd unmapped (`MOD_START_PFN`); both then lie behind the mapped region.
//!
//! The driver must unmap every page of [`Plan::table_pages`] before it pins
//! [`Plan::top_table`] (`MMUEXT_PIN_L4_TABLE`): Xen refuses a page table that is
//! mapped writable anywhere, by dom0 too.

mod frames;
mod state;
mod tables;

#[cfg(test)]
mod tests;

use super::layout::{self, pages};
use super::{Load, PAGE_BYTES, Pfn, PfnRange, PlanError, RUN_PAGES, Request, Run};
use crate::kernel::Kernel;
use frames::FrameList;
use tables::{Mapping, Tables};

pub use state::{VCPU_CONTEXT_BYTES, shared_info_page};

/// `HYPERVISOR_VIRT_START` and `_END` of `arch-x86/xen-x86_64.h`: Xen's own.
const HYPERVISOR_HOLE: std::ops::Range<u64> = 0xffff_8000_0000_0000..0xffff_8800_0000_0000;
/// The padding that "Start-of-day memory layout" guarantees.
const PADDING_BYTES: u64 = 512 << 10;
/// The boundary at which the region ends.
const REGION_ALIGN: u64 = 4 << 20;
/// Bytes of a frame number in the list of frames (`xen_pfn_t`).
const FRAME_NUMBER_BYTES: u64 = 8;

/// What only Xen knows, once the domain has its memory and channels.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The machine frame of every guest page, in order: as many as the plan has
    /// memory pages.
    pub p2m: &'a [u64],
    /// Machine frame of the shared info page: `shared_info_frame` of
    /// `XEN_DOMCTL_getdomaininfo`. Xen made it with the domain, and it is not one
    /// of `p2m`; the driver fills it with [`shared_info_page`].
    pub shared_info_frame: u64,
    /// Event channel of xenstore, allocated in the guest for dom0.
    pub store_port: u32,
    /// Event channel of the console, allocated in the guest for dom0.
    pub console_port: u32,
}

/// How a PV guest's memory is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    memory_pages: u64,
    virt_base: u64,
    entry: u64,
    hypercall_page: Option<Pfn>,
    initrd: Initrd,
    frames: FrameList,
    start_info: Pfn,
    main_tables: PfnRange,
    stack: Pfn,
    tables: Tables,
    cmdline: String,
}

/// Where the initrd lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Initrd {
    first: Pfn,
    bytes: u64,
    mapped: bool,
}

/// The kernel's own wishes, checked.
struct Wishes {
    virt_base: u64,
    entry: u64,
    kernel_end_pages: u64,
    hypercall_page: Option<Pfn>,
    /// Where the list of frames is to be mapped, if not in the region.
    init_p2m: Option<u64>,
}

impl Plan {
    /// Lays the guest out, or says why it cannot be.
    pub fn new(request: &Request<'_>) -> Result<Self, PlanError> {
        layout::check(request, state::MAX_CMDLINE_BYTES)?;
        let wishes = Wishes::read(request)?;
        let initrd_pages = pages(request.initrd_bytes);
        // Bounds everything below before it is added up.
        layout::check_fits(
            request,
            wishes.kernel_end_pages.saturating_add(initrd_pages),
        )?;
        let frame_pages = pages(request.memory_pages * FRAME_NUMBER_BYTES);
        let map_initrd = !request.kernel.notes().mod_start_pfn;

        let mut next = wishes.kernel_end_pages;
        let mut take = |count: u64| {
            let range = PfnRange::new(next, count);
            next += count;
            range
        };
        let mapped_initrd = map_initrd.then(|| take(initrd_pages).first);
        let mapped_frames = wishes.init_p2m.is_none().then(|| take(frame_pages));
        // Start info, xenstore ring, console ring, in this order.
        let start_info = take(3).first;

        let (mapping, main_count) = region(wishes.virt_base, next)?;
        let mut tables = Tables::default();
        let stack = Pfn(tables.cover(mapping, next));
        let main_tables = PfnRange::new(next, main_count);

        // What is not mapped in the region lies behind it.
        let frames = match mapped_frames {
            Some(pages) => FrameList::in_region(wishes.virt_base, pages, mapping.pages),
            None => FrameList::apart(
                wishes.init_p2m.unwrap_or_default(),
                PfnRange::new(mapping.pages, frame_pages),
                mapping,
                &mut tables,
            )?,
        };
        let behind = frames.tables.end();
        let unmapped_pages = if map_initrd { 0 } else { initrd_pages };
        layout::check_fits(request, behind.0 + unmapped_pages)?;
        Ok(Self {
            memory_pages: request.memory_pages,
            virt_base: wishes.virt_base,
            entry: wishes.entry,
            hypercall_page: wishes.hypercall_page,
            initrd: Initrd {
                first: mapped_initrd.unwrap_or(behind),
                bytes: request.initrd_bytes,
                mapped: map_initrd,
            },
            frames,
            start_info,
            main_tables,
            stack,
            tables,
            cmdline: request.cmdline.to_owned(),
        })
    }

    /// The pages to populate: 0 up to the request's memory, one run. This is
    /// also how many entries [`Live::p2m`] has.
    #[must_use]
    pub fn memory(&self) -> PfnRange {
        PfnRange::new(0, self.memory_pages)
    }

    /// The xenstore ring; its machine frame is what `XS_INTRODUCE` takes.
    #[must_use]
    pub fn store(&self) -> Pfn {
        Pfn(self.start_info.0 + 1)
    }

    /// The console ring.
    #[must_use]
    pub fn console(&self) -> Pfn {
        Pfn(self.start_info.0 + 2)
    }

    /// The page that Xen must fill with its hypercall stubs
    /// (`XEN_DOMCTL_hypercall_init`), for kernels that still ask the builder for
    /// it: none since Linux 6.13.
    #[must_use]
    pub fn hypercall_page(&self) -> Option<Pfn> {
        self.hypercall_page
    }

    /// The level-4 table to pin.
    #[must_use]
    pub fn top_table(&self) -> Pfn {
        self.main_tables.first
    }

    /// All page tables. The guest sees those in the mapped region read-only, and
    /// nobody may have them mapped when the top one is pinned.
    #[must_use]
    pub fn table_pages(&self) -> [PfnRange; 2] {
        [self.main_tables, self.frames.tables]
    }

    /// Bytes of the kernel and of the initrd, whose parts follow one another
    /// without gaps.
    pub fn loads<'a>(
        &self,
        kernel: &'a Kernel,
        initrd: &[&'a [u8]],
    ) -> Result<Vec<Load<'a>>, PlanError> {
        let at = self.initrd.first.paddr();
        layout::loads(kernel, initrd, at, self.initrd.bytes)
    }

    /// The pages that the plan makes: the list of frames, the page tables, start
    /// info, clear rings and a clear stack. Made as the iterator is drawn, at
    /// most [`RUN_PAGES`] at once.
    pub fn runs<'p>(
        &'p self,
        live: &'p Live<'p>,
    ) -> Result<impl Iterator<Item = Run> + 'p, PlanError> {
        self.check(live)?;
        let frames = slices(self.frames.pages).map(move |slice| self.frame_run(slice, live));
        let tables = self
            .table_pages()
            .into_iter()
            .flat_map(slices)
            .map(move |slice| Run {
                first: slice.first,
                bytes: self.tables.bytes(slice, live.p2m),
            });
        let boot = Run {
            first: self.start_info,
            bytes: state::boot_pages(self, live),
        };
        let stack = Run {
            first: self.stack,
            bytes: vec![0; super::PAGE_LEN],
        };
        Ok(frames.chain(tables).chain([boot, stack]))
    }

    /// `struct vcpu_guest_context` of the first vCPU, for
    /// `XEN_DOMCTL_setvcpucontext`. The other vCPUs are started by the guest.
    pub fn vcpu_context(
        &self,
        live: &Live<'_>,
    ) -> Result<Box<[u8; VCPU_CONTEXT_BYTES]>, PlanError> {
        self.check(live)?;
        Ok(state::vcpu_context(self, live))
    }

    fn check(&self, live: &Live<'_>) -> Result<(), PlanError> {
        let given = live.p2m.len() as u64;
        if given == self.memory_pages {
            return Ok(());
        }
        Err(PlanError::FrameCount {
            planned: self.memory_pages,
            given,
        })
    }

    /// The virtual address of a page in the mapped region.
    fn vaddr(&self, pfn: Pfn) -> u64 {
        self.virt_base + pfn.paddr()
    }

    fn frame_run(&self, slice: PfnRange, live: &Live<'_>) -> Run {
        const PER_PAGE: u64 = PAGE_BYTES / FRAME_NUMBER_BYTES;
        let from = (slice.first.0 - self.frames.pages.first.0) * PER_PAGE;
        let to = (from + slice.count * PER_PAGE).min(self.memory_pages);
        let mut bytes = Vec::with_capacity(layout::to_len(slice.count * PAGE_BYTES));
        for mfn in &live.p2m[layout::to_len(from)..layout::to_len(to)] {
            bytes.extend_from_slice(&mfn.to_le_bytes());
        }
        bytes.resize(layout::to_len(slice.count * PAGE_BYTES), 0);
        Run {
            first: slice.first,
            bytes,
        }
    }
}

impl Wishes {
    fn read(request: &Request<'_>) -> Result<Self, PlanError> {
        let notes = request.kernel.notes();
        let entry = match notes.entry {
            Some(entry) if request.kernel.supports_pv() => entry,
            Some(_) => {
                return Err(unsupported(
                    "its notes require a feature that only other kinds of guest have",
                ));
            }
            None => {
                return Err(unsupported(
                    "it has no ENTRY note; use a kernel with CONFIG_XEN_PV, or a PVH guest",
                ));
            }
        };
        let extent = layout::kernel_extent(request.kernel);
        let virt_base = notes.virt_base;
        if !virt_base.is_multiple_of(PAGE_BYTES) {
            return Err(placement("VIRT_BASE is not page-aligned"));
        }
        let inside = |vaddr: u64| {
            vaddr
                .checked_sub(virt_base)
                .filter(|paddr| extent.contains(paddr))
        };
        if inside(entry).is_none() {
            return Err(placement("ENTRY lies outside of the kernel's segments"));
        }
        let hypercall_page = match notes.hypercall_page {
            None => None,
            Some(vaddr) => match inside(vaddr) {
                Some(paddr) if paddr % PAGE_BYTES == 0 => Some(Pfn(paddr / PAGE_BYTES)),
                _ => return Err(placement("HYPERCALL_PAGE is not a page of the kernel")),
            },
        };
        Ok(Self {
            virt_base,
            entry,
            kernel_end_pages: pages(extent.end),
            hypercall_page,
            init_p2m: notes.init_p2m,
        })
    }
}

/// The mapped region, when `used` pages lie in front of its page tables, and how
/// many tables map it. The tables lie in the region that they map, so this is a
/// fixed point: every table maps 512 pages, so it is soon reached.
fn region(virt_base: u64, used: u64) -> Result<(Mapping, u64), PlanError> {
    let mut count = 0;
    loop {
        // One page more for the stack.
        let bytes = (used + count + 1) * PAGE_BYTES + PADDING_BYTES;
        let end = virt_base
            .checked_add(bytes)
            .and_then(|end| end.checked_next_multiple_of(REGION_ALIGN));
        // A region up to the very end of the address space is not planned for:
        // its end would be zero.
        let end = end.ok_or_else(|| placement("it leaves no room above VIRT_BASE"))?;
        let mapping = Mapping::new(virt_base, 0, (end - virt_base) / PAGE_BYTES)
            .filter(|mapping| !mapping.touches(&HYPERVISOR_HOLE))
            .ok_or_else(|| placement("VIRT_BASE is not an address for a guest kernel"))?;
        let needed = Tables::default().cover(mapping, 0);
        if needed == count {
            return Ok((mapping, count));
        }
        count = needed;
    }
}

/// The mapping of the list of frames at `INIT_P2M`, apart from the region.
/// Cuts a range into pieces of at most [`RUN_PAGES`].
fn slices(range: PfnRange) -> impl Iterator<Item = PfnRange> {
    let mut rest = range;
    std::iter::from_fn(move || {
        let count = rest.count.min(RUN_PAGES);
        let slice = PfnRange::new(rest.first.0, count);
        rest = PfnRange::new(rest.first.0 + count, rest.count - count);
        (count > 0).then_some(slice)
    })
}

fn placement(what: &'static str) -> PlanError {
    PlanError::Placement { what }
}

fn unsupported(why: &'static str) -> PlanError {
    PlanError::Unsupported { kind: "PV", why }
}
