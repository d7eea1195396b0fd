//! Four-level x86-64 page tables as plain data: which tables a set of mappings
//! needs, and the bytes of each once the machine frames are known.
//!
//! Only 4 KiB pages, only for the initial address space of a PV guest.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::image::{PAGE_BYTES, Pfn, PfnRange, layout};

/// Entries of a table at every level.
const ENTRIES: u64 = 512;
/// Bits of a virtual address that the tables translate.
const VADDR_BITS: u32 = 48;

// Flags of table entries (Intel SDM volume 3, 4.5).
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;

/// Entries that point to tables. Accessed and dirty are set so that the CPU has
/// no reason to write to a table, which Xen would have to emulate.
const TABLE_FLAGS: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;
/// Entries that point to pages. Xen adds the user bit for 64-bit guests.
const PAGE_FLAGS: u64 = PRESENT | ACCESSED;

/// Consecutive pages at consecutive virtual addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mapping {
    vaddr: u64,
    first: u64,
    pub(super) pages: u64,
}

impl Mapping {
    /// None if it is empty, unaligned, wraps, or is not canonical as a whole.
    pub(super) fn new(vaddr: u64, first: u64, pages: u64) -> Option<Self> {
        let bytes = pages.checked_mul(PAGE_BYTES).filter(|bytes| *bytes > 0)?;
        let end = vaddr.checked_add(bytes)?;
        let last = end - 1;
        // Canonical: bits 47 and up are all the same, in one half throughout.
        let half = |address: u64| match address >> (VADDR_BITS - 1) {
            0 => Some(false),
            0x1_ffff => Some(true),
            _ => None,
        };
        let aligned = vaddr.is_multiple_of(PAGE_BYTES);
        (aligned && half(vaddr)? == half(last)?).then_some(Self {
            vaddr,
            first,
            pages,
        })
    }

    pub(super) fn vaddrs(self) -> Range<u64> {
        self.vaddr..self.vaddr + self.pages * PAGE_BYTES
    }

    pub(super) fn touches(self, other: &Range<u64>) -> bool {
        let own = self.vaddrs();
        own.start < other.end && other.start < own.end
    }

    /// The part of the address space that tables index: bits 12 to 47.
    fn page_numbers(self) -> Range<u64> {
        let start = (self.vaddr & ((1 << VADDR_BITS) - 1)) / PAGE_BYTES;
        start..start + self.pages
    }

    /// The guest page at this page number of the address space.
    fn pfn_at(self, number: u64) -> Option<Pfn> {
        let numbers = self.page_numbers();
        numbers
            .contains(&number)
            .then(|| Pfn(self.first + (number - numbers.start)))
    }
}

/// The tables for some mappings, each with its place in guest memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tables {
    mappings: Vec<Mapping>,
    /// For levels 1 to 4 (at index 0 to 3): which stretch of the address space a
    /// table covers (its first page number divided by the pages it covers), and
    /// where the table lies.
    levels: [BTreeMap<u64, Pfn>; 4],
    /// The same by place: level and stretch.
    places: BTreeMap<u64, (usize, u64)>,
}

impl Tables {
    /// Adds a mapping. The tables that it needs and that are not there yet lie
    /// from page `next` on, the top one first; answers with the page behind them.
    pub(super) fn cover(&mut self, mapping: Mapping, mut next: u64) -> u64 {
        let numbers = mapping.page_numbers();
        for (level, tables) in self.levels.iter_mut().enumerate().rev() {
            let first = stretch(level, numbers.start);
            let last = stretch(level, numbers.end - 1);
            for key in first..=last {
                tables.entry(key).or_insert_with(|| {
                    let place = Pfn(next);
                    self.places.insert(next, (level, key));
                    next += 1;
                    place
                });
            }
        }
        self.mappings.push(mapping);
        next
    }

    /// The content of consecutive tables.
    pub(super) fn bytes(&self, range: PfnRange, p2m: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(layout::to_len(range.count * PAGE_BYTES));
        for place in range.iter() {
            let (level, key) = self.places[&place];
            for slot in 0..ENTRIES {
                let entry = self.entry(level, key * ENTRIES + slot, p2m);
                bytes.extend_from_slice(&entry.to_le_bytes());
            }
        }
        bytes
    }

    /// One entry of a table at `level`; `target` counts stretches of the level
    /// below (pages, for the lowest).
    fn entry(&self, level: usize, target: u64, p2m: &[u64]) -> u64 {
        let (found, flags) = if level == 0 {
            let page = self
                .mappings
                .iter()
                .find_map(|mapping| mapping.pfn_at(target));
            // Page tables are mapped read-only: rule 6 of the layout.
            let writable = page.is_some_and(|pfn| !self.places.contains_key(&pfn.0));
            let flags = if writable {
                PAGE_FLAGS | WRITABLE
            } else {
                PAGE_FLAGS
            };
            (page, flags)
        } else {
            (self.levels[level - 1].get(&target).copied(), TABLE_FLAGS)
        };
        let mfn = found.and_then(|pfn| p2m.get(layout::to_len(pfn.0)));
        mfn.map_or(0, |mfn| (mfn * PAGE_BYTES) | flags)
    }
}

/// Which stretch of the address space holds a page number, at a level.
fn stretch(level: usize, number: u64) -> u64 {
    number >> (9 * (level + 1))
}
