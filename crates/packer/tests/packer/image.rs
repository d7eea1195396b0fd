//! Images for the fake registry, and a packer that may use it.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

use backhand::{FilesystemReader, InnerNode};
use serde_json::{Value, json};
use tempfile::TempDir;
use xenios_packer::{
    Digest, Error, Limits, PackedRootfs, Packer, PackerConfig, PinnedReference, Reference, Registry,
};

use crate::archive::Archive;
use crate::registry::{FakeRegistry, Reply};

/// The repository that tests use.
pub(crate) const REPOSITORY: &str = "team/app";

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image, ready to be served or spoilt.
pub(crate) struct Image {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: Value,
    pub(crate) manifest: Value,
}

impl Image {
    /// An image of these layers, lowest first, compressed with gzip.
    pub(crate) fn of(layers: Vec<Archive>) -> Self {
        let archives: Vec<_> = layers.into_iter().map(Archive::finish).collect();
        let blobs = archives.iter().map(|archive| gzip(archive)).collect();
        Self::of_blobs(
            &archives,
            blobs,
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
    }

    pub(crate) fn of_blobs(archives: &[Vec<u8>], layers: Vec<Vec<u8>>, media_type: &str) -> Self {
        let diff_ids: Vec<_> = archives.iter().map(|a| Digest::of(a).to_string()).collect();
        let config = json!({
            "os": "linux", "architecture": "amd64",
            "config": {"Entrypoint": ["/init"], "Env": ["A=1"], "User": "7"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let descriptors: Vec<_> = layers
            .iter()
            .map(|blob| descriptor(media_type, blob))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
            "layers": descriptors,
            "annotations": {"org.opencontainers.image.title": "test"},
        });
        Self {
            layers,
            config,
            manifest,
        }
    }

    /// Serves everything; the manifest under `tag` and its digest, which comes back.
    pub(crate) fn push(&self, registry: &FakeRegistry, tag: &str) -> Digest {
        for blob in self
            .layers
            .iter()
            .map(Vec::as_slice)
            .chain([self.config.to_string().as_bytes()])
        {
            registry.put(&blob_path(blob), Reply::ok(blob));
        }
        push_manifest(registry, tag, &self.manifest)
    }
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()})
}

pub(crate) fn blob_path(blob: &[u8]) -> String {
    format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(blob))
}

pub(crate) fn push_manifest(registry: &FakeRegistry, tag: &str, manifest: &Value) -> Digest {
    let bytes = manifest.to_string();
    let digest = Digest::of(bytes.as_bytes());
    for name in [tag.to_owned(), digest.to_string()] {
        registry.put(
            &format!("/v2/{REPOSITORY}/manifests/{name}"),
            Reply::ok(bytes.as_str()),
        );
    }
    digest
}

/// A packer with a cache of its own.
pub(crate) struct Bench {
    pub(crate) packer: Packer,
    pub(crate) cache: TempDir,
}

/// Limits under which a fault shows at once.
pub(crate) fn limits() -> Limits {
    Limits {
        first_backoff: Duration::from_millis(1),
        ..Limits::default()
    }
}

pub(crate) fn entry(authority: &str) -> Registry {
    Registry {
        authority: authority.to_owned(),
        plain_http: true,
        allow_private: true,
        ca_pem: None,
        credentials: None,
    }
}

impl Bench {
    pub(crate) fn new(registry: &FakeRegistry) -> Self {
        Self::with(vec![entry(&registry.authority())], limits())
    }

    pub(crate) fn with(registries: Vec<Registry>, limits: Limits) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let packer = Packer::new(PackerConfig {
            cache_dir: cache.path().join("cache"),
            registries,
            limits,
        })
        .unwrap();
        Self { packer, cache }
    }

    pub(crate) fn pack(&self, reference: &Reference) -> Result<PackedRootfs, Error> {
        let facts = self.packer.facts(reference)?;
        self.packer.rootfs(&facts.reference)
    }

    /// Asserts that nothing half-done stayed behind, and nothing outside the cache.
    pub(crate) fn assert_clean(&self) {
        let names = |path: &Path| -> Vec<_> {
            let entries = std::fs::read_dir(path).unwrap();
            entries
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        assert_eq!(names(self.cache.path()), ["cache"]);
        let cache = self.cache.path().join("cache");
        let mut inside = names(&cache);
        inside.sort();
        assert_eq!(inside, ["blobs", "boot", "lock", "rootfs", "tmp"]);
        assert!(names(&cache.join("tmp")).is_empty());
        assert!(names(&cache.join("rootfs")).is_empty());
        for blob in names(&cache.join("blobs")) {
            let bytes = std::fs::read(cache.join("blobs").join(&blob)).unwrap();
            assert_eq!(blob, Digest::of(&bytes).to_string().replace(':', "-"));
        }
    }
}

pub(crate) fn reference(registry: &FakeRegistry, rest: &str) -> Reference {
    format!("{}/{REPOSITORY}{rest}", registry.authority())
        .parse()
        .unwrap()
}

pub(crate) fn pinned(registry: &FakeRegistry, digest: Digest) -> PinnedReference {
    reference(registry, ":1").pin(digest)
}

/// The packed image in the short form of [`Archive::of`].
pub(crate) fn listing(path: &Path) -> Vec<String> {
    let reader = FilesystemReader::from_reader(BufReader::new(File::open(path).unwrap())).unwrap();
    reader
        .files()
        .skip(1)
        .map(|node| {
            let path = node.fullpath.to_str().unwrap()[1..].to_owned();
            match &node.inner {
                InnerNode::Dir(_) => format!("{path}/"),
                InnerNode::Symlink(link) => format!("{path}->{}", link.link.display()),
                InnerNode::File(file) => {
                    let mut text = String::new();
                    reader
                        .file(file)
                        .reader()
                        .read_to_string(&mut text)
                        .unwrap();
                    if text.is_empty() {
                        path
                    } else {
                        format!("{path}={text}")
                    }
                }
                other => format!("{path} {other:?}"),
            }
        })
        .collect()
}
