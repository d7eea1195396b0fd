//! The protocol between a host and the init inside its guest: a launch config
//! in, an exit out.
//!
//! The host appends [`LaunchConfig::to_cpio`] to the initrd that boots the guest
//! and later reads [`Exit`] from a node that the guest wrote. How bytes get into
//! a domain and out of it is no concern of this library: it knows no Xen.

#![warn(missing_docs)]

mod cpio;
mod exit;
mod launch;

pub use exit::{Exit, ExitError, MAX_EXIT_MESSAGE, MAX_EXIT_NODE};
pub use launch::{LaunchConfig, LaunchError, MAX_LAUNCH_BYTES, ROOTFS_TYPES};

/// Where the launch config lies in the initramfs, as seen by the init.
pub const LAUNCH_PATH: &str = "/xenios/launch.json";

/// Where the base initrd lists the kernel modules that the init loads: one
/// absolute path a line, in load order. The file may be absent.
pub const MODULES_PATH: &str = "/xenios/modules";

/// The node that holds the [`Exit`], below the domain's own xenstore path
/// (`/local/domain/N/`). The guest owns `data`, so the value is untrusted.
pub const EXIT_NODE: &str = "data/xenios/exit";

/// The node that holds [`STARTED_VALUE`] as soon as the guest's own command is
/// about to run, below the domain's own xenstore path.
pub const STARTED_NODE: &str = "data/xenios/started";

/// What the init writes to [`STARTED_NODE`].
pub const STARTED_VALUE: &str = "1";
