//! Example requests for tests of policies. A component that does not use them does
//! not hold them.

use crate::{
    BootFile, GuestSpec, HostFile, ImageConfig, ImageFacts, Layer, Operation, Pair, Pinned,
    PinnedReference, Request, Usage, Virtualization,
};

/// As a mutating policy is asked: without facts.
#[must_use]
pub fn mutating() -> Request {
    Request {
        tenant: "acme".to_owned(),
        user: "alice".to_owned(),
        operation: Operation::Create,
        dry_run: false,
        now_ms: 1_764_000_000_000,
        usage: Usage {
            guests: 0,
            vcpus: 0,
            memory_mib: 0,
        },
        spec: GuestSpec {
            name: "web".to_owned(),
            image: "registry.example.com/web:1".to_owned(),
            kernel: None,
            initrd: None,
            vcpus: 1,
            memory_mib: 128,
            env: Vec::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            working_dir: None,
            user: None,
            labels: Vec::new(),
            virtualization: Virtualization::Pvh,
        },
        pinned: None,
        extra: Vec::new(),
    }
}

/// As a validating policy is asked: with facts, the host's own kernel and initrd.
#[must_use]
pub fn validating() -> Request {
    let digest = |fill: &str| format!("sha256:{}", fill.repeat(64));
    Request {
        pinned: Some(Pinned {
            image: image("registry.example.com", "web", &digest("1")),
            kernel: host_file("vmlinuz", &digest("2")),
            initrd: host_file("initrd", &digest("3")),
        }),
        ..mutating()
    }
}

/// An image of one small layer.
#[must_use]
pub fn image(registry: &str, repository: &str, digest: &str) -> ImageFacts {
    ImageFacts {
        reference: PinnedReference {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: None,
            digest: digest.to_owned(),
        },
        platform: "linux/amd64".to_owned(),
        layers: vec![layer(1 << 20)],
        config: ImageConfig {
            entrypoint: Vec::new(),
            cmd: vec!["/bin/sh".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            working_dir: String::new(),
            user: String::new(),
        },
        annotations: Vec::new(),
    }
}

/// A layer of that many bytes.
#[must_use]
pub fn layer(size_bytes: u64) -> Layer {
    Layer {
        digest: format!("sha256:{}", "4".repeat(64)),
        size_bytes,
    }
}

/// A file of the host.
#[must_use]
pub fn host_file(name: &str, digest: &str) -> BootFile {
    BootFile::HostDefault(HostFile {
        name: name.to_owned(),
        digest: digest.to_owned(),
    })
}

/// A name and a value.
#[must_use]
pub fn pair(name: &str, value: &str) -> Pair {
    Pair {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
