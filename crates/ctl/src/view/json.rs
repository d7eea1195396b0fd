//! The JSON of `-o json`. Stable: fields are added, never renamed or removed.
//!
//! Field names are those of `guests.proto`. Enum values are their last word in
//! lower case (`running`, `pvh`), numbers are numbers, times are RFC 3339, bytes
//! are base64, and what is unset is `null`, empty or absent as in the messages.
//! A `spec` is what `-f` reads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use xenios_api::v1;

use super::{phase, virtualization};
use crate::calls::phase_of;

#[derive(Serialize)]
pub(crate) struct Guest<'a> {
    id: &'a str,
    spec: Option<Spec<'a>>,
    status: Option<Status<'a>>,
    create_time: Option<String>,
}

#[derive(Serialize)]
struct Spec<'a> {
    name: &'a str,
    image: &'a str,
    kernel: &'a str,
    initrd: &'a str,
    vcpus: u32,
    memory_mib: u64,
    env: Vec<Env<'a>>,
    entrypoint: &'a [String],
    command: &'a [String],
    working_dir: &'a str,
    user: &'a str,
    labels: &'a BTreeMap<String, String>,
    virtualization: Option<&'static str>,
}

#[derive(Serialize)]
struct Env<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Status<'a> {
    phase: String,
    domid: Option<u32>,
    exit: Option<Exit<'a>>,
    error: &'a str,
    host: &'a str,
    stages: Vec<Stage<'a>>,
}

/// `{"code": 0}`, `{"signal": 9}` or `{"lost": "…"}`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Exit<'a> {
    Code(i32),
    Signal(i32),
    Lost(&'a str),
}

#[derive(Serialize)]
struct Stage<'a> {
    stage: &'a str,
    micros: u64,
}

#[derive(Serialize)]
pub(crate) struct Guests<'a> {
    guests: Vec<Guest<'a>>,
}

/// The answer to `create` and `plan`.
#[derive(Serialize)]
pub(crate) struct Created<'a> {
    guest: Option<Guest<'a>>,
    changes: Vec<PolicyChanges<'a>>,
    warnings: &'a [String],
    refusals: Vec<Refusal<'a>>,
}

#[derive(Serialize)]
struct PolicyChanges<'a> {
    policy: &'a str,
    changes: Vec<Change<'a>>,
}

#[derive(Serialize)]
struct Change<'a> {
    field: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    policy: &'a str,
    rule: &'a str,
    field: &'a str,
    reason: &'a str,
    policy_error: bool,
}

/// One line of a stream.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    Guest(Box<Guest<'a>>),
    Bookmark {},
    Console { offset: u64, data: String },
}

impl<'a> Event<'a> {
    pub(crate) fn guest(guest: &'a v1::Guest) -> Self {
        Self::Guest(Box::new(guest.into()))
    }

    pub(crate) fn console(offset: u64, bytes: &[u8]) -> Self {
        Self::Console {
            offset,
            data: STANDARD.encode(bytes),
        }
    }
}

impl<'a> From<&'a v1::Guest> for Guest<'a> {
    fn from(guest: &'a v1::Guest) -> Self {
        let status = guest.status.as_ref().map(|status| Status {
            phase: phase(phase_of(guest)),
            domid: status.domid,
            exit: status.exit.as_ref().and_then(exit),
            error: &status.error,
            host: &status.host,
            stages: status.stages.iter().map(Stage::from).collect(),
        });
        Self {
            id: &guest.id,
            spec: guest.spec.as_ref().map(Spec::from),
            status,
            create_time: guest.create_time.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> From<&'a v1::GuestSpec> for Spec<'a> {
    fn from(spec: &'a v1::GuestSpec) -> Self {
        let env = |v1::EnvVar { name, value }: &'a v1::EnvVar| Env { name, value };
        Self {
            name: &spec.name,
            image: &spec.image,
            kernel: &spec.kernel,
            initrd: &spec.initrd,
            vcpus: spec.vcpus,
            memory_mib: spec.memory_mib,
            env: spec.env.iter().map(env).collect(),
            entrypoint: &spec.entrypoint,
            command: &spec.command,
            working_dir: &spec.working_dir,
            user: &spec.user,
            labels: &spec.labels,
            virtualization: virtualization(spec),
        }
    }
}

impl<'a> From<&'a v1::StageTime> for Stage<'a> {
    fn from(time: &'a v1::StageTime) -> Self {
        Self {
            stage: &time.stage,
            micros: time.micros,
        }
    }
}

impl<'a> From<&'a [v1::Guest]> for Guests<'a> {
    fn from(guests: &'a [v1::Guest]) -> Self {
        Self {
            guests: guests.iter().map(Guest::from).collect(),
        }
    }
}

impl<'a> From<&'a v1::CreateGuestResponse> for Created<'a> {
    fn from(answer: &'a v1::CreateGuestResponse) -> Self {
        Self {
            guest: answer.guest.as_ref().map(Guest::from),
            changes: answer.changes.iter().map(PolicyChanges::from).collect(),
            warnings: &answer.warnings,
            refusals: answer.refusals.iter().map(Refusal::from).collect(),
        }
    }
}

impl<'a> From<&'a v1::PolicyChanges> for PolicyChanges<'a> {
    fn from(policy: &'a v1::PolicyChanges) -> Self {
        let change = |change: &'a v1::FieldChange| Change {
            field: &change.field,
            before: change.before.as_deref(),
            after: change.after.as_deref(),
        };
        Self {
            policy: &policy.policy,
            changes: policy.changes.iter().map(change).collect(),
        }
    }
}

impl<'a> From<&'a v1::Refusal> for Refusal<'a> {
    fn from(refusal: &'a v1::Refusal) -> Self {
        Self {
            policy: &refusal.policy,
            rule: &refusal.rule,
            field: &refusal.field,
            reason: &refusal.reason,
            policy_error: refusal.policy_error,
        }
    }
}

fn exit(exit: &v1::Exit) -> Option<Exit<'_>> {
    Some(match exit.how.as_ref()? {
        v1::exit::How::Code(code) => Exit::Code(*code),
        v1::exit::How::Signal(signal) => Exit::Signal(*signal),
        v1::exit::How::Lost(reason) => Exit::Lost(reason),
    })
}
