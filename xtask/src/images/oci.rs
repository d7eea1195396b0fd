//! OCI images in memory: layers as gzip'd tar archives, the config and the
//! manifest (OCI image specification 1.1). It can also write what no honest
//! tool would, because the packer is tested with it.

#[cfg(test)]
mod tests;

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

/// Media type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// `sha256:` and the hash in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A layer being written.
#[derive(Default)]
pub(crate) struct LayerWriter {
    tar: Vec<u8>,
}

impl LayerWriter {
    /// An empty layer.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A directory owned by root.
    pub(crate) fn directory(&mut self, path: &str) -> Result<&mut Self> {
        self.entry(
            &format!("{path}/"),
            EntryType::Directory,
            0o755,
            Content::None,
        )
    }

    /// A file owned by root.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<&mut Self> {
        self.entry(path, EntryType::Regular, mode, Content::Bytes(bytes))
    }

    /// A symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        self.entry(path, EntryType::Symlink, 0o777, Content::Target(target))
    }

    /// A second name for a file.
    pub(crate) fn hard_link(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        self.entry(path, EntryType::Link, 0o644, Content::Target(target))
    }

    /// Deletes a file of the layers below (OCI image specification, "Whiteouts").
    pub(crate) fn whiteout(&mut self, folder: &str, name: &str) -> Result<&mut Self> {
        self.file(&format!("{folder}/.wh.{name}"), 0o644, &[])
    }

    /// Hides everything that the layers below have in a folder.
    pub(crate) fn opaque(&mut self, folder: &str) -> Result<&mut Self> {
        self.file(&format!("{folder}/.wh..wh..opq"), 0o644, &[])
    }

    /// Any entry, its names written as they are: `../` and `/` included.
    fn entry(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        content: Content<'_>,
    ) -> Result<&mut Self> {
        let (link, bytes): (&str, &[u8]) = match content {
            Content::None => ("", &[]),
            Content::Bytes(bytes) => ("", bytes),
            Content::Target(link) => (link, &[]),
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let raw = header.as_gnu_mut().context("a GNU header")?;
        // `set_path` would refuse the hostile ones.
        for (field, text) in [(&mut raw.name, path), (&mut raw.linkname, link)] {
            if text.len() >= field.len() {
                bail!("{text} is too long for a name");
            }
            field[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(bytes);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        Ok(self)
    }

    /// Ends the archive and compresses it.
    pub(crate) fn finish(&mut self) -> Result<Layer> {
        let mut tar = std::mem::take(&mut self.tar);
        // Two empty blocks end an archive (POSIX, ustar).
        tar.resize(tar.len() + 1024, 0);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar)?;
        Ok(Layer {
            diff_id: digest(&tar),
            blob: gzip.finish()?,
        })
    }
}

/// What an entry has beside its name.
#[derive(Clone, Copy)]
enum Content<'a> {
    None,
    Bytes(&'a [u8]),
    /// Where a link points.
    Target(&'a str),
}

/// A finished layer.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    diff_id: String,
    blob: Vec<u8>,
}

impl Layer {
    /// The compressed bytes, as the registry keeps them.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The digest by which a manifest names it.
    pub(crate) fn digest(&self) -> String {
        digest(&self.blob)
    }
}

/// How a container of the image starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch<'a> {
    pub(crate) entrypoint: &'a [&'a str],
    pub(crate) cmd: &'a [&'a str],
    pub(crate) env: &'a [&'a str],
    pub(crate) working_dir: &'a str,
    pub(crate) user: &'a str,
}

/// An image for linux/amd64.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    config: Vec<u8>,
    layers: Vec<Layer>,
}

impl Image {
    /// An image of these layers, lowest first.
    pub(crate) fn new(layers: Vec<Layer>, launch: &Launch<'_>) -> Self {
        let mut config = json!({ "Env": launch.env });
        for (name, words) in [("Entrypoint", launch.entrypoint), ("Cmd", launch.cmd)] {
            if !words.is_empty() {
                config[name] = json!(words);
            }
        }
        for (name, text) in [("WorkingDir", launch.working_dir), ("User", launch.user)] {
            if !text.is_empty() {
                config[name] = json!(text);
            }
        }
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let document = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        Self {
            config: document.to_string().into_bytes(),
            layers,
        }
    }

    /// The config document.
    pub(crate) fn config(&self) -> Vec<u8> {
        self.config.clone()
    }

    /// Lowest first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The manifest document.
    pub(crate) fn manifest(&self) -> Vec<u8> {
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer.blob))
            .collect();
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &self.config),
            "layers": layers,
        });
        document.to_string().into_bytes()
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}
