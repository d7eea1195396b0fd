//! A daemon in memory: it keeps guests, runs nothing, and ends a guest when its
//! console was read to the end.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, iter};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use xenios_api::v1;
use xenios_api::v1::guests_server::{Guests, GuestsServer};
use xenios_api::v1::watch_guests_response::Event;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What the daemon knows and will do.
#[derive(Default)]
pub(super) struct State {
    pub(super) guests: Vec<v1::Guest>,
    /// The answer to the next creation, instead of a guest that runs.
    pub(super) refuses: Option<Status>,
    pub(super) plan: v1::CreateGuestResponse,
    /// What the guest writes.
    pub(super) console: Vec<u8>,
    /// The console stream breaks here, once.
    pub(super) breaks_at: Option<usize>,
    /// How the guest ends.
    pub(super) end: v1::GuestStatus,
    /// Requests, as they came.
    pub(super) created: Vec<v1::GuestSpec>,
    pub(super) offsets: Vec<u64>,
}

#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn service(&self) -> GuestsServer<Self> {
        GuestsServer::new(self.clone())
    }

    /// Serves on a new Unix socket until the runtime ends.
    pub(super) fn serve(&self, socket: &Path) {
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let router = Server::builder().add_service(self.service());
        tokio::spawn(router.serve_with_incoming(incoming));
    }

    fn find(&self, name: &str) -> Result<v1::Guest, Status> {
        let state = self.state();
        let is_it = |guest: &&v1::Guest| {
            guest.id == name || guest.spec.as_ref().is_some_and(|spec| spec.name == name)
        };
        let found = state.guests.iter().find(is_it).cloned();
        found.ok_or_else(|| Status::not_found("you have no such guest"))
    }
}

#[tonic::async_trait]
impl Guests for Fake {
    type WatchGuestsStream = Answers<v1::WatchGuestsResponse>;
    type GetConsoleLogStream = Answers<v1::GetConsoleLogResponse>;

    async fn create_guest(
        &self,
        request: Request<v1::CreateGuestRequest>,
    ) -> Result<Response<v1::CreateGuestResponse>, Status> {
        let request = request.into_inner();
        let spec = request.spec.unwrap();
        let mut state = self.state();
        state.created.push(spec.clone());
        if request.dry_run {
            return Ok(Response::new(state.plan.clone()));
        }
        if let Some(status) = state.refuses.take() {
            return Err(status);
        }
        let guest = v1::Guest {
            id: format!("id-{}", state.guests.len()),
            spec: Some(spec),
            status: Some(v1::GuestStatus {
                phase: v1::Phase::Preparing.into(),
                ..v1::GuestStatus::default()
            }),
            create_time: None,
        };
        state.guests.push(guest.clone());
        let changes = state.plan.changes.clone();
        let warnings = state.plan.warnings.clone();
        Ok(Response::new(v1::CreateGuestResponse {
            guest: Some(guest),
            changes,
            warnings,
            refusals: Vec::new(),
        }))
    }

    async fn get_guest(
        &self,
        request: Request<v1::GetGuestRequest>,
    ) -> Result<Response<v1::Guest>, Status> {
        self.find(&request.into_inner().guest).map(Response::new)
    }

    /// One guest a page, whatever was asked for.
    async fn list_guests(
        &self,
        request: Request<v1::ListGuestsRequest>,
    ) -> Result<Response<v1::ListGuestsResponse>, Status> {
        let token = request.into_inner().page_token;
        let index: usize = token.parse().unwrap_or(0);
        let state = self.state();
        let more = index + 1 < state.guests.len();
        Ok(Response::new(v1::ListGuestsResponse {
            guests: state.guests.get(index).cloned().into_iter().collect(),
            next_page_token: if more {
                (index + 1).to_string()
            } else {
                String::new()
            },
        }))
    }

    async fn delete_guest(
        &self,
        request: Request<v1::DeleteGuestRequest>,
    ) -> Result<Response<v1::Guest>, Status> {
        let mut guest = self.find(&request.into_inner().guest)?;
        guest.status.as_mut().unwrap().phase = v1::Phase::Deleting.into();
        let mut state = self.state();
        for known in &mut state.guests {
            if known.id == guest.id {
                known.clone_from(&guest);
            }
        }
        Ok(Response::new(guest))
    }

    /// A guest that is being deleted goes after the bookmark.
    async fn watch_guests(
        &self,
        request: Request<v1::WatchGuestsRequest>,
    ) -> Result<Response<Self::WatchGuestsStream>, Status> {
        let wanted = request.into_inner().guest;
        if !wanted.is_empty() {
            self.find(&wanted)?;
        }
        let mut state = self.state();
        let known = state.guests.clone();
        let mut events: Vec<_> = known.iter().cloned().map(Event::Guest).collect();
        events.push(Event::Bookmark(v1::Bookmark {}));
        for mut guest in known {
            let status = guest.status.as_mut().unwrap();
            if status.phase == i32::from(v1::Phase::Deleting) {
                status.phase = v1::Phase::Deleted.into();
                state.guests.retain(|known| known.id != guest.id);
                events.push(Event::Guest(guest));
            }
        }
        let messages = events
            .into_iter()
            .map(|event| Ok(v1::WatchGuestsResponse { event: Some(event) }));
        Ok(Response::new(Box::pin(iter(messages.collect::<Vec<_>>()))))
    }

    async fn get_console_log(
        &self,
        request: Request<v1::GetConsoleLogRequest>,
    ) -> Result<Response<Self::GetConsoleLogStream>, Status> {
        let request = request.into_inner();
        let id = self.find(&request.guest)?.id;
        let mut state = self.state();
        state.offsets.push(request.offset);
        let from = usize::try_from(request.offset).unwrap();
        let broken = if request.follow {
            state.breaks_at.take()
        } else {
            None
        };
        let to = broken.unwrap_or(state.console.len());
        // Three bytes a message, so that sequences are cut.
        let mut pieces: Vec<_> = state.console[from..to]
            .chunks(3)
            .zip((request.offset..).step_by(3))
            .map(|(data, offset)| {
                Ok(v1::GetConsoleLogResponse {
                    offset,
                    data: data.to_vec(),
                })
            })
            .collect();
        if broken.is_some() {
            pieces.push(Err(Status::unavailable(
                "the daemon is being stopped; try again",
            )));
        } else if request.follow {
            let end = state.end.clone();
            for guest in &mut state.guests {
                if guest.id == id {
                    guest.status = Some(end.clone());
                }
            }
        }
        Ok(Response::new(Box::pin(iter(pieces))))
    }
}
