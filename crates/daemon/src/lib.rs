//! `xeniosd`: wires the policy chain, the packer and Xen together.
//!
//! This crate decides nothing about guests: `xenios_core` does. It implements core's
//! ports over the libraries (`adapter`), keeps records (`store`), runs core's workers
//! (`supervisor`) and answers gRPC (`server`), each tenant within its `share`.

#![warn(missing_docs)]

pub mod adapter;
pub mod cli;
pub mod config;
pub mod console;
pub mod daemon;
pub mod host;
pub mod identity;
pub mod listen;
mod process;
mod record;
pub mod server;
pub mod share;
pub mod stop;
pub mod store;
pub mod supervisor;
mod wire;
