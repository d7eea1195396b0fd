//! What the chain heard of the policies, cleaned and bounded, and the refusals
//! made of it. What follows from them is decided in [`super::chain`].

use crate::facts::PinnedSpec;
use crate::policy::decision::{Note, PolicyChanges, Refusal};
use crate::policy::{FaultKind, PolicyFault, Report, Violation};
use crate::spec::{FieldChange, FieldError, FieldErrors, SpecDraft};
use crate::text::clean;

/// Most violations that one policy is heard on.
pub const MAX_VIOLATIONS: usize = 64;
/// Most warnings, and most audit entries, that one policy is heard on.
pub const MAX_NOTES: usize = 64;
/// Longest text of a policy, in bytes.
pub const MAX_TEXT: usize = 512;
/// Longest rule, field or audit key of a policy, in bytes.
pub const MAX_TERM: usize = 128;

/// A spec that a mutating policy made and that cannot be parsed.
pub(super) fn invalid_output(policy: &str, errors: &FieldErrors) -> Vec<Refusal> {
    let refusal = |error: &FieldError| Refusal {
        policy: policy.to_owned(),
        rule: FaultKind::BadOutput.name().to_owned(),
        field: error.field.clone(),
        reason: clean(
            &format!("the policy made an invalid spec: {}", error.message),
            MAX_TEXT,
        ),
        policy_error: true,
    };
    errors
        .as_slice()
        .iter()
        .take(MAX_VIOLATIONS)
        .map(refusal)
        .collect()
}

/// The changes that the binding does not permit, as refusals.
pub(super) fn not_permitted(
    policy: &str,
    may_change: &[String],
    changes: &[FieldChange],
) -> Vec<Refusal> {
    let permitted = |change: &&FieldChange| {
        // The name is the guest's identity to its tenant.
        change.root() != "name"
            && may_change
                .iter()
                .any(|f| f == change.root() || *f == change.field)
    };
    let refusal = |change: &FieldChange| Refusal {
        policy: policy.to_owned(),
        rule: "mutation-not-permitted".to_owned(),
        field: change.field.clone(),
        reason: "the policy changed a field that its binding does not let it change; \
                 the operator must correct one of them"
            .to_owned(),
        policy_error: true,
    };
    changes
        .iter()
        .filter(|c| !permitted(c))
        .take(MAX_VIOLATIONS)
        .map(refusal)
        .collect()
}

pub(super) fn non_idempotent(policy: &str, change: &FieldChange) -> Refusal {
    Refusal {
        policy: policy.to_owned(),
        rule: "non-idempotent".to_owned(),
        field: change.field.clone(),
        reason: "the policy changes the result of the mutating policies again; \
                 the operator must correct them"
            .to_owned(),
        policy_error: true,
    }
}

pub(super) fn denied(policy: &str, violations: &[Violation]) -> Vec<Refusal> {
    let refusal = |rule: &str, field: &str, reason: &str| Refusal {
        policy: policy.to_owned(),
        rule: clean(rule, MAX_TERM),
        field: clean(field, MAX_TERM),
        reason: clean(reason, MAX_TEXT),
        policy_error: false,
    };
    if violations.is_empty() {
        return vec![refusal(
            "denied",
            "",
            "the policy gave no reason; ask the operator",
        )];
    }
    let kept = violations.iter().take(MAX_VIOLATIONS);
    kept.map(|v| refusal(&v.rule, &v.field, &v.message))
        .collect()
}

/// What the policies said so far, and how far the spec got.
pub(super) struct Heard {
    pub(super) changes: Vec<PolicyChanges>,
    pub(super) warnings: Vec<Note>,
    pub(super) notes: Vec<Note>,
    pub(super) mutated: SpecDraft,
    pub(super) judged: Option<PinnedSpec>,
}

impl Heard {
    pub(super) fn new(draft: &SpecDraft) -> Self {
        Self {
            changes: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            mutated: draft.clone(),
            judged: None,
        }
    }

    pub(super) fn report(&mut self, policy: &str, report: &Report) {
        let note = |key: &str, text: &str| Note {
            policy: policy.to_owned(),
            key: clean(key, MAX_TERM),
            text: clean(text, MAX_TEXT),
        };
        self.warnings.extend(
            report
                .warnings
                .iter()
                .take(MAX_NOTES)
                .map(|text| note("", text)),
        );
        self.notes.extend(
            report
                .audit
                .iter()
                .take(MAX_NOTES)
                .map(|(key, text)| note(key, text)),
        );
    }

    /// The refusal of a policy that could not answer. The details are for the
    /// operator and go to the notes.
    pub(super) fn fault(&mut self, policy: &str, fault: &PolicyFault) -> Refusal {
        self.notes.push(Note {
            policy: policy.to_owned(),
            key: "fault".to_owned(),
            text: clean(&fault.message, MAX_TEXT),
        });
        Refusal {
            policy: policy.to_owned(),
            rule: fault.kind.name().to_owned(),
            field: String::new(),
            reason: format!("{fault}; the operator must look at it"),
            policy_error: true,
        }
    }
}
