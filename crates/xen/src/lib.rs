//! Xen as typed Rust: hypercalls, xenstore, event channels, grants, and a
//! builder that turns a kernel, an initrd and some disks into a paused domain.
//!
//! It talks to the hypervisor through dom0's device files alone. There is no
//! libxl, no device model and no hotplug script here, and nothing about images,
//! tenants or policies either: a domain is named by the UUID that its maker
//! chose, and that UUID is the only mark by which it is ever destroyed.
//!
//! Everything is synchronous and belongs on blocking threads: memory given to
//! the kernel is owned by the call.
//!
//! ```no_run
//! use xenios_xen::{DomainConfig, Kind, Toolstack, kernel::{Kernel, Limits}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::parse(&std::fs::read("vmlinuz")?, &Limits::default())?;
//! let initrd = std::fs::read("initrd")?;
//! let toolstack = Toolstack::open()?;
//! let uuid = uuid::Uuid::new_v4();
//! let domid = toolstack.create_paused(&DomainConfig {
//!     uuid,
//!     name: "example",
//!     kind: Kind::Pvh,
//!     vcpus: 1,
//!     memory_mib: 128,
//!     kernel: &kernel,
//!     initrd: &[&initrd],
//!     cmdline: "console=hvc0",
//!     disks: &[],
//! })?;
//! toolstack.unpause(domid, uuid)?;
//! toolstack.destroy(domid, uuid)?;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod build;
mod console;
mod device;
mod domid;
mod hypercall;
pub mod image;
pub mod kernel;
mod seam;
#[cfg(test)]
mod sim;
mod sys;
mod toolstack;
mod xenstore;

pub use build::BuildError;
pub use console::{Console, ConsoleError, ConsoleRead};
pub use device::vbd::DiskNameError;
pub use domid::DomId;
pub use hypercall::{HypercallError, ProbeError};
pub use toolstack::{
    CreateError, DestroyError, Disk, DomainConfig, DomainError, DomainEvent, DomainEvents,
    DomainInfo, DomainState, Kind, OpenError, Shutdown, Toolstack,
};
pub use xenstore::{PathError, StoreError};
