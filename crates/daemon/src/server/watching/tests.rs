//! A watcher that does not keep up is ended, and holds nobody up.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};
use tonic::Code;
use xenios_core::fake::{guest, tenant};

use super::{Filter, forward};
use crate::stop::Stopper;
use crate::store::Change;

fn filter() -> Filter {
    Filter {
        tenant: tenant("a"),
        only: None,
        host: "bed".to_owned(),
        _room: None,
    }
}

#[tokio::test]
async fn a_full_backlog_ends_the_watch_after_what_was_kept() {
    let changes = broadcast::Sender::new(16);
    let (sender, mut answers) = mpsc::channel(2);
    let stopper = Stopper::default();
    let task = tokio::spawn(forward(
        changes.subscribe(),
        filter(),
        sender,
        stopper.watch(),
    ));
    for owner in ["a", "b", "a", "a", "a"] {
        let guest = Arc::new(guest(owner, "web", 1));
        changes.send(Change { guest, gone: false }).unwrap();
    }
    let mut kept = 0;
    let end = loop {
        match answers.recv().await.unwrap() {
            Ok(_) => kept += 1,
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::ResourceExhausted);
    assert_eq!(kept, 2, "what fitted is still sent");
    task.await.unwrap();
}

#[tokio::test]
async fn a_lost_change_ends_the_watch() {
    let changes = broadcast::Sender::new(2);
    let late = changes.subscribe();
    for _ in 0..5 {
        let guest = Arc::new(guest("a", "web", 1));
        changes.send(Change { guest, gone: false }).unwrap();
    }
    let (sender, mut answers) = mpsc::channel(16);
    let stopper = Stopper::default();
    tokio::spawn(forward(late, filter(), sender, stopper.watch()));
    let end = answers.recv().await.unwrap().unwrap_err();
    assert_eq!(end.code(), Code::ResourceExhausted);
}
