//! What a policy sees and may answer.
//!
//! A policy is a pure function of its request and settings: no clock, no
//! randomness, no network, no files (invariant 4). How one runs is not known
//! here; the daemon implements these traits over the sandbox.

pub mod chain;
pub mod decision;
mod heard;

use std::fmt;

use crate::facts::PinnedSpec;
use crate::id::TenantId;
use crate::policy::decision::Usage;
use crate::spec::{GuestSpec, SpecDraft};

pub use heard::{MAX_NOTES, MAX_TERM, MAX_TEXT, MAX_VIOLATIONS};

/// What the tenant wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Create a guest.
    Create,
}

/// All that a policy sees.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// Who asks: the tenant.
    pub tenant: &'a TenantId,
    /// Who asks: the user within the tenant.
    pub user: &'a str,
    /// What for.
    pub operation: Operation,
    /// Whether it is only a question.
    pub dry_run: bool,
    /// Milliseconds since the Unix epoch; the policy's only time.
    pub now_ms: u64,
    /// What the tenant's guests take now.
    pub usage: Usage,
    /// The spec.
    pub spec: &'a GuestSpec,
    /// The spec with its facts; `None` while mutating.
    pub pinned: Option<&'a PinnedSpec>,
}

/// Which policy, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyIdentity {
    /// The binding's name.
    pub name: String,
    /// What was loaded: digests of the component and of its settings, so that a
    /// recorded decision can be replayed.
    pub version: String,
}

/// One reason against a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's short name, for machines.
    pub rule: String,
    /// The field that it is about; may be empty.
    pub field: String,
    /// The reason, for people.
    pub message: String,
}

/// What a policy says besides its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// For the user.
    pub warnings: Vec<String>,
    /// For the audit record: key and value.
    pub audit: Vec<(String, String)>,
}

/// The answer of a mutating policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The spec stays as it is.
    Unchanged {
        /// What else it says.
        report: Report,
    },
    /// This spec instead.
    Replace {
        /// The whole spec; it is parsed and compared by the chain.
        draft: Box<SpecDraft>,
        /// What else it says.
        report: Report,
    },
    /// No.
    Deny {
        /// Why; a denial without reasons is still one.
        violations: Vec<Violation>,
        /// What else it says.
        report: Report,
    },
}

/// Yes or no. An enum and not an empty list of violations, so that a denial
/// without reasons is still one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No, and why.
    Deny(Vec<Violation>),
}

/// The answer of a validating policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Yes or no.
    pub verdict: Verdict,
    /// What else it says.
    pub report: Report,
}

/// How a policy failed to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It crashed.
    Trap,
    /// It took too long.
    Deadline,
    /// It used up its instructions.
    Fuel,
    /// It used up its memory.
    Memory,
    /// It answered something that is not an answer.
    BadOutput,
    /// It could not be loaded.
    Load,
}

impl FaultKind {
    /// A short name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::BadOutput => "bad-output",
            Self::Load => "load",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "it crashed",
            Self::Deadline => "it took too long",
            Self::Fuel => "it used up its instructions",
            Self::Memory => "it used up its memory",
            Self::BadOutput => "its answer made no sense",
            Self::Load => "it could not be loaded",
        })
    }
}

/// A policy that could not answer. It refuses (invariant 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the policy could not answer: {kind}")]
pub struct PolicyFault {
    /// How it failed.
    pub kind: FaultKind,
    /// Details, for the operator: they go to the record and not to the tenant.
    pub message: String,
}

/// A policy that may change a spec, and may refuse it, but cannot admit it.
pub trait MutatingPolicy: Send + Sync {
    /// The binding's name.
    fn name(&self) -> &str;

    /// See [`PolicyIdentity::version`].
    fn version(&self) -> &str;

    /// The fields that it may change: roots such as `env`, or exact fields such as
    /// `env[LOG_LEVEL]`. Never `name`, whatever is listed here.
    fn may_change(&self) -> &[String];

    /// Its answer.
    fn mutate(&self, request: &PolicyRequest<'_>) -> Result<Mutation, PolicyFault>;
}

/// A policy that says yes or no.
pub trait ValidatingPolicy: Send + Sync {
    /// The binding's name.
    fn name(&self) -> &str;

    /// See [`PolicyIdentity::version`].
    fn version(&self) -> &str;

    /// Its answer. The request has [`pinned`](PolicyRequest::pinned).
    fn validate(&self, request: &PolicyRequest<'_>) -> Result<Judgement, PolicyFault>;
}
