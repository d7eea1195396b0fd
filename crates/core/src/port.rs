//! What this crate needs of the world. The daemon implements these traits over
//! the libraries; [`crate::fake`] implements them in memory.
//!
//! Every call is synchronous and may take long: it is made on a thread that may
//! block. Nothing here knows Xen, OCI or SQL.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::admitted::Admitted;
use crate::audit::AuditRecord;
use crate::facts::{BootDefaults, ImageFacts, PinnedSpec};
use crate::guest::{Exit, Guest, Status};
use crate::id::{DomId, Generation, GuestId, GuestName, TenantId};
use crate::policy::decision::Usage;
use crate::reference::ImageReference;

/// What may be done about an error. Retries go by this, never by text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// It may work when tried again.
    Transient,
    /// A resource of the host or a registry is used up; it may work later.
    Exhausted,
    /// What was named does not exist. Trying again does not help.
    NotFound,
    /// Trying again does not help.
    Permanent,
}

impl ErrorKind {
    /// Whether trying again may help.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Transient | Self::Exhausted)
    }
}

/// An error of the world.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct PortError {
    /// What may be done about it.
    pub kind: ErrorKind,
    /// What happened, safe for the tenant: no host path, no other tenant, no
    /// secret, no raw byte of a guest.
    pub message: String,
    /// What happened, for the operator.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// An error without a source.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// This error, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// Knows images: manifests and configs, never layers.
pub trait Images: Send + Sync {
    /// Resolves `reference` to a digest and reads what is known of it. The
    /// daemon's registry allow-list stands in front of every request, because
    /// nothing has been judged yet.
    fn facts(&self, reference: &ImageReference) -> Result<ImageFacts, PortError>;

    /// The host's own kernel and initrd.
    fn boot_defaults(&self) -> BootDefaults;
}

/// A packed root filesystem, shared by the guests of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    /// The filesystem image on the host.
    pub path: PathBuf,
    /// Time spent fetching: layers, and the files that the guest boots with.
    pub pull: Duration,
    /// Time spent packing.
    pub pack: Duration,
}

/// Makes root filesystems.
pub trait Rootfses: Send + Sync {
    /// Pulls and packs the image, or finds it already packed, and fetches the images
    /// of kernel and initrd, so that a domain can be built without a registry. Can be
    /// repeated after a crash at any point.
    fn pack(&self, spec: &PinnedSpec) -> Result<Rootfs, PortError>;
}

/// A domain to build.
#[derive(Clone, Copy, Debug)]
pub struct DomainOrder<'a> {
    /// The guest: the handle of the domain, our mark.
    pub id: GuestId,
    /// Its name.
    pub name: &'a GuestName,
    /// What to run; only what was admitted can be ordered.
    pub spec: &'a Admitted<PinnedSpec>,
    /// Its root filesystem.
    pub rootfs: &'a Rootfs,
}

/// What the world shows of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedDomain {
    /// No domain carries the guest's mark.
    Absent,
    /// A domain carries it. When several do, any one of them: they are taken
    /// down one by one.
    Present {
        /// The domain.
        domid: DomId,
        /// What it does.
        state: DomainState,
    },
}

/// What a domain does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DomainState {
    /// Not running: half built, complete and not yet started, or paused by the
    /// operator. Our own record says which.
    Paused,
    /// Running.
    Running {
        /// The guest's init has said that it started. The guest writes this, so
        /// it decides only what is shown.
        started: bool,
    },
    /// Stopped by itself; not yet destroyed.
    Shutdown {
        /// Xen's reason.
        reason: ShutdownReason,
        /// What the guest's init reported, when it did.
        exit: Option<Exit>,
    },
    /// Destroyed, by us or by somebody else, and something of it is left: its
    /// memory, its xenstore nodes, its loop devices.
    Dying,
}

/// Why a domain stopped (`SHUTDOWN_*` in `xen/include/public/sched.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownReason {
    /// It powered off.
    Poweroff,
    /// It asked to be restarted.
    Reboot,
    /// Its kernel crashed.
    Crash,
    /// Another reason, by Xen's number.
    Other(u32),
}

/// Builds, observes and destroys domains.
pub trait Hypervisor: Send + Sync {
    /// The domain that carries the guest's mark. An error means that nothing is
    /// known, and never that there is no domain.
    ///
    /// Traces that carry the mark and have no domain any more count as
    /// [`DomainState::Dying`]. Where they cannot be seen, the record still leads to
    /// them ([`Status::condemned`]), but for one case: a domain that somebody else
    /// destroys while the daemon is dead in the middle of building it.
    fn observe(&self, id: GuestId) -> Result<ObservedDomain, PortError>;

    /// Builds a domain, marked with the guest's id before anything else happens
    /// to it, and leaves it paused. All or nothing, unless the process dies.
    fn create_paused(&self, order: &DomainOrder<'_>) -> Result<DomId, PortError>;

    /// Lets the domain run. A domain that runs already is no error; one that does
    /// not carry the mark is, and is left alone.
    fn unpause(&self, id: GuestId, domid: DomId) -> Result<(), PortError>;

    /// Destroys the domain and removes every trace of it: its xenstore nodes, its
    /// loop devices. Returns when nothing is left. Can be repeated: what is gone
    /// is no error. A domain `domid` that does not carry the guest's mark is
    /// somebody else's: it is left alone, and that is no error either
    /// (invariant 7).
    fn destroy(&self, id: GuestId, domid: DomId) -> Result<(), PortError>;
}

/// Why a store refused.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The tenant has a guest of that name, or the id exists.
    #[error("a guest of that name exists")]
    AlreadyExists,
    /// No such guest.
    #[error("there is no such guest")]
    NotFound,
    /// What is desired has changed since the guest was loaded, or does not allow
    /// the write; load it again.
    #[error("the guest was changed meanwhile")]
    Conflict,
    /// The store itself failed, or a row could not be read. A row that cannot be
    /// read is held: it is reported, and nothing is done to its guest.
    #[error("the store failed")]
    Failed(#[source] PortError),
}

/// The records of guests, as a worker needs them. Each write is durable when the
/// call returns.
pub trait GuestStore: Send + Sync {
    /// The guest; `None` when there is none.
    fn load(&self, id: GuestId) -> Result<Option<Guest>, StoreError>;

    /// Every guest of every tenant that has a record, readable or not, so that
    /// each gets a worker when the daemon starts.
    fn ids(&self) -> Result<Vec<GuestId>, StoreError>;

    /// Writes the status and nothing else. `Conflict` when the generation is no
    /// longer `seen`: the worker then loads the guest again and sees what is
    /// desired now. `NotFound` when there is none.
    fn save_status(&self, id: GuestId, seen: Generation, status: &Status)
    -> Result<(), StoreError>;

    /// Removes the record of a guest that is desired `Deleted`; its audit records
    /// stay. `Conflict` when it is not; no error when it is already gone.
    fn forget(&self, id: GuestId) -> Result<(), StoreError>;
}

/// Where a page of a list begins: after this guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its creation time.
    pub created_ms: u64,
    /// Its id.
    pub id: GuestId,
}

/// The records of guests, as the API needs them. Each write is durable when the
/// call returns.
pub trait GuestCatalog: Send + Sync {
    /// Records a new guest and the decision that admitted it, in one transaction.
    /// `AlreadyExists` when the tenant has a guest of that name; then neither is
    /// recorded.
    fn insert(&self, guest: &Guest, audit: &AuditRecord) -> Result<(), StoreError>;

    /// Records a decision that created no guest.
    fn record(&self, audit: &AuditRecord) -> Result<(), StoreError>;

    /// The tenant's guest of that name.
    fn find(&self, tenant: &TenantId, name: &GuestName) -> Result<Option<Guest>, StoreError>;

    /// At most `limit` of the tenant's guests after `after`, newest first; guests
    /// of one millisecond by descending id.
    fn list(
        &self,
        tenant: &TenantId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Guest>, StoreError>;

    /// Sets `desired` to `Deleted` and moves the generation on, for a guest of
    /// that tenant. A guest that is being deleted is left as it is. Returns the
    /// guest as it is now; `NotFound` when the tenant has none.
    fn delete(&self, tenant: &TenantId, id: GuestId) -> Result<Guest, StoreError>;

    /// What the tenant's guests take together, those being deleted included.
    fn usage(&self, tenant: &TenantId) -> Result<Usage, StoreError>;
}
