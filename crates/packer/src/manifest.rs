//! Indexes, manifests and configs: OCI's and Docker's schema 2, as plain values.
//!
//! What a document is follows from its bytes alone, never from a header, so that
//! one digest means one thing. Unknown fields are ignored, as the specifications
//! ask. A descriptor's `urls` are ignored too: blobs come from the registry.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::error::{ImageFault, Part};
use crate::image::ImageConfig;

/// Asked for when a manifest is fetched.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// The platform that guests have.
pub(crate) const PLATFORM: &str = "linux/amd64";

const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIG_TYPES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
/// Layers that are filesystem archives. The suffix is not believed: the data says
/// how it is compressed. The last four are for layers that were not to be
/// distributed; a registry that has them may serve them.
const LAYER_TYPES: [&str; 9] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

/// Digest and size of something in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// What a reference can lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// One manifest for each platform; this is the one for [`PLATFORM`].
    Index(Descriptor),
    Manifest(Manifest),
}

/// An image manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    /// Lowest first.
    pub(crate) layers: Vec<Descriptor>,
    /// By name.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// An image config.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Digests of the decompressed layers, lowest first.
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) run: ImageConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default, deserialize_with = "null_is_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

#[derive(Deserialize)]
struct RawConfig {
    os: String,
    architecture: String,
    rootfs: RawRootfs,
    #[serde(default, deserialize_with = "null_is_default")]
    config: RawRun,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default, deserialize_with = "null_is_default")]
    diff_ids: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RawRun {
    #[serde(deserialize_with = "null_is_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    working_dir: String,
    #[serde(deserialize_with = "null_is_default")]
    user: String,
}

/// Go writes an empty list, map or struct as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Parses what a registry has under a tag or digest.
pub(crate) fn parse(bytes: &[u8], what: Part) -> Result<Document, ImageFault> {
    let fault = |reason| ImageFault::Document { what, reason };
    let raw: RawDocument = serde_json::from_slice(bytes)
        .map_err(|_| fault("it is not a JSON document of a schema that is supported"))?;
    if raw.schema_version != 2 {
        return Err(fault(
            "its schema version is not 2; push the image again with a newer tool",
        ));
    }
    let is_index = raw.manifests.is_some();
    if is_index == (raw.config.is_some() || raw.layers.is_some()) {
        return Err(fault("it is not clearly either an index or a manifest"));
    }
    let types = if is_index {
        INDEX_TYPES
    } else {
        MANIFEST_TYPES
    };
    if let Some(media_type) = &raw.media_type
        && !types.contains(&media_type.as_str())
    {
        return Err(fault("its media type does not fit its content"));
    }
    match raw.manifests {
        Some(manifests) => choose(&manifests, what).map(Document::Index),
        None => manifest(raw, what).map(Document::Manifest),
    }
}

/// The first manifest for [`PLATFORM`]; one that asks for no newer processor wins.
fn choose(manifests: &[RawDescriptor], what: Part) -> Result<Descriptor, ImageFault> {
    let fits = |entry: &&RawDescriptor| {
        MANIFEST_TYPES.contains(&entry.media_type.as_str())
            && entry
                .platform
                .as_ref()
                .is_some_and(|p| p.os == "linux" && p.architecture == "amd64")
    };
    let baseline = |entry: &&RawDescriptor| {
        let variant = entry.platform.as_ref().and_then(|p| p.variant.as_deref());
        matches!(variant, None | Some("" | "v1"))
    };
    let found = manifests
        .iter()
        .filter(fits)
        .find(baseline)
        .or_else(|| manifests.iter().find(fits))
        .ok_or(ImageFault::Platform { wanted: PLATFORM })?;
    descriptor(found, what)
}

fn manifest(raw: RawDocument, what: Part) -> Result<Manifest, ImageFault> {
    let fault = |reason| ImageFault::Document { what, reason };
    let config = raw.config.ok_or_else(|| fault("it has no config"))?;
    if !CONFIG_TYPES.contains(&config.media_type.as_str()) {
        return Err(fault(
            "it is not of a container image: its config is of another type",
        ));
    }
    let layers = raw
        .layers
        .ok_or_else(|| fault("it has no list of layers"))?;
    if layers
        .iter()
        .any(|layer| !LAYER_TYPES.contains(&layer.media_type.as_str()))
    {
        return Err(fault(
            "a layer is not a tar archive: its media type is another",
        ));
    }
    Ok(Manifest {
        config: descriptor(&config, what)?,
        layers: layers
            .iter()
            .map(|layer| descriptor(layer, what))
            .collect::<Result<_, _>>()?,
        annotations: raw.annotations,
    })
}

fn descriptor(raw: &RawDescriptor, what: Part) -> Result<Descriptor, ImageFault> {
    let digest = raw.digest.parse().map_err(|_| ImageFault::Document {
        what,
        reason: "a digest in it is not sha256: and 64 hex digits",
    })?;
    Ok(Descriptor {
        digest,
        size: raw.size,
    })
}

/// Parses a config, which has to describe `layers` layers.
pub(crate) fn parse_config(bytes: &[u8], layers: usize) -> Result<Config, ImageFault> {
    let fault = |reason| ImageFault::Document {
        what: Part::Config,
        reason,
    };
    let raw: RawConfig = serde_json::from_slice(bytes)
        .map_err(|_| fault("it is not a JSON document with os, architecture and rootfs"))?;
    if (raw.os.as_str(), raw.architecture.as_str()) != ("linux", "amd64") {
        return Err(ImageFault::Platform { wanted: PLATFORM });
    }
    let diff_ids: Vec<Digest> = raw
        .rootfs
        .diff_ids
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()
        .map_err(|_| fault("a digest in it is not sha256: and 64 hex digits"))?;
    if diff_ids.len() != layers {
        return Err(fault(
            "it describes another number of layers than the manifest",
        ));
    }
    Ok(Config {
        diff_ids,
        run: ImageConfig {
            entrypoint: raw.config.entrypoint,
            cmd: raw.config.cmd,
            env: raw.config.env,
            working_dir: raw.config.working_dir,
            user: raw.config.user,
        },
    })
}

#[cfg(test)]
mod tests;
