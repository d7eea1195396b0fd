//! Paths of nodes, checked where they are made.

use std::fmt;

use thiserror::Error;

use crate::domid::DomId;

/// `XENSTORE_ABS_PATH_MAX` of Xen's `xs_wire.h` is 3072; with the node's value
/// it must fit into a message, and none of ours comes near it.
const MAX_BYTES: usize = 1024;

/// Why a path is not one.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PathError {
    /// Nothing, or too much.
    #[error("a xenstore path has 1 to {MAX_BYTES} bytes, not {0}")]
    Length(usize),
    /// A character that xenstore does not know.
    #[error("a xenstore path has letters, digits and the characters - / _ @ only")]
    Character,
    /// An empty name between two slashes, or a slash at the end.
    #[error("a xenstore path has no empty names")]
    EmptyName,
}

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StorePath(String);

impl StorePath {
    /// `/local/domain/N`: a domain's own part of the tree.
    pub(crate) fn domain(domain: DomId) -> Self {
        Self(format!("/local/domain/{domain}"))
    }

    /// `/vm/UUID`.
    pub(crate) fn vm(uuid: uuid::Uuid) -> Self {
        Self(format!("/vm/{uuid}"))
    }

    /// The path of a node below this one. `relative` comes from outside.
    pub(crate) fn try_join(&self, relative: &str) -> Result<Self, PathError> {
        if relative.is_empty() || relative.len() + self.0.len() >= MAX_BYTES {
            return Err(PathError::Length(relative.len()));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(&byte);
        if !relative.bytes().all(known) {
            return Err(PathError::Character);
        }
        if relative.split('/').any(str::is_empty) {
            return Err(PathError::EmptyName);
        }
        Ok(Self(format!("{}/{relative}", self.0)))
    }

    /// The path of a node below this one, whose name this crate made.
    pub(crate) fn join(&self, relative: &str) -> Self {
        self.try_join(relative)
            .expect("names made by this crate are valid")
    }

    /// The path as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
