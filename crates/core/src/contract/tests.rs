//! The suite runs on the store in memory.

use crate::fake::MemoryStore;

#[test]
fn the_store_in_memory_keeps_the_contract() {
    super::guest_store(MemoryStore::default);
}
