//! Rows to guests and back.
//!
//! A row that cannot be read is an error of that guest alone where one guest is asked
//! for; a list leaves it out and reports it, so that it hides no other.

use rusqlite::{Connection, Params, Row, params};
use xenios_core::port::{Cursor, ErrorKind, PortError, StoreError};
use xenios_core::{Admitted, Desired, Generation, Guest, GuestId, TenantId};

use super::failed;
use crate::record;

/// What [`raw`] reads, in its order.
const COLUMNS: &str = "id, tenant, name, spec, status, deleting, created_ms, generation";

/// A row as `SQLite` gives it.
struct RawGuest {
    id: String,
    tenant: String,
    name: String,
    spec: String,
    status: String,
    deleting: bool,
    created_ms: u64,
    generation: u64,
}

/// `SQLite` has only signed integers; ours never come near the limit.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The reverse of [`integer`]; a negative number is no value of ours.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// The row cannot be read: it is held, and nothing is done to its guest.
fn held(id: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    let message = "the guest's record cannot be read; the operator must act";
    let error = PortError::new(ErrorKind::Permanent, message).caused_by(source);
    tracing::error!(guest = id, source = ?error.source, "the record of this guest cannot be read");
    StoreError::Failed(error)
}

/// The id in a row.
pub(super) fn id(text: &str) -> Result<GuestId, StoreError> {
    text.parse().map_err(|error| held(text, error))
}

fn raw(row: &Row<'_>) -> rusqlite::Result<RawGuest> {
    Ok(RawGuest {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        spec: row.get(3)?,
        status: row.get(4)?,
        deleting: row.get(5)?,
        created_ms: unsigned(row, 6)?,
        generation: unsigned(row, 7)?,
    })
}

fn model(row: &RawGuest) -> Result<Guest, StoreError> {
    let text = &row.id;
    Ok(Guest {
        id: id(text)?,
        tenant: row.tenant.parse().map_err(|error| held(text, error))?,
        name: row.name.parse().map_err(|error| held(text, error))?,
        // The row was written from an `Admitted` value, by `insert_guest` below.
        spec: Admitted::from_record(
            record::spec_from_json(&row.spec).map_err(|error| held(text, error))?,
        ),
        desired: if row.deleting {
            Desired::Deleted
        } else {
            Desired::Present
        },
        status: record::status_from_json(&row.status).map_err(|error| held(text, error))?,
        created_ms: row.created_ms,
        generation: Generation::new(row.generation),
    })
}

fn query(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<RawGuest>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM guests WHERE {condition}");
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.query_map(values, raw)?.collect())
        .map_err(failed)
}

/// The one guest that a condition selects.
pub(super) fn guest_at(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Option<Guest>, StoreError> {
    let row = query(connection, condition, values)?.into_iter().next();
    row.as_ref().map(model).transpose()
}

/// The readable guests that a condition selects.
pub(super) fn guests_at(
    connection: &Connection,
    condition: &str,
    values: impl Params,
) -> Result<Vec<Guest>, StoreError> {
    let rows = query(connection, condition, values)?;
    Ok(rows.iter().filter_map(|row| model(row).ok()).collect())
}

/// At most `limit` readable guests of a tenant after a cursor, newest first.
pub(super) fn page(
    connection: &Connection,
    tenant: &TenantId,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Guest>, StoreError> {
    let (mut created_ms, mut id) = match after {
        Some(cursor) => (integer(cursor.created_ms), cursor.id.to_string()),
        None => (i64::MAX, String::new()),
    };
    let mut page = Vec::new();
    loop {
        // Rows that cannot be read must not end a list before its end.
        let wanted = limit - page.len();
        let rows = query(
            connection,
            "tenant = ?1 AND (created_ms, id) < (?2, ?3)
             ORDER BY created_ms DESC, id DESC LIMIT ?4",
            params![
                tenant.as_str(),
                created_ms,
                id,
                i64::try_from(wanted).unwrap_or(i64::MAX)
            ],
        )?;
        let complete = rows.len() < wanted;
        if let Some(last) = rows.last() {
            created_ms = integer(last.created_ms);
            id.clone_from(&last.id);
        }
        page.extend(rows.iter().filter_map(|row| model(row).ok()));
        if complete || page.len() == limit {
            return Ok(page);
        }
    }
}

/// Writes a new guest.
pub(super) fn insert_guest(connection: &Connection, guest: &Guest) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO guests (id, tenant, name, spec, status, deleting,
                 created_ms, generation, vcpus, memory_mib)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            guest.id.to_string(),
            guest.tenant.as_str(),
            guest.name.as_str(),
            record::spec_to_json(&guest.spec),
            record::status_to_json(&guest.status),
            guest.desired == Desired::Deleted,
            integer(guest.created_ms),
            integer(guest.generation.get()),
            guest.spec.spec.vcpus().get(),
            integer(guest.spec.spec.memory().get()),
        ])?;
    Ok(())
}
