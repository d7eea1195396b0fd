//! Creating a domain: all of it, or nothing.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{DomainConfig, Kind, Toolstack, nodes};
use crate::build::{self, BuildError, Order, Plan};
use crate::device::vbd::{self, DiskName, DiskNameError, Vbd};
use crate::domid::DomId;
use crate::hypercall::{Creation, HypercallError};
use crate::image::{PlanError, Request};
use crate::seam::LoopDevice;
use crate::xenstore::StoreError;

/// How long the kernel may take to open a disk's block device.
const BACKEND_LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked at.
const BACKEND_PAUSE: Duration = Duration::from_millis(2);
/// Pages in a MiB.
const MIB_PAGES: u64 = 256;
/// A name's length at most, and what it may hold besides letters and digits.
const NAME_BYTES: usize = 128;
const NAME_EXTRA: &[u8] = b"-_.+:";
/// How much of a kernel's message about a backend goes into an error.
const MESSAGE_CHARS: usize = 200;

/// Why a domain was not created. Nothing of it is left, unless the log says so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The name is empty, too long, or has other characters.
    #[error("a domain's name has 1 to {NAME_BYTES} letters, digits or characters of -_.+:")]
    Name,
    /// A disk's name is not one.
    #[error("a disk cannot be given to the guest")]
    DiskName(#[from] DiskNameError),
    /// Two disks have one name.
    #[error("two disks are called {name}")]
    DuplicateDisk {
        /// The name.
        name: String,
    },
    /// A domain of this UUID exists already.
    #[error("domain {domid} already has this UUID")]
    Exists {
        /// The domain.
        domid: DomId,
    },
    /// The guest cannot be laid out as it was asked for.
    #[error("the guest cannot be laid out")]
    Plan(#[from] PlanError),
    /// A disk's file could not be attached to a loop device.
    #[error("the file of disk {disk} cannot be attached to a loop device")]
    Attach {
        /// The disk's name.
        disk: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Xen refused the domain itself.
    #[error("the domain could not be created")]
    Hypercall(#[from] HypercallError),
    /// The host is full.
    #[error("the host has no room for another domain")]
    HostFull(#[source] HypercallError),
    /// The domain could not be filled.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// xenstore refused.
    #[error("the domain could not be described in xenstore")]
    Store(#[from] StoreError),
    /// The kernel's block backend did not take a disk.
    #[error("the block backend did not open disk {disk}: {message}")]
    Backend {
        /// The disk's name.
        disk: String,
        /// What the kernel says about it.
        message: String,
    },
}

impl CreateError {
    /// Whether the host lacks something (memory, domains, loop devices) that it
    /// may have again later.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        match self {
            Self::HostFull(_) | Self::Build(BuildError::OutOfMemory { .. }) => true,
            Self::Attach { source, .. } => {
                matches!(
                    source.raw_os_error(),
                    Some(libc::EBUSY | libc::ENOSPC | libc::ENOMEM | libc::EMFILE)
                )
            }
            _ => false,
        }
    }

    /// Whether the order itself is at fault, and would fail again.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Name
                | Self::DiskName(_)
                | Self::DuplicateDisk { .. }
                | Self::Plan(_)
                | Self::Build(BuildError::Plan(_))
        )
    }
}

/// A domain that is being made; unless it is finished, it is destroyed.
struct Draft<'a> {
    toolstack: &'a Toolstack,
    domain: DomId,
    uuid: Uuid,
    /// Its disks, kept open until the backend has them: then they are its own.
    attached: Vec<Attached>,
    finished: bool,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // What this process holds, destroying would wait for.
        self.attached.clear();
        if let Err(error) = self.toolstack.destroy(self.domain, self.uuid) {
            let (domain, uuid) = (self.domain, self.uuid);
            warn!(%domain, %uuid, %error, "a domain that could not be finished could not be destroyed either");
        }
    }
}

/// A disk with its loop device.
struct Attached {
    name: DiskName,
    device: LoopDevice,
}

impl Toolstack {
    /// Creates a paused domain with its devices, ready to run. Whatever was made
    /// is taken down again if a step fails.
    pub fn create_paused(&self, config: &DomainConfig<'_>) -> Result<DomId, CreateError> {
        let names = check(config)?;
        let plan = plan(config)?;
        if let Some(domid) = self.find(config.uuid)? {
            return Err(CreateError::Exists { domid });
        }
        let attached = self.attach(config, &names)?;
        let creation = Creation {
            uuid: config.uuid,
            hvm: config.kind == Kind::Pvh,
            vcpus: config.vcpus,
        };
        let domain = self
            .xen
            .create(&creation)
            .map_err(|error| match error.errno() {
                libc::ENOMEM | libc::ENOSPC => CreateError::HostFull(error),
                _ => error.into(),
            })?;
        let mut draft = Draft {
            toolstack: self,
            domain,
            uuid: config.uuid,
            attached,
            finished: false,
        };
        let order = Order {
            domain,
            plan: &plan,
            kernel: config.kernel,
            initrd: config.initrd,
            vcpus: config.vcpus,
        };
        let built = build::build(&self.xen, &order)?;
        debug!(%domain, uuid = %config.uuid, "domain built");
        let mut edits = nodes::domain_edits(config, domain, &built);
        for (disk, attached) in config.disks.iter().zip(&draft.attached) {
            let vbd = Vbd {
                name: attached.name,
                file: disk.path,
                read_only: disk.read_only,
                attached: &attached.device,
            };
            edits.extend(vbd.edits(domain, config.uuid));
        }
        self.store.apply(&edits)?;
        self.store
            .introduce(domain, built.store.frame, built.store.port)?;
        for (disk, attached) in config.disks.iter().zip(&draft.attached) {
            self.wait_for_backend(domain, disk.device, attached.name.device())?;
        }
        draft.finished = true;
        Ok(domain)
    }

    /// The domain with this handle.
    fn find(&self, uuid: Uuid) -> Result<Option<DomId>, HypercallError> {
        let found = self
            .domains()?
            .into_iter()
            .find(|domain| domain.uuid == uuid);
        Ok(found.map(|domain| domain.domid))
    }

    fn attach(
        &self,
        config: &DomainConfig<'_>,
        names: &[DiskName],
    ) -> Result<Vec<Attached>, CreateError> {
        let attach = |(disk, name): (&super::Disk<'_>, &DiskName)| {
            let device = self.blocks.attach(disk.path, disk.read_only);
            let device = device.map_err(|source| CreateError::Attach {
                disk: disk.device.to_owned(),
                source,
            })?;
            Ok(Attached {
                name: *name,
                device,
            })
        };
        config.disks.iter().zip(names).map(attach).collect()
    }

    fn wait_for_backend(&self, domain: DomId, name: &str, device: u32) -> Result<(), CreateError> {
        let deadline = Instant::now() + BACKEND_LIMIT;
        let fault = vbd::backend_errors(domain).join(&format!("{device}/error"));
        let mut looks: u32 = 0;
        while !self.blocks.backend_open(domain, device) {
            let late = Instant::now() >= deadline;
            // The store is asked less often than the kernel.
            let message = if late || looks % 32 == 31 {
                self.store.read(&fault)?
            } else {
                None
            };
            if late || message.is_some() {
                let message = message.map_or_else(
                    || format!("it did not answer within {} s", BACKEND_LIMIT.as_secs()),
                    |bytes| printable(&bytes),
                );
                return Err(CreateError::Backend {
                    disk: name.to_owned(),
                    message,
                });
            }
            looks += 1;
            thread::sleep(BACKEND_PAUSE);
        }
        Ok(())
    }
}

/// Checks what needs no host.
fn check(config: &DomainConfig<'_>) -> Result<Vec<DiskName>, CreateError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || NAME_EXTRA.contains(&byte);
    if !(1..=NAME_BYTES).contains(&config.name.len()) || !config.name.bytes().all(known) {
        return Err(CreateError::Name);
    }
    let mut names = Vec::with_capacity(config.disks.len());
    for disk in config.disks {
        let name = DiskName::parse(disk.device)?;
        if names.contains(&name) {
            return Err(CreateError::DuplicateDisk {
                name: disk.device.to_owned(),
            });
        }
        names.push(name);
    }
    Ok(names)
}

fn plan(config: &DomainConfig<'_>) -> Result<Plan, PlanError> {
    let request = Request {
        kernel: config.kernel,
        memory_pages: config.memory_mib.saturating_mul(MIB_PAGES),
        vcpus: config.vcpus,
        initrd_bytes: config.initrd.iter().map(|part| part.len() as u64).sum(),
        cmdline: config.cmdline,
    };
    Plan::new(config.kind == Kind::Pvh, &request)
}

/// The kernel's message without anything that a terminal could take for more.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .filter(|c| !c.is_control())
        .take(MESSAGE_CHARS)
        .collect()
}
