//! What the RPCs reach for: the policy chain, the store, the console logs, the
//! supervisor of this host.
//!
//! Deciding and committing a create is here, because both must agree on what a tenant
//! uses. It knows no gRPC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use xenios_core::policy::Operation;
use xenios_core::port::{GuestCatalog, GuestStore, Images, StoreError};
use xenios_core::{
    Decision, Defaults, Guest, GuestId, GuestName, Next, Outcome, PolicyChain, Ports, Refusal,
    SpecDraft, Submission, Virtualization, Worker,
};

use crate::console::Consoles;
use crate::identity::Caller;
use crate::server::CallError;
use crate::share::Shares;
use crate::store::SqliteStore;
use crate::supervisor::{Steps, Supervisor};

/// Decisions that are made at the same time; others wait within their deadline. Most
/// of them wait for a registry, each on a thread.
const MAX_DECISIONS: usize = 64;

/// A spec is judged this often on usage that may change meanwhile; then once more
/// while nobody else of its tenant can create.
const OPTIMISTIC_ROUNDS: usize = 2;

/// One host and its guests.
pub struct Host {
    /// The host's name, as tenants see it.
    pub name: String,
    /// For specs that do not say.
    pub virtualization: Virtualization,
    /// Decides what may run.
    pub chain: PolicyChain,
    /// Pins references.
    pub images: Arc<dyn Images>,
    /// Guests and audit records.
    pub store: Arc<SqliteStore>,
    /// What guests wrote.
    pub consoles: Arc<Consoles>,
    /// Drives the guests.
    pub supervisor: Supervisor,
    /// Bounds decisions; held by whoever decides, for as long as that takes.
    pub decisions: Arc<Semaphore>,
    /// What each tenant may take at the same time.
    pub shares: Shares,
}

/// What a host is made of.
pub struct Parts {
    /// The host's name, as tenants see it.
    pub name: String,
    /// For specs that do not say.
    pub virtualization: Virtualization,
    /// Decides what may run.
    pub chain: PolicyChain,
    /// Pins references.
    pub images: Arc<dyn Images>,
    /// Guests and audit records.
    pub store: Arc<SqliteStore>,
    /// What guests wrote.
    pub consoles: Arc<Consoles>,
    /// Drives the guests; see [`supervise`].
    pub supervisor: Supervisor,
}

/// What came of a request to create a guest.
#[derive(Debug)]
pub struct Created {
    /// What the policies said; its outcome is taken out.
    pub decision: Decision,
    /// The recorded guest, or none for a dry run.
    pub guest: Option<Guest>,
    /// Why it would be refused; only for a dry run.
    pub refusals: Vec<Refusal>,
}

impl Host {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            name: parts.name,
            virtualization: parts.virtualization,
            chain: parts.chain,
            images: parts.images,
            store: parts.store,
            consoles: parts.consoles,
            supervisor: parts.supervisor,
            decisions: Arc::new(Semaphore::new(MAX_DECISIONS)),
            shares: Shares::default(),
        }
    }

    /// Has every recorded guest looked at.
    pub fn resume(&self) -> Result<usize, StoreError> {
        let ids = self.store.ids()?;
        let count = ids.len();
        for id in ids {
            self.supervisor.wake(id);
        }
        Ok(count)
    }

    /// Decides what a dry run asks for; records nothing.
    pub(crate) fn plan(&self, caller: Caller, draft: SpecDraft) -> Result<Created, CallError> {
        let mut submission = self.submission(GuestId::random(), caller, draft, true);
        submission.usage = self.store.usage(&submission.tenant)?;
        let mut decision = self.chain.decide(&submission, &*self.images);
        if let Ok(name) = decision.draft.name.parse::<GuestName>()
            && self.store.find(&submission.tenant, &name)?.is_some()
        {
            return Err(CallError::NameTaken(name.to_string()));
        }
        let refusals = match take_outcome(&mut decision) {
            Outcome::Admitted(_) => Vec::new(),
            Outcome::Refused(refusals) => refusals,
            Outcome::Invalid(errors) => return Err(CallError::Invalid(errors)),
            Outcome::Unpinned { field, error } => return Err(CallError::Unpinned { field, error }),
        };
        Ok(Created {
            decision,
            guest: None,
            refusals,
        })
    }

    /// Decides, and records the guest when it is admitted; then it is being started.
    ///
    /// What a tenant uses is read again under its lock: a decision on stale usage is
    /// made again, so that creates at the same time never exceed a quota together.
    pub(crate) fn create(
        &self,
        caller: Caller,
        draft: SpecDraft,
        abandoned: &AtomicBool,
    ) -> Result<Created, CallError> {
        let id = GuestId::random();
        let mut submission = self.submission(id, caller, draft, false);
        let share = self.shares.of(&submission.tenant);
        let lock_commits = || share.commit.lock().unwrap_or_else(PoisonError::into_inner);
        for round in 0.. {
            let mut lock = (round >= OPTIMISTIC_ROUNDS).then(lock_commits);
            if abandoned.load(Ordering::Relaxed) {
                return Err(CallError::Abandoned);
            }
            submission.usage = self.store.usage(&submission.tenant)?;
            let began = Instant::now();
            let mut decision = self.chain.decide(&submission, &*self.images);
            let took = began.elapsed();
            let audit = decision.audit_record(&submission, None);
            let spec = match take_outcome(&mut decision) {
                Outcome::Admitted(spec) => *spec,
                other => {
                    if let Some(audit) = &audit {
                        self.store.record(audit)?;
                    }
                    return Err(refusal(other));
                }
            };
            let _lock = lock.take().unwrap_or_else(lock_commits);
            if abandoned.load(Ordering::Relaxed) {
                return Err(CallError::Abandoned);
            }
            if self.store.usage(&submission.tenant)? != submission.usage {
                continue;
            }
            let guest = Guest::new(id, submission.tenant.clone(), spec, submission.now_ms, took);
            let mut audit = audit.expect("an admitted spec was put to the policies");
            audit.guest = Some(id);
            self.store
                .insert(&guest, &audit)
                .map_err(|error| match error {
                    StoreError::AlreadyExists => CallError::NameTaken(guest.name.to_string()),
                    other => other.into(),
                })?;
            tracing::info!(guest = %id, tenant = %guest.tenant, name = %guest.name, "created");
            self.supervisor.wake(id);
            return Ok(Created {
                decision,
                guest: Some(guest),
                refusals: Vec::new(),
            });
        }
        unreachable!("the loop is endless")
    }

    fn submission(
        &self,
        id: GuestId,
        caller: Caller,
        draft: SpecDraft,
        dry_run: bool,
    ) -> Submission {
        Submission {
            tenant: caller.tenant,
            user: caller.user,
            operation: Operation::Create,
            dry_run,
            now_ms: now_ms(),
            usage: xenios_core::Usage::default(),
            draft,
            defaults: Defaults::new(self.virtualization, GuestName::generated(id)),
        }
    }
}

/// The supervisor of a host's guests, over its ports.
#[must_use]
pub fn supervise(ports: Ports, consoles: Arc<Consoles>, concurrency: usize) -> Supervisor {
    let steps = move |guest: GuestId| -> Steps {
        let mut worker = Worker::new(guest, ports.clone());
        let consoles = Arc::clone(&consoles);
        Box::new(move |pace| {
            let next = worker.step_at(pace);
            if matches!(next, Next::Done)
                && let Err(error) = consoles.remove(guest)
            {
                tracing::warn!(%guest, %error, "the console log of a deleted guest stays");
            }
            next
        })
    };
    Supervisor::new(Box::new(steps), concurrency)
}

/// Leaves an empty refusal behind: nobody reads it.
fn take_outcome(decision: &mut Decision) -> Outcome {
    std::mem::replace(&mut decision.outcome, Outcome::Refused(Vec::new()))
}

fn refusal(outcome: Outcome) -> CallError {
    match outcome {
        Outcome::Admitted(_) => unreachable!("an admitted spec is no refusal"),
        Outcome::Refused(refusals) => CallError::Refused(refusals),
        Outcome::Invalid(errors) => CallError::Invalid(errors),
        Outcome::Unpinned { field, error } => CallError::Unpinned { field, error },
    }
}

fn now_ms() -> u64 {
    // A clock before 1970 is a clock that is not set.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
