//! How guests look: as JSON for programs, as tables for people.

pub(crate) mod json;
pub(crate) mod table;

use xenios_api::v1;

/// `running` for `PHASE_RUNNING`.
pub(crate) fn phase(phase: v1::Phase) -> String {
    let name = phase.as_str_name();
    name.strip_prefix("PHASE_")
        .unwrap_or(name)
        .to_ascii_lowercase()
}

/// `pvh` or `pv`; nothing for the host's default.
fn virtualization(spec: &v1::GuestSpec) -> Option<&'static str> {
    match spec.virtualization() {
        v1::Virtualization::Unspecified => None,
        v1::Virtualization::Pvh => Some("pvh"),
        v1::Virtualization::Pv => Some("pv"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
