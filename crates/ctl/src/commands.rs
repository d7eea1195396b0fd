//! Runs one command: parse, connect, do, exit code.

mod create;
mod follow;
mod logs;
mod read;
mod remove;
mod run;
mod watch;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::calls::Daemon;
use crate::cli::{Cli, Command};
use crate::config::Settings;
use crate::connect::connect;
use crate::failure::Failure;
use crate::output::Output;

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output {
        out: &mut io::stdout(),
        err: &mut io::stderr(),
        format: cli.output,
    };
    let done =
        runtime().and_then(|runtime| runtime.block_on(connect_and_execute(cli, &mut output)));
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("cannot start: {error}"), ""))
}

async fn connect_and_execute(cli: Cli, output: &mut Output<'_>) -> Result<u8, Failure> {
    let settings = Settings::load(&cli.connection)?;
    let daemon = Daemon::new(connect(&settings).await?);
    execute(&daemon, cli.command, output).await
}

/// Answers the exit code.
async fn execute(
    daemon: &Daemon,
    command: Command,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(daemon, &args, output).await,
        Command::Create(args) => create::create(daemon, &args, output).await,
        Command::Plan(args) => create::plan(daemon, &args, output).await,
        Command::Get(args) => read::get(daemon, &args.guest, output).await,
        Command::Ls => read::list(daemon, output).await,
        Command::Logs(args) => logs::logs(daemon, &args, output).await,
        Command::Rm(args) => remove::remove(daemon, &args, output).await,
        Command::Watch(args) => watch::watch(daemon, args.guest.as_deref(), output).await,
    }
}

#[cfg(test)]
mod tests;
