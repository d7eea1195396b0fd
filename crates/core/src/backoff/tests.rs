//! The wait grows to a limit and differs between guests.

use proptest::prelude::*;

use super::*;

#[test]
fn guests_that_fail_together_do_not_return_together() {
    let waits: std::collections::BTreeSet<_> = (0..100).map(|seed| delay(8, seed)).collect();
    assert!(waits.len() > 90, "only {} different waits", waits.len());
}

proptest! {
    #[test]
    fn the_wait_is_bounded(failures in any::<u32>(), seed in any::<u64>()) {
        let wait = delay(failures, seed);
        prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
        prop_assert_eq!(wait, delay(failures, seed));
        if failures > 8 {
            prop_assert!(wait >= LONGEST / 2);
        }
    }
}
