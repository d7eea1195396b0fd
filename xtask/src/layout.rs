//! Where things are: the checkout and the folders below cargo's target folder.
//! Nothing here creates or reads anything.

use std::path::{Path, PathBuf};

/// The target triple that `.cargo/config.toml` names; cargo puts the binaries
/// into a folder of this name.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The folders that every command works in.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    target: PathBuf,
}

impl Layout {
    /// The checkout that this binary was built from, and `CARGO_TARGET_DIR` or
    /// `target` below it.
    pub(crate) fn find() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("xtask is a folder of the workspace")
            .to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        Self { root, target }
    }

    /// The workspace's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is downloaded, built once and used again.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("testbed/cache")
    }

    /// State of beds: the one of `up`, and one folder for each other bed.
    pub(crate) fn runs(&self) -> PathBuf {
        self.target.join("testbed")
    }

    /// A binary of the workspace, as cargo's dev profile leaves it.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.target.join(TRIPLE).join("debug").join(name)
    }

    /// Copies of binaries without their debug sections.
    pub(crate) fn stripped(&self) -> PathBuf {
        self.target.join("testbed/stripped")
    }
}
