//! Flags and files into the spec of the API. Only what cannot be a spec at all is
//! an error here: the daemon judges the values.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::{env, fs, io};

use serde::Deserialize;
use xenios_api::v1;

use crate::cli::{SpecArgs, Virtualization};
use crate::failure::Failure;

/// The longest spec file; the daemon takes no larger request.
const MAX_FILE: u64 = 1 << 20;

/// A spec file: the field names of `xenios.v1.GuestSpec`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SpecFile {
    name: String,
    image: String,
    kernel: String,
    initrd: String,
    vcpus: u32,
    memory_mib: u64,
    env: EnvFile,
    entrypoint: Vec<String>,
    command: Vec<String>,
    working_dir: String,
    user: String,
    labels: BTreeMap<String, String>,
    virtualization: Option<VirtualizationFile>,
}

/// `env = { NAME = "value" }`, or the list that `-o json` prints.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "env must be a table of strings, or a list of {name, value}"
)]
enum EnvFile {
    Table(BTreeMap<String, String>),
    List(Vec<EnvEntry>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvEntry {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VirtualizationFile {
    Pvh,
    Pv,
}

impl Default for EnvFile {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// The spec that the arguments describe.
pub(crate) fn from_args(args: &SpecArgs) -> Result<v1::GuestSpec, Failure> {
    let mut spec = match &args.file {
        Some(path) => read_file(path)?,
        None => v1::GuestSpec::default(),
    };
    for (field, flag) in [
        (&mut spec.image, &args.image),
        (&mut spec.name, &args.name),
        (&mut spec.kernel, &args.kernel),
        (&mut spec.initrd, &args.initrd),
        (&mut spec.user, &args.user),
        (&mut spec.working_dir, &args.workdir),
    ] {
        if let Some(value) = flag {
            field.clone_from(value);
        }
    }
    spec.vcpus = args.vcpus.unwrap_or(spec.vcpus);
    spec.memory_mib = args.memory.unwrap_or(spec.memory_mib);
    if !args.entrypoint.is_empty() {
        spec.entrypoint.clone_from(&args.entrypoint);
    }
    if !args.command.is_empty() {
        spec.command.clone_from(&args.command);
    }
    for entry in &args.env {
        set_env(&mut spec.env, env_entry(entry)?);
    }
    spec.labels.extend(args.label.iter().cloned());
    if let Some(virtualization) = args.virtualization {
        let value = match virtualization {
            Virtualization::Pvh => v1::Virtualization::Pvh,
            Virtualization::Pv => v1::Virtualization::Pv,
        };
        spec.virtualization = value.into();
    }
    Ok(spec)
}

fn env_entry(entry: &str) -> Result<v1::EnvVar, Failure> {
    let (name, value) = match entry.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => match env::var(entry) {
            Ok(value) => (entry, value),
            Err(_) => {
                return Err(Failure::usage(
                    format!("`-e {entry}` passes on a variable that you do not have"),
                    "set it, or write NAME=VALUE",
                ));
            }
        },
    };
    Ok(v1::EnvVar {
        name: name.to_owned(),
        value,
    })
}

fn set_env(env: &mut Vec<v1::EnvVar>, entry: v1::EnvVar) {
    match env.iter_mut().find(|known| known.name == entry.name) {
        Some(known) => *known = entry,
        None => env.push(entry),
    }
}

fn read_file(path: &Path) -> Result<v1::GuestSpec, Failure> {
    let text = read_text(path).map_err(|error| {
        Failure::invalid_spec(format!("cannot read the spec {}: {error}", path.display()))
    })?;
    let is_json = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    // No line of the file is quoted: it may hold the value of an env entry.
    let parsed: Result<SpecFile, String> = if is_json {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| toml_message(&text, &error))
    };
    let file = parsed.map_err(|reason| {
        Failure::invalid_spec(format!(
            "the spec {} is malformed: {reason}",
            path.display()
        ))
    })?;
    Ok(file.into())
}

fn toml_message(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start));
    match line {
        Some(before) => format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ),
        None => error.message().to_owned(),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(fs::File::open(path)?)
    };
    let read = source
        .by_ref()
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE) {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

impl From<SpecFile> for v1::GuestSpec {
    fn from(file: SpecFile) -> Self {
        let env = match file.env {
            EnvFile::Table(table) => table
                .into_iter()
                .map(|(name, value)| v1::EnvVar { name, value })
                .collect(),
            EnvFile::List(list) => list
                .into_iter()
                .map(|EnvEntry { name, value }| v1::EnvVar { name, value })
                .collect(),
        };
        let virtualization = match file.virtualization {
            None => v1::Virtualization::Unspecified,
            Some(VirtualizationFile::Pvh) => v1::Virtualization::Pvh,
            Some(VirtualizationFile::Pv) => v1::Virtualization::Pv,
        };
        Self {
            name: file.name,
            image: file.image,
            kernel: file.kernel,
            initrd: file.initrd,
            vcpus: file.vcpus,
            memory_mib: file.memory_mib,
            env,
            entrypoint: file.entrypoint,
            command: file.command,
            working_dir: file.working_dir,
            user: file.user,
            labels: file.labels,
            virtualization: virtualization.into(),
        }
    }
}

#[cfg(test)]
mod tests;
