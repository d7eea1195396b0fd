//! `GetGuest` and `ListGuests`, and finding the guest that a call names.

use std::sync::Arc;

use tonic::Status;
use xenios_api::v1;
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

pub(super) async fn list(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::ListGuestsRequest,
) -> Result<v1::ListGuestsResponse, Status> {
    let size = page::size(request.page_size)?;
    let after = page::cursor(&request.page_token)?;
    let reading = Arc::clone(host);
    // One more than asked for shows whether there is a next page.
    let mut guests =
        blocking(move || Ok(reading.store.list(&caller.tenant, after, size + 1)?)).await?;
    let more = guests.len() > size;
    guests.truncate(size);
    let next_page_token = match guests.last() {
        Some(last) if more => page::token(Cursor {
            created_ms: last.created_ms,
            id: last.id,
        }),
        _ => String::new(),
    };
    Ok(v1::ListGuestsResponse {
        guests: guests
            .iter()
            .map(|guest| wire::guest(guest, &host.name))
            .collect(),
        next_page_token,
    })
}
