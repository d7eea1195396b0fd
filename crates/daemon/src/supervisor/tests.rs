//! Wakes are never lost, and steps of one guest never overlap.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use xenios_core::{GuestId, Next, Pace};

use super::Supervisor;

#[tokio::test(flavor = "multi_thread")]
async fn every_wake_after_a_step_began_causes_another() {
    let (entered, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel::<Next>();
    let gate = Arc::new(Mutex::new(gate));
    let supervisor = Supervisor::new(
        Box::new(move |guest| {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            Box::new(move |_| {
                entered.send(guest).unwrap();
                gate.lock().unwrap().recv().unwrap()
            })
        }),
        2,
    );
    let guest = GuestId::random();
    supervisor.wake(guest);
    assert_eq!(steps.recv().await, Some(guest));
    // Rung while the step runs, which then says that it is done: one more step.
    supervisor.wake(guest);
    go.send(Next::Done).unwrap();
    assert_eq!(steps.recv().await, Some(guest));
    go.send(Next::WaitForEvent).unwrap();
    supervisor.notify(guest);
    assert_eq!(steps.recv().await, Some(guest));
    go.send(Next::Done).unwrap();
    supervisor.stop().await;
    supervisor.wake(guest);
    assert!(steps.try_recv().is_err(), "nothing starts after stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_a_guest_never_overlap_and_the_host_is_bounded() {
    let inside: Arc<Mutex<HashSet<GuestId>>> = Arc::default();
    let finished = Arc::new(AtomicUsize::new(0));
    let broken = Arc::new(AtomicUsize::new(0));
    let supervisor = {
        let (inside, finished) = (Arc::clone(&inside), Arc::clone(&finished));
        let broken = Arc::clone(&broken);
        Supervisor::new(
            Box::new(move |guest| {
                let (inside, finished) = (Arc::clone(&inside), Arc::clone(&finished));
                let broken = Arc::clone(&broken);
                Box::new(move |_| {
                    let overlap = {
                        let mut inside = inside.lock().unwrap();
                        !inside.insert(guest) || inside.len() > 3
                    };
                    broken.fetch_add(usize::from(overlap), Ordering::SeqCst);
                    std::thread::yield_now();
                    inside.lock().unwrap().remove(&guest);
                    if finished.fetch_add(1, Ordering::SeqCst) < 200 {
                        Next::Again
                    } else {
                        Next::Done
                    }
                })
            }),
            3,
        )
    };
    for _ in 0..10 {
        let guest = GuestId::random();
        supervisor.wake(guest);
        supervisor.wake(guest);
    }
    while finished.load(Ordering::SeqCst) < 210 {
        tokio::task::yield_now().await;
    }
    supervisor.stop().await;
    assert!(inside.lock().unwrap().is_empty());
    assert_eq!(
        broken.load(Ordering::SeqCst),
        0,
        "overlapping or too many steps"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_hangs_keeps_no_other_guest_from_its_steps() {
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (entered, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let guests = [(); 3].map(|()| GuestId::random());
    let [hangs, waits, deleted] = guests;
    let supervisor = Supervisor::new(
        Box::new(move |guest| {
            let (entered, gate) = (entered.clone(), Arc::clone(&gate));
            Box::new(move |pace| {
                entered.send((guest, pace)).unwrap();
                match pace {
                    Pace::Quick if guest == deleted => Next::Done,
                    Pace::Quick => Next::Slow,
                    Pace::Any => {
                        let _ = gate.lock().unwrap().recv();
                        Next::Done
                    }
                }
            })
        }),
        1,
    );
    supervisor.wake(hangs);
    assert_eq!(steps.recv().await, Some((hangs, Pace::Quick)));
    assert_eq!(steps.recv().await, Some((hangs, Pace::Any)));
    supervisor.wake(waits);
    assert_eq!(steps.recv().await, Some((waits, Pace::Quick)));
    // Rung while it waits for room, as by a deletion: looked at again at once.
    supervisor.wake(waits);
    assert_eq!(steps.recv().await, Some((waits, Pace::Quick)));
    supervisor.wake(deleted);
    assert_eq!(steps.recv().await, Some((deleted, Pace::Quick)));
    release.send(()).unwrap();
    assert_eq!(steps.recv().await, Some((waits, Pace::Any)));
    release.send(()).unwrap();
    supervisor.stop().await;
}
