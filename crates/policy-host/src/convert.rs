//! Between this crate's plain types and those generated from the contract: a field
//! for a field, nothing decided.

use crate::bindings::{mutator, types};
use crate::request::{
    BootFile, GuestSpec, ImageConfig, ImageFacts, Layer, Operation, Pinned, PinnedReference,
    Request, Usage, Virtualization,
};
use crate::verdict::{Mutation, Report, Violation};

fn pairs(from: &[(String, String)]) -> Vec<types::Pair> {
    from.iter()
        .map(|(name, value)| types::Pair {
            name: name.clone(),
            value: value.clone(),
        })
        .collect()
}

fn unpair(from: Vec<types::Pair>) -> Vec<(String, String)> {
    from.into_iter()
        .map(|pair| (pair.name, pair.value))
        .collect()
}

impl From<&Request> for types::Request {
    fn from(from: &Request) -> Self {
        Self {
            tenant: from.tenant.clone(),
            user: from.user.clone(),
            operation: from.operation.into(),
            dry_run: from.dry_run,
            now_ms: from.now_ms,
            usage: from.usage.into(),
            spec: (&from.spec).into(),
            pinned: from.pinned.as_ref().map(Into::into),
            extra: pairs(&from.extra),
        }
    }
}

impl From<Operation> for types::Operation {
    fn from(from: Operation) -> Self {
        match from {
            Operation::Create => Self::Create,
            Operation::Update => Self::Update,
            Operation::Restart => Self::Restart,
            Operation::Migrate => Self::Migrate,
            Operation::Delete => Self::Delete,
        }
    }
}

impl From<Usage> for types::Usage {
    fn from(from: Usage) -> Self {
        Self {
            guests: from.guests,
            vcpus: from.vcpus,
            memory_mib: from.memory_mib,
        }
    }
}

impl From<&GuestSpec> for types::GuestSpec {
    fn from(from: &GuestSpec) -> Self {
        Self {
            name: from.name.clone(),
            image: from.image.clone(),
            kernel: from.kernel.clone(),
            initrd: from.initrd.clone(),
            vcpus: from.vcpus,
            memory_mib: from.memory_mib,
            env: pairs(&from.env),
            entrypoint: from.entrypoint.clone(),
            command: from.command.clone(),
            working_dir: from.working_dir.clone(),
            user: from.user.clone(),
            labels: pairs(&from.labels),
            virtualization: match from.virtualization {
                Virtualization::Pvh => types::Virtualization::Pvh,
                Virtualization::Pv => types::Virtualization::Pv,
            },
        }
    }
}

impl From<types::GuestSpec> for GuestSpec {
    fn from(from: types::GuestSpec) -> Self {
        Self {
            name: from.name,
            image: from.image,
            kernel: from.kernel,
            initrd: from.initrd,
            vcpus: from.vcpus,
            memory_mib: from.memory_mib,
            env: unpair(from.env),
            entrypoint: from.entrypoint,
            command: from.command,
            working_dir: from.working_dir,
            user: from.user,
            labels: unpair(from.labels),
            virtualization: match from.virtualization {
                types::Virtualization::Pvh => Virtualization::Pvh,
                types::Virtualization::Pv => Virtualization::Pv,
            },
        }
    }
}

impl From<&Pinned> for types::Pinned {
    fn from(from: &Pinned) -> Self {
        Self {
            image: (&from.image).into(),
            kernel: (&from.kernel).into(),
            initrd: (&from.initrd).into(),
        }
    }
}

impl From<&BootFile> for types::BootFile {
    fn from(from: &BootFile) -> Self {
        match from {
            BootFile::HostDefault { name, digest } => Self::HostDefault(types::HostFile {
                name: name.clone(),
                digest: digest.clone(),
            }),
            BootFile::Image(facts) => Self::Image(facts.into()),
        }
    }
}

impl From<&ImageFacts> for types::ImageFacts {
    fn from(from: &ImageFacts) -> Self {
        Self {
            reference: (&from.reference).into(),
            platform: from.platform.clone(),
            layers: from.layers.iter().map(Into::into).collect(),
            config: (&from.config).into(),
            annotations: pairs(&from.annotations),
        }
    }
}

impl From<&PinnedReference> for types::PinnedReference {
    fn from(from: &PinnedReference) -> Self {
        Self {
            registry: from.registry.clone(),
            repository: from.repository.clone(),
            tag: from.tag.clone(),
            digest: from.digest.clone(),
        }
    }
}

impl From<&Layer> for types::Layer {
    fn from(from: &Layer) -> Self {
        Self {
            digest: from.digest.clone(),
            size_bytes: from.size_bytes,
        }
    }
}

impl From<&ImageConfig> for types::ImageConfig {
    fn from(from: &ImageConfig) -> Self {
        Self {
            entrypoint: from.entrypoint.clone(),
            cmd: from.cmd.clone(),
            env: from.env.clone(),
            working_dir: from.working_dir.clone(),
            user: from.user.clone(),
        }
    }
}

pub(crate) fn violations(from: Vec<types::Violation>) -> Vec<Violation> {
    from.into_iter()
        .map(|violation| Violation {
            rule: violation.rule,
            field: violation.field,
            message: violation.message,
        })
        .collect()
}

impl From<types::Report> for Report {
    fn from(from: types::Report) -> Self {
        Self {
            warnings: from.warnings,
            audit: unpair(from.audit),
        }
    }
}

impl From<mutator::Mutation> for Mutation {
    fn from(from: mutator::Mutation) -> Self {
        match from {
            mutator::Mutation::Unchanged => Self::Unchanged,
            mutator::Mutation::Replace(spec) => Self::Replace(Box::new(spec.into())),
            mutator::Mutation::Deny(reasons) => Self::Deny(violations(reasons)),
        }
    }
}
