//! `watch`: guests as they are, then every change.

use xenios_api::v1;
use xenios_api::v1::watch_guests_response::Event;

use super::follow::RETRY_DELAY;
use crate::calls::{Daemon, phase_of};
use crate::cli::Format;
use crate::failure::Failure;
use crate::output::Output;
use crate::view::{json, table};

/// Ends when the one guest that is watched is gone, or the daemon ends the stream.
pub(super) async fn watch(
    daemon: &Daemon,
    guest: Option<&str>,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    loop {
        let mut stream = daemon.watch(guest.unwrap_or_default()).await?;
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    let is_gone = print(&message, output)?;
                    if is_gone && guest.is_some() {
                        return Ok(0);
                    }
                }
                Ok(None) => {
                    let message = "the daemon ended the watch";
                    return Err(Failure::unavailable(message, "start it again"));
                }
                // This client was too slow: the contract says to start over.
                Err(status) if status.code() == tonic::Code::ResourceExhausted => break,
                Err(status) => return Err(status.into()),
            }
        }
        output.remark("missed some changes; here is everything again");
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Answers whether the message says that a guest is gone.
fn print(message: &v1::WatchGuestsResponse, output: &mut Output<'_>) -> Result<bool, Failure> {
    let Some(event) = &message.event else {
        return Ok(false);
    };
    match (event, output.format) {
        (Event::Guest(guest), Format::Json) => output.json(&json::Event::guest(guest))?,
        (Event::Guest(guest), Format::Table) => output.text(&table::event(guest))?,
        (Event::Bookmark(_), Format::Json) => output.json(&json::Event::Bookmark {})?,
        // People need no mark.
        (Event::Bookmark(_), Format::Table) => {}
    }
    Ok(matches!(event, Event::Guest(guest) if phase_of(guest) == v1::Phase::Deleted))
}
