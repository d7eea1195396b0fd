//! The calls of the API, each with its deadline. Answers that lack what the
//! contract promises are failures.

use std::time::Duration;

use tonic::{Request, Streaming};
use xenios_api::v1;

use crate::connect::Client;
use crate::failure::Failure;

/// Longer than the daemon's own deadline, whose error says more.
const CALL_DEADLINE: Duration = Duration::from_secs(75);
/// Guests a page; the most that the contract allows.
const PAGE: i32 = 1000;

/// A connection to one daemon.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    client: Client,
}

impl Daemon {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) async fn create(
        &self,
        spec: v1::GuestSpec,
        dry_run: bool,
    ) -> Result<v1::CreateGuestResponse, Failure> {
        let request = v1::CreateGuestRequest {
            spec: Some(spec),
            dry_run,
        };
        let answer = self.client.clone().create_guest(bounded(request)).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn get(&self, guest: &str) -> Result<v1::Guest, Failure> {
        let request = v1::GetGuestRequest {
            guest: guest.to_owned(),
        };
        let answer = self.client.clone().get_guest(bounded(request)).await?;
        Ok(answer.into_inner())
    }

    /// Every guest of the tenant, newest first.
    pub(crate) async fn list(&self) -> Result<Vec<v1::Guest>, Failure> {
        let mut guests = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListGuestsRequest {
                page_size: PAGE,
                page_token,
            };
            let answer = self.client.clone().list_guests(bounded(request)).await?;
            let page = answer.into_inner();
            guests.extend(page.guests);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(guests);
            }
        }
    }

    pub(crate) async fn delete(&self, guest: &str) -> Result<v1::Guest, Failure> {
        let request = v1::DeleteGuestRequest {
            guest: guest.to_owned(),
        };
        let answer = self.client.clone().delete_guest(bounded(request)).await?;
        Ok(answer.into_inner())
    }

    /// An empty `guest` watches all of them.
    pub(crate) async fn watch(
        &self,
        guest: &str,
    ) -> Result<Streaming<v1::WatchGuestsResponse>, Failure> {
        let request = v1::WatchGuestsRequest {
            guest: guest.to_owned(),
        };
        Ok(self
            .client
            .clone()
            .watch_guests(request)
            .await?
            .into_inner())
    }

    pub(crate) async fn console(
        &self,
        guest: &str,
        offset: u64,
        follow: bool,
    ) -> Result<Streaming<v1::GetConsoleLogResponse>, Failure> {
        let request = v1::GetConsoleLogRequest {
            guest: guest.to_owned(),
            offset,
            follow,
        };
        Ok(self
            .client
            .clone()
            .get_console_log(request)
            .await?
            .into_inner())
    }
}

/// The guest of an answer that promises one.
pub(crate) fn guest_of(answer: &v1::CreateGuestResponse) -> Result<&v1::Guest, Failure> {
    answer.guest.as_ref().ok_or_else(|| {
        Failure::other(
            "the daemon's answer names no guest",
            "tell the operator of the host",
        )
    })
}

/// The phase of a guest, also when this client does not know it.
pub(crate) fn phase_of(guest: &v1::Guest) -> v1::Phase {
    guest
        .status
        .as_ref()
        .map_or(v1::Phase::Unspecified, v1::GuestStatus::phase)
}

fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_DEADLINE);
    request
}
