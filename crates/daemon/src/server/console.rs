//! `GetConsoleLog`: the kept bytes, and with `follow` those to come.
//!
//! The bytes are passed on as they are, in a bytes field; they are in no log.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use xenios_api::v1;
use xenios_core::{Guest, State};

use super::Stream;
use super::error::CallError;
use super::read::{blocking, named, resolve};
use crate::console::ConsoleLog;
use crate::host::Host;
use crate::identity::Caller;
use crate::stop::Stop;
use crate::store::{Change, Snapshot};

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
    let reading = Arc::clone(host);
    let (log, snapshot) = blocking(move || {
        let guest = resolve(&reading, &caller, &request.guest)?;
        let snapshot = reading.store.watch(&caller.tenant, Some(guest.id))?;
        let log = reading.consoles.log(guest.id).map_err(CallError::Io)?;
        Ok((log, snapshot))
    })
    .await?;
    let Snapshot { guests, changes } = snapshot;
    let guest = guests.into_iter().next().ok_or(CallError::NoGuest)?;
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    let reader = Reader {
        over: !request.follow || is_over(&guest),
        host: Arc::clone(host),
        guest,
        log,
        offset: request.offset,
        sender,
    };
    tokio::spawn(reader.run(changes, stop));
    Ok(ReceiverStream::new(receiver))
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
}

impl Reader {
    async fn run(mut self, mut changes: tokio::sync::broadcast::Receiver<Change>, mut stop: Stop) {
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
