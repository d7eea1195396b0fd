//! The command line: what may be typed. No defaults of the API are repeated
//! here: what is not given is left to the daemon.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::format::{parse_label, parse_memory};

/// Runs OCI images as Xen guests.
///
/// Exit codes: 0 ok, 1 other failure, 2 usage, 3 not found, 4 invalid spec,
/// 5 daemon unavailable or too slow, 6 refused by policy, 7 a policy could not
/// answer, 130 interrupted. `run` returns the exit code of the guest's command,
/// or 128 and the signal that ended it.
#[derive(Debug, Parser)]
#[command(name = "xenios", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Tables for people, JSON for programs (one value; streams have one a line).
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Where the daemon is. Each may also be in the configuration file
/// (`~/.config/xenios/config.toml`, keys: endpoint, cert, key, ca, `server_name`).
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Connection {
    /// `https://host:port` or `unix:///path` [default: `unix:///run/xenios/xeniosd.sock`]
    #[arg(
        long,
        global = true,
        env = "XENIOS_ENDPOINT",
        help_heading = "Connection"
    )]
    pub(crate) endpoint: Option<String>,
    /// Your certificate (PEM), which names your tenant.
    #[arg(long, global = true, env = "XENIOS_CERT", help_heading = "Connection")]
    pub(crate) cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, global = true, env = "XENIOS_KEY", help_heading = "Connection")]
    pub(crate) key: Option<PathBuf>,
    /// The authority that signed the daemon's certificate (PEM).
    #[arg(long, global = true, env = "XENIOS_CA", help_heading = "Connection")]
    pub(crate) ca: Option<PathBuf>,
    /// The name in the daemon's certificate [default: the endpoint's host]
    #[arg(
        long,
        global = true,
        env = "XENIOS_SERVER_NAME",
        help_heading = "Connection"
    )]
    pub(crate) server_name: Option<String>,
    /// Another configuration file.
    #[arg(
        long,
        global = true,
        env = "XENIOS_CONFIG",
        help_heading = "Connection"
    )]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates a guest, shows its console until it ends, and returns its exit code.
    Run(RunArgs),
    /// Creates a guest and returns at once.
    Create(SpecArgs),
    /// Shows what would be created: what policies change, and why they would refuse.
    Plan(SpecArgs),
    /// Shows one guest.
    Get(GuestArg),
    /// Lists your guests, newest first.
    Ls,
    /// Prints what a guest wrote to its console.
    Logs(LogsArgs),
    /// Deletes guests, running or not.
    Rm(RmArgs),
    /// Prints guests as they are now, then each change, until interrupted.
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    /// Deletes the guest when it ended, or when you interrupt.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) rm: bool,
    /// Prints the guest's id and returns at once.
    #[arg(short, long)]
    pub(crate) detach: bool,
}

/// A spec by flags, by file, or both: a flag wins over the file.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SpecArgs {
    /// OCI reference: host[:port]/repository[:tag][@sha256:digest]
    #[arg(required_unless_present = "file")]
    pub(crate) image: Option<String>,
    /// A spec in TOML or JSON, with the field names of the API; `-` is stdin.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// 1 to 63 of [a-z0-9-] [default: generated]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Number of virtual CPUs.
    #[arg(long, value_name = "COUNT")]
    pub(crate) vcpus: Option<u32>,
    /// 256, 256MiB or 1GiB; a number alone is MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub(crate) memory: Option<u64>,
    /// NAME=VALUE, or NAME to pass on your own value; may be repeated.
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    pub(crate) label: Vec<(String, String)>,
    /// Image that holds another kernel.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) kernel: Option<String>,
    /// Image that holds another initrd.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) initrd: Option<String>,
    /// user[:group], names or numbers.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Where the command starts.
    #[arg(long, value_name = "PATH")]
    pub(crate) workdir: Option<String>,
    /// Replaces the image's entrypoint; may be repeated, one word each.
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) entrypoint: Vec<String>,
    /// How Xen runs the guest.
    #[arg(long, value_enum)]
    pub(crate) virtualization: Option<Virtualization>,
    /// Replaces the image's command.
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Virtualization {
    Pvh,
    Pv,
}

#[derive(Debug, Args)]
pub(crate) struct GuestArg {
    /// Name or id.
    pub(crate) guest: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Name or id.
    pub(crate) guest: String,
    /// Keeps printing until the guest ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The bytes as the guest wrote them. Dangerous on a terminal.
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names or ids.
    #[arg(required = true, value_name = "GUEST")]
    pub(crate) guests: Vec<String>,
    /// Returns when nothing of the guests is left on the host.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Name or id [default: all your guests]
    pub(crate) guest: Option<String>,
}
