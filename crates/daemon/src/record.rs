//! Model to record and back: the JSON that the store's columns hold.
//!
//! Records are versioned and read strictly: one that cannot be read is an error of its
//! row, never a guess. Nothing here knows SQL.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xenios_core::{
    BootFile, Defaults, DomId, Exit, GuestName, GuestSpec, ImageConfig, ImageFacts, LayerFacts,
    PinnedSpec, SpecDraft, Stage, State, Status, Virtualization,
};

pub(crate) mod audit;
#[cfg(test)]
mod tests;

/// The version that is written. A reader of a newer version reads all older ones.
const VERSION: u32 = 1;

/// A row's JSON cannot be turned back into what was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Not the JSON that this version writes.
    #[error("not a record of a known form")]
    Json(#[source] serde_json::Error),
    /// Written by a newer daemon.
    #[error("record version {0} is newer than this xeniosd; upgrade it")]
    Version(u32),
    /// A field holds what the model does not allow.
    #[error("the field {0} is not valid")]
    Field(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versioned<T> {
    v: u32,
    r: T,
}

fn write<T: Serialize>(record: T) -> String {
    serde_json::to_string(&Versioned {
        v: VERSION,
        r: record,
    })
    .expect("records hold only strings, numbers and lists, which always serialise")
}

fn read<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_str(json).map_err(RecordError::Json)?;
    if v != VERSION {
        return Err(RecordError::Version(v));
    }
    let versioned: Versioned<T> = serde_json::from_str(json).map_err(RecordError::Json)?;
    Ok(versioned.r)
}

/// The record of a spec.
pub(crate) fn spec_to_json(spec: &PinnedSpec) -> String {
    write(PinnedRecord::from(spec))
}

/// The spec of a record.
pub(crate) fn spec_from_json(json: &str) -> Result<PinnedSpec, RecordError> {
    read::<PinnedRecord>(json)?.into_model()
}

/// The record of a status.
pub(crate) fn status_to_json(status: &Status) -> String {
    write(StatusRecord::from(status))
}

/// The status of a record.
pub(crate) fn status_from_json(json: &str) -> Result<Status, RecordError> {
    read::<StatusRecord>(json)?.into_model()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinnedRecord {
    spec: DraftRecord,
    image: ImageRecord,
    kernel: BootRecord,
    initrd: BootRecord,
}

impl From<&PinnedSpec> for PinnedRecord {
    fn from(pinned: &PinnedSpec) -> Self {
        Self {
            spec: (&pinned.spec.to_draft()).into(),
            image: (&pinned.image).into(),
            kernel: (&pinned.kernel).into(),
            initrd: (&pinned.initrd).into(),
        }
    }
}

impl PinnedRecord {
    fn into_model(self) -> Result<PinnedSpec, RecordError> {
        let draft = self.spec.into_model();
        let name: GuestName = draft
            .name
            .parse()
            .map_err(|_| RecordError::Field("spec.name"))?;
        // A stored spec has every field set, so the defaults are never looked at.
        let defaults = Defaults::new(Virtualization::Pvh, name);
        Ok(PinnedSpec {
            spec: GuestSpec::parse(draft, &defaults).map_err(|_| RecordError::Field("spec"))?,
            image: self.image.into_model()?,
            kernel: self.kernel.into_model()?,
            initrd: self.initrd.into_model()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftRecord {
    name: String,
    image: String,
    kernel: String,
    initrd: String,
    vcpus: u32,
    memory_mib: u64,
    env: Vec<(String, String)>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    working_dir: String,
    user: String,
    labels: Vec<(String, String)>,
    virtualization: Option<VirtualizationRecord>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VirtualizationRecord {
    Pvh,
    Pv,
}

impl From<&SpecDraft> for DraftRecord {
    fn from(draft: &SpecDraft) -> Self {
        let draft = draft.clone();
        Self {
            name: draft.name,
            image: draft.image,
            kernel: draft.kernel,
            initrd: draft.initrd,
            vcpus: draft.vcpus,
            memory_mib: draft.memory_mib,
            env: draft.env,
            entrypoint: draft.entrypoint,
            command: draft.command,
            working_dir: draft.working_dir,
            user: draft.user,
            labels: draft.labels,
            virtualization: draft.virtualization.map(|v| match v {
                Virtualization::Pvh => VirtualizationRecord::Pvh,
                Virtualization::Pv => VirtualizationRecord::Pv,
            }),
        }
    }
}

impl DraftRecord {
    fn into_model(self) -> SpecDraft {
        SpecDraft {
            name: self.name,
            image: self.image,
            kernel: self.kernel,
            initrd: self.initrd,
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            env: self.env,
            entrypoint: self.entrypoint,
            command: self.command,
            working_dir: self.working_dir,
            user: self.user,
            labels: self.labels,
            virtualization: self.virtualization.map(|v| match v {
                VirtualizationRecord::Pvh => Virtualization::Pvh,
                VirtualizationRecord::Pv => Virtualization::Pv,
            }),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageRecord {
    reference: String,
    platform: String,
    layers: Vec<(String, u64)>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: Vec<String>,
    working_dir: String,
    user: String,
    annotations: Vec<(String, String)>,
}

impl From<&ImageFacts> for ImageRecord {
    fn from(facts: &ImageFacts) -> Self {
        let ImageFacts {
            reference,
            platform,
            layers,
            config,
            annotations,
        } = facts.clone();
        Self {
            reference: reference.to_string(),
            platform,
            layers: layers
                .into_iter()
                .map(|layer| (layer.digest.to_string(), layer.size_bytes))
                .collect(),
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            env: config.env,
            working_dir: config.working_dir,
            user: config.user,
            annotations,
        }
    }
}

impl ImageRecord {
    fn into_model(self) -> Result<ImageFacts, RecordError> {
        let layers = self.layers.into_iter().map(|(digest, size_bytes)| {
            let digest = digest.parse().map_err(|_| RecordError::Field("layers"))?;
            Ok(LayerFacts { digest, size_bytes })
        });
        Ok(ImageFacts {
            reference: self
                .reference
                .parse()
                .map_err(|_| RecordError::Field("reference"))?,
            platform: self.platform,
            layers: layers.collect::<Result<_, _>>()?,
            config: ImageConfig {
                entrypoint: self.entrypoint,
                cmd: self.cmd,
                env: self.env,
                working_dir: self.working_dir,
                user: self.user,
            },
            annotations: self.annotations,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum BootRecord {
    HostDefault { name: String, digest: String },
    Image(ImageRecord),
}

impl From<&BootFile> for BootRecord {
    fn from(file: &BootFile) -> Self {
        match file {
            BootFile::HostDefault { name, digest } => Self::HostDefault {
                name: name.clone(),
                digest: digest.to_string(),
            },
            BootFile::Image(facts) => Self::Image(facts.as_ref().into()),
        }
    }
}

impl BootRecord {
    fn into_model(self) -> Result<BootFile, RecordError> {
        Ok(match self {
            Self::HostDefault { name, digest } => BootFile::HostDefault {
                name,
                digest: digest.parse().map_err(|_| RecordError::Field("digest"))?,
            },
            Self::Image(image) => BootFile::Image(Box::new(image.into_model()?)),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRecord {
    state: StateRecord,
    condemned: Option<u16>,
    trouble: Option<String>,
    /// Microseconds by the stage's name.
    stages: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum StateRecord {
    Preparing,
    Building,
    Booting { domid: u16 },
    Running { domid: u16 },
    Exited { exit: ExitRecord },
    Failed { error: String },
    Deleting,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum ExitRecord {
    Code(u8),
    Signal(u8),
    Lost(String),
}

impl From<&Status> for StatusRecord {
    fn from(status: &Status) -> Self {
        let state = match &status.state {
            State::Preparing => StateRecord::Preparing,
            State::Building => StateRecord::Building,
            State::Booting { domid } => StateRecord::Booting { domid: domid.get() },
            State::Running { domid } => StateRecord::Running { domid: domid.get() },
            State::Exited { exit } => StateRecord::Exited {
                exit: match exit.clone() {
                    Exit::Code(code) => ExitRecord::Code(code),
                    Exit::Signal(signal) => ExitRecord::Signal(signal),
                    Exit::Lost(why) => ExitRecord::Lost(why),
                },
            },
            State::Failed { error } => StateRecord::Failed {
                error: error.clone(),
            },
            State::Deleting => StateRecord::Deleting,
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            state,
            condemned: status.condemned.map(DomId::get),
            trouble: status.trouble.clone(),
            stages: status
                .stages
                .iter()
                .map(|(stage, time)| (stage.name().to_owned(), micros(time)))
                .collect(),
        }
    }
}

impl StatusRecord {
    fn into_model(self) -> Result<Status, RecordError> {
        let domid = |raw| DomId::new(raw).ok_or(RecordError::Field("domid"));
        let state = match self.state {
            StateRecord::Preparing => State::Preparing,
            StateRecord::Building => State::Building,
            StateRecord::Booting { domid: raw } => State::Booting { domid: domid(raw)? },
            StateRecord::Running { domid: raw } => State::Running { domid: domid(raw)? },
            StateRecord::Exited { exit } => State::Exited {
                exit: match exit {
                    ExitRecord::Code(code) => Exit::Code(code),
                    ExitRecord::Signal(signal) => Exit::Signal(signal),
                    ExitRecord::Lost(why) => Exit::Lost(why),
                },
            },
            StateRecord::Failed { error } => State::Failed { error },
            StateRecord::Deleting => State::Deleting,
        };
        let mut status = Status {
            state,
            condemned: self.condemned.map(domid).transpose()?,
            trouble: self.trouble,
            ..Status::default()
        };
        for stage in Stage::ALL {
            if let Some(micros) = self.stages.get(stage.name()) {
                status.stages.record(stage, Duration::from_micros(*micros));
            }
        }
        Ok(status)
    }
}
