//! Turns the gRPC contract into Rust. Needs no protoc: protox reads the `.proto` files.

use std::path::Path;

/// Where the contract is, seen from this crate.
const INCLUDE: &str = "../../proto";
const CONTRACT: &str = "xenios/v1/guests.proto";

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={INCLUDE}");
    let descriptors = protox::compile([Path::new(INCLUDE).join(CONTRACT)], [INCLUDE])?;
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        // A stable order of labels, on the wire and in JSON.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
