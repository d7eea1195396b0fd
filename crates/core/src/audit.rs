//! The record of a decision: enough to replay it and to explain it.
//!
//! It holds exactly what the policies saw and said, and is never changed. Where
//! it is kept is the store's matter.

use crate::facts::PinnedSpec;
use crate::id::{GuestId, TenantId};
use crate::policy::decision::{Note, PolicyChanges, Refusal, Usage};
use crate::policy::{Operation, PolicyIdentity};
use crate::spec::SpecDraft;

/// How a decision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditVerdict {
    /// Every policy let it pass.
    Admitted,
    /// A policy said no.
    Denied,
    /// A policy could not answer; the operator must act.
    PolicyError,
    /// A reference could not be pinned, so nothing was judged.
    Unpinned,
}

/// One decision of the policy chain. A draft that could not be parsed was never
/// put to it and has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When, in milliseconds since the Unix epoch; the policies saw this time.
    pub at_ms: u64,
    /// Who asked: the tenant.
    pub tenant: TenantId,
    /// Who asked: the user within the tenant.
    pub user: String,
    /// What for.
    pub operation: Operation,
    /// Whether it was only a question.
    pub dry_run: bool,
    /// What the tenant's guests took at that time.
    pub usage: Usage,
    /// The spec as it was written.
    pub asked: SpecDraft,
    /// The spec after the mutating policies, as far as they got.
    pub mutated: SpecDraft,
    /// What the validating policies judged; `None` when it did not come to that.
    pub judged: Option<PinnedSpec>,
    /// How it ended.
    pub verdict: AuditVerdict,
    /// Why it was refused.
    pub refusals: Vec<Refusal>,
    /// What each mutating policy changed, in order.
    pub changes: Vec<PolicyChanges>,
    /// What the policies told the user.
    pub warnings: Vec<Note>,
    /// What the policies told the log.
    pub notes: Vec<Note>,
    /// The chain, in order.
    pub policies: Vec<PolicyIdentity>,
    /// The generation of the chain.
    pub chain_generation: u64,
    /// The guest that came of it.
    pub guest: Option<GuestId>,
}
