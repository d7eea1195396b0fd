//! `cargo xtask test`: everything that a change must pass, in the order in
//! which it fails soonest.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::e2e::{self, Tally};
use crate::layout::Layout;
use crate::long;
use crate::packages;
use crate::policies;
use crate::process::{command, output, visible};
use crate::stage::{note, stage};
use crate::tidy;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Without the test bed.
    #[arg(long)]
    quick: bool,
    /// Also what takes too long for every change: a soak, many more cases of
    /// each property, a minute of fuzzing for each parser.
    #[arg(long, conflicts_with = "quick")]
    long: bool,
    /// Only the end-to-end checks whose names contain this.
    #[arg(long, value_name = "TEXT", conflicts_with = "quick")]
    only: Option<String>,
}

/// Runs them; the last line says how many end-to-end checks and stages passed.
pub(crate) fn run(layout: &Layout, options: &Options) -> Result<ExitCode> {
    packages::ensure()?;
    let mut tally = Tally::default();
    if options.only.is_none() {
        let more = if options.long { LONG_STAGES } else { &[] };
        for (name, check) in STAGES.iter().chain(more) {
            let result = stage(name, || check(layout));
            count(&mut tally, result.is_ok());
            if let Err(error) = result {
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
    if !options.quick && tally.failed == 0 {
        let checks = e2e::run(
            layout,
            options.only.as_deref().unwrap_or_default(),
            options.long,
        );
        match checks {
            Ok(checks) => {
                tally.passed += checks.passed;
                tally.failed += checks.failed;
            }
            Err(error) => {
                println!("FAILED  the test bed: {error:#}");
                tally.failed += 1;
            }
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn count(tally: &mut Tally, passed: bool) {
    if passed {
        tally.passed += 1;
    } else {
        tally.failed += 1;
    }
}

type Stage = (&'static str, fn(&Layout) -> Result<()>);

/// The stages before the test bed. The policies come before the tests that
/// load them.
const STAGES: &[Stage] = &[
    ("tidy", |layout| tidy::run(layout.root())),
    ("format", format),
    ("policies", |layout| {
        policies::build(layout.root()).map(drop)
    }),
    ("clippy", clippy),
    ("tests of the workspace", |layout| {
        visible(cargo(layout).args(["test", "--locked", "--workspace", "--quiet"]))
    }),
    ("tests of the policies", |layout| {
        visible(in_policies(layout).args(["test", "--locked", "--workspace", "--quiet"]))
    }),
];

/// Those of `--long`.
const LONG_STAGES: &[Stage] = &[
    ("many cases of each property", long::properties),
    ("fuzzing", long::fuzz),
];

fn format(layout: &Layout) -> Result<()> {
    component(layout, "rustfmt", "fmt")?;
    visible(cargo(layout).args(["fmt", "--all", "--check"]))?;
    visible(in_policies(layout).args(["fmt", "--all", "--check"]))
}

fn clippy(layout: &Layout) -> Result<()> {
    component(layout, "clippy", "clippy")?;
    let deny = [
        "--locked",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    visible(cargo(layout).arg("clippy").args(deny))
}

/// Adds a part of Rust that a minimal installation lacks.
fn component(layout: &Layout, name: &str, subcommand: &str) -> Result<()> {
    if output(cargo(layout).args([subcommand, "--version"])).is_ok() {
        return Ok(());
    }
    note(&format!("rustup component add {name}"));
    output(
        command("rustup")
            .args(["component", "add", name])
            .current_dir(layout.root()),
    )
    .map(drop)
    .with_context(|| format!("{name} is missing: install it beside Rust"))
}

fn cargo(layout: &Layout) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(layout.root());
    cargo
}

/// The policies are a workspace of their own, with a target folder of its own.
fn in_policies(layout: &Layout) -> Command {
    let folder = layout.root().join("policies");
    let mut cargo = cargo(layout);
    cargo
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(folder);
    cargo
}
