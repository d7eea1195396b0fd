//! The store keeps core's contract, survives the death of its process, and says what
//! is wrong with a database that it cannot use.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use xenios_core::fake::{audit_record, guest, tenant};
use xenios_core::port::{GuestCatalog, GuestStore, StoreError};
use xenios_core::{DomId, Guest, GuestId, State, Status};

use super::{OpenError, SqliteStore};

/// Set for the child of the test that kills one: the database to write to.
const CHILD: &str = "XENIOS_TEST_STORE_CHILD";

fn insert(store: &SqliteStore, name: &str) -> Guest {
    let guest = guest("a", name, 1);
    store
        .insert(&guest, &audit_record(name, Some(guest.id)))
        .unwrap();
    guest
}

#[test]
fn keeps_the_contract_of_every_store() {
    let dir = tempfile::tempdir().unwrap();
    let next = std::cell::Cell::new(0);
    xenios_core::contract::guest_store(|| {
        next.set(next.get() + 1);
        SqliteStore::open(&dir.path().join(format!("{}.db", next.get()))).unwrap()
    });
}

#[test]
fn a_reopened_store_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut kept = insert(&store, "web");
    kept.status = Status {
        state: State::Running {
            domid: DomId::new(3).unwrap(),
        },
        ..kept.status
    };
    store
        .save_status(kept.id, kept.generation, &kept.status)
        .unwrap();
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.load(kept.id).unwrap(), Some(kept));
    assert_eq!(audit_rows(&path), 1);
}

fn audit_rows(path: &Path) -> i64 {
    Connection::open(path)
        .unwrap()
        .query_row("SELECT count(*) FROM audit", [], |row| row.get(0))
        .unwrap()
}

/// Not a test by itself: the process that [`what_was_acknowledged_survives_a_kill`]
/// kills. It inserts guests and prints the id of each after the commit.
#[test]
fn child_that_inserts_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let store = SqliteStore::open(Path::new(&path)).unwrap();
    for number in 0..100_000 {
        println!("committed {}", insert(&store, &format!("g{number}")).id);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("store::tests::child_that_inserts_until_it_is_killed")
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged: Vec<GuestId> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(id) = line.split("committed ").nth(1) {
            acknowledged.push(id.parse().unwrap());
        }
        if acknowledged.len() == 20 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 20, "the child got that far");
    let store = SqliteStore::open(&path).unwrap();
    for id in &acknowledged {
        assert!(store.load(*id).unwrap().is_some(), "{id} was acknowledged");
    }
    // A guest and its audit record are one transaction.
    let guests = store.ids().unwrap().len();
    assert_eq!(i64::try_from(guests).unwrap(), audit_rows(&path));
}

#[test]
fn an_unusable_database_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let newer = dir.path().join("newer.db");
    drop(SqliteStore::open(&newer).unwrap());
    let database = Connection::open(&newer).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&newer).unwrap_err();
    assert!(
        matches!(error, OpenError::Version { found: 99, .. }),
        "{error}"
    );

    let foreign = dir.path().join("foreign.db");
    let database = Connection::open(&foreign).unwrap();
    database.execute_batch("CREATE TABLE t (x)").unwrap();
    let error = SqliteStore::open(&foreign).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");

    let garbage = dir.path().join("garbage.db");
    let bytes = vec![0x5a; 8192];
    std::fs::write(&garbage, &bytes).unwrap();
    let error = SqliteStore::open(&garbage).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert_eq!(std::fs::read(&garbage).unwrap(), bytes);
}

#[test]
fn a_row_that_cannot_be_read_is_held_and_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let guests: Vec<_> = ["x", "y", "z"].map(|name| insert(&store, name)).into();
    let bad = guests.iter().max_by_key(|guest| guest.id).unwrap().id;
    Connection::open(&path)
        .unwrap()
        .execute(
            "UPDATE guests SET spec = '{\"v\":7,\"r\":{}}' WHERE id = ?1",
            [bad.to_string()],
        )
        .unwrap();
    assert!(matches!(store.load(bad), Err(StoreError::Failed(_))));
    assert_eq!(store.ids().unwrap().len(), 3, "it still has a worker");
    let page = store.list(&tenant("a"), None, 2).unwrap();
    assert_eq!(page.len(), 2, "a full page without the bad row");
    assert_eq!(store.usage(&tenant("a")).unwrap().guests, 3);
}

#[test]
fn audit_records_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    insert(&SqliteStore::open(&path).unwrap(), "web");
    let database = Connection::open(&path).unwrap();
    for sql in ["UPDATE audit SET user = 'x'", "DELETE FROM audit"] {
        assert!(database.execute(sql, []).is_err(), "{sql}");
    }
}

#[test]
fn a_watch_misses_nothing_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    let first = insert(&store, "first");
    let mut watch = store.watch(&tenant("a"), None).unwrap();
    assert_eq!(watch.guests, std::slice::from_ref(&first));
    let second = insert(&store, "second");
    store.delete(&tenant("a"), first.id).unwrap();
    store.delete(&tenant("a"), first.id).unwrap();
    store.forget(first.id).unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| watch.changes.try_recv().ok())
        .map(|change| (change.guest.id, change.guest.phase(), change.gone))
        .collect();
    let deleting = xenios_core::Phase::Deleting;
    let expected = [
        (second.id, xenios_core::Phase::Preparing, false),
        (first.id, deleting, false),
        (first.id, deleting, true),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_new_database_and_its_journal_are_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("state.db")).unwrap();
    insert(&store, "web");
    let mut files = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has {mode:o}", entry.path());
        files += 1;
    }
    assert!(files >= 2, "no journal was looked at");
}
