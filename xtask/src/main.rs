//! Every developer command. The work is in the modules; this file only says
//! what the commands are called.

#![cfg_attr(
    test,
    expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

mod bed;
mod certs;
mod client;
mod closure;
mod cpio;
mod debs;
mod demo;
mod e2e;
mod emulation;
mod http;
mod images;
mod initrd;
mod kernel;
mod layout;
mod leased;
mod leftovers;
mod long;
mod packages;
mod policies;
mod process;
mod registry;
mod scratch;
mod site;
mod stage;
mod test;
mod testbed;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::layout::Layout;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Developer commands of Xenios",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the main job on real Xen in QEMU, from nothing.
    Demo,
    /// Everything that a change must pass.
    Test(test::Options),
    /// Checks crate arrows, sizes, docs, names and where `unsafe` is.
    Tidy,
    /// Builds the policies for wasm32.
    Policies,
    /// A Xen host in QEMU.
    #[command(subcommand)]
    Testbed(testbed::Testbed),
}

fn main() -> ExitCode {
    let layout = Layout::find();
    let result = match Arguments::parse().command {
        Command::Demo => demo::run(&layout).map(|()| ExitCode::SUCCESS),
        Command::Test(options) => test::run(&layout, &options),
        Command::Tidy => tidy::run(layout.root()).map(|()| ExitCode::SUCCESS),
        Command::Policies => policies(&layout),
        Command::Testbed(command) => testbed::run(&layout, &command),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn policies(layout: &Layout) -> anyhow::Result<ExitCode> {
    for file in policies::build(layout.root())? {
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
