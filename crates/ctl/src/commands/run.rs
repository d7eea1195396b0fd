//! `run`: create, follow the console, end as the guest's command ended.

use tokio::signal::ctrl_c;
use xenios_api::v1;

use super::create::remark;
use super::follow::Console;
use super::remove::{delete, wait_gone};
use crate::calls::{Daemon, guest_of, phase_of};
use crate::cli::{Format, RunArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::view::json;
use crate::{clean, spec};

/// Exit code of a command that the user interrupted: 128 and SIGINT.
const INTERRUPTED: u8 = 130;
/// A shell adds the signal to this.
const SIGNALLED: i32 = 128;

pub(super) async fn run(
    daemon: &Daemon,
    args: &RunArgs,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let answer = daemon.create(spec::from_args(&args.spec)?, false).await?;
    let guest = guest_of(&answer)?;
    if output.format == Format::Table {
        remark(&answer, output);
    }
    if args.detach {
        match output.format {
            Format::Json => output.json(&json::Created::from(&answer))?,
            Format::Table => output.text(&format!("{}\n", clean::line(&guest.id)))?,
        }
        return Ok(0);
    }
    let result = tokio::select! {
        ended = follow(daemon, &guest.id, output) => ended,
        // Without a handler for it, an interrupt ends the process as usual.
        Ok(()) = ctrl_c() => {
            if !args.rm {
                let name = guest.spec.as_ref().map_or(&guest.id, |spec| &spec.name);
                output.remark(&format!("the guest {name} goes on; `xenios rm {name}` ends it"));
            }
            Ok(INTERRUPTED)
        }
    };
    if args.rm
        && let Err(failure) = remove(daemon, &guest.id).await
    {
        output.remark(&format!("the guest {} may be left: {failure}", guest.id));
    }
    result
}

async fn follow(daemon: &Daemon, id: &str, output: &mut Output<'_>) -> Result<u8, Failure> {
    let guest = Console::new(daemon, id, false)
        .follow_to_end(output)
        .await?;
    if output.format == Format::Json {
        output.json(&json::Event::guest(&guest))?;
    }
    exit_code(&guest)
}

async fn remove(daemon: &Daemon, id: &str) -> Result<(), Failure> {
    delete(daemon, id).await?;
    wait_gone(daemon, id).await
}

/// The exit code of the guest's command, or why there is none.
fn exit_code(guest: &v1::Guest) -> Result<u8, Failure> {
    let status = guest.status.clone().unwrap_or_default();
    let how = status.exit.and_then(|exit| exit.how);
    let (message, next) = match (phase_of(guest), how) {
        (v1::Phase::Exited, Some(v1::exit::How::Code(code))) => {
            return u8::try_from(code).map_err(|_| odd_exit());
        }
        (v1::Phase::Exited, Some(v1::exit::How::Signal(signal))) => {
            return signal
                .checked_add(SIGNALLED)
                .and_then(|code| u8::try_from(code).ok())
                .ok_or_else(odd_exit);
        }
        (v1::Phase::Exited, Some(v1::exit::How::Lost(reason))) => (
            format!("the guest ended without an exit code: {reason}"),
            "look at its console above",
        ),
        (v1::Phase::Exited, None) => return Err(odd_exit()),
        (v1::Phase::Failed, _) => (
            format!("the guest could not be run: {}", status.error),
            "`xenios get` and `xenios logs` show how far it came",
        ),
        _ => ("the guest was deleted before it ended".to_owned(), ""),
    };
    Err(Failure::other(message, next))
}

fn odd_exit() -> Failure {
    Failure::other(
        "the guest ended with an exit that this client does not know",
        "update the client",
    )
}
