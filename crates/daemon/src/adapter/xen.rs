//! Core's hypervisor over `xenios_xen`: guests to domains and back.
//!
//! Everything that the daemon knows of Xen is here and in `adapter::boot`. A domain's
//! mark is its handle, the guest's id.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xenios_core::port::{DomainOrder, DomainState, Hypervisor, ObservedDomain, ShutdownReason};
use xenios_core::{DomId, ErrorKind, Exit, GuestId, PortError, Virtualization};
use xenios_guest::{EXIT_NODE, LaunchConfig, MAX_EXIT_NODE, STARTED_NODE, STARTED_VALUE};
use xenios_xen as xen;
use xenios_xen::Toolstack;

use self::pump::Pumps;
use super::boot::BootFiles;
use crate::console::Consoles;

mod pump;
#[cfg(test)]
mod tests;
mod watch;

pub use self::watch::watch_domains;

/// The root filesystem's name in the guest.
const ROOT_DISK: &str = "xvda";
/// What the packer makes.
const ROOT_TYPE: &str = "squashfs";
/// The kernel's initrd unpacker takes an archive only at a multiple of this
/// (Linux, `init/initramfs.c`, `N_ALIGN`).
const CPIO_ALIGN: usize = 4;

/// Domains of this host.
pub struct XenHypervisor {
    toolstack: Arc<Toolstack>,
    boot: Arc<BootFiles>,
    cmdline: String,
    pumps: Pumps,
    /// Where a guest's domain was last seen: a hint that is checked at each use.
    seen: Mutex<HashMap<GuestId, xen::DomId>>,
}

impl XenHypervisor {
    /// `cmdline` is every guest's kernel command line.
    #[must_use]
    pub fn new(
        toolstack: Arc<Toolstack>,
        boot: Arc<BootFiles>,
        cmdline: String,
        consoles: Arc<Consoles>,
    ) -> Self {
        Self {
            pumps: Pumps::new(Arc::clone(&toolstack), consoles),
            toolstack,
            boot,
            cmdline,
            seen: Mutex::default(),
        }
    }

    /// Logs every domain that is neither dom0 nor in `known`. It is never touched.
    pub fn report_strangers(&self, known: &HashSet<GuestId>) -> Result<(), PortError> {
        for domain in self.toolstack.domains().map_err(unseen)? {
            let ours = known.contains(&GuestId::from(domain.uuid));
            if domain.domid != xen::DomId::ZERO && !ours {
                tracing::warn!(domid = %domain.domid, uuid = %domain.uuid,
                    "this domain has no record here; it is left alone");
            }
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<GuestId, xen::DomId>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest's domain, by the hint or else among all.
    fn find(&self, id: GuestId) -> Result<Option<xen::DomainInfo>, PortError> {
        let hint = self.seen().get(&id).copied();
        if let Some(hint) = hint
            && let Some(found) = self.toolstack.domain(hint, id.uuid()).map_err(unseen)?
        {
            return Ok(Some(found));
        }
        let all = self.toolstack.domains().map_err(unseen)?;
        let found = all.into_iter().find(|domain| domain.uuid == id.uuid());
        match &found {
            Some(domain) => self.seen().insert(id, domain.domid),
            None => self.seen().remove(&id),
        };
        Ok(found)
    }

    /// A node that the guest wrote: bounded, and nothing when it cannot be had.
    fn node(&self, domid: xen::DomId, path: &str, max: usize) -> Option<Vec<u8>> {
        self.toolstack
            .guest_node(domid, path, max)
            .unwrap_or_else(|error| {
                // The guest can have it said as often as it is looked at.
                tracing::debug!(%domid, path, %error, "a node of a guest cannot be used");
                None
            })
    }

    fn state(&self, domain: &xen::DomainInfo) -> DomainState {
        match domain.state {
            xen::DomainState::Paused => DomainState::Paused,
            xen::DomainState::Running => DomainState::Running {
                started: self
                    .node(domain.domid, STARTED_NODE, STARTED_VALUE.len())
                    .is_some_and(|value| value == STARTED_VALUE.as_bytes()),
            },
            xen::DomainState::Shutdown(reason) => DomainState::Shutdown {
                reason: shutdown_reason(reason),
                exit: self
                    .node(domain.domid, EXIT_NODE, MAX_EXIT_NODE)
                    .and_then(|value| exit(&value)),
            },
            xen::DomainState::Dying => DomainState::Dying,
        }
    }
}

impl Hypervisor for XenHypervisor {
    fn observe(&self, id: GuestId) -> Result<ObservedDomain, PortError> {
        let Some(domain) = self.find(id)? else {
            return Ok(ObservedDomain::Absent);
        };
        // Dom0 has a handle of its own; a guest never has its number.
        let Some(domid) = DomId::new(domain.domid.get()) else {
            return Ok(ObservedDomain::Absent);
        };
        if domain.state != xen::DomainState::Dying {
            self.pumps.ensure(id, domain.domid);
        }
        Ok(ObservedDomain::Present {
            domid,
            state: self.state(&domain),
        })
    }

    fn create_paused(&self, order: &DomainOrder<'_>) -> Result<DomId, PortError> {
        let launch = launch_archive(order)?;
        let kernel = self.boot.kernel(&order.spec.kernel)?;
        let initrd = self.boot.initrd(&order.spec.initrd)?;
        let padding = [0; CPIO_ALIGN];
        let gap = initrd.len().next_multiple_of(CPIO_ALIGN) - initrd.len();
        let spec = &order.spec.spec;
        let config = xen::DomainConfig {
            uuid: order.id.uuid(),
            name: order.name.as_str(),
            kind: match spec.virtualization() {
                Virtualization::Pvh => xen::Kind::Pvh,
                Virtualization::Pv => xen::Kind::Pv,
            },
            vcpus: spec.vcpus().get(),
            memory_mib: spec.memory().get(),
            kernel: &kernel,
            initrd: &[&initrd, &padding[..gap], &launch],
            cmdline: &self.cmdline,
            disks: &[xen::Disk {
                device: ROOT_DISK,
                path: &order.rootfs.path,
                read_only: true,
            }],
        };
        let created = self.toolstack.create_paused(&config).map_err(not_created)?;
        self.seen().insert(order.id, created);
        // Before the guest runs, so that its first byte is not waited for.
        self.pumps.ensure(order.id, created);
        DomId::new(created.get()).ok_or_else(|| {
            PortError::new(ErrorKind::Permanent, "Xen gave the guest a reserved number")
        })
    }

    fn unpause(&self, id: GuestId, domid: DomId) -> Result<(), PortError> {
        let number = raw(domid);
        let domain = self.toolstack.domain(number, id.uuid()).map_err(unseen)?;
        match domain.map(|domain| domain.state) {
            Some(xen::DomainState::Paused) => {
                self.toolstack.unpause(number, id.uuid()).map_err(|error| {
                    PortError::new(ErrorKind::Transient, "the guest could not be started")
                        .caused_by(error)
                })
            }
            Some(_) => Ok(()),
            None => Err(PortError::new(
                ErrorKind::Permanent,
                "the guest's domain is gone; create the guest again",
            )),
        }
    }

    fn destroy(&self, id: GuestId, domid: DomId) -> Result<(), PortError> {
        let number = raw(domid);
        // What the guest wrote last is read before its memory is given back.
        self.pumps.finish(id, number);
        match self.toolstack.destroy(number, id.uuid()) {
            Ok(()) => {}
            Err(xen::DestroyError::Mismatch { .. }) => {
                tracing::warn!(guest = %id, %domid, "the domain is another's; it is left alone");
            }
            Err(error) => {
                let message = "the guest's domain could not be removed yet";
                return Err(PortError::new(ErrorKind::Transient, message).caused_by(error));
            }
        }
        self.seen().remove(&id);
        Ok(())
    }
}

/// The launch config of a guest, as the archive that follows its initrd.
fn launch_archive(order: &DomainOrder<'_>) -> Result<Vec<u8>, PortError> {
    let unusable = |message: String| PortError::new(ErrorKind::Permanent, message);
    let launch = order
        .spec
        .launch()
        .map_err(|errors| unusable(errors.to_string()))?;
    let config = LaunchConfig {
        hostname: order.name.as_str().to_owned(),
        rootfs_device: format!("/dev/{ROOT_DISK}"),
        rootfs_type: ROOT_TYPE.to_owned(),
        argv: launch.argv,
        env: launch.env,
        working_dir: launch.working_dir,
        user: launch.user,
    };
    config
        .check()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(config.to_cpio())
}

fn raw(domid: DomId) -> xen::DomId {
    xen::DomId::new(domid.get()).expect("core's domain ids are never reserved ones")
}

fn unseen(error: xen::HypercallError) -> PortError {
    PortError::new(ErrorKind::Transient, "the host's domains cannot be seen").caused_by(error)
}

fn not_created(error: xen::CreateError) -> PortError {
    let kind = if error.is_exhausted() {
        ErrorKind::Exhausted
    } else if error.is_permanent() {
        ErrorKind::Permanent
    } else {
        ErrorKind::Transient
    };
    // The causes that are the guest's own fault say more in their source.
    let source = std::error::Error::source(&error).filter(|_| error.is_permanent());
    let message = match source {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    PortError::new(kind, message).caused_by(error)
}

fn shutdown_reason(reason: xen::Shutdown) -> ShutdownReason {
    match reason {
        xen::Shutdown::Poweroff => ShutdownReason::Poweroff,
        xen::Shutdown::Reboot => ShutdownReason::Reboot,
        xen::Shutdown::Crash => ShutdownReason::Crash,
        // `SHUTDOWN_suspend` of Xen's `sched.h`.
        xen::Shutdown::Suspend => ShutdownReason::Other(2),
        xen::Shutdown::Other(code) => ShutdownReason::Other(code),
    }
}

/// What the guest's init said of its end; nothing when it is not what it would say.
fn exit(node: &[u8]) -> Option<Exit> {
    match xenios_guest::Exit::from_node(node) {
        Ok(xenios_guest::Exit::Code(code)) => Some(Exit::Code(code)),
        Ok(xenios_guest::Exit::Signal(signal)) => Some(Exit::Signal(signal)),
        Ok(xenios_guest::Exit::Failed(why)) => Some(Exit::Lost(why)),
        Err(error) => {
            tracing::warn!(%error, "a guest reported an end that makes no sense");
            None
        }
    }
}
