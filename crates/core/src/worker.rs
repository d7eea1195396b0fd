//! Drives one guest: load, observe, plan, perform, persist; one step a call.
//!
//! Exactly one worker writes a guest (invariant 9); whoever runs workers sees to
//! that. What is desired is read anew before every step, so a deletion takes
//! effect between any two steps, and a status that was worked out before it is
//! refused by the store. Threads, timers and events are not known here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backoff;
use crate::guest::{Guest, Stage, State, Status};
use crate::id::{DomId, GuestId};
use crate::plan::{Step, next_step};
use crate::port::{
    DomainOrder, ErrorKind, GuestStore, Hypervisor, PortError, Rootfs, Rootfses, StoreError,
};

/// How soon to look again at a guest that boots: its start is a node that the
/// guest writes, and nothing announces it.
pub const BOOT_POLL: Duration = Duration::from_millis(100);
/// So many looks are made that soon: half a minute's worth at least.
const BOOT_POLLS: u32 = 300;
/// The longest time between two looks: a guest that never says that it started,
/// which only the guest decides, must not keep the host busy for ever.
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// What a caller has room for; see [`Worker::step_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Only steps that are over soon.
    Quick,
    /// Any step: a pull takes as long as a registry likes.
    Any,
}

/// The world, as a worker reaches it.
#[derive(Clone)]
pub struct Ports {
    /// The records.
    pub store: Arc<dyn GuestStore>,
    /// The root filesystems.
    pub rootfses: Arc<dyn Rootfses>,
    /// The domains.
    pub hypervisor: Arc<dyn Hypervisor>,
}

/// When to call [`Worker::step`] again.
#[derive(Debug)]
pub enum Next {
    /// At once.
    Again,
    /// As soon as there is room for a long step, with [`Pace::Any`]. Nothing was done.
    Slow,
    /// When a domain or what is desired changes, or at the next regular look.
    WaitForEvent,
    /// After this time, or earlier when something changes: the guest boots.
    LookAgain(Duration),
    /// After this time, or earlier when what is desired changes: the step failed.
    RetryAfter {
        /// The time.
        delay: Duration,
        /// What failed, for the operator's log.
        cause: PortError,
    },
    /// Never: nothing is left of the guest, nor its record.
    Done,
}

/// Drives one guest. What it holds in memory can be lost at any time: a new worker
/// goes on from the record and the world.
pub struct Worker {
    id: GuestId,
    ports: Ports,
    rootfs: Option<Rootfs>,
    unpaused: Option<Instant>,
    failures: u32,
    polls: u32,
}

/// Why a step was not completed.
enum Setback {
    /// What is desired changed meanwhile: plan anew.
    Changed,
    /// The step failed.
    Step(PortError),
    /// The record could not be read or written, or the world not be seen. Nothing
    /// is known, so nothing is done, whatever the kind of the error.
    Blind(PortError),
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        match error {
            // A guest that is gone is noticed when it is loaded.
            StoreError::Conflict | StoreError::NotFound => Self::Changed,
            StoreError::Failed(error) => Self::Blind(error),
            StoreError::AlreadyExists => Self::Blind(
                PortError::new(ErrorKind::Permanent, "the store failed").caused_by(error),
            ),
        }
    }
}

impl Worker {
    /// A worker for the guest `id`.
    #[must_use]
    pub const fn new(id: GuestId, ports: Ports) -> Self {
        Self {
            id,
            ports,
            rootfs: None,
            unpaused: None,
            failures: 0,
            polls: 0,
        }
    }

    /// The guest.
    #[must_use]
    pub const fn id(&self) -> GuestId {
        self.id
    }

    /// Takes one step. It may take as long as the port that it calls.
    #[must_use = "the caller decides when to call again"]
    pub fn step(&mut self) -> Next {
        self.step_at(Pace::Any)
    }

    /// Takes one step, unless it is one that may take long and the caller has no
    /// room for it. So guests that are being pulled do not keep others from being
    /// deleted, or their ends from being noticed.
    #[must_use = "the caller decides when to call again"]
    pub fn step_at(&mut self, pace: Pace) -> Next {
        let mut guest = match self.ports.store.load(self.id) {
            Ok(Some(guest)) => guest,
            Ok(None) => return Next::Done,
            Err(error) => return self.after(Setback::from(error), None),
        };
        let observed = match self.ports.hypervisor.observe(self.id) {
            Ok(observed) => observed,
            Err(error) => return self.after(Setback::Blind(error), None),
        };
        let ready = self.rootfs.is_some();
        let step = next_step(guest.desired, &guest.status, &observed, ready);
        if pace == Pace::Quick && matches!(step, Step::PackRootfs | Step::CreateDomain) {
            return Next::Slow;
        }
        let passive = matches!(step, Step::Wait | Step::AwaitStart);
        self.polls = match step {
            Step::AwaitStart => self.polls.saturating_add(1),
            _ => 0,
        };
        match self.perform(&step, &mut guest) {
            Ok(next) => {
                // Waiting proves nothing: what failed before it may fail again.
                if !passive {
                    self.failures = 0;
                }
                next
            }
            Err(setback) => self.after(setback, Some((&step, guest))),
        }
    }

    /// One arm a step: do it, then write what is true now.
    fn perform(&mut self, step: &Step, guest: &mut Guest) -> Result<Next, Setback> {
        match *step {
            Step::PackRootfs => self.pack(guest)?,
            Step::CreateDomain => self.create(guest)?,
            Step::Unpause(domid) => {
                self.ports
                    .hypervisor
                    .unpause(self.id, domid)
                    .map_err(Setback::Step)?;
                self.unpaused.get_or_insert_with(Instant::now);
                if guest.status.trouble.is_some() {
                    self.save(guest, |_| {})?;
                }
            }
            Step::AwaitStart => return Ok(Next::LookAgain(poll(self.polls))),
            Step::RecordRunning(domid) => {
                let booted = self.unpaused.take();
                self.save(guest, |status| {
                    record_boot(status, booted);
                    status.state = State::Running { domid };
                })?;
            }
            Step::RecordExit { domid, ref exit } => {
                let booted = self.unpaused.take();
                let exit = exit.clone();
                self.save(guest, |status| {
                    record_boot(status, booted);
                    status.state = State::Exited { exit };
                    status.condemned = Some(domid);
                })?;
            }
            Step::RecordLost(domid) => {
                let error = "the guest's domain disappeared from the host; \
                             create the guest again to run it again";
                self.save(guest, |status| {
                    status.state = State::Failed {
                        error: error.to_owned(),
                    };
                    status.condemned = Some(domid);
                })?;
            }
            Step::Condemn(domid) => self.save(guest, |status| status.condemned = Some(domid))?,
            Step::Destroy(domid) => self.destroy(guest, domid)?,
            Step::BeginDeletion(domid) => self.save(guest, |status| {
                status.state = State::Deleting;
                status.condemned = domid;
            })?,
            Step::Forget => {
                self.ports.store.forget(self.id)?;
                return Ok(Next::Done);
            }
            Step::Wait => return Ok(Next::WaitForEvent),
        }
        Ok(Next::Again)
    }

    fn pack(&mut self, guest: &mut Guest) -> Result<(), Setback> {
        let rootfs = self
            .ports
            .rootfses
            .pack(&guest.spec)
            .map_err(Setback::Step)?;
        let (pull, pack) = (rootfs.pull, rootfs.pack);
        self.rootfs = Some(rootfs);
        self.save(guest, |status| {
            status.stages.record(Stage::Pull, pull);
            status.stages.record(Stage::Pack, pack);
            status.state = State::Building;
        })
    }

    fn create(&mut self, guest: &mut Guest) -> Result<(), Setback> {
        // Taken out: after a failure it is looked up anew, since a cache may have
        // dropped it.
        let Some(rootfs) = self.rootfs.take() else {
            return Ok(());
        };
        let order = DomainOrder {
            id: guest.id,
            name: &guest.name,
            spec: &guest.spec,
            rootfs: &rootfs,
        };
        let began = Instant::now();
        let domid = self
            .ports
            .hypervisor
            .create_paused(&order)
            .map_err(Setback::Step)?;
        let build = began.elapsed();
        self.save(guest, |status| {
            status.stages.record(Stage::Build, build);
            status.state = State::Booting { domid };
        })
    }

    fn destroy(&mut self, guest: &mut Guest, domid: DomId) -> Result<(), Setback> {
        self.ports
            .hypervisor
            .destroy(self.id, domid)
            .map_err(Setback::Step)?;
        self.save(guest, |status| status.condemned = None)
    }

    /// Writes the status as `change` makes it; a step that got this far is no
    /// longer in trouble.
    fn save(&self, guest: &mut Guest, change: impl FnOnce(&mut Status)) -> Result<(), Setback> {
        guest.status.trouble = None;
        change(&mut guest.status);
        self.ports
            .store
            .save_status(self.id, guest.generation, &guest.status)?;
        Ok(())
    }

    fn after(&mut self, setback: Setback, during: Option<(&Step, Guest)>) -> Next {
        match (setback, during) {
            (Setback::Changed, _) => Next::Again,
            (Setback::Step(cause), Some((step, guest)))
                if !cause.kind.may_pass() && may_fail(step) =>
            {
                self.fail(guest, &cause)
            }
            (Setback::Step(cause), Some((_, guest))) => self.retry_in_view(guest, cause),
            (Setback::Step(cause) | Setback::Blind(cause), _) => self.retry(cause),
        }
    }

    /// Gives the guest up. Its domain, if it has one, is condemned in the same
    /// write.
    fn fail(&mut self, mut guest: Guest, cause: &PortError) -> Next {
        let condemned = guest.status.domid();
        let saved = self.save(&mut guest, |status| {
            status.state = State::Failed {
                error: cause.message.clone(),
            };
            status.condemned = condemned;
        });
        match saved {
            Ok(()) | Err(Setback::Changed) => Next::Again,
            Err(Setback::Step(cause) | Setback::Blind(cause)) => self.retry(cause),
        }
    }

    /// Retries, and lets the tenant see why.
    fn retry_in_view(&mut self, mut guest: Guest, cause: PortError) -> Next {
        if guest.status.trouble.as_deref() != Some(&cause.message) {
            guest.status.trouble = Some(cause.message.clone());
            // Only for show: the retry does not depend on it.
            let shown = self
                .ports
                .store
                .save_status(self.id, guest.generation, &guest.status);
            if matches!(shown, Err(StoreError::Conflict)) {
                return Next::Again;
            }
        }
        self.retry(cause)
    }

    fn retry(&mut self, cause: PortError) -> Next {
        self.failures = self.failures.saturating_add(1);
        Next::RetryAfter {
            delay: backoff::delay(self.failures, self.id.seed()),
            cause,
        }
    }
}

/// How long to wait after so many looks at a guest that boots.
fn poll(looks: u32) -> Duration {
    let late = looks.saturating_sub(BOOT_POLLS);
    // Each later look waits one first wait longer, up to the longest; the cap on the
    // factor keeps the product in range.
    (BOOT_POLL * late.saturating_add(1).min(1000)).min(LONGEST_POLL)
}

/// Whether a permanent error of this step ends the guest. A teardown is never
/// given up.
const fn may_fail(step: &Step) -> bool {
    matches!(
        step,
        Step::PackRootfs | Step::CreateDomain | Step::Unpause(_)
    )
}

fn record_boot(status: &mut Status, unpaused: Option<Instant>) {
    if let Some(unpaused) = unpaused {
        status.stages.record(Stage::Boot, unpaused.elapsed());
    }
}

#[cfg(test)]
mod tests;
