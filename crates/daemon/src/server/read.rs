//! `GetGuest` and `ListGuests`, and finding the guest that a call names.

use std::sync::Arc;

use tonic::Status;
use xenios_api::{Message as _, v1};
use xenios_core::port::{Cursor, GuestCatalog};
use xenios_core::{Guest, GuestId, GuestName};

use super::error::{CallError, bad_field};
use super::page;
use crate::host::Host;
use crate::identity::Caller;
use crate::wire;

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CallError> + Send + 'static,
) -> Result<T, CallError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a call panicked");
            Err(CallError::Panicked)
        })
}

/// The caller's guest that `text` names, by id or by name.
///
/// What cannot be a name is simply not there; so is another tenant's guest.
pub(super) fn resolve(host: &Host, caller: &Caller, text: &str) -> Result<Guest, CallError> {
    let found = if let Ok(id) = text.parse::<GuestId>() {
        host.store.of_tenant(&caller.tenant, id)?
    } else if let Ok(name) = text.parse::<GuestName>() {
        host.store.find(&caller.tenant, &name)?
    } else {
        None
    };
    found.ok_or(CallError::NoGuest)
}

/// Refuses an empty name: it is a client's mistake, and no guest.
pub(super) fn named(guest: &str) -> Result<(), Status> {
    if guest.is_empty() {
        return Err(bad_field("guest", "is empty: give the guest's id or name"));
    }
    Ok(())
}

pub(super) async fn get(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::GetGuestRequest,
) -> Result<v1::Guest, Status> {
    named(&request.guest)?;
    let reading = Arc::clone(host);
    let guest = blocking(move || resolve(&reading, &caller, &request.guest)).await?;
    Ok(wire::guest(&guest, &host.name))
}

/// Guests are read so many at a time: a tenant's specs may be large.
const BATCH: usize = 32;
/// A page ends when its guests take this much: below what a client accepts as one
/// message when it does not say (4 MiB in gRPC), with one more guest on top.
const MAX_PAGE_BYTES: usize = 2 << 20;

pub(super) async fn list(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::ListGuestsRequest,
) -> Result<v1::ListGuestsResponse, Status> {
    let size = page::size(request.page_size)?;
    let after = page::cursor(&request.page_token)?;
    let reading = Arc::clone(host);
    Ok(blocking(move || page_of(&reading, &caller, after, size)).await?)
}

/// At most `size` guests after `after`, and as many as fit into an answer.
fn page_of(
    host: &Host,
    caller: &Caller,
    mut after: Option<Cursor>,
    size: usize,
) -> Result<v1::ListGuestsResponse, CallError> {
    let mut page = v1::ListGuestsResponse::default();
    let mut bytes = 0;
    loop {
        let batch = host.store.list(&caller.tenant, after, BATCH)?;
        let is_last = batch.len() < BATCH;
        for guest in batch {
            // One more than fits shows that there is a next page.
            if let Some(last) = after
                && (page.guests.len() == size || bytes >= MAX_PAGE_BYTES)
            {
                page.next_page_token = page::token(last);
                return Ok(page);
            }
            after = Some(Cursor {
                created_ms: guest.created_ms,
                id: guest.id,
            });
            let message = wire::guest(&guest, &host.name);
            bytes += message.encoded_len();
            page.guests.push(message);
        }
        if is_last {
            return Ok(page);
        }
    }
}
