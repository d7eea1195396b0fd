//! `cargo xtask testbed up|run|down`: a Xen host by hand.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::bed::background::Background;
use crate::bed::{Bed, BedConfig, Output};
use crate::layout::Layout;
use crate::site::{Config, Policies, Site, start_script};

/// What `testbed` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Testbed {
    /// Boots a bed with xeniosd in it, which runs on in the background.
    Up {
        /// Xen and dom0 alone, nothing of ours built or started.
        #[arg(long)]
        bare: bool,
        /// Where images may come from: a registry on this port of 127.0.0.1.
        #[arg(long, default_value_t = 5000, value_name = "PORT")]
        registry: u16,
    },
    /// Runs a command in dom0; without a bed that is up, boots one for it.
    Run {
        /// Kill the command after this many seconds.
        #[arg(long, default_value_t = 600)]
        timeout: u64,
        /// The command, for a shell.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Copies a file into dom0 of the bed that is up.
    Push {
        /// A file of this machine.
        file: std::path::PathBuf,
        /// Where to, an absolute path in dom0.
        path: String,
    },
    /// Powers off the bed that is up.
    Down,
}

/// Runs one of the commands.
pub(crate) fn run(layout: &Layout, command: &Testbed) -> Result<ExitCode> {
    match command {
        Testbed::Up { bare, registry } => up(layout, *bare, *registry),
        Testbed::Run { timeout, command } => {
            let limit = Duration::from_secs(*timeout);
            let script = command.join(" ");
            let output = match Background::find(layout) {
                Some(bed) => bed.channel()?.run(&script, limit)?,
                None => Bed::boot(layout, &BedConfig::default())?.exec(&script, limit)?,
            };
            show(&output)
        }
        Testbed::Push { file, path } => {
            let Some(bed) = Background::find(layout) else {
                bail!("no bed is up: run `cargo xtask testbed up` first");
            };
            let executable = crate::process::is_executable(file)?;
            let bytes = std::fs::read(file)?;
            bed.channel()?
                .put(path, if executable { 0o755 } else { 0o644 }, &bytes)?;
            Ok(ExitCode::SUCCESS)
        }
        Testbed::Down => {
            match Background::find(layout) {
                Some(bed) => bed.down()?,
                None => eprintln!("no bed is up"),
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn up(layout: &Layout, bare: bool, registry: u16) -> Result<ExitCode> {
    if Background::find(layout).is_some() {
        bail!("a bed is up already; `cargo xtask testbed down` ends it");
    }
    let bed = if bare {
        Background::up(layout, &BedConfig::default())?
    } else {
        // 10.0.2.2 is this machine in QEMU's user network.
        let site = Site::build(layout, &format!("10.0.2.2:{registry}"), Policies::Product)?;
        let bed = Background::up(layout, &site.bed_config())?;
        site.keep_identity(bed.folder())?;
        bed.channel()?
            .run(&start_script(Config::Product), Duration::from_mins(1))?;
        let folder = bed.folder().display();
        eprintln!(
            "export XENIOS_ENDPOINT=https://127.0.0.1:{}",
            bed.grpc_port()?
        );
        eprintln!(
            "export XENIOS_CA={folder}/ca.pem XENIOS_CERT={folder}/alice.pem XENIOS_KEY={folder}/alice.key"
        );
        eprintln!("client: {}", layout.binary("xenios").display());
        bed
    };
    eprintln!("127.0.0.1:{} reaches port 7443 of dom0", bed.grpc_port()?);
    eprintln!("console: {}", bed.folder().join("console.log").display());
    eprintln!("next: cargo xtask testbed run xl list; cargo xtask testbed down");
    Ok(ExitCode::SUCCESS)
}

fn show(output: &Output) -> Result<ExitCode> {
    std::io::stdout().write_all(&output.stdout)?;
    std::io::stderr().write_all(&output.stderr)?;
    Ok(ExitCode::from(output.code))
}
