//! What the compiler and clippy do not check: which crate may know which,
//! where `unsafe` may be, sizes, module docs, names. Reads sources and manifests
//! only; nothing is built.

mod arrows;
mod lexer;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Folders that hold Rust sources.
const SOURCES: &[&str] = &["crates", "policies", "xtask"];
/// Folders that hold what nobody wrote.
const SKIPPED: &[&str] = &["target", "bindings", ".git"];

/// Something to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    path: PathBuf,
    /// From 1; 0 when it is about the whole file.
    line: usize,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.path.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        write!(out, ": {}", self.message)
    }
}

/// Checks the checkout; every finding is printed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut findings = arrows::check(root)?;
    let mut files = Vec::new();
    for folder in SOURCES {
        walk(&root.join(folder), &mut files)?;
    }
    let mut unsafe_hosts = Vec::new();
    for file in &files {
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file.strip_prefix(root).unwrap_or(file);
        let report = source::check(path, &text);
        findings.extend(report.findings);
        if report.has_unsafe && path.starts_with("crates/policy-host") {
            unsafe_hosts.push(path.to_path_buf());
        }
    }
    if let [_, more @ ..] = unsafe_hosts.as_slice() {
        findings.extend(more.iter().map(|path| {
            Finding {
                path: path.clone(),
                line: 0,
                message:
                    "unsafe: policy-host has one unsafe file, the one that loads its own artifacts"
                        .into(),
            }
        }));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "tidy found {} things to mend in {} files",
            findings.len(),
            files.len()
        );
    }
    Ok(())
}

/// Every `.rs` below the folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                walk(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
