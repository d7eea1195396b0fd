//! A folder for one use, removed when its owner is done. Not for anything that
//! a later command looks for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Tells apart the folders of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The folder; dropping it removes it with all that is in it.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder in the system's temporary one.
    #[cfg(test)]
    pub(crate) fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name).expect("the temporary folder is writable")
    }

    /// A new folder below `parent`.
    pub(crate) fn below(parent: &Path, name: &str) -> std::io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Removes what commands that were killed left below `parent`.
    pub(crate) fn sweep(parent: &Path, name: &str) {
        let Ok(entries) = fs::read_dir(parent) else {
            return;
        };
        for entry in entries.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let rest = file
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('-'));
            let owner = rest
                .and_then(|rest| rest.split_once('-'))
                .map(|(pid, _)| pid);
            if owner.is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()
            }) {
                // Best effort: the next sweep tries again.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays below the target folder, where it harms
        // nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
