//! Why a call failed, and what the client is told: code, words and details.
//!
//! The one place where errors become gRPC codes. Causes go to the log, not to clients.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};
use xenios_core::port::StoreError;
use xenios_core::{ErrorKind, FieldErrors, PortError, Refusal};

#[cfg(test)]
mod tests;

/// What a client is advised to wait when something may pass.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Message and details travel in HTTP/2 headers, of which clients accept 8 KiB at
/// least (gRPC over HTTP2, "Responses"): base64 and percent-encoding included, these
/// two stay below it.
const MAX_MESSAGE: usize = 700;
const MAX_DETAILS: usize = 3000;

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Fields of the request are wrong.
    Invalid(FieldErrors),
    /// Policies refuse the spec.
    Refused(Vec<Refusal>),
    /// A reference of the spec could not be pinned.
    Unpinned {
        field: &'static str,
        error: PortError,
    },
    /// The tenant has no such guest.
    NoGuest,
    /// The tenant has a guest of that name.
    NameTaken(String),
    /// The store.
    Store(StoreError),
    /// A file of the host.
    Io(std::io::Error),
    /// A watcher did not keep up.
    Lagging,
    /// The tenant has too many streams open.
    TooManyStreams,
    /// The daemon is being stopped.
    Stopping,
    /// The caller gave up while its request was being decided.
    Abandoned,
    /// A bug: a blocking task panicked.
    Panicked,
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NoGuest,
            other => Self::Store(other),
        }
    }
}

impl From<FieldErrors> for CallError {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Invalid(errors) => invalid(&errors),
            CallError::Refused(refusals) => refused(&refusals),
            CallError::Unpinned { field, error } => unpinned(field, &error),
            CallError::NoGuest => {
                Self::not_found("you have no such guest; `xenios ls` lists yours")
            }
            CallError::NameTaken(name) => Self::already_exists(format!(
                "you have a guest named {name}; choose another name, or delete it first"
            )),
            CallError::Store(StoreError::AlreadyExists) => {
                Self::already_exists("you have a guest of that name")
            }
            CallError::Store(StoreError::NotFound) => Self::not_found("you have no such guest"),
            CallError::Store(StoreError::Conflict) => {
                Self::aborted("the guest was changed meanwhile; try again")
            }
            CallError::Store(StoreError::Failed(error)) => port(&error),
            CallError::Io(error) => {
                tracing::error!(%error, "a file of the host cannot be used");
                Self::internal("the host cannot read one of its files; tell the operator")
            }
            CallError::Lagging => {
                Self::resource_exhausted("the client did not keep up with changes; watch again")
            }
            CallError::TooManyStreams => Self::resource_exhausted(
                "you have too many watches and console streams open; end one of them",
            ),
            CallError::Stopping => Self::unavailable("the daemon is being stopped; try again"),
            CallError::Abandoned => Self::cancelled("the caller gave up"),
            CallError::Panicked => Self::internal("a bug in xeniosd; tell the operator"),
        }
    }
}

/// One field that is wrong.
pub(super) fn bad_field(field: &str, message: &str) -> Status {
    CallError::Invalid(FieldErrors::one(field, message)).into()
}

fn invalid(errors: &FieldErrors) -> Status {
    let violations = errors
        .as_slice()
        .iter()
        .map(|error| FieldViolation::new(&error.field, &error.message));
    let more = |count| FieldViolation::new("", too_many(count));
    let violations = bounded(violations, more, |v| v.field.len() + v.description.len());
    let mut details = ErrorDetails::new();
    details.set_bad_request(violations);
    let message = cut(format!("the request is not valid: {errors}"));
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn refused(refusals: &[Refusal]) -> Status {
    let broken = refusals.iter().any(|refusal| refusal.policy_error);
    let all: Vec<_> = refusals.iter().map(violation).collect();
    let reasons: Vec<_> = all
        .iter()
        .map(|violation| format!("{}: {}", violation.subject, violation.description))
        .collect();
    let (code, summary) = if broken {
        let summary = "a policy could not answer, so the guest is refused; tell the operator";
        (Code::FailedPrecondition, summary)
    } else {
        (Code::PermissionDenied, "refused by policy")
    };
    let more = |count| PreconditionViolation::new("policy", "", too_many(count));
    let size = |v: &PreconditionViolation| v.subject.len() + v.description.len();
    let mut details = ErrorDetails::new();
    details.set_precondition_failure(bounded(all.into_iter(), more, size));
    let message = cut(format!("{summary}: {}", reasons.join("; ")));
    Status::with_error_details(code, message, details)
}

fn too_many(count: usize) -> String {
    format!("{count} more; a dry run shows all")
}

/// As many items as fit into the details, and one that says how many did not.
fn bounded<T>(
    items: impl Iterator<Item = T>,
    more: impl FnOnce(usize) -> T,
    size: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut left = MAX_DETAILS;
    let (mut kept, mut dropped) = (Vec::new(), 0);
    for item in items {
        // Tags and lengths of the encoded message take about this much.
        let bytes = size(&item) + 16;
        if dropped == 0 && bytes <= left {
            left -= bytes;
            kept.push(item);
        } else {
            dropped += 1;
        }
    }
    if dropped > 0 {
        kept.push(more(dropped));
    }
    kept
}

fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}

/// Rule, field and reason in one line: `max-vcpus (vcpus): 9 is more than 4`.
fn violation(refusal: &Refusal) -> PreconditionViolation {
    let kind = if refusal.policy_error {
        "policy-error"
    } else {
        "policy"
    };
    let Refusal {
        rule,
        field,
        reason,
        ..
    } = refusal;
    let description = if field.is_empty() {
        format!("{rule}: {reason}")
    } else {
        format!("{rule} ({field}): {reason}")
    };
    PreconditionViolation::new(kind, &refusal.policy, description)
}

fn unpinned(field: &str, error: &PortError) -> Status {
    let status = port(error);
    let message = cut(format!("{field}: {}", status.message()));
    match error.kind {
        ErrorKind::Transient | ErrorKind::Exhausted => {
            let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
            Status::with_error_details(status.code(), message, details)
        }
        ErrorKind::NotFound | ErrorKind::Permanent => {
            let details = ErrorDetails::with_bad_request_violation(field, &error.message);
            let code = match error.kind {
                ErrorKind::NotFound => Code::NotFound,
                _ => Code::InvalidArgument,
            };
            Status::with_error_details(code, message, details)
        }
    }
}

fn port(error: &PortError) -> Status {
    if let Some(source) = &error.source {
        tracing::warn!(error = %error.message, %source, "a call failed");
    }
    let code = match error.kind {
        ErrorKind::Transient => Code::Unavailable,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Permanent => Code::Internal,
    };
    let details = match error.kind {
        ErrorKind::Transient | ErrorKind::Exhausted => {
            ErrorDetails::with_retry_info(Some(RETRY_AFTER))
        }
        ErrorKind::NotFound | ErrorKind::Permanent => ErrorDetails::new(),
    };
    Status::with_error_details(code, &error.message, details)
}
