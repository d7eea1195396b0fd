//! A log that is asked for when its guest has just gone leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;

use xenios_core::fake::{MemoryHypervisor, MemoryImages, MemoryRootfses, tenant};
use xenios_core::{GuestId, PolicyChain, Ports, Virtualization};

use super::open;
use crate::console::Consoles;
use crate::host::{Host, Parts, supervise};
use crate::identity::Caller;
use crate::server::CallError;
use crate::store::SqliteStore;

#[tokio::test]
async fn the_log_of_a_guest_that_has_gone_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("console");
    let store = Arc::new(SqliteStore::open(&dir.path().join("state.db")).unwrap());
    let consoles = Arc::new(Consoles::open(&logs).unwrap());
    let ports = Ports {
        store: store.clone(),
        rootfses: Arc::new(MemoryRootfses::default()),
        hypervisor: Arc::new(MemoryHypervisor::default()),
    };
    let host = Host::new(Parts {
        name: "bed".to_owned(),
        virtualization: Virtualization::Pvh,
        chain: PolicyChain::new(Vec::new(), Vec::new(), 1),
        images: Arc::new(MemoryImages::default()),
        store,
        supervisor: supervise(ports, Arc::clone(&consoles), 1),
        consoles,
    });
    let caller = Caller {
        tenant: tenant("a"),
        user: "ann".to_owned(),
    };
    // It was found by its name, and then its worker forgot it.
    let gone = open(&host, &caller, GuestId::random()).map(drop);
    assert!(matches!(gone, Err(CallError::NoGuest)), "{gone:?}");
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 0);
}
