//! `GetConsoleLog`: the kept bytes, and with `follow` those to come.
//!
//! The bytes are passed on as they are, in a bytes field; they are in no log.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use xenios_api::v1;
use xenios_core::{Guest, GuestId, State};

use super::Stream;
use super::error::CallError;
use super::read::{blocking, named, resolve};
use crate::console::ConsoleLog;
use crate::host::Host;
use crate::identity::Caller;
use crate::stop::Stop;
use crate::store::{Change, Snapshot};

#[cfg(test)]
mod tests;

/// Answers on their way to a client; a slow one waits, nothing piles up.
const IN_FLIGHT: usize = 4;

type Answer = Result<v1::GetConsoleLogResponse, Status>;

pub(super) async fn log(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::GetConsoleLogRequest,
    stop: Stop,
) -> Result<Stream<v1::GetConsoleLogResponse>, Status> {
    named(&request.guest)?;
    let share = host.shares.of(&caller.tenant);
    let room = share.stream().ok_or(CallError::TooManyStreams)?;
    let reading = Arc::clone(host);
    let (guest, log, changes) = blocking(move || {
        let id = resolve(&reading, &caller, &request.guest)?.id;
        open(&reading, &caller, id)
    })
    .await?;
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let reader = Reader {
        over: !request.follow || is_over(&guest),
        host: Arc::clone(host),
        guest,
        log,
        offset: request.offset,
        sender,
        _room: room,
    };
    tokio::spawn(reader.run(changes, stop));
    Ok(ReceiverStream::new(receiver))
}

/// The guest, its log, and what changes from now on.
///
/// Opening a log makes it when there is none. So it is opened before the guest is
/// looked at: a guest that is there will be forgotten, and its log removed, later; for
/// one that is gone, nothing else would remove it.
fn open(
    host: &Host,
    caller: &Caller,
    id: GuestId,
) -> Result<(Guest, Arc<ConsoleLog>, Receiver<Change>), CallError> {
    let log = host.consoles.log(id).map_err(CallError::Io)?;
    let Snapshot { guests, changes } = host.store.watch(&caller.tenant, Some(id))?;
    let Some(guest) = guests.into_iter().next() else {
        host.consoles.remove(id).map_err(CallError::Io)?;
        return Err(CallError::NoGuest);
    };
    Ok((guest, log, changes))
}

/// Whether nothing more can come: the guest ended, and its domain is gone.
fn is_over(guest: &Guest) -> bool {
    let ended = matches!(
        guest.status.state,
        State::Exited { .. } | State::Failed { .. }
    );
    ended && guest.status.condemned.is_none()
}

struct Reader {
    host: Arc<Host>,
    guest: Guest,
    log: Arc<ConsoleLog>,
    offset: u64,
    over: bool,
    sender: mpsc::Sender<Answer>,
    /// One of the tenant's streams, for as long as this is read.
    _room: OwnedSemaphorePermit,
}

impl Reader {
    async fn run(mut self, mut changes: Receiver<Change>, mut stop: Stop) {
        let mut progress = self.log.progress();
        loop {
            progress.mark_unchanged();
            let over = self.over;
            match self.send_all().await {
                Ok(true) if !over => {}
                Ok(_) => return,
                Err(error) => return self.end(error).await,
            }
            tokio::select! {
                Ok(()) = progress.changed() => {}
                change = changes.recv() => self.note(change).await,
                () = stop.given() => return self.end(CallError::Stopping).await,
                () = self.sender.closed() => return,
            }
        }
    }

    /// Sends what there is; false when the client is gone.
    async fn send_all(&mut self) -> Result<bool, CallError> {
        loop {
            let (log, offset) = (Arc::clone(&self.log), self.offset);
            let chunk = blocking(move || log.read(offset).map_err(CallError::Io)).await?;
            if chunk.data.is_empty() {
                return Ok(true);
            }
            self.offset = chunk.offset + chunk.data.len() as u64;
            let answer = v1::GetConsoleLogResponse {
                offset: chunk.offset,
                data: chunk.data,
            };
            if self.sender.send(Ok(answer)).await.is_err() {
                return Ok(false);
            }
        }
    }

    /// Learns whether the guest has ended.
    async fn note(&mut self, change: Result<Change, RecvError>) {
        match change {
            Ok(change) if change.guest.id != self.guest.id => {}
            Ok(change) => self.over = change.gone || is_over(&change.guest),
            Err(RecvError::Closed) => self.over = true,
            Err(RecvError::Lagged(_)) => {
                let (host, guest) = (Arc::clone(&self.host), self.guest.clone());
                let now =
                    blocking(move || Ok(host.store.of_tenant(&guest.tenant, guest.id)?)).await;
                // Unknown is not over: the next change will tell.
                self.over = now.is_ok_and(|guest| guest.as_ref().is_none_or(is_over));
            }
        }
    }

    async fn end(&self, error: CallError) {
        // An error means that the client is gone.
        let _ = self.sender.send(Err(error.into())).await;
    }
}
