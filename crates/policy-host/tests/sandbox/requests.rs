//! Requests for the tests.

use xenios_policy_host::{
    BootFile, GuestSpec, ImageConfig, ImageFacts, Layer, Operation, Pinned, PinnedReference,
    Request, Usage, Virtualization,
};

pub(crate) fn digest(fill: char) -> String {
    format!("sha256:{}", String::from(fill).repeat(64))
}

/// A request of a mutator, every field of the spec filled.
pub(crate) fn mutating() -> Request {
    let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
    Request {
        tenant: "acme".to_owned(),
        user: "alice".to_owned(),
        operation: Operation::Create,
        dry_run: true,
        now_ms: 1_764_000_000_000,
        usage: Usage {
            guests: 3,
            vcpus: 5,
            memory_mib: 1024,
        },
        spec: GuestSpec {
            name: "web".to_owned(),
            image: "r.io:5000/web:1".to_owned(),
            kernel: Some("r.io/kernels/linux:6.12".to_owned()),
            initrd: None,
            vcpus: 2,
            memory_mib: 256,
            env: vec![
                ("LEVEL".to_owned(), "debug".to_owned()),
                ("größe".to_owned(), "🦀".to_owned()),
            ],
            entrypoint: owned(&["/bin/sh", "-c"]),
            command: owned(&["echo hello"]),
            working_dir: Some("/srv".to_owned()),
            user: Some("www-data".to_owned()),
            labels: vec![("tier".to_owned(), "front".to_owned())],
            virtualization: Virtualization::Pv,
        },
        pinned: None,
        extra: Vec::new(),
    }
}

/// A request of a validator: 90 MiB of image, a kernel from an image.
pub(crate) fn validating() -> Request {
    Request {
        pinned: Some(Pinned {
            image: image("r.io:5000", "web", '1', &[60 << 20, 30 << 20]),
            kernel: BootFile::Image(image("r.io", "kernels/linux", '2', &[10 << 20])),
            initrd: host_file("initrd", '3'),
        }),
        ..mutating()
    }
}

/// A request that the hostile policy answers in the way that `name` says.
pub(crate) fn named(name: &str) -> Request {
    let mut request = validating();
    name.clone_into(&mut request.spec.name);
    request
}

pub(crate) fn host_file(name: &str, fill: char) -> BootFile {
    BootFile::HostDefault {
        name: name.to_owned(),
        digest: digest(fill),
    }
}

fn image(registry: &str, repository: &str, fill: char, layers: &[u64]) -> ImageFacts {
    ImageFacts {
        reference: PinnedReference {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: Some("1".to_owned()),
            digest: digest(fill),
        },
        platform: "linux/amd64".to_owned(),
        layers: layers
            .iter()
            .map(|&size_bytes| Layer {
                digest: digest('f'),
                size_bytes,
            })
            .collect(),
        config: ImageConfig {
            env: vec!["PATH=/bin".to_owned()],
            ..ImageConfig::default()
        },
        annotations: vec![(
            "org.opencontainers.image.title".to_owned(),
            "web".to_owned(),
        )],
    }
}
