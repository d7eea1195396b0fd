//! What a guest's memory holds before its first instruction.
//!
//! [`pv`] and [`pvh`] turn a kernel, an initrd's size and a command line into a
//! plan: which pages exist, what is written where, which registers the first
//! vCPU starts with. A plan is made before the domain is, so that a guest that
//! cannot fit is refused without a hypercall; the few numbers that only Xen
//! knows (machine frames, event channels) are given to the plan's later methods.
//!
//! Nothing here calls Xen or maps memory: the driver walks [`Load`]s and copies
//! them into the guest.
//!
//! ```text
//! let plan = pv::Plan::new(&request)?;             // no domain yet
//! // createdomain, populate memory, allocate event channels, getdomaininfo …
//! for load in plan.loads(kernel, initrd)? { for window in load.windows(256) { write(window) } }
//! for run in plan.runs(&live)? { for window in run.load().windows(256) { write(window) } }
//! ```

pub mod pv;
pub mod pvh;

mod layout;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::kernel::Kernel;

/// Bytes of a page, which is also the unit of every frame number.
pub const PAGE_BYTES: u64 = 4096;
/// [`PAGE_BYTES`] as a length.
const PAGE_LEN: usize = 4096;
/// Pages of one [`Run`] at most (1 MiB), so that a large guest's tables never
/// stand in memory as a whole.
pub const RUN_PAGES: u64 = 256;

/// A page number in the guest's own (pseudo-)physical address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

impl Pfn {
    /// The physical address where the page begins.
    #[must_use]
    pub fn paddr(self) -> u64 {
        self.0 * PAGE_BYTES
    }
}

/// A run of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PfnRange {
    /// The first page.
    pub first: Pfn,
    /// How many pages.
    pub count: u64,
}

impl PfnRange {
    fn new(first: u64, count: u64) -> Self {
        Self {
            first: Pfn(first),
            count,
        }
    }

    /// The page after the last one.
    #[must_use]
    pub fn end(self) -> Pfn {
        Pfn(self.first.0 + self.count)
    }

    /// Whether the page is one of these.
    #[must_use]
    pub fn contains(self, pfn: Pfn) -> bool {
        self.first <= pfn && pfn < self.end()
    }

    /// The page numbers in order.
    #[must_use]
    pub fn iter(self) -> impl ExactSizeIterator<Item = u64> {
        (0..usize::try_from(self.count).unwrap_or(usize::MAX)).map(move |i| self.first.0 + i as u64)
    }
}

/// What is to be booted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The kernel, which must support the kind of guest that is planned.
    pub kernel: &'a Kernel,
    /// The guest's RAM in pages.
    pub memory_pages: u64,
    /// How many vCPUs the guest has: at least one.
    pub vcpus: u32,
    /// Size of the whole initrd in bytes; zero for none.
    pub initrd_bytes: u64,
    /// The kernel's command line, without a trailing NUL.
    pub cmdline: &'a str,
}

/// Why a guest cannot be laid out.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The kernel cannot start in this kind of guest.
    #[error("the kernel cannot start as a {kind} guest: {why}")]
    Unsupported {
        /// `PV` or `PVH`.
        kind: &'static str,
        /// What is missing, and what to do.
        why: &'static str,
    },
    /// Kernel, initrd and boot pages do not fit.
    #[error(
        "{given_mib} MiB of memory are too few: this kernel and initrd need at least {needed_mib} MiB to start"
    )]
    MemoryTooSmall {
        /// What would be enough to load the guest (not: to run well).
        needed_mib: u64,
        /// What the guest was given.
        given_mib: u64,
    },
    /// More memory than a plan can describe.
    #[error("{given_mib} MiB of memory are more than the limit of {limit_mib} MiB")]
    MemoryTooLarge {
        /// What the guest was given.
        given_mib: u64,
        /// The most that can be planned.
        limit_mib: u64,
    },
    /// The number of vCPUs is zero or beyond what the tables can say.
    #[error("{given} vCPUs cannot be started: between 1 and {limit} are possible")]
    Vcpus {
        /// What the guest was given.
        given: u32,
        /// The most that can be planned.
        limit: u32,
    },
    /// The command line does not fit its field, or would be cut by a NUL.
    #[error(
        "the kernel command line has {bytes} bytes: at most {limit} are possible, and no NUL among them"
    )]
    CommandLine {
        /// Its size in bytes.
        bytes: usize,
        /// The most that fits.
        limit: usize,
    },
    /// The kernel wants addresses where they cannot be.
    #[error("the kernel cannot be placed: {what}")]
    Placement {
        /// The check that failed.
        what: &'static str,
    },
    /// The machine frames are not those of the planned memory.
    #[error("{planned} pages were planned, but {given} machine frames are known")]
    FrameCount {
        /// Pages planned.
        planned: u64,
        /// Frames given.
        given: u64,
    },
    /// The initrd's parts are not what was planned.
    #[error("the initrd has {given} bytes, but {planned} were planned")]
    InitrdChanged {
        /// Bytes planned.
        planned: u64,
        /// Bytes given.
        given: u64,
    },
}

/// Bytes for one place in guest memory, borrowed from the kernel or the initrd:
/// `bytes` at `paddr`, then `zeros` zero bytes. What else lies in the first and
/// last page belongs to another load, and must be left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load<'a> {
    /// Guest-physical address of the first byte; need not be page-aligned.
    pub paddr: u64,
    /// The bytes to copy there.
    pub bytes: &'a [u8],
    /// How many zero bytes follow them.
    pub zeros: u64,
}

/// As much of a [`Load`] as the driver maps at once: `bytes` then `zeros` zero
/// bytes, from `offset` on within the mapping of `pfns`. Never reaches beyond
/// the mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<'a> {
    /// The pages to map, in order.
    pub pfns: PfnRange,
    /// Where the first byte goes, within the first page.
    pub offset: usize,
    /// The bytes to copy.
    pub bytes: &'a [u8],
    /// How many zero bytes follow them.
    pub zeros: usize,
}

impl<'a> Load<'a> {
    /// The load cut at page boundaries into mappings of at most `pages` pages
    /// (zero counts as one).
    pub fn windows(self, pages: u64) -> impl Iterator<Item = Window<'a>> {
        let span = pages.max(1).saturating_mul(PAGE_BYTES);
        let mut rest = self;
        std::iter::from_fn(move || {
            let total = rest.bytes.len() as u64 + rest.zeros;
            if total == 0 {
                return None;
            }
            let first = rest.paddr / PAGE_BYTES;
            let offset = rest.paddr % PAGE_BYTES;
            let take = total.min(span - offset);
            let copied = take.min(rest.bytes.len() as u64);
            let (bytes, later) = rest.bytes.split_at(layout::to_len(copied));
            let window = Window {
                pfns: PfnRange::new(first, (offset + take).div_ceil(PAGE_BYTES)),
                offset: layout::to_len(offset),
                bytes,
                zeros: layout::to_len(take - copied),
            };
            rest = Load {
                paddr: rest.paddr + take,
                bytes: later,
                zeros: rest.zeros - (take - copied),
            };
            Some(window)
        })
    }
}

/// Whole consecutive pages that the plan makes itself: tables, start info,
/// rings that must be clear. At most [`RUN_PAGES`] pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The first page.
    pub first: Pfn,
    /// Their content, a multiple of [`PAGE_BYTES`].
    pub bytes: Vec<u8>,
}

impl Run {
    /// The same pages as something to write.
    #[must_use]
    pub fn load(&self) -> Load<'_> {
        Load {
            paddr: self.first.paddr(),
            bytes: &self.bytes,
            zeros: 0,
        }
    }
}
