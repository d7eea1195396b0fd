//! What is put to the policy chain, and what comes of it.

use crate::admitted::Admitted;
use crate::audit::{AuditRecord, AuditVerdict};
use crate::facts::PinnedSpec;
use crate::id::{GuestId, TenantId};
use crate::policy::{Operation, PolicyIdentity};
use crate::port::PortError;
use crate::spec::{Defaults, FieldChange, FieldErrors, SpecDraft};

/// What a tenant's guests take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub guests: u32,
    /// Their vCPUs.
    pub vcpus: u32,
    /// Their memory, in MiB.
    pub memory_mib: u64,
}

/// What is put to the chain.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who asks: the tenant, from the caller's credentials.
    pub tenant: TenantId,
    /// Who asks: the user within the tenant.
    pub user: String,
    /// What for.
    pub operation: Operation,
    /// Whether it is only a question; it changes nothing but what policies see.
    pub dry_run: bool,
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What the tenant's guests take now.
    pub usage: Usage,
    /// The spec as it was written.
    pub draft: SpecDraft,
    /// For the fields that it leaves unset.
    pub defaults: Defaults,
}

/// One reason why a spec is refused, cleaned and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The policy.
    pub policy: String,
    /// The rule's short name.
    pub rule: String,
    /// The field that it is about; may be empty.
    pub field: String,
    /// The reason, for the user.
    pub reason: String,
    /// The policy could not answer, or answered what it may not: the operator
    /// must act.
    pub policy_error: bool,
}

/// What one mutating policy changed; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChanges {
    /// The policy.
    pub policy: String,
    /// What it changed.
    pub changes: Vec<FieldChange>,
}

/// Something that a policy said, cleaned and bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The policy.
    pub policy: String,
    /// What it is about; empty for a warning.
    pub key: String,
    /// What it said.
    pub text: String,
}

/// How a decision ended.
#[derive(Debug)]
pub enum Outcome {
    /// It may run.
    Admitted(Box<Admitted<PinnedSpec>>),
    /// It may not, and why; never empty.
    Refused(Vec<Refusal>),
    /// The draft cannot be parsed, or nothing in it can be run.
    Invalid(FieldErrors),
    /// A reference could not be pinned.
    Unpinned {
        /// `image`, `kernel` or `initrd`.
        field: &'static str,
        /// Why.
        error: PortError,
    },
}

/// A decision, with all that the user and the record are told of it.
#[derive(Debug)]
pub struct Decision {
    /// How it ended.
    pub outcome: Outcome,
    /// The spec as far as it got: after the mutating policies, and with pinned
    /// references when it was pinned. For dry runs and refusals.
    pub draft: SpecDraft,
    /// What each mutating policy changed, in order.
    pub changes: Vec<PolicyChanges>,
    /// For the user.
    pub warnings: Vec<Note>,
    /// For the record.
    pub notes: Vec<Note>,
    pub(super) mutated: SpecDraft,
    pub(super) judged: Option<PinnedSpec>,
    pub(super) policies: Vec<PolicyIdentity>,
    pub(super) chain_generation: u64,
}

impl Decision {
    /// Whether a policy could not answer, or answered what it may not.
    #[must_use]
    pub fn is_policy_error(&self) -> bool {
        matches!(&self.outcome, Outcome::Refused(all) if all.iter().any(|r| r.policy_error))
    }

    /// The record of this decision on `asked`, which created `guest`; `None` for a
    /// draft that was never put to a policy.
    #[must_use]
    pub fn audit_record(&self, asked: &Submission, guest: Option<GuestId>) -> Option<AuditRecord> {
        let (verdict, refusals) = match &self.outcome {
            Outcome::Admitted(_) => (AuditVerdict::Admitted, Vec::new()),
            Outcome::Refused(all) if self.is_policy_error() => {
                (AuditVerdict::PolicyError, all.clone())
            }
            Outcome::Refused(all) => (AuditVerdict::Denied, all.clone()),
            Outcome::Unpinned { .. } => (AuditVerdict::Unpinned, Vec::new()),
            Outcome::Invalid(_) => return None,
        };
        Some(AuditRecord {
            at_ms: asked.now_ms,
            tenant: asked.tenant.clone(),
            user: asked.user.clone(),
            operation: asked.operation,
            dry_run: asked.dry_run,
            usage: asked.usage,
            asked: asked.draft.clone(),
            mutated: self.mutated.clone(),
            judged: self.judged.clone(),
            verdict,
            refusals,
            changes: self.changes.clone(),
            warnings: self.warnings.clone(),
            notes: self.notes.clone(),
            policies: self.policies.clone(),
            chain_generation: self.chain_generation,
            guest,
        })
    }
}
