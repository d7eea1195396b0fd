//! The command line of `xeniosd`: `serve`, `check` and `compile`.
//!
//! Parses arguments, sets up logs, prints errors. The work is in `daemon` and `adapter`.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, DEFAULT_PATH};
use crate::{adapter, daemon, process};

/// Runs OCI images of many tenants as Xen guests on this host.
#[derive(Debug, Parser)]
#[command(name = "xeniosd", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon (the default). SIGTERM stops it; guests keep running.
    Serve,
    /// Checks the configuration and loads every policy, then exits.
    Check,
    /// Compiles every bound policy into a directory, then exits.
    Compile {
        /// Where the compiled policies go.
        #[arg(long)]
        artifacts: PathBuf,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr();
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xeniosd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `XENIOS_LOG` chooses what is logged, in the syntax of `tracing-subscriber`.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("XENIOS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config)?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => {
            process::keep_private();
            if let Err(error) = process::open_many_files() {
                tracing::warn!(%error, "the limit of open files stays as it is");
            }
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("cannot start the asynchronous runtime")?;
            let result = runtime.block_on(daemon::serve(config));
            // Steps that are still running can be repeated: nothing waits for them.
            runtime.shutdown_background();
            result
        }
        Command::Check => {
            let chain = adapter::policy::load_chain(&config.policy)?;
            println!(
                "{}: ok, {} policies",
                arguments.config.display(),
                chain.policies().len()
            );
            Ok(())
        }
        Command::Compile { artifacts } => {
            let compiled = adapter::policy::compile_all(&config.policy, &artifacts)?;
            for policy in compiled {
                println!("{policy}");
            }
            Ok(())
        }
    }
}
