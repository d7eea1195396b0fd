//! The store: guests and audit records in one `SQLite` database.
//!
//! One connection behind one lock writes and reads, so that a commit and the news of
//! it are one thing: whoever takes a snapshot and subscribes under the lock misses
//! nothing. What the columns hold is in `record`; no SQL is anywhere else.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use tokio::sync::broadcast;
use xenios_core::policy::decision::Usage;
use xenios_core::port::{Cursor, ErrorKind, GuestCatalog, GuestStore, PortError, StoreError};
use xenios_core::{AuditRecord, Desired, Generation, Guest, GuestId, GuestName, Status, TenantId};

use self::rows::{guest_at, guests_at};
use crate::record;
use crate::record::audit::AuditColumns;

mod rows;
mod schema;
#[cfg(test)]
mod tests;

/// Changes that are kept for watchers that lag behind.
const CHANGES_KEPT: usize = 1024;

/// Another process that has the database locked is given this long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened, read or written.
    #[error(
        "the store {path} cannot be used; if it is damaged, restore it from a backup \
         (running guests are not touched meanwhile)", path = path.display()
    )]
    Unusable {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be made.
    #[error("the store {path} cannot be made", path = path.display())]
    File {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A newer daemon has written it.
    #[error(
        "the store {path} has version {found}, this xeniosd knows up to {known}; \
         start the newer xeniosd", path = path.display()
    )]
    Version {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest known one.
        known: usize,
    },
    /// The database belongs to another program.
    #[error("{path} is a database of another program; set another state_dir", path = path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
}

/// A guest as it is after a commit.
#[derive(Debug, Clone)]
pub struct Change {
    /// The guest, as it is or as it last was.
    pub guest: Arc<Guest>,
    /// Nothing is left of it.
    pub gone: bool,
}

/// Everything that watchers of one tenant need to miss nothing.
#[derive(Debug)]
pub struct Snapshot {
    /// The guests as they are.
    pub guests: Vec<Guest>,
    /// Every change of any tenant's guests after that.
    pub changes: broadcast::Receiver<Change>,
}

/// The guests and audit records of a host.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Mutex<Connection>,
    changes: broadcast::Sender<Change>,
}

impl SqliteStore {
    /// Opens the database, makes it when there is none, and migrates it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable {
            path: path.to_owned(),
            source,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        make_private(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        let mut connection = Connection::open_with_flags(path, flags).map_err(unusable)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
        schema::prepare(&mut connection, path)?;
        Ok(Self {
            connection: Mutex::new(connection),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        })
    }

    /// The tenant's guests, or the one given, and every change from now on.
    pub fn watch(&self, tenant: &TenantId, guest: Option<GuestId>) -> Result<Snapshot, StoreError> {
        let connection = self.lock();
        let guests = match guest {
            Some(id) => guest_at(
                &connection,
                "id = ?1 AND tenant = ?2",
                params![id.to_string(), tenant.as_str()],
            )?
            .into_iter()
            .collect(),
            None => guests_at(
                &connection,
                "tenant = ?1 ORDER BY created_ms DESC, id DESC",
                params![tenant.as_str()],
            )?,
        };
        Ok(Snapshot {
            guests,
            changes: self.changes.subscribe(),
        })
    }

    /// The guest, when it is the tenant's.
    pub fn of_tenant(&self, tenant: &TenantId, id: GuestId) -> Result<Option<Guest>, StoreError> {
        let key = params![id.to_string(), tenant.as_str()];
        guest_at(&self.lock(), "id = ?1 AND tenant = ?2", key)
    }

    /// Every change from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held rolled its transaction back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells watchers; called with the lock held, after the commit.
    fn publish(&self, guest: Guest, gone: bool) {
        // An error means that nobody watches.
        let _ = self.changes.send(Change {
            guest: Arc::new(guest),
            gone,
        });
    }
}

/// Makes the database's file, for nobody else to read: specs hold what tenants consider
/// private. `SQLite` gives its journal the same mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A failure of `SQLite`, without its details for the tenant.
fn failed(error: rusqlite::Error) -> StoreError {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::Exhausted,
        _ => ErrorKind::Transient,
    };
    StoreError::Failed(PortError::new(kind, "the host's store failed").caused_by(error))
}

fn insert_audit(connection: &Connection, audit: &AuditRecord) -> rusqlite::Result<()> {
    let columns = AuditColumns::from(audit);
    connection
        .prepare_cached(
            "INSERT INTO audit (at_ms, tenant, user, operation, guest, outcome, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            rows::integer(audit.at_ms),
            audit.tenant.as_str(),
            audit.user,
            columns.operation,
            audit.guest.map(|id| id.to_string()).unwrap_or_default(),
            columns.outcome,
            columns.body,
        ])?;
    Ok(())
}

impl GuestStore for SqliteStore {
    fn load(&self, id: GuestId) -> Result<Option<Guest>, StoreError> {
        guest_at(&self.lock(), "id = ?1", params![id.to_string()])
    }

    fn ids(&self) -> Result<Vec<GuestId>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT id FROM guests ORDER BY seq")
            .map_err(failed)?;
        let ids = statement
            .query_map([], |row| row.get::<_, String>(0))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed)?;
        // One that cannot be read is reported, and keeps no other from its worker.
        Ok(ids.iter().filter_map(|id| rows::id(id).ok()).collect())
    }

    fn save_status(
        &self,
        id: GuestId,
        seen: Generation,
        status: &Status,
    ) -> Result<(), StoreError> {
        let connection = self.lock();
        let changed = connection
            .prepare_cached("UPDATE guests SET status = ?3 WHERE id = ?1 AND generation = ?2")
            .and_then(|mut update| {
                update.execute(params![
                    id.to_string(),
                    rows::integer(seen.get()),
                    record::status_to_json(status),
                ])
            })
            .map_err(failed)?;
        let guest = guest_at(&connection, "id = ?1", params![id.to_string()])?;
        match (changed, guest) {
            (1, Some(guest)) => {
                self.publish(guest, false);
                Ok(())
            }
            (_, Some(_)) => Err(StoreError::Conflict),
            (_, None) => Err(StoreError::NotFound),
        }
    }

    fn forget(&self, id: GuestId) -> Result<(), StoreError> {
        let connection = self.lock();
        let Some(guest) = guest_at(&connection, "id = ?1", params![id.to_string()])? else {
            return Ok(());
        };
        if guest.desired != Desired::Deleted {
            return Err(StoreError::Conflict);
        }
        connection
            .prepare_cached("DELETE FROM guests WHERE id = ?1 AND deleting = 1")
            .and_then(|mut delete| delete.execute(params![id.to_string()]))
            .map_err(failed)?;
        self.publish(guest, true);
        Ok(())
    }
}

impl GuestCatalog for SqliteStore {
    fn insert(&self, guest: &Guest, audit: &AuditRecord) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction().map_err(failed)?;
        rows::insert_guest(&transaction, guest).map_err(|error| {
            match error.sqlite_error_code() {
                Some(ErrorCode::ConstraintViolation) => StoreError::AlreadyExists,
                _ => failed(error),
            }
        })?;
        insert_audit(&transaction, audit)
            .and_then(|()| transaction.commit())
            .map_err(failed)?;
        self.publish(guest.clone(), false);
        Ok(())
    }

    fn record(&self, audit: &AuditRecord) -> Result<(), StoreError> {
        insert_audit(&self.lock(), audit).map_err(failed)
    }

    fn find(&self, tenant: &TenantId, name: &GuestName) -> Result<Option<Guest>, StoreError> {
        let key = params![tenant.as_str(), name.as_str()];
        guest_at(&self.lock(), "tenant = ?1 AND name = ?2", key)
    }

    fn list(
        &self,
        tenant: &TenantId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Guest>, StoreError> {
        rows::page(&self.lock(), tenant, after, limit)
    }

    fn delete(&self, tenant: &TenantId, id: GuestId) -> Result<Guest, StoreError> {
        let connection = self.lock();
        let key = params![id.to_string(), tenant.as_str()];
        let changed = connection
            .prepare_cached(
                "UPDATE guests SET deleting = 1, generation = generation + 1
                 WHERE id = ?1 AND tenant = ?2 AND deleting = 0",
            )
            .and_then(|mut update| update.execute(key))
            .map_err(failed)?;
        let guest =
            guest_at(&connection, "id = ?1 AND tenant = ?2", key)?.ok_or(StoreError::NotFound)?;
        if changed == 1 {
            self.publish(guest.clone(), false);
        }
        Ok(guest)
    }

    fn usage(&self, tenant: &TenantId) -> Result<Usage, StoreError> {
        self.lock()
            .prepare_cached(
                "SELECT count(*), coalesce(sum(vcpus), 0), coalesce(sum(memory_mib), 0)
                 FROM guests WHERE tenant = ?1",
            )
            .and_then(|mut query| {
                query
                    .query_row(params![tenant.as_str()], |row| {
                        Ok(Usage {
                            guests: row.get(0)?,
                            vcpus: row.get(1)?,
                            memory_mib: rows::unsigned(row, 2)?,
                        })
                    })
                    .optional()
            })
            .map(Option::unwrap_or_default)
            .map_err(failed)
    }
}
