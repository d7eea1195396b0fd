//! Wire to model and back: the gRPC messages and `xenios_core`'s types.
//!
//! Nothing is decided here: a draft is parsed by the policy chain, and a status is
//! shown as it is.

use std::time::Duration;

use xenios_api::v1;
use xenios_core::policy::decision::Note;
use xenios_core::{
    Exit, FieldChange, FieldErrors, Guest, Phase, PolicyChanges, Refusal, SpecDraft, State, Status,
    Virtualization,
};

#[cfg(test)]
mod tests;

/// The draft in a message. Only an enum can be wrong before the draft is parsed.
pub(crate) fn draft(spec: v1::GuestSpec) -> Result<SpecDraft, FieldErrors> {
    let virtualization = match v1::Virtualization::try_from(spec.virtualization) {
        Ok(v1::Virtualization::Unspecified) => None,
        Ok(v1::Virtualization::Pvh) => Some(Virtualization::Pvh),
        Ok(v1::Virtualization::Pv) => Some(Virtualization::Pv),
        Err(_) => {
            let message = format!("{} is not a known value", spec.virtualization);
            return Err(FieldErrors::one("virtualization", message));
        }
    };
    Ok(SpecDraft {
        name: spec.name,
        image: spec.image,
        kernel: spec.kernel,
        initrd: spec.initrd,
        vcpus: spec.vcpus,
        memory_mib: spec.memory_mib,
        env: spec
            .env
            .into_iter()
            .map(|variable| (variable.name, variable.value))
            .collect(),
        entrypoint: spec.entrypoint,
        command: spec.command,
        working_dir: spec.working_dir,
        user: spec.user,
        labels: spec.labels.into_iter().collect(),
        virtualization,
    })
}

/// The message of a draft.
pub(crate) fn spec(draft: SpecDraft) -> v1::GuestSpec {
    let virtualization = match draft.virtualization {
        None => v1::Virtualization::Unspecified,
        Some(Virtualization::Pvh) => v1::Virtualization::Pvh,
        Some(Virtualization::Pv) => v1::Virtualization::Pv,
    };
    v1::GuestSpec {
        name: draft.name,
        image: draft.image,
        kernel: draft.kernel,
        initrd: draft.initrd,
        vcpus: draft.vcpus,
        memory_mib: draft.memory_mib,
        env: draft
            .env
            .into_iter()
            .map(|(name, value)| v1::EnvVar { name, value })
            .collect(),
        entrypoint: draft.entrypoint,
        command: draft.command,
        working_dir: draft.working_dir,
        user: draft.user,
        labels: draft.labels.into_iter().collect(),
        virtualization: virtualization.into(),
    }
}

/// The message of a guest that runs on `host`.
pub(crate) fn guest(guest: &Guest, host: &str) -> v1::Guest {
    v1::Guest {
        id: guest.id.to_string(),
        spec: Some(spec(guest.spec.to_draft())),
        status: Some(status(&guest.status, phase(guest.phase()), host)),
        create_time: Some(timestamp(guest.created_ms)),
    }
}

/// The message of a guest of which nothing is left.
pub(crate) fn gone(last: &Guest, host: &str) -> v1::Guest {
    let mut message = guest(last, host);
    if let Some(status) = &mut message.status {
        status.set_phase(v1::Phase::Deleted);
        status.domid = None;
    }
    message
}

/// The message of a guest that would be.
pub(crate) fn would_be(draft: SpecDraft, host: &str) -> v1::Guest {
    v1::Guest {
        id: String::new(),
        spec: Some(spec(draft)),
        status: Some(status(&Status::default(), v1::Phase::Unspecified, host)),
        create_time: None,
    }
}

fn phase(phase: Phase) -> v1::Phase {
    match phase {
        Phase::Preparing => v1::Phase::Preparing,
        Phase::Starting => v1::Phase::Starting,
        Phase::Running => v1::Phase::Running,
        Phase::Exited => v1::Phase::Exited,
        Phase::Failed => v1::Phase::Failed,
        Phase::Deleting => v1::Phase::Deleting,
    }
}

fn status(status: &Status, phase: v1::Phase, host: &str) -> v1::GuestStatus {
    let exit = match &status.state {
        State::Exited { exit } => Some(v1::Exit {
            how: Some(match exit {
                Exit::Code(code) => v1::exit::How::Code(i32::from(*code)),
                Exit::Signal(signal) => v1::exit::How::Signal(i32::from(*signal)),
                Exit::Lost(why) => v1::exit::How::Lost(why.clone()),
            }),
        }),
        _ => None,
    };
    v1::GuestStatus {
        phase: phase.into(),
        domid: status.domid().map(|domid| u32::from(domid.get())),
        exit,
        error: status.error().unwrap_or_default().to_owned(),
        host: host.to_owned(),
        stages: status
            .stages
            .iter()
            .map(|(stage, time)| v1::StageTime {
                stage: stage.name().to_owned(),
                micros: micros(time),
            })
            .collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn timestamp(ms: u64) -> prost_types::Timestamp {
    let nanos = i32::try_from(ms % 1000).unwrap_or_default() * 1_000_000;
    prost_types::Timestamp {
        seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
        nanos,
    }
}

/// The message of what policies changed.
pub(crate) fn changes(all: Vec<PolicyChanges>) -> Vec<v1::PolicyChanges> {
    let change = |change: FieldChange| v1::FieldChange {
        field: change.field,
        before: change.before,
        after: change.after,
    };
    all.into_iter()
        .map(|of| v1::PolicyChanges {
            policy: of.policy,
            changes: of.changes.into_iter().map(change).collect(),
        })
        .collect()
}

/// What policies told the user, each with the policy's name.
pub(crate) fn warnings(notes: Vec<Note>) -> Vec<String> {
    notes
        .into_iter()
        .map(|note| format!("{}: {}", note.policy, note.text))
        .collect()
}

/// The messages of refusals.
pub(crate) fn refusals(all: Vec<Refusal>) -> Vec<v1::Refusal> {
    all.into_iter()
        .map(|refusal| v1::Refusal {
            policy: refusal.policy,
            rule: refusal.rule,
            field: refusal.field,
            reason: refusal.reason,
            policy_error: refusal.policy_error,
        })
        .collect()
}
