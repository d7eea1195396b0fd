//! Manifests that break each rule once.

use std::path::Path;

use super::{manifest_findings, pinned};

fn messages(path: &str, manifest: &str) -> Vec<String> {
    manifest_findings(Path::new(path), &manifest.parse().unwrap())
        .into_iter()
        .map(|finding| finding.message)
        .collect()
}

#[test]
fn what_the_architecture_allows_passes() {
    let daemon = "[dependencies]\nxenios-core.workspace = true\ntonic.workspace = true\n\
                  [dev-dependencies]\nrcgen.workspace = true\n";
    assert!(messages("crates/daemon/Cargo.toml", daemon).is_empty());
}

#[test]
fn forbidden_arrows_are_named_in_every_kind_of_dependency() {
    for kind in [
        "dependencies",
        "dev-dependencies",
        "build-dependencies",
        "target.'cfg(unix)'.dependencies",
    ] {
        let manifest = format!("[{kind}]\nxenios-core.workspace = true\n");
        let found = messages("crates/packer/Cargo.toml", &manifest);
        assert_eq!(
            found,
            ["packer must not depend on xenios-core (ARCHITECTURE.md)"],
            "{kind}"
        );
    }
    let found = messages(
        "crates/ctl/Cargo.toml",
        "[dependencies]\nxenios-daemon.workspace = true\n",
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn technologies_stay_where_they_belong() {
    for (krate, dependency) in [
        ("packer", "tonic-types"),
        ("xen", "prost"),
        ("daemon", "wasmtime"),
        ("core", "tokio"),
        ("core", "serde_json"),
        ("packer", "rusqlite"),
    ] {
        let manifest = format!("[dependencies]\n{dependency}.workspace = true\n");
        let found = messages(&format!("crates/{krate}/Cargo.toml"), &manifest);
        assert_eq!(found.len(), 1, "{krate} {dependency}");
        assert!(found[0].contains(dependency));
    }
}

#[test]
fn versions_are_in_one_place_and_pinned() {
    let found = messages(
        "crates/core/Cargo.toml",
        "[dependencies]\nuuid = \"=1.0.0\"\n",
    );
    assert_eq!(found, ["uuid: write `uuid.workspace = true`"]);
    let workspace = "[workspace.dependencies]\na = \"=1.0.0\"\nb = \"1\"\nc = { version = \"2\" }\n\
                     d = { path = \"crates/d\" }\n";
    let found = pinned(Path::new("Cargo.toml"), &workspace.parse().unwrap());
    let names: Vec<_> = found.iter().map(|finding| &finding.message[..1]).collect();
    assert_eq!(names, ["b", "c"]);
}

#[test]
fn a_crate_without_a_place_is_reported() {
    assert_eq!(messages("crates/extra/Cargo.toml", "").len(), 1);
}
