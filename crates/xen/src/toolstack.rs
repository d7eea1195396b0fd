//! Creates, watches and destroys domains.
//!
//! A domain's mark is its handle, the UUID that its maker gave. It is set by the
//! call that makes the domain and goes with it, so there is no moment at which a
//! domain of ours has none. Teardown follows the mark and the nodes that only
//! dom0 can write; nothing that a guest can write decides what is removed.
//!
//! All calls block; they belong on threads of their own.

mod create;
mod destroy;
mod events;
mod nodes;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, Weak};

use thiserror::Error;
use uuid::Uuid;

use crate::console::{Console, ConsoleError, Shared};
use crate::domid::DomId;
use crate::hypercall::{HypercallError, Info, ProbeError, Xen};
use crate::kernel::Kernel;
use crate::seam::{BlockHost, Channels};
use crate::sys;
use crate::xenstore::{PathError, Store, StoreError, StorePath};

pub use create::CreateError;
pub use destroy::DestroyError;
pub use events::{DomainEvent, DomainEvents};

/// How a guest is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Paravirtualised: needs nothing of the processor.
    Pv,
    /// In a hardware container with hardware-assisted paging, booted directly.
    Pvh,
}

/// What a domain is made of.
#[derive(Debug, Clone, Copy)]
pub struct DomainConfig<'a> {
    /// The domain's handle: our mark.
    pub uuid: Uuid,
    /// Its name in xenstore, for people: letters, digits and `-_.+:`, at most 128.
    pub name: &'a str,
    /// How it is virtualised.
    pub kind: Kind,
    /// How many vCPUs, all of them online from the start.
    pub vcpus: u32,
    /// Its RAM.
    pub memory_mib: u64,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The initrd's parts, which follow one another without gaps.
    pub initrd: &'a [&'a [u8]],
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// Its disks.
    pub disks: &'a [Disk<'a>],
}

/// A file that the guest sees as a disk.
#[derive(Debug, Clone, Copy)]
pub struct Disk<'a> {
    /// Its name in the guest: `xvda` to `xvdz`.
    pub device: &'a str,
    /// The file in dom0.
    pub path: &'a Path,
    /// Whether the guest may only read.
    pub read_only: bool,
}

/// A domain as Xen sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// Its handle.
    pub uuid: Uuid,
    /// How it is virtualised (any HVM guest counts as PVH).
    pub kind: Kind,
    /// What it does.
    pub state: DomainState,
    /// vCPUs that it may use.
    pub vcpus: u32,
    /// Memory that it has, in KiB.
    pub memory_kib: u64,
}

/// What a domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    /// Paused by its controller, or not started yet.
    Paused,
    /// Running, or waiting for something.
    Running,
    /// Stopped by the guest, or by its crash. Its memory is still there.
    Shutdown(Shutdown),
    /// Being destroyed; somebody may still hold pages of it.
    Dying,
}

/// `SHUTDOWN_*` of Xen's `sched.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// The guest powered itself off.
    Poweroff,
    /// The guest asked for a reboot.
    Reboot,
    /// The guest was suspended.
    Suspend,
    /// The guest crashed, or Xen stopped it for a fault.
    Crash,
    /// Another reason.
    Other(u32),
}

impl Shutdown {
    fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Poweroff,
            1 => Self::Reboot,
            2 => Self::Suspend,
            3 => Self::Crash,
            other => Self::Other(other),
        }
    }
}

impl From<Info> for DomainInfo {
    fn from(info: Info) -> Self {
        let state = if info.flags.dying() {
            DomainState::Dying
        } else if let Some(code) = info.flags.shutdown() {
            DomainState::Shutdown(Shutdown::from_code(code))
        } else if info.flags.paused() {
            DomainState::Paused
        } else {
            DomainState::Running
        };
        Self {
            domid: info.domain,
            uuid: info.uuid,
            kind: if info.flags.hvm() {
                Kind::Pvh
            } else {
                Kind::Pv
            },
            state,
            vcpus: info.vcpus,
            memory_kib: info.total_pages * 4,
        }
    }
}

/// Why the toolstack cannot work on this host.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A device file is not there or not for us.
    #[error("{path} cannot be opened: is this dom0 of a Xen host, with its modules loaded?")]
    Device {
        /// The file.
        path: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Xen is of another version, or refuses us.
    #[error("this Xen cannot be used")]
    Probe(#[from] ProbeError),
    /// xenstore does not answer.
    #[error("xenstore cannot be used")]
    Store(#[from] StoreError),
}

/// Why something about one domain could not be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DomainError {
    /// There is no domain of this number.
    #[error("there is no domain {domid}")]
    Absent {
        /// The number.
        domid: DomId,
    },
    /// The number belongs to another guest by now.
    #[error("domain {domid} has another UUID: it is not the guest that was meant")]
    Mismatch {
        /// The number.
        domid: DomId,
    },
    /// The path of a guest's node is not one.
    #[error("not a path of a guest's node")]
    Path(#[from] PathError),
    /// A guest's node holds more than was asked for.
    #[error("a node of domain {domid} has {bytes} bytes, more than the limit of {limit}")]
    NodeTooLarge {
        /// The domain.
        domid: DomId,
        /// What it holds.
        bytes: usize,
        /// What was allowed.
        limit: usize,
    },
    /// Xen refused.
    #[error("the domain could not be reached")]
    Hypercall(#[from] HypercallError),
    /// xenstore refused.
    #[error("the domain's nodes could not be read")]
    Store(#[from] StoreError),
}

/// The toolstack: a handle on Xen, xenstore and dom0's devices.
pub struct Toolstack {
    xen: Xen,
    store: Store,
    blocks: Box<dyn BlockHost>,
    channels: Box<dyn Channels>,
    /// Consoles that hold pages of domains; closed before those are destroyed.
    consoles: Mutex<Vec<Weak<Shared>>>,
}

impl Toolstack {
    /// Opens dom0's devices and finds out what Xen speaks.
    pub fn open() -> Result<Self, OpenError> {
        let privcmd = sys::PrivcmdDevice::open()
            .map_err(|(path, source)| OpenError::Device { path, source })?;
        Ok(Self::with(
            Xen::probe(Box::new(privcmd))?,
            Store::open()?,
            Box::new(sys::LoopHost),
            Box::new(sys::ChannelDevices),
        ))
    }

    fn with(
        xen: Xen,
        store: Store,
        blocks: Box<dyn BlockHost>,
        channels: Box<dyn Channels>,
    ) -> Self {
        Self {
            xen,
            store,
            blocks,
            channels,
            consoles: Mutex::default(),
        }
    }

    /// The version of Xen's control interface (domctl), for reports.
    #[must_use]
    pub fn interface_version(&self) -> u32 {
        self.xen.version()
    }

    /// All domains with their handles, dom0 and strangers included.
    pub fn domains(&self) -> Result<Vec<DomainInfo>, HypercallError> {
        Ok(self.xen.list()?.into_iter().map(DomainInfo::from).collect())
    }

    /// The domain of this number and handle, if it is there.
    pub fn domain(&self, domid: DomId, uuid: Uuid) -> Result<Option<DomainInfo>, HypercallError> {
        let info = self.xen.info(domid)?;
        Ok(info.filter(|info| info.uuid == uuid).map(DomainInfo::from))
    }

    /// Lets a domain run that was created paused.
    pub fn unpause(&self, domid: DomId, uuid: Uuid) -> Result<(), DomainError> {
        self.ours(domid, uuid)?;
        Ok(self.xen.unpause(domid)?)
    }

    /// A node below the domain's own part of xenstore, such as `data/xenios/exit`.
    /// The guest can write it: the bytes are the guest's, at most `max` of them.
    /// Only read it while the domain is known to be the guest's.
    pub fn guest_node(
        &self,
        domid: DomId,
        path: &str,
        max: usize,
    ) -> Result<Option<Vec<u8>>, DomainError> {
        let path = StorePath::domain(domid).try_join(path)?;
        match self.store.read(&path)? {
            Some(value) if value.len() > max => Err(DomainError::NodeTooLarge {
                domid,
                bytes: value.len(),
                limit: max,
            }),
            value => Ok(value),
        }
    }

    /// Attaches to the console of a domain, of which there can be one at a time.
    /// Works again after the process that had it is gone.
    pub fn console(&self, domid: DomId, uuid: Uuid) -> Result<Console, ConsoleError> {
        match self.ours(domid, uuid) {
            Ok(info) if !info.flags.dying() => {}
            Ok(_) | Err(DomainError::Absent { .. } | DomainError::Mismatch { .. }) => {
                return Err(ConsoleError::NoDomain { domid });
            }
            Err(DomainError::Hypercall(error)) => return Err(error.into()),
            Err(_) => return Err(ConsoleError::NoConsole { domid }),
        }
        let node = StorePath::domain(domid).join("console/port");
        let port = self
            .store
            .read_text(&node)?
            .and_then(|text| text.parse().ok());
        let port = port.ok_or(ConsoleError::NoConsole { domid })?;
        let console = Console::attach(self.channels.as_ref(), domid, port)?;
        let mut consoles = self.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        consoles.retain(|console| console.strong_count() > 0);
        consoles.push(std::sync::Arc::downgrade(console.shared()));
        Ok(console)
    }

    /// What happens to domains, from now on. Look at [`Self::domains`] once after
    /// this, for what happened before.
    pub fn events(&self) -> Result<DomainEvents, StoreError> {
        DomainEvents::subscribe(&self.store)
    }

    /// The domain, if its handle is the one that is meant.
    fn ours(&self, domid: DomId, uuid: Uuid) -> Result<Info, DomainError> {
        let info = self.xen.info(domid)?.ok_or(DomainError::Absent { domid })?;
        if info.uuid != uuid {
            return Err(DomainError::Mismatch { domid });
        }
        Ok(info)
    }

    /// Closes what this process holds of a domain.
    fn close_consoles(&self, domid: DomId) {
        let mut consoles = self.consoles.lock().unwrap_or_else(PoisonError::into_inner);
        consoles.retain(|console| {
            let Some(shared) = console.upgrade() else {
                return false;
            };
            if shared.domain() == domid {
                shared.close();
            }
            shared.domain() != domid
        });
    }
}
