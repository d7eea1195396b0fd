//! What every store must do, as tests that any implementation can run.
//!
//! Call [`guest_store`] from a test of the implementation. That writes survive a
//! crash is the implementation's own to test.

use crate::fake::{audit_record, guest, tenant};
use crate::guest::{Desired, Exit, Guest, Stage, State, Status};
use crate::id::{DomId, GuestId};
use crate::policy::decision::Usage;
use crate::port::{Cursor, GuestCatalog, GuestStore, StoreError};

/// Runs the whole suite; `make` gives a new, empty store each time.
///
/// # Panics
/// When the store breaks a promise.
pub fn guest_store<S: GuestStore + GuestCatalog>(make: impl Fn() -> S) {
    keeps_every_part(&make());
    keeps_every_status(&make());
    names_are_unique_per_tenant(&make());
    a_status_never_undoes_a_deletion(&make());
    deletes_once_and_only_for_the_owner(&make());
    forgets_only_what_is_to_be_deleted(&make());
    lists_newest_first_in_pages(&make());
    counts_usage_per_tenant(&make());
}

fn insert(store: &impl GuestCatalog, owner: &str, name: &str, created_ms: u64) -> Guest {
    let guest = guest(owner, name, created_ms);
    store
        .insert(&guest, &audit_record(name, Some(guest.id)))
        .expect("a new guest is inserted");
    guest
}

fn load(store: &impl GuestStore, id: GuestId) -> Option<Guest> {
    store.load(id).expect("a guest is loaded")
}

fn keeps_every_part(store: &(impl GuestStore + GuestCatalog)) {
    let guest = insert(store, "a", "web", 1_700_000_000_123);
    assert_eq!(
        load(store, guest.id).as_ref(),
        Some(&guest),
        "what was inserted is loaded"
    );
    let found = store
        .find(&guest.tenant, &guest.name)
        .expect("a guest is found");
    assert_eq!(found.as_ref(), Some(&guest), "a guest is found by name");
    assert_eq!(store.ids().expect("ids are listed"), [guest.id]);
    assert_eq!(
        load(store, GuestId::random()),
        None,
        "there is no other guest"
    );
    store
        .record(&audit_record("refused", None))
        .expect("a decision without a guest is recorded");
}

fn keeps_every_status(store: &(impl GuestStore + GuestCatalog)) {
    let mut guest = insert(store, "a", "web", 1);
    let domid = DomId::new(7).expect("7 is a domid");
    let states = [
        State::Preparing,
        State::Building,
        State::Booting { domid },
        State::Running { domid },
        State::Exited {
            exit: Exit::Code(255),
        },
        State::Exited {
            exit: Exit::Signal(9),
        },
        State::Exited {
            exit: Exit::Lost("the guest's kernel crashed".to_owned()),
        },
        State::Failed {
            error: "no such layer".to_owned(),
        },
        State::Deleting,
    ];
    for (i, stage) in Stage::ALL.into_iter().enumerate() {
        let micros = 17 + 1_000_003 * u64::try_from(i).expect("a small number");
        guest
            .status
            .stages
            .record(stage, std::time::Duration::from_micros(micros));
    }
    for state in states {
        for (condemned, trouble) in [(None, None), (Some(domid), Some("busy".to_owned()))] {
            guest.status.state = state.clone();
            guest.status.condemned = condemned;
            guest.status.trouble = trouble;
            store
                .save_status(guest.id, guest.generation, &guest.status)
                .expect("a status is kept");
            assert_eq!(
                load(store, guest.id).as_ref(),
                Some(&guest),
                "a status comes back whole"
            );
        }
    }
    let nobody = store.save_status(GuestId::random(), guest.generation, &guest.status);
    assert!(
        matches!(nobody, Err(StoreError::NotFound)),
        "a status needs a guest"
    );
}

fn names_are_unique_per_tenant(store: &(impl GuestStore + GuestCatalog)) {
    let first = insert(store, "a", "web", 1);
    insert(store, "b", "web", 2);
    let second = guest("a", "web", 3);
    let refused = store.insert(&second, &audit_record("web", Some(second.id)));
    assert!(
        matches!(refused, Err(StoreError::AlreadyExists)),
        "a name is given once"
    );
    assert_eq!(
        load(store, second.id),
        None,
        "a refused guest leaves nothing"
    );
    let twin = Guest {
        name: "other".parse().expect("a name"),
        ..first.clone()
    };
    let refused = store.insert(&twin, &audit_record("other", Some(twin.id)));
    assert!(
        matches!(refused, Err(StoreError::AlreadyExists)),
        "an id is given once"
    );
    assert_eq!(
        load(store, first.id),
        Some(first),
        "the first guest is untouched"
    );
}

fn a_status_never_undoes_a_deletion(store: &(impl GuestStore + GuestCatalog)) {
    let before = insert(store, "a", "web", 1);
    store
        .delete(&before.tenant, before.id)
        .expect("a guest is deleted");
    let status = Status {
        state: State::Building,
        ..before.status.clone()
    };
    let stale = store.save_status(before.id, before.generation, &status);
    assert!(
        matches!(stale, Err(StoreError::Conflict)),
        "a stale status is refused"
    );
    let now = load(store, before.id).expect("the guest has a record until it is forgotten");
    assert_eq!(
        (now.desired, &now.status),
        (Desired::Deleted, &before.status)
    );
    store
        .save_status(now.id, now.generation, &status)
        .expect("a fresh status is kept");
    let now = load(store, before.id).expect("the guest has a record until it is forgotten");
    assert_eq!((now.desired, now.status), (Desired::Deleted, status));
}

fn deletes_once_and_only_for_the_owner(store: &(impl GuestStore + GuestCatalog)) {
    let guest = insert(store, "a", "web", 1);
    let foreign = store.delete(&tenant("b"), guest.id);
    assert!(
        matches!(foreign, Err(StoreError::NotFound)),
        "a guest is its owner's alone"
    );
    assert_eq!(
        load(store, guest.id).as_ref(),
        Some(&guest),
        "a refused deletion does nothing"
    );
    let first = store
        .delete(&guest.tenant, guest.id)
        .expect("a guest is deleted");
    assert!(first.desired == Desired::Deleted && first.generation > guest.generation);
    let again = store
        .delete(&guest.tenant, guest.id)
        .expect("deleting twice succeeds");
    assert_eq!(again, first, "deleting twice changes nothing");
    let unknown = store.delete(&guest.tenant, GuestId::random());
    assert!(matches!(unknown, Err(StoreError::NotFound)));
    assert_eq!(
        store
            .find(&tenant("b"), &guest.name)
            .expect("a search works"),
        None
    );
}

fn forgets_only_what_is_to_be_deleted(store: &(impl GuestStore + GuestCatalog)) {
    let guest = insert(store, "a", "web", 1);
    let early = store.forget(guest.id);
    assert!(
        matches!(early, Err(StoreError::Conflict)),
        "a wanted guest is not forgotten"
    );
    store
        .delete(&guest.tenant, guest.id)
        .expect("a guest is deleted");
    store
        .forget(guest.id)
        .expect("a deleted guest is forgotten");
    assert_eq!(load(store, guest.id), None, "a forgotten guest is gone");
    assert!(store.ids().expect("ids are listed").is_empty());
    store.forget(guest.id).expect("forgetting twice succeeds");
    insert(store, "a", "web", 2);
}

fn lists_newest_first_in_pages(store: &(impl GuestStore + GuestCatalog)) {
    let mut all: Vec<Guest> = (0..7)
        .map(|i| insert(store, "a", &format!("guest{i}"), 100 + i / 3))
        .collect();
    insert(store, "b", "foreign", 101);
    all.sort_by_key(|guest| std::cmp::Reverse((guest.created_ms, guest.id)));
    let mut listed: Vec<Guest> = Vec::new();
    loop {
        let after = listed.last().map(|g| Cursor {
            created_ms: g.created_ms,
            id: g.id,
        });
        let page = store
            .list(&tenant("a"), after, 2)
            .expect("guests are listed");
        assert!(page.len() <= 2, "a page is bounded");
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(listed, all, "every guest once, newest first");
    assert!(
        store
            .list(&tenant("c"), None, 10)
            .expect("guests are listed")
            .is_empty()
    );
}

fn counts_usage_per_tenant(store: &(impl GuestStore + GuestCatalog)) {
    assert_eq!(
        store.usage(&tenant("a")).expect("usage is counted"),
        Usage::default()
    );
    let guest = insert(store, "a", "one", 1);
    insert(store, "a", "two", 2);
    insert(store, "b", "one", 3);
    let two = Usage {
        guests: 2,
        vcpus: 4,
        memory_mib: 512,
    };
    assert_eq!(store.usage(&tenant("a")).expect("usage is counted"), two);
    store
        .delete(&guest.tenant, guest.id)
        .expect("a guest is deleted");
    assert_eq!(
        store.usage(&tenant("a")).expect("usage is counted"),
        two,
        "until it is gone"
    );
    store
        .forget(guest.id)
        .expect("a deleted guest is forgotten");
    let one = Usage {
        guests: 1,
        vcpus: 2,
        memory_mib: 256,
    };
    assert_eq!(store.usage(&tenant("a")).expect("usage is counted"), one);
}

#[cfg(test)]
mod tests;
