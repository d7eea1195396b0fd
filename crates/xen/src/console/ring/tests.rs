//! The console ring with honest and with hostile guests. No event channel here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;

/// A page that the test can write as the guest does.
#[derive(Clone)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(vec![0; 4096])))
    }

    /// What an honest guest does: bytes first, then the index.
    fn print(&self, bytes: &[u8]) -> usize {
        let room = OUT_BYTES
            - self
                .load_u32(OUT_PROD)
                .wrapping_sub(self.load_u32(OUT_CONS));
        let count = bytes.len().min(room as usize);
        for byte in &bytes[..count] {
            let index = self.load_u32(OUT_PROD);
            self.write(OUT + (index % OUT_BYTES) as usize, &[*byte]);
            self.store_u32(OUT_PROD, index.wrapping_add(1));
        }
        count
    }
}

impl Pages for Page {
    fn write(&self, offset: usize, bytes: &[u8]) {
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn clear(&self, offset: usize, count: usize) {
        self.0.lock().unwrap()[offset..offset + count].fill(0);
    }

    fn read(&self, offset: usize, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0.lock().unwrap()[offset..offset + bytes.len()]);
    }

    fn load_u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(
            self.0.lock().unwrap()[offset..offset + 4]
                .try_into()
                .unwrap(),
        )
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
}

proptest! {
    #[test]
    fn everything_printed_is_read_in_order(
        start in any::<u32>(),
        pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..3000), 0usize..3000), 1..20),
    ) {
        let page = Page::new();
        page.store_u32(OUT_PROD, start);
        page.store_u32(OUT_CONS, start);
        let mut ring = Ring::attach(Box::new(page.clone()));
        let (mut printed, mut read) = (Vec::new(), Vec::new());
        for (piece, room) in pieces {
            let count = page.print(&piece);
            printed.extend_from_slice(&piece[..count]);
            let mut buffer = vec![0; room];
            let count = ring.read(&mut buffer);
            read.extend_from_slice(&buffer[..count]);
        }
        let mut buffer = vec![0; 2048];
        let count = ring.read(&mut buffer);
        read.extend_from_slice(&buffer[..count]);
        prop_assert_eq!(read, printed);
    }

    #[test]
    fn no_index_of_the_guest_reaches_beyond_the_ring(
        indices in proptest::collection::vec((any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()), 1..50),
        typed in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let page = Page::new();
        let mut ring = Ring::attach(Box::new(page.clone()));
        for (in_cons, in_prod, out_cons, out_prod) in indices {
            for (offset, value) in [(IN_CONS, in_cons), (IN_PROD, in_prod), (OUT_CONS, out_cons), (OUT_PROD, out_prod)] {
                page.store_u32(offset, value);
            }
            let mut buffer = [0; 4096];
            prop_assert!(ring.read(&mut buffer) <= 2048);
            prop_assert!(ring.write(&typed) <= 1024);
        }
        // The guest comes to its senses: the ring works again.
        let mut buffer = [0; 4096];
        ring.read(&mut buffer);
        page.store_u32(OUT_PROD, page.load_u32(OUT_CONS));
        ring.read(&mut buffer);
        page.print(b"sane");
        prop_assert_eq!(ring.read(&mut buffer), 4);
        prop_assert_eq!(&buffer[..4], b"sane");
    }
}

#[test]
fn what_is_typed_waits_for_room() {
    let page = Page::new();
    let mut ring = Ring::attach(Box::new(page.clone()));
    assert_eq!(ring.write(&[b'x'; 1500]), 1024);
    assert_eq!(ring.write(b"y"), 0);
    page.store_u32(IN_CONS, 2);
    assert_eq!(ring.write(b"abc"), 2);
    let mut start = [0; 3];
    page.read(IN, &mut start);
    assert_eq!(&start, b"abx");
}

#[test]
fn another_end_goes_on_where_the_last_one_stopped() {
    let page = Page::new();
    page.print(b"first second");
    let mut buffer = [0; 6];
    Ring::attach(Box::new(page.clone())).read(&mut buffer);
    assert_eq!(&buffer, b"first ");
    Ring::attach(Box::new(page)).read(&mut buffer);
    assert_eq!(&buffer, b"second");
}
