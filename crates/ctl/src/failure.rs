//! Why a command failed: what, why, what to do next, and the exit code.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::clean;

/// Kinds of failure, each with its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Other,
    Usage,
    NotFound,
    InvalidSpec,
    Unavailable,
    Refused,
    PolicyError,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::InvalidSpec => 4,
            Self::Unavailable => 5,
            Self::Refused => 6,
            Self::PolicyError => 7,
        }
    }
}

/// One of several reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    /// The policy that refused, or the field that is wrong.
    pub(crate) subject: String,
    pub(crate) description: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    reasons: Vec<Reason>,
    /// What to do next; may be empty.
    next: String,
}

impl Failure {
    fn new(kind: Kind, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            reasons: Vec::new(),
            next: next.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>, next: &str) -> Self {
        Self::new(Kind::Usage, message, next)
    }

    pub(crate) fn invalid_spec(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidSpec, message, "correct the spec file")
    }

    pub(crate) fn unavailable(message: impl Into<String>, next: &str) -> Self {
        Self::new(Kind::Unavailable, message, next)
    }

    pub(crate) fn other(message: impl Into<String>, next: &str) -> Self {
        Self::new(Kind::Other, message, next)
    }

    /// What would be refused: said of a plan.
    pub(crate) fn would_be_refused(policy_error: bool) -> Self {
        if policy_error {
            let message = "a policy could not answer, so the spec would be refused";
            return Self::new(Kind::PolicyError, message, "tell the operator of the host");
        }
        let message = "the spec would be refused";
        Self::new(Kind::Refused, message, "change what the refusals name")
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.kind.exit_code()
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    /// `{"error": {"kind", "exit_code", "message", "reasons", "next"}}`.
    pub(crate) fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Printed<'a> {
            error: Fields<'a>,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            exit_code: u8,
            #[serde(flatten)]
            failure: &'a Failure,
        }
        let printed = Printed {
            error: Fields {
                exit_code: self.exit_code(),
                failure: self,
            },
        };
        serde_json::to_string(&printed).expect("strings and numbers always have a JSON form")
    }
}

/// For a terminal: every part is cleaned.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xenios: {}", clean::line(&self.message))?;
        for Reason {
            subject,
            description,
        } in &self.reasons
        {
            let (subject, description) = (clean::line(subject), clean::line(description));
            write!(f, "\n  {subject}: {description}")?;
        }
        if !self.next.is_empty() {
            write!(f, "\nnext: {}", clean::line(&self.next))?;
        }
        Ok(())
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let refusals: Vec<_> = details
            .precondition_failure()
            .map(|failure| failure.violations.clone())
            .unwrap_or_default();
        let is_policy_error = refusals
            .iter()
            .any(|refusal| refusal.r#type == "policy-error");
        let fields = details
            .bad_request()
            .map(|request| request.field_violations.clone())
            .unwrap_or_default();
        let kind = kind_of(&status, !refusals.is_empty(), is_policy_error);
        let mut reasons: Vec<_> = refusals
            .into_iter()
            .map(|refusal| Reason {
                subject: refusal.subject,
                description: refusal.description,
            })
            .collect();
        reasons.extend(fields.into_iter().map(|field| Reason {
            subject: field.field,
            description: field.description,
        }));
        let message = match kind {
            // The daemon's text repeats every reason.
            Kind::Refused => "refused by policy".to_owned(),
            Kind::PolicyError => "a policy could not answer, so the guest is refused".to_owned(),
            Kind::InvalidSpec if !reasons.is_empty() => "the request is not valid".to_owned(),
            _ if status.message().is_empty() => status.code().description().to_owned(),
            _ => status.message().to_owned(),
        };
        Self {
            kind,
            message,
            reasons,
            next: next_of(&status, kind).to_owned(),
        }
    }
}

fn kind_of(status: &Status, refused: bool, policy_error: bool) -> Kind {
    match status.code() {
        Code::NotFound => Kind::NotFound,
        Code::InvalidArgument => Kind::InvalidSpec,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => Kind::Unavailable,
        Code::PermissionDenied if refused => Kind::Refused,
        Code::FailedPrecondition if policy_error => Kind::PolicyError,
        // A connection that broke, not an answer of the daemon.
        _ if status.source().is_some() => Kind::Unavailable,
        _ => Kind::Other,
    }
}

fn next_of(status: &Status, kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "change what the reasons name; `xenios plan` shows the whole judgement",
        Kind::PolicyError => "tell the operator of the host",
        Kind::InvalidSpec => "correct the fields and try again",
        Kind::NotFound => "check the name; `xenios ls` lists your guests",
        Kind::Unavailable => "try again later",
        Kind::Other => match status.code() {
            Code::AlreadyExists => "choose another name, or delete that guest first",
            Code::Unauthenticated | Code::PermissionDenied => {
                "check that --cert is a certificate of your tenant"
            }
            Code::Unimplemented => "this xeniosd is older than this client; update one of them",
            Code::Internal | Code::Unknown | Code::DataLoss => "tell the operator of the host",
            _ => "",
        },
        Kind::Usage => "",
    }
}

#[cfg(test)]
mod tests;
