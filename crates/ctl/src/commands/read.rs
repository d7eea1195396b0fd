//! `get` and `ls`.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::calls::Daemon;
use crate::cli::Format;
use crate::failure::Failure;
use crate::output::Output;
use crate::view::{json, table};

pub(super) async fn get(
    daemon: &Daemon,
    guest: &str,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let guest = daemon.get(guest).await?;
    match output.format {
        Format::Json => output.json(&json::Guest::from(&guest))?,
        Format::Table => output.text(&table::guest(&guest))?,
    }
    Ok(0)
}

pub(super) async fn list(daemon: &Daemon, output: &mut Output<'_>) -> Result<u8, Failure> {
    let guests = daemon.list().await?;
    match output.format {
        Format::Json => output.json(&json::Guests::from(&guests[..]))?,
        Format::Table if guests.is_empty() => {
            output.remark("you have no guests; `xenios run IMAGE` makes one");
        }
        Format::Table => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            output.text(&table::guests(&guests, now))?;
        }
    }
    Ok(0)
}
