//! A real registry (Debian's `docker-registry`) on a free port of the loopback,
//! with storage of its own. It ends with this process, however that ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bed::{free_port, lock};
use crate::debs::{self, Selection};
use crate::http::{self, Response};
use crate::images::oci::{Image, Layer, MANIFEST, digest};
use crate::layout::Layout;
use crate::leased::Leased;
use crate::process::command;
use crate::scratch;

/// Not installed but unpacked: the package's installation would start a
/// registry on every address of this machine.
const PACKAGE: Selection = Selection {
    name: "registry",
    roots: &["docker-registry"],
    follow: &[],
};

/// It starts in a blink; a busy machine needs more.
const START: Duration = Duration::from_mins(1);

/// A running registry. Dropping it ends it and removes its storage.
#[derive(Debug)]
pub(crate) struct Registry {
    _process: Leased,
    port: u16,
    folder: scratch::Folder,
}

impl Registry {
    /// Starts an empty registry.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        scratch::Folder::sweep(&layout.runs(), "registry");
        let folder = scratch::Folder::below(&layout.runs(), "registry")
            .context("cannot create the registry's folder")?;
        let port = free_port()?;
        let config = folder.path().join("config.yml");
        fs::write(&config, configuration(&folder.path().join("storage"), port))?;
        let log = File::create(folder.path().join("registry.log"))?;
        let mut program = command(program_file(layout)?);
        program.arg("serve").arg(&config);
        let mut process = Leased::start(&program, |shell| {
            shell.stdout(log.try_clone()?).stderr(log);
            Ok(())
        })?;
        let deadline = Instant::now() + START;
        while !http::request(port, "GET", "/v2/", "text/plain", b"")
            .is_ok_and(|response| response.status == 200)
        {
            if process.ended()?.is_some() || Instant::now() > deadline {
                let said =
                    fs::read_to_string(folder.path().join("registry.log")).unwrap_or_default();
                bail!("docker-registry did not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            _process: process,
            port,
            folder,
        })
    }

    /// The registry as a bed's dom0 names it: 10.0.2.2 is the host in QEMU's
    /// user network.
    pub(crate) fn authority_in_bed(&self) -> String {
        format!("10.0.2.2:{}", self.port)
    }

    /// The port on the loopback.
    #[cfg(test)]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Pushes an image under a tag; the digest of its manifest.
    pub(crate) fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<String> {
        let config = image.config();
        for blob in image
            .layers()
            .iter()
            .map(Layer::blob)
            .chain([config.as_slice()])
        {
            self.push_blob(repository, blob)
                .with_context(|| format!("cannot push {repository}:{tag}"))?;
        }
        let manifest = image.manifest();
        let path = format!("/v2/{repository}/manifests/{tag}");
        expect(
            &http::request(self.port, "PUT", &path, MANIFEST, &manifest)?,
            201,
            &path,
        )?;
        Ok(digest(&manifest))
    }

    fn push_blob(&self, repository: &str, blob: &[u8]) -> Result<()> {
        let digest = digest(blob);
        let path = format!("/v2/{repository}/blobs/{digest}");
        if http::request(self.port, "HEAD", &path, "text/plain", b"")?.status == 200 {
            return Ok(());
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begun = http::request(self.port, "POST", &path, "application/octet-stream", b"")?;
        expect(&begun, 202, &path)?;
        let location = begun
            .header("Location")
            .context("the registry gave no place for the upload")?;
        let path = location
            .strip_prefix(&format!("http://127.0.0.1:{}", self.port))
            .unwrap_or(location);
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}digest={digest}");
        expect(
            &http::request(self.port, "PUT", &path, "application/octet-stream", blob)?,
            201,
            &path,
        )
    }

    /// Changes a byte of a stored blob behind the registry's back, as a
    /// compromised registry would.
    pub(crate) fn tamper(&self, blob_digest: &str) -> Result<()> {
        let path = self.blob_file(blob_digest)?;
        let mut bytes =
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).context("the blob is empty")? ^= 1;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where the registry's filesystem driver keeps a blob.
    fn blob_file(&self, blob_digest: &str) -> Result<PathBuf> {
        let hex = blob_digest
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64)
            .context("not a digest")?;
        Ok(self
            .folder
            .path()
            .join("storage/docker/registry/v2/blobs/sha256")
            .join(&hex[..2])
            .join(hex)
            .join("data"))
    }
}

/// Downloads the registry, or finds it in the cache.
fn program_file(layout: &Layout) -> Result<PathBuf> {
    fs::create_dir_all(layout.cache())?;
    let _lock = lock(&layout.cache().join("lock"))?;
    debs::tree(&layout.cache(), &PACKAGE)?.find(&["usr/bin/docker-registry"])
}

fn configuration(storage: &Path, port: u16) -> String {
    // The registry's own documentation: JSON is YAML.
    let config = serde_json::json!({
        "version": "0.1",
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": storage }, "delete": { "enabled": true } },
        "http": { "addr": format!("127.0.0.1:{port}") },
    });
    config.to_string()
}

fn expect(response: &Response, status: u16, path: &str) -> Result<()> {
    if response.status != status {
        bail!(
            "the registry answered {path} with {}: {}",
            response.status,
            String::from_utf8_lossy(&response.body).trim_end()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
