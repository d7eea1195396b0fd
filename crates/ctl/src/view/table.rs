//! Tables for people. Every cell is cleaned: names, labels and errors were
//! written by others. Env values are shown only where a policy changed them.

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use xenios_api::v1;

use super::{phase, virtualization};
use crate::calls::phase_of;
use crate::clean;
use crate::format::{age, duration, short_reference};

/// What stands for nothing.
const NONE: &str = "-";

/// One line a guest; `now` is in seconds since 1970.
pub(crate) fn guests(guests: &[v1::Guest], now: u64) -> String {
    let header = [
        "NAME", "ID", "PHASE", "IMAGE", "VCPUS", "MEMORY", "AGE", "EXIT",
    ];
    let rows = guests.iter().map(|guest| {
        let spec = guest.spec.clone().unwrap_or_default();
        vec![
            spec.name,
            guest.id.clone(),
            phase(phase_of(guest)),
            short_reference(&spec.image),
            spec.vcpus.to_string(),
            format!("{} MiB", spec.memory_mib),
            age_of(guest, now),
            exit_of(guest).unwrap_or_else(|| NONE.into()),
        ]
    });
    table(Some(&header), rows)
}

/// One line a field.
pub(crate) fn guest(guest: &v1::Guest) -> String {
    let status = guest.status.clone().unwrap_or_default();
    let mut rows = vec![
        ("ID", guest.id.clone()),
        ("Phase", phase(phase_of(guest))),
        ("Exit", exit_of(guest).unwrap_or_default()),
        ("Error", status.error),
        ("Host", status.host),
        (
            "Domain",
            status
                .domid
                .map(|domid| domid.to_string())
                .unwrap_or_default(),
        ),
    ];
    let created = guest.create_time.as_ref().map(ToString::to_string);
    rows.push(("Created", created.unwrap_or_default()));
    let stages: Vec<_> = status
        .stages
        .iter()
        .map(|time| format!("{} {}", time.stage, duration(time.micros)))
        .collect();
    rows.push(("Stages", stages.join(", ")));
    let mut text = guest.spec.as_ref().map(spec).unwrap_or_default();
    text.push_str(&fields(rows));
    text
}

/// The spec, one line a field; what is unset has none.
pub(crate) fn spec(spec: &v1::GuestSpec) -> String {
    let number = |value: u64| {
        if value == 0 {
            String::new()
        } else {
            value.to_string()
        }
    };
    let env: Vec<_> = spec.env.iter().map(|entry| entry.name.as_str()).collect();
    let labels: Vec<_> = spec
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let memory = match spec.memory_mib {
        0 => String::new(),
        mib => format!("{mib} MiB"),
    };
    fields(vec![
        ("Name", spec.name.clone()),
        ("Image", spec.image.clone()),
        ("Kernel", spec.kernel.clone()),
        ("Initrd", spec.initrd.clone()),
        ("VCPUs", number(spec.vcpus.into())),
        ("Memory", memory),
        ("Entrypoint", words(&spec.entrypoint)),
        ("Command", words(&spec.command)),
        ("Workdir", spec.working_dir.clone()),
        ("User", spec.user.clone()),
        ("Env", env.join(", ")),
        ("Labels", labels.join(", ")),
        (
            "Virtualization",
            virtualization(spec).unwrap_or_default().to_owned(),
        ),
    ])
}

/// The final spec, what each policy changed, warnings and refusals.
pub(crate) fn plan(answer: &v1::CreateGuestResponse) -> String {
    let mut text = String::new();
    if let Some(planned) = answer.guest.as_ref().and_then(|guest| guest.spec.as_ref()) {
        text.push_str(&spec(planned));
    }
    let changes = answer.changes.iter().flat_map(|policy| {
        policy.changes.iter().map(|change| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| NONE.into());
            vec![
                policy.policy.clone(),
                change.field.clone(),
                value(&change.before),
                value(&change.after),
            ]
        })
    });
    section(
        &mut text,
        "Changed by policies",
        &table(Some(&["POLICY", "FIELD", "BEFORE", "AFTER"]), changes),
    );
    let warnings = answer.warnings.iter().map(|warning| vec![warning.clone()]);
    section(&mut text, "Warnings", &table(None, warnings));
    section(&mut text, "Refused", &refusals(&answer.refusals));
    text
}

/// One line a refusal.
fn refusals(refusals: &[v1::Refusal]) -> String {
    let rows = refusals.iter().map(|refusal| {
        let policy = if refusal.policy_error {
            format!("{} (could not answer)", refusal.policy)
        } else {
            refusal.policy.clone()
        };
        let field = if refusal.field.is_empty() {
            NONE
        } else {
            &refusal.field
        };
        vec![
            policy,
            refusal.rule.clone(),
            field.to_owned(),
            refusal.reason.clone(),
        ]
    });
    table(Some(&["POLICY", "RULE", "FIELD", "REASON"]), rows)
}

/// One line for one change of a guest.
pub(crate) fn event(guest: &v1::Guest) -> String {
    let name = guest.spec.as_ref().map_or("", |spec| &spec.name);
    let error = guest.status.as_ref().map_or("", |status| &status.error);
    let detail = match (exit_of(guest), error) {
        (Some(exit), _) => format!("exit {exit}"),
        (None, error) => error.to_owned(),
    };
    let line = format!(
        "{:<24} {:<10} {}  {}",
        clean::line(name),
        phase(phase_of(guest)),
        clean::line(&guest.id),
        clean::line(&detail)
    );
    format!("{}\n", line.trim_end())
}

/// `0`, `signal 9` or `lost`.
fn exit_of(guest: &v1::Guest) -> Option<String> {
    let how = guest.status.as_ref()?.exit.as_ref()?.how.as_ref()?;
    Some(match how {
        v1::exit::How::Code(code) => code.to_string(),
        v1::exit::How::Signal(signal) => format!("signal {signal}"),
        v1::exit::How::Lost(reason) if reason.is_empty() => "lost".into(),
        v1::exit::How::Lost(reason) => format!("lost: {reason}"),
    })
}

fn age_of(guest: &v1::Guest, now: u64) -> String {
    let created = guest
        .create_time
        .as_ref()
        .and_then(|time| u64::try_from(time.seconds).ok());
    created.map_or_else(|| NONE.into(), |created| age(now.saturating_sub(created)))
}

/// Arguments as a shell would take them.
fn words(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    let quoted: Vec<_> = words
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    quoted.join(" ")
}

fn fields(rows: Vec<(&str, String)>) -> String {
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    table(
        None,
        rows.map(|(name, value)| vec![format!("{name}:"), value]),
    )
}

/// Adds a titled table unless it has no row.
fn section(text: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        text.extend(["\n", title, ":\n", body]);
    }
}

/// Columns two spaces apart, never cut and never wrapped; empty without rows.
fn table(header: Option<&[&str]>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(header) = header {
        table.set_header(header.to_vec());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| clean::line(cell)));
    }
    if table.row_count() == 0 {
        return String::new();
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.extend([line.trim_end(), "\n"]);
    }
    text
}
