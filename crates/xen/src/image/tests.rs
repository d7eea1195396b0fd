//! Loads and windows; and a guest's memory as a driver would leave it, for the
//! tests of both kinds of guest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Load, PAGE_LEN, PfnRange, Run};

/// Guest memory by page, and which bytes were written.
#[derive(Default)]
pub(super) struct Memory {
    pages: BTreeMap<u64, Page>,
}

struct Page {
    bytes: Vec<u8>,
    written: Vec<bool>,
}

impl Memory {
    /// Copies as a driver does, window by window; a byte that is written twice
    /// is a fault of the plan.
    pub(super) fn write(&mut self, load: Load<'_>) {
        for window in load.windows(3) {
            assert!(window.pfns.count <= 3 && window.offset < PAGE_LEN);
            let at = window.pfns.first.paddr() + window.offset as u64;
            let zeros = std::iter::repeat_n(&0, window.zeros);
            for (at, byte) in (at..).zip(window.bytes.iter().chain(zeros)) {
                assert!(window.pfns.contains(super::Pfn(at / 4096)));
                self.set(at, *byte);
            }
        }
    }

    pub(super) fn write_runs(&mut self, runs: impl IntoIterator<Item = Run>) {
        for run in runs {
            assert_eq!(run.bytes.len() % PAGE_LEN, 0);
            assert!(run.bytes.len() as u64 <= super::RUN_PAGES * super::PAGE_BYTES);
            self.write(run.load());
        }
    }

    fn set(&mut self, at: u64, byte: u8) {
        let page = self.pages.entry(at / 4096).or_insert_with(|| Page {
            bytes: vec![0xee; PAGE_LEN],
            written: vec![false; PAGE_LEN],
        });
        let offset = usize::try_from(at % 4096).unwrap();
        assert!(!page.written[offset], "{at:#x} is written twice");
        page.written[offset] = true;
        page.bytes[offset] = byte;
    }

    /// Every written page lies in one of the ranges.
    pub(super) fn assert_within(&self, ranges: &[PfnRange]) {
        for pfn in self.pages.keys() {
            let inside = ranges.iter().any(|range| range.contains(super::Pfn(*pfn)));
            assert!(inside, "page {pfn:#x} does not exist");
        }
    }

    /// Bytes that must all have been written.
    pub(super) fn read(&self, paddr: u64, length: usize) -> Vec<u8> {
        (paddr..paddr + length as u64)
            .map(|at| {
                let page = &self.pages[&(at / 4096)];
                let offset = usize::try_from(at % 4096).unwrap();
                assert!(page.written[offset], "{at:#x} was never written");
                page.bytes[offset]
            })
            .collect()
    }

    pub(super) fn u64(&self, paddr: u64) -> u64 {
        u64::from_le_bytes(self.read(paddr, 8).try_into().unwrap())
    }

    pub(super) fn u32(&self, paddr: u64) -> u32 {
        u32::from_le_bytes(self.read(paddr, 4).try_into().unwrap())
    }
}

#[test]
fn windows_cut_at_page_boundaries() {
    let bytes = vec![7; 5000];
    let load = Load {
        paddr: 0x1ff0,
        bytes: &bytes,
        zeros: 100,
    };
    let windows: Vec<_> = load.windows(1).collect();
    let shape: Vec<_> = windows
        .iter()
        .map(|w| {
            (
                w.pfns.first.0,
                w.pfns.count,
                w.offset,
                w.bytes.len(),
                w.zeros,
            )
        })
        .collect();
    assert_eq!(
        shape,
        [
            (1, 1, 0xff0, 16, 0),
            (2, 1, 0, 4096, 0),
            (3, 1, 0, 888, 100)
        ]
    );
    assert_eq!(load.windows(8).count(), 1);
}

proptest! {
    #[test]
    fn windows_hold_the_whole_load_in_order(
        paddr in 0_u64..100_000,
        length in 0_usize..20_000,
        zeros in 0_u64..20_000,
        pages in 0_u64..6,
    ) {
        let bytes = crate::kernel::fixture::patterned(length, 5);
        let mut at = paddr;
        let mut copied = Vec::new();
        let mut cleared = 0;
        for window in (Load { paddr, bytes: &bytes, zeros }).windows(pages) {
            prop_assert_eq!(window.pfns.first.paddr() + window.offset as u64, at);
            prop_assert!(window.pfns.count <= pages.max(1));
            let used = window.bytes.len() + window.zeros;
            prop_assert!(used > 0);
            prop_assert_eq!(
                window.pfns.count,
                (window.offset + used).div_ceil(PAGE_LEN) as u64
            );
            prop_assert!(window.bytes.is_empty() || cleared == 0);
            copied.extend_from_slice(window.bytes);
            cleared += window.zeros as u64;
            at += used as u64;
        }
        prop_assert_eq!(copied, bytes);
        prop_assert_eq!(cleared, zeros);
    }
}
