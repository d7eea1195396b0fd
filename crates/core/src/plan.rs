//! What to do next for a guest: a pure, total function.
//!
//! It does no I/O and cannot fail (invariant 12). Every step can be repeated
//! after a crash at any point (invariant 8), because what a step leaves half done
//! is a state of the record with a name:
//!
//! * A domain that is found while the record says [`State::Preparing`] or
//!   [`State::Building`] is half built, whatever it looks like. It is taken down
//!   and built again.
//! * A complete domain is recorded ([`State::Booting`]) before it is unpaused, and
//!   from then on never built again: a guest's command starts at most once.
//! * A teardown is recorded ([`Status::condemned`]) before it begins and until
//!   nothing is left, even when the domain itself is gone by then.
//!
//! Only a domain that carries the guest's mark, and that the record condemned, is
//! destroyed (invariant 7). What a guest can write decides only which exit is
//! recorded and when a guest counts as running, never what is destroyed
//! (invariant 6).

use crate::guest::{Desired, Exit, State, Status};
use crate::id::DomId;
use crate::port::{DomainState, ObservedDomain, ShutdownReason};

/// One thing to do. Steps that only write the record say what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Pull and pack the root filesystem.
    PackRootfs,
    /// Build the domain, paused; record it as complete.
    CreateDomain,
    /// Let the domain run.
    Unpause(DomId),
    /// Look again soon: the guest boots, and nothing announces its start.
    AwaitStart,
    /// Record that the guest's init started.
    RecordRunning(DomId),
    /// Record how the guest ended, and condemn its domain.
    RecordExit {
        /// The domain.
        domid: DomId,
        /// How.
        exit: Exit,
    },
    /// Record that the domain was lost, and condemn what is left of it.
    RecordLost(DomId),
    /// Record that a domain which carries the guest's mark must go.
    Condemn(DomId),
    /// Destroy the condemned domain and every trace of it; record that it is gone.
    Destroy(DomId),
    /// Record that the deletion began, and condemn the domain, if any.
    BeginDeletion(Option<DomId>),
    /// Remove the record: nothing is left of the guest.
    Forget,
    /// Nothing, until the world or what is desired changes.
    Wait,
}

/// The next step for a guest, from what is desired, how far it got, what the
/// world shows, and whether its root filesystem is at hand.
#[must_use]
pub fn next_step(
    desired: Desired,
    status: &Status,
    observed: &ObservedDomain,
    rootfs_ready: bool,
) -> Step {
    if let Some(domid) = status.condemned {
        return Step::Destroy(domid);
    }
    match (desired, &status.state) {
        (Desired::Deleted, State::Deleting) => delete(observed),
        (Desired::Deleted, state) => Step::BeginDeletion(state.domid().or(present(observed))),
        (Desired::Present, State::Preparing | State::Building) => build(observed, rootfs_ready),
        (Desired::Present, State::Booting { domid }) => boot(*domid, observed),
        (Desired::Present, State::Running { domid }) => run(*domid, observed),
        // `desired` never goes back, so the last of these cannot be; nothing of it
        // runs, and its record stays.
        (Desired::Present, State::Exited { .. } | State::Failed { .. } | State::Deleting) => {
            rest(observed)
        }
    }
}

const fn present(observed: &ObservedDomain) -> Option<DomId> {
    match observed {
        ObservedDomain::Absent => None,
        ObservedDomain::Present { domid, .. } => Some(*domid),
    }
}

const fn delete(observed: &ObservedDomain) -> Step {
    match present(observed) {
        Some(domid) => Step::Condemn(domid),
        None => Step::Forget,
    }
}

const fn build(observed: &ObservedDomain, rootfs_ready: bool) -> Step {
    match present(observed) {
        Some(half_built) => Step::Condemn(half_built),
        None if rootfs_ready => Step::CreateDomain,
        None => Step::PackRootfs,
    }
}

fn boot(domid: DomId, observed: &ObservedDomain) -> Step {
    match own(domid, observed) {
        Some(DomainState::Paused) => Step::Unpause(domid),
        Some(DomainState::Running { started: false }) => Step::AwaitStart,
        Some(DomainState::Running { started: true }) => Step::RecordRunning(domid),
        Some(DomainState::Shutdown { reason, exit }) => ended(domid, *reason, exit.as_ref()),
        Some(DomainState::Dying) | None => Step::RecordLost(domid),
    }
}

fn run(domid: DomId, observed: &ObservedDomain) -> Step {
    match own(domid, observed) {
        // Paused by the operator: that is theirs to end.
        Some(DomainState::Paused | DomainState::Running { .. }) => Step::Wait,
        Some(DomainState::Shutdown { reason, exit }) => ended(domid, *reason, exit.as_ref()),
        Some(DomainState::Dying) | None => Step::RecordLost(domid),
    }
}

const fn rest(observed: &ObservedDomain) -> Step {
    match present(observed) {
        Some(domid) => Step::Condemn(domid),
        None => Step::Wait,
    }
}

/// The state of the recorded domain. Another one that carries the guest's mark
/// was not built by us for this state, so it is not taken for it: what runs is
/// what was admitted.
fn own(recorded: DomId, observed: &ObservedDomain) -> Option<&DomainState> {
    match observed {
        ObservedDomain::Present { domid, state } if *domid == recorded => Some(state),
        _ => None,
    }
}

fn ended(domid: DomId, reason: ShutdownReason, exit: Option<&Exit>) -> Step {
    let exit = exit.cloned().unwrap_or_else(|| {
        Exit::Lost(match reason {
            ShutdownReason::Crash => "the guest's kernel crashed".to_owned(),
            ShutdownReason::Poweroff => {
                "the guest powered off without reporting an exit".to_owned()
            }
            ShutdownReason::Reboot => {
                "the guest rebooted, which ends it, without reporting an exit".to_owned()
            }
            ShutdownReason::Other(code) => {
                format!("the guest stopped (reason {code}) without reporting an exit")
            }
        })
    });
    Step::RecordExit { domid, exit }
}

#[cfg(test)]
mod tests;
