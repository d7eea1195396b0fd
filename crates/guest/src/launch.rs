//! What the init of one guest shall run, and how it gets there.
//!
//! The host writes the config as JSON into a cpio archive that it appends to the
//! initrd. Env values may be secrets: they are in the archive (the guest needs
//! them) but never in a `Debug` output or an error.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cpio::Cpio;

/// The only version of the format.
const VERSION: u32 = 1;

/// The longest JSON text that the init reads. Linux takes at most 128 KiB an
/// argument and a quarter of the stack limit (2 MiB) for all of them, so a
/// larger one could not be executed anyway.
pub const MAX_LAUNCH_BYTES: usize = 4 << 20;

/// The filesystems that a rootfs may have.
pub const ROOTFS_TYPES: [&str; 2] = ["squashfs", "erofs"];

/// `HOST_NAME_MAX` of Linux.
const MAX_HOSTNAME: usize = 64;

/// What the init mounts and executes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchConfig {
    /// Host name of the guest, 1 to 64 bytes.
    pub hostname: String,
    /// Block device of the root filesystem, below `/dev/`.
    pub rootfs_device: String,
    /// Its type, one of [`ROOTFS_TYPES`].
    pub rootfs_type: String,
    /// Command and arguments. A command without a slash is looked up in `PATH`.
    pub argv: Vec<String>,
    /// The whole environment. `PATH`, `HOME` and `HOSTNAME` are added when absent.
    pub env: Vec<(String, String)>,
    /// Absolute path, created when it is missing. Empty: `/`.
    pub working_dir: String,
    /// `user[:group]`, names of the guest's own `/etc/passwd` and `/etc/group`,
    /// or numbers. Empty: root.
    pub user: String,
}

/// Why a launch config cannot be used.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// More than [`MAX_LAUNCH_BYTES`].
    #[error("the launch config has more than {MAX_LAUNCH_BYTES} bytes")]
    TooLong,
    /// Not JSON, or not these fields.
    #[error("the launch config is malformed at line {line}, column {column}")]
    Malformed {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// Written by a newer host.
    #[error("the launch config has version {0}, this init knows version {VERSION}")]
    Version(u32),
    /// A field holds what cannot be used.
    #[error("the launch config's {field} {problem}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it; never a value of the environment.
        problem: &'static str,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    launch: &'a LaunchConfig,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[expect(
        dead_code,
        reason = "read by `Version`, named here so that it is no unknown field"
    )]
    version: u32,
    launch: LaunchConfig,
}

impl LaunchConfig {
    /// The config as a `newc` archive that holds `xenios/launch.json`, readable
    /// by root alone. The same config gives the same bytes; the length is a
    /// multiple of four. Call [`LaunchConfig::check`] first: what that refuses,
    /// the init refuses too.
    #[must_use]
    pub fn to_cpio(&self) -> Vec<u8> {
        let mut cpio = Cpio::new();
        cpio.directory("xenios", 0o700);
        cpio.file("xenios/launch.json", 0o600, &self.to_json());
        cpio.finish()
    }

    /// Parses and checks the text that [`LaunchConfig::to_cpio`] archived.
    pub fn from_json(bytes: &[u8]) -> Result<Self, LaunchError> {
        if bytes.len() > MAX_LAUNCH_BYTES {
            return Err(LaunchError::TooLong);
        }
        // The version comes first: a newer format has fields unknown here.
        let Version { version } = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
        if version != VERSION {
            return Err(LaunchError::Version(version));
        }
        let Read { launch, .. } = serde_json::from_slice(bytes).map_err(|e| malformed(&e))?;
        launch.check_fields()?;
        Ok(launch)
    }

    /// Says whether the init can use this config.
    pub fn check(&self) -> Result<(), LaunchError> {
        self.check_fields()?;
        if self.to_json().len() > MAX_LAUNCH_BYTES {
            return Err(LaunchError::TooLong);
        }
        Ok(())
    }

    fn to_json(&self) -> Vec<u8> {
        let written = Written {
            version: VERSION,
            launch: self,
        };
        serde_json::to_vec(&written).expect("strings and lists always have a JSON form")
    }

    fn check_fields(&self) -> Result<(), LaunchError> {
        let nul = |text: &String| text.contains('\0');
        let env_name_is_bad =
            |(name, _): &(String, String)| name.is_empty() || name.contains(['=', '\0']);
        let rules = [
            (
                self.hostname.is_empty()
                    || self.hostname.len() > MAX_HOSTNAME
                    || nul(&self.hostname),
                "hostname",
                "is not 1 to 64 bytes",
            ),
            (
                !is_device(&self.rootfs_device),
                "rootfs_device",
                "is not the path of a device below /dev/",
            ),
            (
                !ROOTFS_TYPES.contains(&self.rootfs_type.as_str()),
                "rootfs_type",
                "is neither squashfs nor erofs",
            ),
            (
                self.argv.first().is_none_or(String::is_empty),
                "argv",
                "names no command",
            ),
            (self.argv.iter().any(nul), "argv", "holds a NUL byte"),
            (
                self.env.iter().any(env_name_is_bad),
                "env",
                "holds a name that is empty or holds '=' or NUL",
            ),
            (
                self.env.iter().any(|(_, value)| nul(value)),
                "env",
                "holds a value with a NUL byte",
            ),
            (
                !(self.working_dir.is_empty() || self.working_dir.starts_with('/'))
                    || nul(&self.working_dir),
                "working_dir",
                "is not an absolute path",
            ),
            (nul(&self.user), "user", "holds a NUL byte"),
        ];
        match rules.iter().find(|(broken, ..)| *broken) {
            Some(&(_, field, problem)) => Err(LaunchError::Field { field, problem }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for LaunchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("LaunchConfig")
            .field("hostname", &self.hostname)
            .field("rootfs_device", &self.rootfs_device)
            .field("rootfs_type", &self.rootfs_type)
            .field("argv", &self.argv)
            .field("env", &names)
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .finish()
    }
}

fn is_device(path: &str) -> bool {
    path.strip_prefix("/dev/")
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Keeps where the text is wrong and drops what it says there: serde quotes
/// values, and those may be secrets.
fn malformed(error: &serde_json::Error) -> LaunchError {
    LaunchError::Malformed {
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests;
