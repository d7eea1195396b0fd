//! `memory.h`: populating a domain, and telling it what it has.

use super::{Buffer, HypercallError, Xen, number};
use crate::domid::DomId;

/// `XENMEM_populate_physmap`, `_set_memory_map`, `_claim_pages`.
const POPULATE_PHYSMAP: u64 = 6;
const SET_MEMORY_MAP: u64 = 13;
const CLAIM_PAGES: u64 = 24;

/// `struct xen_memory_reservation`: `extent_start`, `nr_extents`,
/// `extent_order`, `mem_flags`, `domid`.
const RESERVATION_BYTES: usize = 32;
/// `struct xen_foreign_memory_map`: `domid`, then `nr_entries` and `buffer`.
const MEMORY_MAP_BYTES: usize = 24;
/// An entry of an e820 map: address, size, type, without padding.
const E820_ENTRY_BYTES: usize = 20;

impl Xen {
    /// Gives the domain memory: one extent of 2^`order` pages for each entry of
    /// `frames`, which are the first guest frame of each. Returns how many were
    /// populated: fewer mean that there was no more memory of this order. For PV
    /// guests the entries become the extents' first machine frames.
    pub(crate) fn populate(
        &self,
        domain: DomId,
        order: u32,
        frames: &mut [u64],
    ) -> Result<usize, HypercallError> {
        let mut reservation = reservation(domain, frames.len(), order);
        reservation.put_u64(0, 0);
        let extents = frames
            .iter()
            .flat_map(|frame| frame.to_le_bytes())
            .collect();
        let (done, buffers) = self.command(
            "XENMEM_populate_physmap",
            (number::MEMORY_OP, POPULATE_PHYSMAP),
            &reservation,
            Some((0, extents)),
        )?;
        for (frame, bytes) in frames.iter_mut().zip(buffers[1].chunks_exact(8)) {
            *frame = super::get_u64(bytes, 0);
        }
        Ok(usize::try_from(done)
            .unwrap_or(usize::MAX)
            .min(frames.len()))
    }

    /// Sets memory aside for the domain, so that a build which cannot succeed
    /// fails at once; zero gives back what was not used.
    pub(crate) fn claim(&self, domain: DomId, pages: u64) -> Result<(), HypercallError> {
        let mut claim = reservation(domain, 0, 0);
        claim.put_u64(8, pages);
        self.command(
            "XENMEM_claim_pages",
            (number::MEMORY_OP, CLAIM_PAGES),
            &claim,
            None,
        )
        .map(drop)
    }

    /// Tells the guest which addresses are memory: entries as in
    /// `XENMEM_memory_map`, 20 bytes each.
    pub(crate) fn set_memory_map(&self, domain: DomId, e820: &[u8]) -> Result<(), HypercallError> {
        let mut map = Buffer::<MEMORY_MAP_BYTES>::default();
        map.put_u16(0, domain.get());
        let entries = u32::try_from(e820.len() / E820_ENTRY_BYTES).unwrap_or(u32::MAX);
        map.put_u32(8, entries);
        self.command(
            "XENMEM_set_memory_map",
            (number::MEMORY_OP, SET_MEMORY_MAP),
            &map,
            Some((16, e820.to_vec())),
        )
        .map(drop)
    }
}

fn reservation(domain: DomId, extents: usize, order: u32) -> Buffer<RESERVATION_BYTES> {
    let mut reservation = Buffer::default();
    reservation.put_u64(8, extents as u64);
    reservation.put_u32(16, order);
    reservation.put_u16(24, domain.get());
    reservation
}
