//! Made once, kept for a while, and failures not at all.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::{AtomicU8, Ordering};

use xenios_core::fake::digest;

use super::Recent;

#[test]
fn a_value_is_made_once_even_when_many_want_it() {
    let recent = Recent::new(2);
    let made = AtomicU8::new(0);
    let value = || {
        std::thread::yield_now();
        Ok::<_, ()>(made.fetch_add(1, Ordering::SeqCst))
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(*recent.get(&digest(1), value).unwrap(), 0));
        }
    });
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[test]
fn the_least_recently_used_goes_and_a_failure_is_not_kept() {
    let recent = Recent::new(2);
    let mut made = Vec::new();
    for number in [1, 2, 1, 3, 1, 2] {
        let value = recent.get(&digest(number), || {
            made.push(number);
            Ok::<_, ()>(number)
        });
        assert_eq!(*value.unwrap(), number);
    }
    assert_eq!(made, [1, 2, 3, 2], "2 was used longest ago when 3 came");
    assert_eq!(recent.get(&digest(9), || Err("no")), Err("no"));
    assert_eq!(*recent.get(&digest(9), || Ok::<_, ()>(9)).unwrap(), 9);
}
