//! The log against a plain vector, and its promises about offsets.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use xenios_core::GuestId;

use super::ring::Ring;
use super::{Chunk, Consoles, KEPT_BYTES, MAX_READ};

/// A small ring, so that tests wrap it often.
const KEPT: u64 = 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_ring_reads_like_the_end_of_the_stream(
        writes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..12),
        reopen_after in 0usize..12,
        offset in 0u64..60_000,
        max in 1usize..300,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut stream = Vec::new();
        let mut ring = Ring::open(&path, KEPT).unwrap();
        for (index, bytes) in writes.iter().enumerate() {
            ring.append(bytes).unwrap();
            stream.extend_from_slice(bytes);
            if index == reopen_after {
                ring = Ring::open(&path, KEPT).unwrap();
            }
        }
        let kept = usize::try_from(KEPT).unwrap();
        let first = stream.len().saturating_sub(kept);
        let start = usize::try_from(offset).unwrap().clamp(first, stream.len());
        let end = (start + max).min(stream.len());
        let expected = Chunk { offset: start as u64, data: stream[start..end].to_vec() };
        prop_assert_eq!(ring.read(offset, max).unwrap(), expected);
        prop_assert_eq!(ring.written(), stream.len() as u64);
    }
}

#[test]
fn a_log_is_bounded_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let consoles = Consoles::open(dir.path()).unwrap();
    let guest = GuestId::random();
    let log = consoles.log(guest).unwrap();
    let block = vec![b'x'; 300_000];
    for _ in 0..10 {
        log.append(&block).unwrap();
    }
    let size = std::fs::metadata(consoles.path(guest)).unwrap().len();
    assert!(size < KEPT_BYTES + 64 * 1024, "{size}");
    let chunk = log.read(0).unwrap();
    assert_eq!(chunk.offset, 3_000_000 - KEPT_BYTES);
    assert_eq!(chunk.data.len(), MAX_READ);
    consoles.remove(guest).unwrap();
    consoles.remove(guest).unwrap();
    assert!(!consoles.path(guest).exists());
}

#[test]
fn a_foreign_file_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, "somebody's notes, longer than a header").unwrap();
    assert!(Ring::open(&path, KEPT).is_err());
    assert!(std::fs::read(&path).unwrap().starts_with(b"somebody's"));
}

#[test]
fn only_logs_without_a_guest_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let consoles = Consoles::open(dir.path()).unwrap();
    let (kept, orphan) = (GuestId::random(), GuestId::random());
    for guest in [kept, orphan] {
        consoles.log(guest).unwrap().append(b"x").unwrap();
    }
    let other = dir.path().join("notes.txt");
    std::fs::write(&other, "x").unwrap();
    consoles.retain(&[kept].into()).unwrap();
    assert!(consoles.path(kept).exists() && other.exists());
    assert!(!consoles.path(orphan).exists());
}
