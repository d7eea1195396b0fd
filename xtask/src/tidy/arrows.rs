//! The arrows between the crates, and who may know which technology, read from
//! the manifests.

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::Finding;

/// Which of our crates a crate may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("policy-host", &[]),
    ("packer", &[]),
    ("xen", &[]),
    ("guest", &[]),
    ("api", &[]),
    (
        "daemon",
        &[
            "xenios-core",
            "xenios-policy-host",
            "xenios-packer",
            "xenios-xen",
            "xenios-api",
            "xenios-guest",
        ],
    ),
    ("ctl", &["xenios-api"]),
    ("xtask", &[]),
];

/// Dependencies whose names begin so, and the only crates that may have them.
const TECHNOLOGIES: &[(&str, &[&str])] = &[
    ("tonic", &["api", "daemon", "ctl"]),
    ("prost", &["api", "daemon", "ctl"]),
    ("wasmtime", &["policy-host"]),
    // The logic is synchronous and has no serialised form (three shapes).
    (
        "tokio",
        &["policy-host", "packer", "xen", "api", "daemon", "ctl"],
    ),
    (
        "serde",
        &["policy-host", "packer", "guest", "daemon", "ctl", "xtask"],
    ),
    ("rusqlite", &["daemon"]),
];

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks every manifest of the workspace.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let workspace = read(&root.join("Cargo.toml"))?;
    findings.extend(pinned("Cargo.toml".as_ref(), &workspace));
    let mut manifests = vec![PathBuf::from("xtask/Cargo.toml")];
    for entry in fs::read_dir(root.join("crates")).context("cannot read crates/")? {
        manifests.push(
            Path::new("crates")
                .join(entry?.file_name())
                .join("Cargo.toml"),
        );
    }
    for path in manifests {
        let manifest = read(&root.join(&path))?;
        findings.extend(manifest_findings(&path, &manifest));
    }
    Ok(findings)
}

fn read(path: &Path) -> Result<Table> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("{} is not TOML", path.display()))
}

/// Versions are pinned where the workspace names them.
fn pinned(path: &Path, workspace: &Table) -> Vec<Finding> {
    let dependencies = workspace
        .get("workspace")
        .and_then(|section| section.get("dependencies"))
        .and_then(Value::as_table);
    let loose = |value: &Value| {
        let version = value
            .as_str()
            .or_else(|| value.get("version").and_then(Value::as_str));
        value.get("path").is_none() && !version.is_some_and(|version| version.starts_with('='))
    };
    dependencies
        .into_iter()
        .flatten()
        .filter(|(_, value)| loose(value))
        .map(|(name, _)| finding(path, format!("{name}: pin the version, \"=1.2.3\"")))
        .collect()
}

fn manifest_findings(path: &Path, manifest: &Table) -> Vec<Finding> {
    let krate = path
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == krate) else {
        return vec![finding(
            path,
            format!("the crate {krate} has no place in tidy's table of arrows"),
        )];
    };
    let mut findings = Vec::new();
    for (name, value) in dependencies(manifest) {
        if name.starts_with("xenios-") && !allowed.contains(&name.as_str()) {
            findings.push(finding(
                path,
                format!("{krate} must not depend on {name} (ARCHITECTURE.md)"),
            ));
        }
        for (technology, knowing) in TECHNOLOGIES {
            if name.starts_with(technology) && !knowing.contains(&krate.as_str()) {
                findings.push(finding(
                    path,
                    format!("{krate} must not know {name}: only {knowing:?} may"),
                ));
            }
        }
        if value.get("workspace").is_none() {
            findings.push(finding(
                path,
                format!("{name}: write `{name}.workspace = true`"),
            ));
        }
    }
    findings
}

/// Of every kind, for every target.
fn dependencies(manifest: &Table) -> Vec<(String, Value)> {
    let targets = manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let tables = targets
        .filter_map(|(_, value)| value.as_table())
        .chain([manifest]);
    tables
        .flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn finding(path: &Path, message: String) -> Finding {
    Finding {
        path: path.to_path_buf(),
        line: 0,
        message,
    }
}
