//! One tenant's share is its own.

use super::{MAX_STREAMS, Shares};
use xenios_core::fake::tenant;

#[test]
fn streams_are_bounded_for_each_tenant_alone() {
    let shares = Shares::default();
    let (greedy, other) = (tenant("greedy"), tenant("other"));
    let held: Vec<_> = (0..MAX_STREAMS)
        .filter_map(|_| shares.of(&greedy).stream())
        .collect();
    assert_eq!(held.len(), MAX_STREAMS);
    assert!(shares.of(&greedy).stream().is_none());
    assert!(shares.of(&other).stream().is_some());
    drop(held);
    assert!(shares.of(&greedy).stream().is_some());
}
