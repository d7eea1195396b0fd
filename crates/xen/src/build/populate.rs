//! Giving a domain its memory: 2 MiB at a time, and page by page where that
//! much is not free in one piece.
//!
//! Xen answers a request that it could not fulfil with how far it came; that is
//! no error here, but the point from which smaller extents are tried.

use crate::domid::DomId;
use crate::hypercall::{HypercallError, Xen};
use crate::image::PfnRange;

/// log2 of the pages in 2 MiB.
const LARGE_ORDER: u32 = 9;
const LARGE_PAGES: u64 = 1 << LARGE_ORDER;
/// Extents of one call: 1 GiB of large ones, 4 MiB of small ones.
const LARGE_BATCH: usize = 512;
const SMALL_BATCH: usize = 1024;

/// Whether there was enough memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Populated {
    /// All pages are there.
    Whole,
    /// Some are not.
    Short,
}

/// Populates a PV guest's pages, and returns the machine frame of each; `None`
/// if there is too little memory.
pub(super) fn pv(
    xen: &Xen,
    domain: DomId,
    range: PfnRange,
) -> Result<Option<Vec<u64>>, HypercallError> {
    let mut p2m = Vec::with_capacity(usize::try_from(range.count).unwrap_or(0));
    // Frames are given out in order, so the list is its own measure of progress.
    let populated = in_order(xen, domain, range, &mut |first, pages| {
        p2m.extend(first..first + pages);
    })?;
    Ok((populated == Populated::Whole).then_some(p2m))
}

/// Populates a PVH guest's pages.
pub(super) fn hvm(xen: &Xen, domain: DomId, range: PfnRange) -> Result<Populated, HypercallError> {
    in_order(xen, domain, range, &mut |_, _| {})
}

/// Populates from the first page to the last. `take` hears of every extent: the
/// frame that Xen gave, and how many pages it has.
fn in_order(
    xen: &Xen,
    domain: DomId,
    range: PfnRange,
    take: &mut impl FnMut(u64, u64),
) -> Result<Populated, HypercallError> {
    let (mut next, end) = (range.first.0, range.end().0);
    let mut large = true;
    while next < end {
        let aligned = next.is_multiple_of(LARGE_PAGES);
        let fits = end - next >= LARGE_PAGES;
        let (order, pages, limit, batch) = if large && aligned && fits {
            (LARGE_ORDER, LARGE_PAGES, end, LARGE_BATCH)
        } else {
            // Up to where a large extent may begin, unless there are none left.
            let boundary = (next + 1).next_multiple_of(LARGE_PAGES);
            let limit = if large { boundary.min(end) } else { end };
            (0, 1, limit, SMALL_BATCH)
        };
        let count = ((limit - next) / pages).min(batch as u64);
        let mut frames: Vec<u64> = (0..count).map(|extent| next + extent * pages).collect();
        let done = xen.populate(domain, order, &mut frames)?;
        for frame in &frames[..done] {
            take(*frame, pages);
        }
        next += done as u64 * pages;
        if done < frames.len() {
            if order == 0 {
                return Ok(Populated::Short);
            }
            large = false;
        }
    }
    Ok(Populated::Whole)
}
