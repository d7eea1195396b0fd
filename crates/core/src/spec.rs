//! What a tenant asks for: the raw draft, and the spec parsed from it.
//!
//! A [`GuestSpec`] exists only valid, with every default applied. It is in a
//! normal form (env and labels sorted by name, registries in lower case), so that
//! [`diff`] is empty exactly when two specs are equal: no policy can change what
//! the record of its changes does not show. Whether a spec is allowed is not
//! decided here.

mod diff;
mod errors;
mod parse;

use std::collections::BTreeMap;
use std::fmt;

use crate::id::GuestName;
use crate::reference::ImageReference;

pub use diff::{FieldChange, diff};
pub use errors::{FieldError, FieldErrors};
pub use parse::{MAX_ARGS, MAX_ARGS_BYTES, MAX_ENV, MAX_ENV_BYTES, MAX_LABELS, MAX_LABELS_BYTES};

/// How Xen runs a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Virtualization {
    /// Hardware virtualisation without emulated devices.
    Pvh,
    /// Paravirtualised.
    Pv,
}

impl fmt::Display for Virtualization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pvh => "pvh",
            Self::Pv => "pv",
        })
    }
}

/// A number of vCPUs: 1 to 128, what Xen gives a PVH guest
/// (`HVM_MAX_VCPUS` in `xen/include/public/hvm/hvm_info_table.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vcpus(u32);

impl Vcpus {
    /// Fewest.
    pub const MIN: Self = Self(1);
    /// Most.
    pub const MAX: Self = Self(128);

    /// `count` vCPUs; nothing outside 1 to 128.
    #[must_use]
    pub const fn new(count: u32) -> Option<Self> {
        if count >= Self::MIN.0 && count <= Self::MAX.0 {
            Some(Self(count))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An amount of memory: 64 MiB (the smallest guest that boots here) to
/// 1,048,576 MiB (1 TiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryMib(u64);

impl MemoryMib {
    /// Least.
    pub const MIN: Self = Self(64);
    /// Most.
    pub const MAX: Self = Self(1 << 20);

    /// `mib` MiB; nothing outside the limits.
    #[must_use]
    pub const fn new(mib: u64) -> Option<Self> {
        if mib >= Self::MIN.0 && mib <= Self::MAX.0 {
            Some(Self(mib))
        } else {
            None
        }
    }

    /// In MiB.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What stands in for the fields that a draft leaves unset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For zero vCPUs.
    pub vcpus: Vcpus,
    /// For zero memory.
    pub memory: MemoryMib,
    /// For no virtualization.
    pub virtualization: Virtualization,
    /// For an empty name; see [`GuestName::generated`].
    pub name: GuestName,
}

impl Defaults {
    /// The defaults that the API promises: 1 vCPU and 128 MiB.
    #[must_use]
    pub const fn new(virtualization: Virtualization, name: GuestName) -> Self {
        Self {
            vcpus: Vcpus(1),
            memory: MemoryMib(128),
            virtualization,
            name,
        }
    }
}

/// A spec as it was written: raw, with zero or empty for what is unset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SpecDraft {
    /// Empty: [`Defaults::name`].
    pub name: String,
    /// OCI reference; required.
    pub image: String,
    /// OCI reference; empty: the host's kernel.
    pub kernel: String,
    /// OCI reference; empty: the host's initrd.
    pub initrd: String,
    /// 0: [`Defaults::vcpus`].
    pub vcpus: u32,
    /// MiB; 0: [`Defaults::memory`].
    pub memory_mib: u64,
    /// Name and value.
    pub env: Vec<(String, String)>,
    /// Replaces the image's, when not empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's cmd, when not empty.
    pub command: Vec<String>,
    /// Empty: the image's.
    pub working_dir: String,
    /// `user[:group]`; empty: the image's.
    pub user: String,
    /// Key and value.
    pub labels: Vec<(String, String)>,
    /// `None`: [`Defaults::virtualization`].
    pub virtualization: Option<Virtualization>,
}

impl fmt::Debug for SpecDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecDraft")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("kernel", &self.kernel)
            .field("initrd", &self.initrd)
            .field("vcpus", &self.vcpus)
            .field("memory_mib", &self.memory_mib)
            .field(
                "env",
                &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("entrypoint", &self.entrypoint)
            .field("command", &self.command)
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .field("labels", &self.labels)
            .field("virtualization", &self.virtualization)
            .finish()
    }
}

/// A valid spec, every default applied.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestSpec {
    name: GuestName,
    image: ImageReference,
    kernel: Option<ImageReference>,
    initrd: Option<ImageReference>,
    vcpus: Vcpus,
    memory: MemoryMib,
    env: BTreeMap<String, String>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    working_dir: Option<String>,
    user: Option<String>,
    labels: BTreeMap<String, String>,
    virtualization: Virtualization,
}

impl fmt::Debug for GuestSpec {
    /// As a draft, so without env values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_draft().fmt(f)
    }
}

impl GuestSpec {
    /// Its fields, as errors, changes and bindings of policies name them.
    pub const FIELDS: [&str; 13] = [
        "name",
        "image",
        "kernel",
        "initrd",
        "vcpus",
        "memory_mib",
        "env",
        "entrypoint",
        "command",
        "working_dir",
        "user",
        "labels",
        "virtualization",
    ];

    /// Parses a draft. Every field that is wrong is reported at once.
    pub fn parse(draft: SpecDraft, defaults: &Defaults) -> Result<Self, FieldErrors> {
        parse::parse(draft, defaults)
    }

    /// The draft that parses to this spec, whatever the defaults.
    #[must_use]
    pub fn to_draft(&self) -> SpecDraft {
        let named = |r: &Option<ImageReference>| r.as_ref().map(ToString::to_string);
        let pairs = |map: &BTreeMap<String, String>| {
            map.iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        SpecDraft {
            name: self.name.to_string(),
            image: self.image.to_string(),
            kernel: named(&self.kernel).unwrap_or_default(),
            initrd: named(&self.initrd).unwrap_or_default(),
            vcpus: self.vcpus.get(),
            memory_mib: self.memory.get(),
            env: pairs(&self.env),
            entrypoint: self.entrypoint.clone(),
            command: self.command.clone(),
            working_dir: self.working_dir.clone().unwrap_or_default(),
            user: self.user.clone().unwrap_or_default(),
            labels: pairs(&self.labels),
            virtualization: Some(self.virtualization),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &GuestName {
        &self.name
    }

    /// The image, as named.
    #[must_use]
    pub const fn image(&self) -> &ImageReference {
        &self.image
    }

    /// The image that holds the kernel; `None`: the host's.
    #[must_use]
    pub const fn kernel(&self) -> Option<&ImageReference> {
        self.kernel.as_ref()
    }

    /// The image that holds the initrd; `None`: the host's.
    #[must_use]
    pub const fn initrd(&self) -> Option<&ImageReference> {
        self.initrd.as_ref()
    }

    /// Its vCPUs.
    #[must_use]
    pub const fn vcpus(&self) -> Vcpus {
        self.vcpus
    }

    /// Its memory.
    #[must_use]
    pub const fn memory(&self) -> MemoryMib {
        self.memory
    }

    /// Its env, by name.
    #[must_use]
    pub const fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The entrypoint; empty: the image's.
    #[must_use]
    pub fn entrypoint(&self) -> &[String] {
        &self.entrypoint
    }

    /// The command; empty: the image's.
    #[must_use]
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// The working directory, absolute; `None`: the image's.
    #[must_use]
    pub fn working_dir(&self) -> Option<&str> {
        self.working_dir.as_deref()
    }

    /// `user[:group]`; `None`: the image's.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Its labels, by key.
    #[must_use]
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// How Xen runs it.
    #[must_use]
    pub const fn virtualization(&self) -> Virtualization {
        self.virtualization
    }
}
