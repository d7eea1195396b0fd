//! From a draft to a spec, with every error at once.
//!
//! Limits are generous for people and small for the host: a whole spec fits in a
//! few hundred KiB, so that it can be judged, recorded and given to a guest.
//! Errors quote what was written, bounded and escaped, but never an env value.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::errors::{FieldErrors, Found};
use super::{Defaults, GuestSpec, MemoryMib, SpecDraft, Vcpus};
use crate::id::GuestName;
use crate::reference::ImageReference;
use crate::text::quoted;

/// Most env entries.
pub const MAX_ENV: usize = 256;
/// Most bytes of all env names and values.
pub const MAX_ENV_BYTES: usize = 64 << 10;
/// Most arguments in the entrypoint, and in the command.
pub const MAX_ARGS: usize = 1024;
/// Most bytes of entrypoint and command together: Linux takes no single argument
/// of more (`MAX_ARG_STRLEN`).
pub const MAX_ARGS_BYTES: usize = 128 << 10;
/// Most labels.
pub const MAX_LABELS: usize = 64;
/// Most bytes of all label keys and values.
pub const MAX_LABELS_BYTES: usize = 16 << 10;

/// Longest env name and label key, in bytes.
const MAX_KEY: usize = 256;
/// Longest path (`PATH_MAX` of Linux counts the NUL too).
const MAX_PATH: usize = 4095;
/// Longest user or group name (`LOGIN_NAME_MAX` of Linux counts the NUL too).
const MAX_LOGIN: usize = 255;

pub(super) fn parse(draft: SpecDraft, defaults: &Defaults) -> Result<GuestSpec, FieldErrors> {
    let mut found = Found::default();
    let spec = fields(draft, defaults, &mut found);
    match (found.into_errors(), spec) {
        (Some(errors), _) => Err(errors),
        (None, Some(spec)) => Ok(spec),
        (None, None) => unreachable!("a field that is not kept leaves an error"),
    }
}

/// The spec, when no field that stands alone is wrong. Every field is looked at
/// before any is missed.
fn fields(draft: SpecDraft, defaults: &Defaults, found: &mut Found) -> Option<GuestSpec> {
    let name = found.keep("name", name(&draft.name, defaults));
    let image = found.keep("image", required_image(&draft.image));
    let kernel = found.keep("kernel", optional_image(&draft.kernel));
    let initrd = found.keep("initrd", optional_image(&draft.initrd));
    let vcpus = found.keep("vcpus", vcpus(draft.vcpus, defaults));
    let memory = found.keep("memory_mib", memory(draft.memory_mib, defaults));
    let env = pairs(&ENV, draft.env, found);
    program(&draft.entrypoint, &draft.command, found);
    let working_dir = found.keep("working_dir", working_dir(draft.working_dir));
    let user = found.keep("user", user(draft.user));
    let labels = pairs(&LABELS, draft.labels, found);
    Some(GuestSpec {
        name: name?,
        image: image?,
        kernel: kernel?,
        initrd: initrd?,
        vcpus: vcpus?,
        memory: memory?,
        env,
        entrypoint: draft.entrypoint,
        command: draft.command,
        working_dir: working_dir?,
        user: user?,
        labels,
        virtualization: draft.virtualization.unwrap_or(defaults.virtualization),
    })
}

fn name(text: &str, defaults: &Defaults) -> Result<GuestName, String> {
    if text.is_empty() {
        return Ok(defaults.name.clone());
    }
    text.parse().map_err(|error| about(text, error))
}

fn required_image(text: &str) -> Result<ImageReference, String> {
    if text.is_empty() {
        return Err("is required; name an OCI image: host[:port]/repository[:tag]".to_owned());
    }
    text.parse().map_err(|error| about(text, error))
}

fn optional_image(text: &str) -> Result<Option<ImageReference>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| about(text, error))
}

fn about(text: &str, error: impl Display) -> String {
    format!("{} {error}", quoted(text))
}

fn vcpus(count: u32, defaults: &Defaults) -> Result<Vcpus, String> {
    if count == 0 {
        return Ok(defaults.vcpus);
    }
    let (min, max) = (Vcpus::MIN.get(), Vcpus::MAX.get());
    Vcpus::new(count).ok_or_else(|| {
        format!("{count} vCPUs are more than Xen gives a guest; ask for {min} to {max}")
    })
}

fn memory(mib: u64, defaults: &Defaults) -> Result<MemoryMib, String> {
    if mib == 0 {
        return Ok(defaults.memory);
    }
    let (min, max) = (MemoryMib::MIN, MemoryMib::MAX);
    MemoryMib::new(mib).ok_or_else(|| {
        let why = if mib < min.get() {
            "too little for a guest to boot"
        } else {
            "more than a guest can have"
        };
        format!(
            "{mib} MiB is {why}; ask for {} to {} MiB",
            min.get(),
            max.get()
        )
    })
}

/// The rules of a field that maps names to values.
struct PairRules {
    field: &'static str,
    /// What the first part is called: the last part of the error's path.
    key: &'static str,
    max_entries: usize,
    max_bytes: usize,
    /// Whether the key may hold `b`, which is not its first byte.
    allows: fn(u8) -> bool,
    /// Whether the key may begin with `b`.
    begins: fn(u8) -> bool,
    key_help: &'static str,
}

const ENV: PairRules = PairRules {
    field: "env",
    key: "name",
    max_entries: MAX_ENV,
    max_bytes: MAX_ENV_BYTES,
    allows: |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'),
    begins: |b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'.' | b'-'),
    key_help: "use letters, digits, '_', '.' and '-', and begin with no digit",
};

const LABELS: PairRules = PairRules {
    field: "labels",
    key: "key",
    max_entries: MAX_LABELS,
    max_bytes: MAX_LABELS_BYTES,
    allows: |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'/'),
    begins: |b| b.is_ascii_alphanumeric(),
    key_help: "use letters, digits, '_', '.', '-' and '/', and begin with a letter or digit",
};

fn pairs(
    rules: &PairRules,
    given: Vec<(String, String)>,
    found: &mut Found,
) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let PairRules {
        field,
        key,
        max_entries,
        max_bytes,
        ..
    } = *rules;
    if given.len() > max_entries {
        let count = given.len();
        found.push(
            field,
            format!("has {count} entries; at most {max_entries} are kept, drop some"),
        );
        return map;
    }
    let bytes: usize = given
        .iter()
        .map(|(k, v)| k.len().saturating_add(v.len()))
        .sum();
    if bytes > max_bytes {
        found.push(
            field,
            format!("holds {bytes} bytes; at most {max_bytes} fit, shorten it"),
        );
        return map;
    }
    for (i, (name, value)) in given.into_iter().enumerate() {
        if let Err(message) = check_key(rules, &name) {
            found.push(format!("{field}[{i}].{key}"), message);
        } else if map.contains_key(&name) {
            let message = format!("{} is given twice; keep one", quoted(&name));
            found.push(format!("{field}[{i}].{key}"), message);
        }
        if let Err(message) = check_text(&value) {
            found.push(format!("{field}[{i}].value"), message);
        }
        map.insert(name, value);
    }
    map
}

fn check_key(rules: &PairRules, key: &str) -> Result<(), String> {
    let Some(&first) = key.as_bytes().first() else {
        return Err(format!("is empty; {}", rules.key_help));
    };
    if key.len() > MAX_KEY {
        return Err(format!("is longer than {MAX_KEY} bytes; shorten it"));
    }
    if !(rules.begins)(first) || !key.bytes().all(rules.allows) {
        return Err(format!(
            "{} is not a usable {}; {}",
            quoted(key),
            rules.key,
            rules.key_help
        ));
    }
    Ok(())
}

/// Text that reaches a guest: no control characters but tab and line ends. NUL
/// ends a string in every system call; the others serve to attack terminals.
fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("holds a NUL, which no program can be given; remove it".to_owned());
    }
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    {
        let message = "holds a control character other than tab and line ends; remove it";
        return Err(message.to_owned());
    }
    Ok(())
}

fn program(entrypoint: &[String], command: &[String], found: &mut Found) {
    args("entrypoint", entrypoint, found);
    args("command", command, found);
    if entrypoint.first().is_some_and(String::is_empty) {
        let message = "is empty, and nothing can be run by that name; name a program";
        found.push("entrypoint[0]", message);
    }
    let bytes = bytes_of(entrypoint).saturating_add(bytes_of(command));
    if bytes > MAX_ARGS_BYTES {
        let message = format!(
            "holds {bytes} bytes with the entrypoint; Linux starts a program with at most \
             {MAX_ARGS_BYTES}, put the rest into the image"
        );
        found.push("command", message);
    }
}

fn args(field: &str, given: &[String], found: &mut Found) {
    if given.len() > MAX_ARGS {
        let count = given.len();
        let message = format!("has {count} arguments; at most {MAX_ARGS} are taken, drop some");
        found.push(field, message);
        return;
    }
    for (i, arg) in given.iter().enumerate() {
        if let Err(message) = check_text(arg) {
            found.push(format!("{field}[{i}]"), message);
        }
    }
}

fn bytes_of(args: &[String]) -> usize {
    args.iter().map(|arg| arg.len().saturating_add(1)).sum()
}

fn working_dir(path: String) -> Result<Option<String>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    if path.len() > MAX_PATH {
        return Err(format!(
            "is longer than {MAX_PATH} bytes, more than Linux takes; shorten it"
        ));
    }
    if path.chars().any(char::is_control) {
        return Err("holds a control character; remove it".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!(
            "{} is not absolute; begin it with '/'",
            quoted(&path)
        ));
    }
    Ok(Some(path))
}

fn user(text: String) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut parts = text.splitn(2, ':');
    if !parts.all(is_login) {
        return Err(format!(
            "{} is not user[:group]; use names of letters, digits, '_', '.' and '-', \
             or numbers up to 4294967294",
            quoted(&text)
        ));
    }
    Ok(Some(text))
}

fn is_login(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'$');
    if text.is_empty() || text.len() > MAX_LOGIN || text.starts_with('-') {
        return false;
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        // The last number means "leave unchanged" to chown(2) and setresuid(2).
        return text.parse::<u32>().is_ok_and(|id| id != u32::MAX);
    }
    text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
