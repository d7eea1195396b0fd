//! `xenios`: the command line of the guest API.
//!
//! It translates: flags into messages, messages into tables or JSON, errors into
//! exit codes. It decides nothing about guests.

mod calls;
mod clean;
mod cli;
mod commands;
mod config;
mod connect;
mod failure;
mod format;
mod output;
mod spec;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::main()
}
