//! Compiled policies, kept in a directory, so that a restart compiles nothing.
//!
//! A file is named by the component's digest and by what the code depends on
//! besides (compiler, target, config), and ends in a digest over both and the code.
//! The digest finds what is torn or stale, which is then compiled again; that nobody
//! else wrote the file is a matter of owner and mode, which are checked before it is
//! read. The whole file is read before it is checked: what was checked is what runs,
//! and no later write to the file can reach it.

mod native;

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::engine::PolicyEngine;
use crate::error::{ArtifactError, LoadError};

/// Ends every artifact, before the digest.
const MAGIC: &[u8; 8] = b"XNSPOL01";
/// Bytes of a SHA-256 digest.
const DIGEST: usize = 32;
/// Largest artifact. A Python policy, the largest known, has 40 MB.
const MAX_ARTIFACT: u64 = 512 << 20;
/// Write permission of group and others (`stat.h`, `S_IWGRP` and `S_IWOTH`).
const OTHERS_WRITE: u32 = 0o022;

/// How the code of a policy came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It was in the directory.
    Found,
    /// It was compiled just now.
    Compiled,
}

/// Machine code that [`PolicyEngine`] made, here or in an earlier process of the same
/// user. Only this module and the engine make one: it is what [`native`] relies on.
pub(crate) struct OwnCode(Vec<u8>);

impl OwnCode {
    pub(crate) fn compiled(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Refuses code of another wasmtime, target or config.
    pub(crate) fn load(&self, engine: &PolicyEngine) -> wasmtime::Result<Component> {
        native::component(engine.wasmtime(), self)
    }
}

/// A directory of compiled policies. Nobody but this process's user may write to it.
#[derive(Clone, Debug)]
pub struct Artifacts {
    dir: PathBuf,
}

impl Artifacts {
    /// Opens the directory; makes it, with mode 0700, when it is not there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, ArtifactError> {
        let dir = dir.as_ref().to_owned();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|e| io_error("cannot make", &dir, e))?;
        let metadata =
            std::fs::symlink_metadata(&dir).map_err(|e| io_error("cannot read", &dir, e))?;
        let why = if metadata.is_dir() {
            exposed(&metadata)
        } else {
            Some("is not a directory")
        };
        match why {
            Some(why) => Err(ArtifactError::Exposed { path: dir, why }),
            None => Ok(Self { dir }),
        }
    }

    /// Sees to it that the code of a component is in the directory, and can be loaded.
    pub fn prepare(&self, engine: &PolicyEngine, component: &[u8]) -> Result<Prepared, LoadError> {
        let (_, prepared, written) = self.obtain(engine, component)?;
        written.map_err(LoadError::Artifacts)?;
        Ok(prepared)
    }

    pub(crate) fn load(
        &self,
        engine: &PolicyEngine,
        component: &[u8],
    ) -> Result<(Component, Prepared), LoadError> {
        let (loaded, prepared, written) = self.obtain(engine, component)?;
        if let Err(error) = written {
            // The directory only saves time: the policy runs without it.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a compiled policy could not be kept"
            );
        }
        Ok((loaded, prepared))
    }

    /// The component, and whether its new artifact was written.
    fn obtain(
        &self,
        engine: &PolicyEngine,
        component: &[u8],
    ) -> Result<(Component, Prepared, Result<(), ArtifactError>), LoadError> {
        let key = Key::of(engine, component);
        let path = self.dir.join(key.file_name());
        match read(&path, &key) {
            Ok(Some(code)) => match code.load(engine) {
                Ok(loaded) => return Ok((loaded, Prepared::Found, Ok(()))),
                Err(error) => stale(&path, error.as_ref()),
            },
            Ok(None) => {}
            Err(error) => stale(&path, &error),
        }
        let code = engine.compile(component)?;
        let loaded = code
            .load(engine)
            .map_err(|e| LoadError::Invalid(e.into()))?;
        let written = self.write(&path, &key, &code);
        Ok((loaded, Prepared::Compiled, written))
    }

    fn write(&self, path: &Path, key: &Key, code: &OwnCode) -> Result<(), ArtifactError> {
        // One writer at a time, among threads and processes: two of them would take
        // each other's unfinished file. Closing the directory lets the next one in.
        let _alone = File::open(&self.dir)
            .and_then(|dir| dir.lock().map(|()| dir))
            .map_err(|e| io_error("cannot lock", &self.dir, e))?;
        let temporary = self.dir.join(format!(".{}.tmp", key.file_name()));
        match std::fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("cannot remove", &temporary, e));
            }
            _ => {}
        }
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&code.0)?;
            file.write_all(MAGIC)?;
            file.write_all(&key.seal(&code.0))?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|e| {
            // On a full disk, half a file would only be in the way.
            let _ = std::fs::remove_file(&temporary);
            io_error("cannot write", path, e)
        })
    }
}

/// What names an artifact.
struct Key {
    component: [u8; DIGEST],
    compiler: [u8; DIGEST],
}

impl Key {
    fn of(engine: &PolicyEngine, component: &[u8]) -> Self {
        Self {
            component: Sha256::digest(component).into(),
            compiler: engine.fingerprint(),
        }
    }

    fn file_name(&self) -> String {
        let (component, compiler) = (hex::encode(self.component), hex::encode(self.compiler));
        // 64 bits keep compilers apart; the seal holds all of them.
        format!("{component}-{}.cwasm", &compiler[..16])
    }

    fn seal(&self, code: &[u8]) -> [u8; DIGEST] {
        let mut hash = Sha256::new();
        hash.update(MAGIC);
        hash.update(self.component);
        hash.update(self.compiler);
        hash.update(code);
        hash.finalize().into()
    }
}

/// The code in `path`, if it is there and is what `key` names.
fn read(path: &Path, key: &Key) -> io::Result<Option<OwnCode>> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if let Some(why) = exposed(&metadata) {
        return Err(io::Error::other(format!("it {why}")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_ARTIFACT).read_to_end(&mut bytes)?;
    unseal(bytes, key)
        .map(Some)
        .ok_or_else(|| io::Error::other("it is torn, or of another component or compiler"))
}

fn unseal(mut bytes: Vec<u8>, key: &Key) -> Option<OwnCode> {
    let code_length = bytes.len().checked_sub(MAGIC.len() + DIGEST)?;
    let (code, trailer) = bytes.split_at(code_length);
    let seal = trailer.strip_prefix(MAGIC)?;
    if seal != key.seal(code) {
        return None;
    }
    bytes.truncate(code_length);
    Some(OwnCode(bytes))
}

/// Why others could have written what this is the metadata of.
fn exposed(metadata: &Metadata) -> Option<&'static str> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Some("belongs to another user");
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Some("can be written by others");
    }
    None
}

fn stale(path: &Path, error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(
        path = %path.display(),
        error,
        "a compiled policy is not used and is compiled again"
    );
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> ArtifactError {
    ArtifactError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
