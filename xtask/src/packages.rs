//! The Debian packages that the commands need on this machine, and installing
//! the missing ones. What goes into dom0 is not installed: see `debs`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::process::{command, visible};
use crate::stage::note;

/// A package, and a file that is there when it is installed.
struct Package {
    name: &'static str,
    proof: &'static str,
}

/// Everything that is needed beyond Rust, a C compiler (with its binutils),
/// and what every Debian has: apt, dpkg, util-linux, tar, gzip.
const PACKAGES: &[Package] = &[
    // Runs Xen and dom0.
    Package {
        name: "qemu-system-x86",
        proof: "/usr/bin/qemu-system-x86_64",
    },
    // mkfs.ext4, for the disk that outlives dom0.
    Package {
        name: "e2fsprogs",
        proof: "/usr/sbin/mkfs.ext4",
    },
    // Kernel modules are compressed with it from Debian 13 on; dpkg-deb has its
    // own decoder.
    Package {
        name: "xz-utils",
        proof: "/usr/bin/xz",
    },
];

/// Installs what is missing, or says how to.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|package| !Path::new(package.proof).exists())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() {
        bail!(
            "these Debian packages are missing: {names}\nInstall them and run the command again:\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}"
        );
    }
    note(&format!("installing Debian packages: {names}"));
    refresh()?;
    visible(
        apt_get()
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(&missing)
            // Progress bars are noise in a log.
            .stdout(std::process::Stdio::null()),
    )
}

/// Fetches the package lists anew. Only root can.
pub(crate) fn refresh() -> Result<()> {
    visible(apt_get().args(["update", "-qq"]))
}

/// Whether the machine's packages may be changed.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn apt_get() -> std::process::Command {
    let mut apt = command("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}
