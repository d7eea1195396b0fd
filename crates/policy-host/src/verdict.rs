//! What a policy answers: plain data, bounded in sum by
//! [`EngineConfig::output_bytes`](crate::EngineConfig::output_bytes) and otherwise
//! as the policy made it. Texts are valid UTF-8 and nothing more: whoever shows one
//! cleans it first.

use crate::request::GuestSpec;

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

/// Yes or no. A denial without reasons is still one.
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
    /// What the call cost, in wasmtime's units of fuel (about one an instruction).
    /// The same request costs the same on every machine.
    pub fuel: u64,
}

/// What a mutating policy wants done with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    Unchanged,
    /// This spec instead. It was not checked.
    Replace(Box<GuestSpec>),
    /// No, and why.
    Deny(Vec<Violation>),
}

/// The answer of a mutating policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutated {
    /// What it wants done.
    pub mutation: Mutation,
    /// What else it says.
    pub report: Report,
    /// See [`Judgement::fuel`].
    pub fuel: u64,
}
