//! What a policy says besides its answer, and how it makes a violation.

use xenios_policy_validating::xenios::policy::types::{Pair, Report, Violation};

/// Collects warnings and audit notes.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    warnings: Vec<String>,
    audit: Vec<Pair>,
}

impl Notes {
    /// Tells the user something that does not refuse the spec.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Puts something into the audit record.
    pub fn audit(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.audit.push(Pair {
            name: name.into(),
            value: value.into(),
        });
    }

    /// The warnings so far.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl From<Notes> for Report {
    fn from(notes: Notes) -> Self {
        Self {
            warnings: notes.warnings,
            audit: notes.audit,
        }
    }
}

/// One reason against a spec: the rule's short name, the field that it is about (may
/// be empty), and a text for people.
#[must_use]
pub fn violation(
    rule: impl Into<String>,
    field: impl Into<String>,
    message: impl Into<String>,
) -> Violation {
    Violation {
        rule: rule.into(),
        field: field.into(),
        message: message.into(),
    }
}
