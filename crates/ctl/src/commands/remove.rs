//! `rm`: marks guests for deletion, and waits for the end if asked.

use xenios_api::v1;

use super::follow::{ATTEMPTS, RETRY_DELAY};
use crate::calls::{Daemon, phase_of};
use crate::cli::{Format, RmArgs};
use crate::failure::{Failure, Kind};
use crate::output::Output;
use crate::view::json;

/// Goes on after a guest that cannot be deleted; the first failure is answered,
/// later ones are remarks.
pub(super) async fn remove(
    daemon: &Daemon,
    args: &RmArgs,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let mut first = None;
    for name in &args.guests {
        match remove_one(daemon, name, args.wait, output).await {
            Ok(()) => {}
            Err(failure) if first.is_none() => first = Some(failure),
            Err(failure) => output.failure(&failure),
        }
    }
    first.map_or(Ok(0), Err)
}

async fn remove_one(
    daemon: &Daemon,
    name: &str,
    wait: bool,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let guest = delete(daemon, name).await?;
    if wait {
        // The name may be taken again at once, the id never.
        wait_gone(daemon, &guest.id).await?;
    }
    match output.format {
        Format::Json => output.json(&json::Event::guest(&guest)),
        Format::Table => output.text(&format!("{}\n", crate::clean::line(name))),
    }
}

/// Marks a guest for deletion. A connection that broke may have done it, so the
/// call is repeated.
pub(super) async fn delete(daemon: &Daemon, guest: &str) -> Result<v1::Guest, Failure> {
    let mut failed = 0;
    loop {
        match daemon.delete(guest).await {
            Err(failure) if failure.is(Kind::Unavailable) && failed < ATTEMPTS => failed += 1,
            answer => return answer,
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Returns when the daemon knows no guest of that id any more.
pub(super) async fn wait_gone(daemon: &Daemon, id: &str) -> Result<(), Failure> {
    let mut failed = 0;
    loop {
        match watch_gone(daemon, id).await {
            Ok(true) => return Ok(()),
            Err(failure) if failure.is(Kind::NotFound) => return Ok(()),
            // The daemon stopped, or this client was too slow.
            Ok(false) => failed = 0,
            Err(failure) if failure.is(Kind::Unavailable) && failed < ATTEMPTS => failed += 1,
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Whether the guest went while this one stream lasted.
async fn watch_gone(daemon: &Daemon, id: &str) -> Result<bool, Failure> {
    let mut stream = daemon.watch(id).await?;
    let mut seen = false;
    while let Some(message) = stream.message().await? {
        match message.event {
            Some(v1::watch_guests_response::Event::Guest(guest)) => {
                seen = true;
                if phase_of(&guest) == v1::Phase::Deleted {
                    return Ok(true);
                }
            }
            Some(v1::watch_guests_response::Event::Bookmark(_)) if !seen => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}
