//! What is wrong with a draft, field by field.

use std::fmt;

/// Most field errors that are reported; one more says how many there were.
const MAX_ERRORS: usize = 100;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where, for example `vcpus` or `env[2].name` (an index into the draft).
    pub field: String,
    /// What is wrong, why, and what to do. Never holds an env value.
    pub message: String,
}

/// Every field that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// One error.
    #[must_use]
    pub fn one(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![FieldError {
            field: field.into(),
            message: message.into(),
        }])
    }

    /// The errors, in the order of the fields.
    #[must_use]
    pub fn as_slice(&self) -> &[FieldError] {
        &self.0
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", error.field, error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

/// Errors while they are gathered.
#[derive(Default)]
pub(super) struct Found {
    errors: Vec<FieldError>,
    dropped: usize,
}

impl Found {
    pub(super) fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.errors.len() == MAX_ERRORS {
            self.dropped += 1;
            return;
        }
        self.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// The value, or nothing and its error kept.
    pub(super) fn keep<T>(&mut self, field: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|message| self.push(field, message)).ok()
    }

    pub(super) fn into_errors(mut self) -> Option<FieldErrors> {
        if self.dropped > 0 {
            let message = format!(
                "{} more fields are wrong; correct these first",
                self.dropped
            );
            self.errors.push(FieldError {
                field: String::new(),
                message,
            });
        }
        if self.errors.is_empty() {
            None
        } else {
            Some(FieldErrors(self.errors))
        }
    }
}
