//! Where a PV guest's list of frames (its `mfn_list`) is mapped. What is in the
//! list is the plan's business.

use super::tables::{Mapping, Tables};
use crate::image::{PfnRange, PlanError};

/// Where the list of frames lies: `pages`, and behind it the page tables that
/// map it, if it is not part of the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameList {
    pub(super) vaddr: u64,
    pub(super) pages: PfnRange,
    pub(super) tables: PfnRange,
}

impl FrameList {
    /// In the region, whose own tables map it; `next` is the first page after it.
    pub(super) fn in_region(virt_base: u64, pages: PfnRange, next: u64) -> Self {
        Self {
            vaddr: virt_base + pages.first.paddr(),
            pages,
            tables: PfnRange::new(next, 0),
        }
    }

    /// Where the kernel asked for it, with page tables of its own behind it.
    pub(super) fn apart(
        vaddr: u64,
        pages: PfnRange,
        region: Mapping,
        tables: &mut Tables,
    ) -> Result<Self, PlanError> {
        let mapping = mapping_apart(vaddr, pages, region)?;
        let first = pages.end().0;
        let end = tables.cover(mapping, first);
        Ok(Self {
            vaddr,
            pages,
            tables: PfnRange::new(first, end - first),
        })
    }
}

fn mapping_apart(vaddr: u64, pages: PfnRange, region: Mapping) -> Result<Mapping, PlanError> {
    Mapping::new(vaddr, pages.first.0, pages.count)
        .filter(|apart| !apart.touches(&super::HYPERVISOR_HOLE) && !apart.touches(&region.vaddrs()))
        .ok_or_else(|| super::placement("INIT_P2M is not an address for the list of frames"))
}
