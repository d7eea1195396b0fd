//! The JSON of an audit record: what was asked, what the policies saw and said.
//!
//! Written only: nothing in the daemon acts on an audit record.

use serde::Serialize;
use xenios_core::audit::{AuditRecord, AuditVerdict};
use xenios_core::policy::Operation;
use xenios_core::policy::decision::Note;

use super::{DraftRecord, PinnedRecord, write};

#[derive(Serialize)]
struct Body<'a> {
    dry_run: bool,
    usage: [u64; 3],
    asked: DraftRecord,
    mutated: DraftRecord,
    judged: Option<PinnedRecord>,
    /// Policy, rule, field, reason, whether the policy could not answer.
    refusals: Vec<(&'a str, &'a str, &'a str, &'a str, bool)>,
    changes: Vec<Changes<'a>>,
    /// Policy, key, text.
    warnings: Vec<[&'a str; 3]>,
    notes: Vec<[&'a str; 3]>,
    /// Name and version.
    policies: Vec<[&'a str; 2]>,
    chain_generation: u64,
}

#[derive(Serialize)]
struct Changes<'a> {
    policy: &'a str,
    /// Field, before, after.
    changes: Vec<(&'a str, Option<&'a str>, Option<&'a str>)>,
}

/// The columns of an audit record that people search by, and its JSON.
pub(crate) struct AuditColumns {
    pub(crate) operation: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) body: String,
}

impl From<&AuditRecord> for AuditColumns {
    fn from(record: &AuditRecord) -> Self {
        Self {
            operation: match record.operation {
                Operation::Create => "create",
            },
            outcome: match record.verdict {
                AuditVerdict::Admitted => "admitted",
                AuditVerdict::Denied => "denied",
                AuditVerdict::PolicyError => "policy-error",
                AuditVerdict::Unpinned => "unpinned",
            },
            body: write(body(record)),
        }
    }
}

fn body(record: &AuditRecord) -> Body<'_> {
    let refusals = record.refusals.iter().map(|refusal| {
        (
            refusal.policy.as_str(),
            refusal.rule.as_str(),
            refusal.field.as_str(),
            refusal.reason.as_str(),
            refusal.policy_error,
        )
    });
    let changes = record.changes.iter().map(|all| Changes {
        policy: &all.policy,
        changes: all
            .changes
            .iter()
            .map(|c| (c.field.as_str(), c.before.as_deref(), c.after.as_deref()))
            .collect(),
    });
    Body {
        dry_run: record.dry_run,
        usage: [
            u64::from(record.usage.guests),
            u64::from(record.usage.vcpus),
            record.usage.memory_mib,
        ],
        asked: (&record.asked).into(),
        mutated: (&record.mutated).into(),
        judged: record.judged.as_ref().map(PinnedRecord::from),
        refusals: refusals.collect(),
        changes: changes.collect(),
        warnings: texts(&record.warnings),
        notes: texts(&record.notes),
        policies: record
            .policies
            .iter()
            .map(|policy| [policy.name.as_str(), policy.version.as_str()])
            .collect(),
        chain_generation: record.chain_generation,
    }
}

fn texts(notes: &[Note]) -> Vec<[&str; 3]> {
    notes
        .iter()
        .map(|note| [note.policy.as_str(), note.key.as_str(), note.text.as_str()])
        .collect()
}
