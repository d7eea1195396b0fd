//! `WatchGuests`: the guests as they are, a bookmark, then each change.
//!
//! Snapshot and subscription are one step of the store, so nothing is missed and
//! nothing is sent twice. A client that does not keep up is ended, never waited for.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use xenios_api::v1;
use xenios_api::v1::watch_guests_response::Event;
use xenios_core::{GuestId, TenantId};

use super::Stream;
use super::error::CallError;
use super::read::{blocking, resolve};
use crate::host::Host;
use crate::identity::Caller;
use crate::stop::Stop;
use crate::store::{Change, Snapshot};
use crate::wire;

#[cfg(test)]
mod tests;

/// Changes that a client may be behind.
const BACKLOG: usize = 256;

type Answer = Result<v1::WatchGuestsResponse, Status>;

pub(super) async fn watch(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::WatchGuestsRequest,
    stop: Stop,
) -> Result<Stream<v1::WatchGuestsResponse>, Status> {
    let share = host.shares.of(&caller.tenant);
    let room = share.stream().ok_or(CallError::TooManyStreams)?;
    let reading = Arc::clone(host);
    let (tenant, only, snapshot) = blocking(move || {
        let only = match request.guest.as_str() {
            "" => None,
            name => Some(resolve(&reading, &caller, name)?.id),
        };
        let snapshot = reading.store.watch(&caller.tenant, only)?;
        Ok((caller.tenant, only, snapshot))
    })
    .await?;
    let Snapshot { guests, changes } = snapshot;
    let (sender, receiver) = mpsc::channel(guests.len() + 1 + BACKLOG);
    let now = guests
        .iter()
        .map(|guest| Event::Guest(wire::guest(guest, &host.name)))
        .chain([Event::Bookmark(v1::Bookmark {})]);
    for event in now {
        // There is room for all of these.
        let _ = sender.try_send(Ok(answer(event)));
    }
    let filter = Filter {
        tenant,
        only,
        host: host.name.clone(),
        _room: Some(room),
    };
    tokio::spawn(forward(changes, filter, sender, stop));
    Ok(ReceiverStream::new(receiver))
}

fn answer(event: Event) -> v1::WatchGuestsResponse {
    v1::WatchGuestsResponse { event: Some(event) }
}

/// What one client gets to see.
struct Filter {
    tenant: TenantId,
    only: Option<GuestId>,
    host: String,
    /// One of the tenant's streams, for as long as this is watched.
    _room: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Filter {
    fn event(&self, change: &Change) -> Option<Event> {
        let guest = &change.guest;
        if guest.tenant != self.tenant || self.only.is_some_and(|only| only != guest.id) {
            return None;
        }
        Some(Event::Guest(if change.gone {
            wire::gone(guest, &self.host)
        } else {
            wire::guest(guest, &self.host)
        }))
    }
}

async fn forward(
    mut changes: tokio::sync::broadcast::Receiver<Change>,
    filter: Filter,
    sender: mpsc::Sender<Answer>,
    mut stop: Stop,
) {
    let end = loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = stop.given() => break CallError::Stopping,
            () = sender.closed() => return,
        };
        let event = match change {
            Ok(change) => filter.event(&change),
            Err(RecvError::Lagged(_)) => break CallError::Lagging,
            Err(RecvError::Closed) => break CallError::Stopping,
        };
        if let Some(event) = event
            && sender.try_send(Ok(answer(event))).is_err()
        {
            break CallError::Lagging;
        }
    };
    // Waits for room, or until the client is gone.
    let _ = sender.send(Err(end.into())).await;
}
