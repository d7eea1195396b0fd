//! The image cache on the host's disk, by digest.
//!
//! Every name in it is made of a digest that was parsed; none comes from a registry
//! or an image. A file appears under its name only when it is complete and on the
//! disk. What a crash leaves behind is under `tmp`, which is emptied at the next
//! start. Nothing is ever removed from the rest: collecting what no guest needs is
//! not done here yet.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::Digest;
use crate::error::{ConfigError, Error};

/// Version of what is made of an image: part of every name, so that a packer which
/// writes other bytes never serves what an older one left.
const FORMAT: &str = "v1";

/// One cache directory. Only one process has it at a time.
#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    next: AtomicU64,
    busy: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    /// Holds the lock until this is dropped or the process dies.
    _lock: File,
}

impl Cache {
    /// Opens or makes the cache at `root`, and empties its `tmp`.
    pub(crate) fn open(root: &Path) -> Result<Self, ConfigError> {
        let make = |path: &Path| {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(ConfigError::Cache)
        };
        make(root)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(ConfigError::Cache)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ConfigError::CacheInUse),
            Err(TryLockError::Error(source)) => return Err(ConfigError::Cache(source)),
        }
        let tmp = root.join("tmp");
        match fs::remove_dir_all(&tmp) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(ConfigError::Cache(source));
            }
            _ => {}
        }
        for directory in ["tmp", "blobs", "rootfs", "boot"] {
            make(&root.join(directory))?;
        }
        Ok(Self {
            root: root.to_owned(),
            next: AtomicU64::new(0),
            busy: Mutex::default(),
            _lock: lock,
        })
    }

    /// Where the blob of `digest` is or will be.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.file_name())
    }

    /// Where the packed filesystem of a manifest is or will be.
    pub(crate) fn rootfs(&self, manifest: &Digest) -> PathBuf {
        let name = format!("{}.{FORMAT}.squashfs", manifest.file_name());
        self.root.join("rootfs").join(name)
    }

    /// The directory in which a manifest's kernel and initrd are or will be.
    pub(crate) fn boot(&self, manifest: &Digest) -> PathBuf {
        let name = format!("{}.{FORMAT}", manifest.file_name());
        self.root.join("boot").join(name)
    }

    /// A cached document, if it is there, not longer than `limit` and still what
    /// its digest says. A damaged one counts as absent and is fetched again.
    pub(crate) fn document(&self, digest: &Digest, limit: u64) -> Option<Vec<u8>> {
        let file = File::open(self.blob(digest)).ok()?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).ok()?;
        let whole = bytes.len() as u64 <= limit && Digest::of(&bytes) == *digest;
        whole.then_some(bytes)
    }

    /// Removes a blob that was found damaged.
    pub(crate) fn forget(&self, digest: &Digest) {
        // One that stays is found damaged again.
        let _ = fs::remove_file(self.blob(digest));
    }

    /// A new file under `tmp`.
    pub(crate) fn stage(&self) -> Result<Staged, Error> {
        let path = self.fresh();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::host("make a file in its image cache"))?;
        Ok(Staged {
            file,
            path: Some(path),
        })
    }

    /// A new directory under `tmp`.
    pub(crate) fn stage_directory(&self) -> Result<StagedDirectory, Error> {
        let path = self.fresh();
        fs::create_dir(&path).map_err(Error::host("make a directory in its image cache"))?;
        Ok(StagedDirectory { path: Some(path) })
    }

    /// A file without a name: it is gone when it is closed.
    pub(crate) fn anonymous(&self) -> Result<File, Error> {
        let mut staged = self.stage()?;
        let path = staged.path.take().unwrap_or_default();
        fs::remove_file(path).map_err(Error::host("make a file in its image cache"))?;
        staged
            .file
            .try_clone()
            .map_err(Error::host("make a file in its image cache"))
    }

    /// Runs `work` while no other thread runs work of the same `key`.
    pub(crate) fn alone<T>(&self, key: &str, work: impl FnOnce() -> T) -> T {
        let lock = Arc::clone(
            self.busy
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(key.to_owned())
                .or_default(),
        );
        // A panic in another thread's work left nothing half-done under a name.
        let held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work();
        drop(held);
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        // This thread's and the map's: nobody waits.
        if Arc::strong_count(&lock) == 2 {
            busy.remove(key);
        }
        done
    }

    fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.join("tmp").join(number.to_string())
    }
}

/// A file that is being written. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) file: File,
    path: Option<PathBuf>,
}

impl Staged {
    /// Puts the file at `path`, complete and on the disk.
    pub(crate) fn commit(mut self, path: &Path) -> Result<(), Error> {
        let doing = "store a file in its image cache";
        self.file.sync_all().map_err(Error::host(doing))?;
        if let Some(staged) = self.path.take() {
            publish(&staged, path).map_err(Error::host(doing))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What stays is removed at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// A directory that is being filled. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct StagedDirectory {
    path: Option<PathBuf>,
}

impl StagedDirectory {
    /// A new file in it.
    pub(crate) fn file(&self, name: &str) -> Result<File, Error> {
        let path = self.path.as_deref().unwrap_or(Path::new("")).join(name);
        File::create_new(path).map_err(Error::host("make a file in its image cache"))
    }

    /// Puts the directory at `path`. Its files are on the disk already.
    pub(crate) fn commit(mut self, path: &Path) -> Result<(), Error> {
        let doing = "store a directory in its image cache";
        if let Some(staged) = self.path.take() {
            File::open(&staged)
                .and_then(|directory| directory.sync_all())
                .and_then(|()| publish(&staged, path))
                .map_err(Error::host(doing))?;
        }
        Ok(())
    }
}

impl Drop for StagedDirectory {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Renames, and makes the new name last.
fn publish(staged: &Path, path: &Path) -> io::Result<()> {
    fs::rename(staged, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
