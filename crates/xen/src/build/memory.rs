//! Writing into a guest's memory, a window at a time.

use crate::domid::DomId;
use crate::hypercall::{HypercallError, Xen};
use crate::image::{Load, Pfn};

/// Pages that are mapped at once: 4 MiB.
const WINDOW_PAGES: u64 = 1024;

/// A guest's memory, by guest page number.
pub(super) struct GuestMemory<'a> {
    xen: &'a Xen,
    domain: DomId,
    /// Machine frames by guest page; a PVH guest's pages need none.
    p2m: Option<&'a [u64]>,
}

impl<'a> GuestMemory<'a> {
    /// Of a PV guest: pages are mapped by their machine frames.
    pub(super) fn pv(xen: &'a Xen, domain: DomId, p2m: &'a [u64]) -> Self {
        Self {
            xen,
            domain,
            p2m: Some(p2m),
        }
    }

    /// Of a PVH guest: Xen translates.
    pub(super) fn hvm(xen: &'a Xen, domain: DomId) -> Self {
        Self {
            xen,
            domain,
            p2m: None,
        }
    }

    /// What Xen calls the page. Plans name only pages that they had populated.
    pub(super) fn frame(&self, pfn: Pfn) -> u64 {
        let index = usize::try_from(pfn.0).expect("page numbers of a plan fit into memory");
        self.p2m.map_or(pfn.0, |p2m| p2m[index])
    }

    /// Copies bytes to where they belong; nothing stays mapped.
    pub(super) fn write(&self, load: Load<'_>) -> Result<(), HypercallError> {
        for window in load.windows(WINDOW_PAGES) {
            let frames: Vec<u64> = window.pfns.iter().map(|pfn| self.frame(Pfn(pfn))).collect();
            let pages = self.xen.map(self.domain, &frames)?;
            pages.write(window.offset, window.bytes);
            pages.clear(window.offset + window.bytes.len(), window.zeros);
        }
        Ok(())
    }
}
