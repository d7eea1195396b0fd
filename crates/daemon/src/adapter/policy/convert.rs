//! Core's model to what a policy is asked, and a policy's spec back to a draft.
//!
//! A policy's spec is untrusted: it becomes a draft, which the chain parses.

use xenios_core::policy::{Operation, PolicyRequest};
use xenios_core::{
    BootFile, ImageFacts, PinnedReference, PinnedSpec, SpecDraft, Usage, Virtualization,
};
use xenios_policy_host as host;

pub(super) fn request(request: &PolicyRequest<'_>) -> host::Request {
    host::Request {
        tenant: request.tenant.to_string(),
        user: request.user.to_owned(),
        operation: match request.operation {
            Operation::Create => host::Operation::Create,
        },
        dry_run: request.dry_run,
        now_ms: request.now_ms,
        usage: usage(request.usage),
        spec: spec(
            request.spec.to_draft(),
            virtualization(request.spec.virtualization()),
        ),
        pinned: request.pinned.map(pinned),
        extra: Vec::new(),
    }
}

fn usage(usage: Usage) -> host::Usage {
    host::Usage {
        guests: usage.guests,
        vcpus: usage.vcpus,
        memory_mib: usage.memory_mib,
    }
}

fn virtualization(virtualization: Virtualization) -> host::Virtualization {
    match virtualization {
        Virtualization::Pvh => host::Virtualization::Pvh,
        Virtualization::Pv => host::Virtualization::Pv,
    }
}

fn spec(draft: SpecDraft, virtualization: host::Virtualization) -> host::GuestSpec {
    host::GuestSpec {
        name: draft.name,
        image: draft.image,
        kernel: set(draft.kernel),
        initrd: set(draft.initrd),
        vcpus: draft.vcpus,
        memory_mib: draft.memory_mib,
        env: draft.env,
        entrypoint: draft.entrypoint,
        command: draft.command,
        working_dir: set(draft.working_dir),
        user: set(draft.user),
        labels: draft.labels,
        virtualization,
    }
}

/// The draft of a spec that a policy gave.
pub(super) fn draft(spec: host::GuestSpec) -> SpecDraft {
    SpecDraft {
        name: spec.name,
        image: spec.image,
        kernel: spec.kernel.unwrap_or_default(),
        initrd: spec.initrd.unwrap_or_default(),
        vcpus: spec.vcpus,
        memory_mib: spec.memory_mib,
        env: spec.env,
        entrypoint: spec.entrypoint,
        command: spec.command,
        working_dir: spec.working_dir.unwrap_or_default(),
        user: spec.user.unwrap_or_default(),
        labels: spec.labels,
        virtualization: Some(match spec.virtualization {
            host::Virtualization::Pvh => Virtualization::Pvh,
            host::Virtualization::Pv => Virtualization::Pv,
        }),
    }
}

/// In a draft, empty is unset.
fn set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn pinned(pinned: &PinnedSpec) -> host::Pinned {
    host::Pinned {
        image: image(&pinned.image),
        kernel: boot_file(&pinned.kernel),
        initrd: boot_file(&pinned.initrd),
    }
}

fn boot_file(file: &BootFile) -> host::BootFile {
    match file {
        BootFile::HostDefault { name, digest } => host::BootFile::HostDefault {
            name: name.clone(),
            digest: digest.to_string(),
        },
        BootFile::Image(facts) => host::BootFile::Image(image(facts)),
    }
}

fn image(facts: &ImageFacts) -> host::ImageFacts {
    let config = facts.config.clone();
    host::ImageFacts {
        reference: reference(&facts.reference),
        platform: facts.platform.clone(),
        layers: facts
            .layers
            .iter()
            .map(|layer| host::Layer {
                digest: layer.digest.to_string(),
                size_bytes: layer.size_bytes,
            })
            .collect(),
        config: host::ImageConfig {
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            env: config.env,
            working_dir: config.working_dir,
            user: config.user,
        },
        annotations: facts.annotations.clone(),
    }
}

fn reference(reference: &PinnedReference) -> host::PinnedReference {
    host::PinnedReference {
        registry: reference.registry().to_owned(),
        repository: reference.repository().to_owned(),
        tag: reference.tag().map(str::to_owned),
        digest: reference.digest().to_string(),
    }
}
