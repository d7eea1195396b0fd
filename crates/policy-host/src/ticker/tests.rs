//! When the ticker ticks; never how fast.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use super::*;

#[test]
fn it_ticks_for_calls_and_only_for_them() {
    let (send, ticks) = mpsc::channel();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let ticker = Ticker::start(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let _ = send.send(());
    })
    .expect("a thread");

    assert_eq!(count.load(Ordering::SeqCst), 0, "no call, no tick");
    {
        let _first = ticker.ticking();
        let _second = ticker.ticking();
        ticks.recv().expect("a tick");
        ticks.recv().expect("another tick");
    }
    // At most the tick that was under way comes after the last call.
    let after = count.load(Ordering::SeqCst);
    std::thread::sleep(10 * TICK);
    assert!(count.load(Ordering::SeqCst) <= after + 1);

    let _again = ticker.ticking();
    while ticks.try_recv().is_ok() {}
    ticks.recv().expect("it starts again");
}

#[test]
fn dropping_it_ends_the_thread() {
    let alive = Arc::new(());
    let theirs = Arc::clone(&alive);
    drop(Ticker::start(move || drop(Arc::clone(&theirs))).expect("a thread"));
    assert_eq!(Arc::strong_count(&alive), 1);
}
