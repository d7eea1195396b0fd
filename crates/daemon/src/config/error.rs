//! What an operator reads when a configuration cannot be used.
//!
//! No parsing: that is in `super`.

use std::fmt;
use std::path::{Path, PathBuf};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}; pass its path with --config", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that is missing, unknown or of a wrong type.
    #[error("{path} is not a valid configuration", path = path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line, column and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Values that make no sense, all of them.
    #[error("{path} has {count} invalid settings:{problems}", path = path.display(), count = problems.0.len())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        problems: Problems,
    },
}

/// Every problem of a configuration, one a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<(String, String)>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, problem) in &self.0 {
            write!(f, "\n  {key}: {problem}")?;
        }
        Ok(())
    }
}

impl Problems {
    pub(super) fn push(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.0.push((key.into(), problem.into()));
    }

    /// Relative paths would depend on where the daemon is started.
    pub(super) fn absolute(&mut self, key: &str, path: &Path) {
        if !path.is_absolute() {
            self.push(key, format!("`{}` is not an absolute path", path.display()));
        }
    }
}
