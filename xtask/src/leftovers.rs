//! What is left in dom0, from Xen's own tools and never from our own word:
//! domains (`xl`), loop devices (`losetup`), xenstore nodes (`xenstore-ls`).

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::bed::Bed;

const LIMIT: Duration = Duration::from_mins(1);
/// Between the outputs of the three programs.
const SEPARATOR: &str = "----";

/// Everything that a guest leaves while it runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leftovers {
    /// Lines of `xl list`, without dom0.
    pub(crate) domains: Vec<String>,
    /// Lines of `losetup -a`.
    pub(crate) loops: Vec<String>,
    /// Nodes of domains other than dom0 and of backends, with values.
    pub(crate) nodes: Vec<String>,
}

impl Leftovers {
    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.loops.is_empty() && self.nodes.is_empty()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, lines) in [
            ("domains", &self.domains),
            ("loop devices", &self.loops),
            ("xenstore nodes", &self.nodes),
        ] {
            writeln!(out, "  {what}: {}", lines.len())?;
            // A guest writes some of the nodes.
            for line in lines.iter().take(8) {
                let line: String = line
                    .chars()
                    .filter(|character| !character.is_control())
                    .take(100)
                    .collect();
                writeln!(out, "    {line}")?;
            }
            if lines.len() > 8 {
                writeln!(out, "    ...")?;
            }
        }
        Ok(())
    }
}

/// Asks dom0.
pub(crate) fn look(bed: &mut Bed) -> Result<Leftovers> {
    let script = format!(
        "set -e; xl list; echo {SEPARATOR}; /sbin/losetup -a; echo {SEPARATOR}; xenstore-ls -f"
    );
    Ok(parse(&bed.sh(&script, LIMIT)?))
}

fn parse(printed: &str) -> Leftovers {
    let separator = format!("{SEPARATOR}\n");
    let mut parts = printed.split(&separator);
    let mut lines = || {
        parts
            .next()
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
    };
    let domains = lines()
        .skip(1)
        .filter(|line| !line.starts_with("Domain-0 "))
        .collect();
    let loops = lines().collect();
    let nodes = lines().filter(|line| is_of_a_guest(line)).collect();
    Leftovers {
        domains,
        loops,
        nodes,
    }
}

/// What a dom0 without guests has is its own: `/local/domain/0` less the
/// backends, `/tool`, and the empty folders that daemons make once.
fn is_of_a_guest(line: &str) -> bool {
    let (path, value) = line.split_once(" = ").unwrap_or((line, ""));
    let folder = value == "\"\"";
    let backends = "/local/domain/0/backend";
    if let Some(rest) = path.strip_prefix(backends) {
        // `/backend` and `/backend/vbd` stay, empty, once there was a device.
        return !(folder && rest.matches('/').count() < 2);
    }
    if path.starts_with("/local/domain/") {
        return path != "/local/domain/0" && !path.starts_with("/local/domain/0/");
    }
    let parts: Vec<&str> = path.split('/').collect();
    // `/vm/UUID` and `/libxl/DOMID`; `/libxl/0` is dom0.
    match parts.as_slice() {
        ["", "vm", uuid, ..] => *uuid != "00000000-0000-0000-0000-000000000000",
        ["", "libxl", domid, ..] => *domid != "0",
        _ => false,
    }
}
