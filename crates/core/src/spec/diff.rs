//! What differs between two specs, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::GuestSpec;

/// One field that differs.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// For example `memory_mib` or `env[LOG_LEVEL]`.
    pub field: String,
    /// `None`: the field was added.
    pub before: Option<String>,
    /// `None`: the field was removed.
    pub after: Option<String>,
}

impl FieldChange {
    /// The spec's own field: `env` for `env[LOG_LEVEL]`.
    #[must_use]
    pub fn root(&self) -> &str {
        self.field.split('[').next().unwrap_or(&self.field)
    }
}

impl fmt::Debug for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FieldChange");
        shown.field("field", &self.field);
        if self.root() != "env" {
            shown
                .field("before", &self.before)
                .field("after", &self.after);
        }
        shown.finish_non_exhaustive()
    }
}

/// Every field that differs, in the order of the spec. Empty exactly when the
/// specs are equal.
#[must_use]
pub fn diff(before: &GuestSpec, after: &GuestSpec) -> Vec<FieldChange> {
    let mut changes = Changes(Vec::new());
    let text = |value: &dyn ToString| Some(value.to_string());
    let list = |args: &[String]| (!args.is_empty()).then(|| format!("{args:?}"));
    let (b, a) = (before, after);
    changes.compare("name", text(&b.name), text(&a.name));
    changes.compare("image", text(&b.image), text(&a.image));
    changes.compare(
        "kernel",
        b.kernel.as_ref().map(ToString::to_string),
        a.kernel.as_ref().map(ToString::to_string),
    );
    changes.compare(
        "initrd",
        b.initrd.as_ref().map(ToString::to_string),
        a.initrd.as_ref().map(ToString::to_string),
    );
    changes.compare("vcpus", text(&b.vcpus.get()), text(&a.vcpus.get()));
    changes.compare("memory_mib", text(&b.memory.get()), text(&a.memory.get()));
    changes.compare_maps("env", &b.env, &a.env);
    changes.compare("entrypoint", list(&b.entrypoint), list(&a.entrypoint));
    changes.compare("command", list(&b.command), list(&a.command));
    changes.compare("working_dir", b.working_dir.clone(), a.working_dir.clone());
    changes.compare("user", b.user.clone(), a.user.clone());
    changes.compare_maps("labels", &b.labels, &a.labels);
    changes.compare(
        "virtualization",
        text(&b.virtualization),
        text(&a.virtualization),
    );
    changes.0
}

struct Changes(Vec<FieldChange>);

impl Changes {
    fn compare(&mut self, field: &str, before: Option<String>, after: Option<String>) {
        if before != after {
            self.0.push(FieldChange {
                field: field.to_owned(),
                before,
                after,
            });
        }
    }

    fn compare_maps(
        &mut self,
        field: &str,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) {
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for name in names {
            let field = format!("{field}[{name}]");
            self.compare(&field, before.get(name).cloned(), after.get(name).cloned());
        }
    }
}

#[cfg(test)]
mod tests;
