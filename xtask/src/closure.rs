//! The shared libraries that programs of a package tree need, found by the
//! tree's own dynamic loader: nothing of this machine's libraries is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::debs::DebTree;
use crate::process::{command, text};

/// Debian's folder of amd64 libraries.
const LIBRARIES: &str = "x86_64-linux-gnu";
/// The loader's name, by the System V ABI for x86-64.
pub(crate) const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// The loader and every library of `programs`, as files of the tree.
pub(crate) fn libraries(tree: &DebTree, programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let loader = loader(tree)?;
    let path = search_path(tree.root());
    let mut found = BTreeSet::new();
    for program in programs {
        let printed = text(
            command(&loader)
                .arg("--library-path")
                .arg(&path)
                .arg("--list")
                .arg(program),
        )?;
        for line in printed.lines() {
            found.extend(library(line, program)?);
        }
    }
    Ok(found)
}

/// The tree's dynamic loader.
pub(crate) fn loader(tree: &DebTree) -> Result<PathBuf> {
    let named = tree.find(&[
        "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        "usr/lib64/ld-linux-x86-64.so.2",
    ])?;
    Ok(named)
}

/// Folders of libraries in the tree, separated by colons.
fn search_path(root: &Path) -> String {
    let folders = [format!("usr/lib/{LIBRARIES}"), format!("lib/{LIBRARIES}")];
    folders
        .iter()
        .map(|folder| root.join(folder).display().to_string())
        .collect::<Vec<_>>()
        .join(":")
}

/// The file that a line of `ld.so --list` names: `libc.so.6 => /path (0x…)`.
fn library(line: &str, program: &Path) -> Result<Option<PathBuf>> {
    let Some((name, found)) = line.trim().split_once(" => ") else {
        return Ok(None);
    };
    if found.starts_with("not found") {
        bail!(
            "{} needs {name}, which is in none of the downloaded packages",
            program.display()
        );
    }
    let file = found.rsplit_once(" (").map_or(found, |(file, _)| file);
    // The loader lists itself; it has a place of its own.
    Ok((!name.contains("ld-linux")).then(|| PathBuf::from(file)))
}

#[cfg(test)]
mod tests;
