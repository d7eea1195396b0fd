//! A guest as it is recorded: what was asked, what is desired, how far it got.
//!
//! `desired` belongs to the API and `status` to the guest's one worker; they are
//! written apart, so that neither overwrites the other (invariant 9).

use std::time::Duration;

use crate::admitted::Admitted;
use crate::facts::PinnedSpec;
use crate::id::{DomId, Generation, GuestId, GuestName, TenantId};

/// What the tenant asked for, and where it is. It outlives any domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Its identity, and the mark of its domain.
    pub id: GuestId,
    /// Its owner.
    pub tenant: TenantId,
    /// Unique among the owner's guests.
    pub name: GuestName,
    /// What runs: exactly what was judged.
    pub spec: Admitted<PinnedSpec>,
    /// What the tenant wants of it.
    pub desired: Desired,
    /// How far it got.
    pub status: Status,
    /// Creation, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Grows with each change of `desired`.
    pub generation: Generation,
}

impl Guest {
    /// A new guest, to be [inserted](crate::port::GuestCatalog::insert).
    /// `policy` is the time that the policy chain took.
    #[must_use]
    pub fn new(
        id: GuestId,
        tenant: TenantId,
        spec: Admitted<PinnedSpec>,
        created_ms: u64,
        policy: Duration,
    ) -> Self {
        let mut status = Status::default();
        status.stages.record(Stage::Policy, policy);
        Self {
            id,
            tenant,
            name: spec.spec.name().clone(),
            spec,
            desired: Desired::Present,
            status,
            created_ms,
            generation: Generation::FIRST,
        }
    }

    /// The phase that the API shows: a guest that is to be deleted is `Deleting`
    /// from the moment that it was asked for.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.desired {
            Desired::Deleted => Phase::Deleting,
            Desired::Present => self.status.state.phase(),
        }
    }
}

/// What the tenant wants. It goes from `Present` to `Deleted` and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Desired {
    /// The guest runs, or ran.
    Present,
    /// Nothing of the guest is left.
    Deleted,
}

/// How far a guest got; written by its worker alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// A domain of this guest that must be destroyed before anything else
    /// happens. It is recorded before the first blow and cleared after the last,
    /// so that a teardown that was cut short is taken up again even when the
    /// domain itself is gone and only its traces are left (invariants 6 and 8).
    pub condemned: Option<DomId>,
    /// The last error of a step that is being retried, for the tenant.
    pub trouble: Option<String>,
    /// Where the time went.
    pub stages: Stages,
}

impl Status {
    /// The domain that exists, or of which something may be left.
    #[must_use]
    pub const fn domid(&self) -> Option<DomId> {
        match self.condemned {
            Some(domid) => Some(domid),
            None => self.state.domid(),
        }
    }

    /// What went wrong, for the tenant: why it failed, or what is being retried.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match &self.state {
            State::Failed { error } => Some(error),
            _ => self.trouble.as_deref(),
        }
    }
}

/// The states of a guest, each with what exists in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Admitted; its root filesystem is being pulled and packed.
    #[default]
    Preparing,
    /// The root filesystem is packed; the domain is being built. A domain that
    /// is found in this state is half built.
    Building,
    /// The domain is complete. It may have been unpaused, so it is never built a
    /// second time: a guest's command starts at most once.
    Booting {
        /// The domain.
        domid: DomId,
    },
    /// The guest's init reached its userspace.
    Running {
        /// The domain.
        domid: DomId,
    },
    /// The guest ended. Its domain is condemned in the same write.
    Exited {
        /// How.
        exit: Exit,
    },
    /// The guest could not be started, or its domain was lost.
    Failed {
        /// Why, for the tenant.
        error: String,
    },
    /// The guest is being deleted.
    Deleting,
}

impl State {
    /// The domain that the guest lives in.
    #[must_use]
    pub const fn domid(&self) -> Option<DomId> {
        match self {
            Self::Booting { domid } | Self::Running { domid } => Some(*domid),
            _ => None,
        }
    }

    /// The phase that the API shows.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Preparing => Phase::Preparing,
            Self::Building | Self::Booting { .. } => Phase::Starting,
            Self::Running { .. } => Phase::Running,
            Self::Exited { .. } => Phase::Exited,
            Self::Failed { .. } => Phase::Failed,
            Self::Deleting => Phase::Deleting,
        }
    }
}

/// What the API shows of a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Being pulled and packed.
    Preparing,
    /// Being built, or booting.
    Starting,
    /// In its userspace.
    Running,
    /// Ended.
    Exited,
    /// Could not be started, or was lost.
    Failed,
    /// Being deleted.
    Deleting,
}

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// Its command's exit code.
    Code(u8),
    /// The signal that ended its command.
    Signal(u8),
    /// Its kernel crashed, or it ended without a word.
    Lost(String),
}

/// A stage of a guest's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The policy chain, pinning included; recorded by whoever creates the guest.
    Policy,
    /// Fetching the image's layers.
    Pull,
    /// Packing the root filesystem.
    Pack,
    /// Building the domain.
    Build,
    /// From unpause until the guest's init says that it started, or the guest
    /// ended: as seen from outside, so with the time until it was noticed.
    Boot,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 5] = [
        Self::Policy,
        Self::Pull,
        Self::Pack,
        Self::Build,
        Self::Boot,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Pull => "pull",
            Self::Pack => "pack",
            Self::Build => "build",
            Self::Boot => "boot",
        }
    }
}

/// Where the time went. A stage that was cut short by a restart of the daemon has
/// no time, rather than a wrong one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages([Option<Duration>; 5]);

impl Stages {
    /// The time of `stage`, when it is known.
    #[must_use]
    pub const fn get(&self, stage: Stage) -> Option<Duration> {
        self.0[stage as usize]
    }

    /// Records `stage`. The first time stays: a step that is repeated after a
    /// restart finds most of its work done, and its time would mislead.
    pub fn record(&mut self, stage: Stage, time: Duration) {
        self.0[stage as usize].get_or_insert(time);
    }

    /// The stages with a known time, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        Stage::ALL
            .into_iter()
            .filter_map(|stage| Some((stage, self.get(stage)?)))
    }
}

#[cfg(test)]
mod tests;
