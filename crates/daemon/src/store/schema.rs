//! The database's tables, and the way from every released version to the newest.
//!
//! A migration is never edited once released: the next version gets a new entry.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// `PRAGMA application_id`: "XENO", so that no other program's database is opened.
const APPLICATION_ID: i32 = 0x5845_4e4f;

/// Statement batches; `user_version` counts how many have run.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE guests (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        spec TEXT NOT NULL,
        status TEXT NOT NULL,
        deleting INTEGER NOT NULL,
        vcpus INTEGER NOT NULL,
        memory_mib INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        UNIQUE (tenant, name)
    ) STRICT;
    CREATE INDEX guests_by_tenant ON guests (tenant, created_ms, id);
    CREATE TABLE audit (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        user TEXT NOT NULL,
        operation TEXT NOT NULL,
        guest TEXT NOT NULL,
        outcome TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_by_tenant ON audit (tenant, seq);
    CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END;
    CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'audit records are never deleted'); END;"];

/// The newest `user_version`.
const VERSION: u32 = 1;
const _: () = assert!(MIGRATIONS.len() == VERSION as usize);

/// Makes an open database the newest version, or says why it cannot be used.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable {
        path: path.to_owned(),
        source,
    };
    refuse_foreign(connection, path)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .and_then(|()| connection.pragma_update(None, "foreign_keys", true))
        .map_err(unusable)?;
    // Immediate: two daemons that start at once must not both migrate.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(unusable)?;
    let version = pragma(&transaction, "user_version").map_err(unusable)?;
    let done = usize::try_from(version)
        .ok()
        .filter(|done| *done <= MIGRATIONS.len())
        .ok_or_else(|| OpenError::Version {
            path: path.to_owned(),
            found: version,
            known: MIGRATIONS.len(),
        })?;
    for migration in &MIGRATIONS[done..] {
        transaction.execute_batch(migration).map_err(unusable)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| transaction.pragma_update(None, "user_version", VERSION))
        .map_err(unusable)?;
    transaction.commit().map_err(unusable)
}

/// A database with tables that we did not make is not touched at all.
fn refuse_foreign(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable {
        path: path.to_owned(),
        source,
    };
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(unusable)?;
    let application = pragma(connection, "application_id").map_err(unusable)?;
    if tables > 0 && application != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}
