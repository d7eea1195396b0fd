//! OCI image references: `host[:port]/repository[:tag][@sha256:digest]`.
//!
//! The registry is always named: a default registry would let a short name reach
//! a host that nobody chose. Whether a registry may be contacted is not decided
//! here.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

use crate::digest::{Digest, DigestError};

/// Longest reference in bytes: name (255, OCI distribution spec §pull), tag (128)
/// and digest (71) with their separators fit.
pub const MAX_REFERENCE: usize = 512;
/// Longest `host/repository`, in bytes (OCI distribution spec, "Pulling manifests").
const MAX_NAME: usize = 255;
/// Longest tag (OCI distribution spec: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).
const MAX_TAG: usize = 128;

/// The tag that a reference with neither tag nor digest means.
pub const DEFAULT_TAG: &str = "latest";

/// An image as a user names it. Its registry is in lower case; [`fmt::Display`]
/// and [`FromStr`] are each other's inverse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Longer than [`MAX_REFERENCE`] or with a name longer than OCI allows.
    #[error("is longer than an image reference can be; check that it is one")]
    TooLong,
    /// No registry before the first `/`.
    #[error("names no registry, and there is no default one; write host[:port]/repository")]
    NoRegistry,
    /// The host is not a DNS name or address, or the port is not one.
    #[error("has a bad registry host or port; write host[:port]/repository")]
    BadRegistry,
    /// The repository is empty or has characters that OCI does not allow.
    #[error(
        "has a bad repository; use lower-case letters and digits, separated by one of . _ - or /"
    )]
    BadRepository,
    /// The tag is empty, too long, or has characters that OCI does not allow.
    #[error("has a bad tag; use letters, digits, '.', '_' and '-', at most 128")]
    BadTag,
    /// What follows `@` is not a digest.
    #[error("has a bad digest: {0}")]
    BadDigest(DigestError),
    /// A digest is needed and missing.
    #[error("has no digest; write host/repository@sha256:digest")]
    NoDigest,
}

impl Reference {
    /// `host` or `host:port`, in lower case.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository in its registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, when one was given. See [`DEFAULT_TAG`].
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when one was given. It wins over the tag.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// This reference, fixed to `digest`.
    #[must_use]
    pub fn pin(&self, digest: Digest) -> PinnedReference {
        PinnedReference {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            digest,
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_REFERENCE {
            return Err(ReferenceError::TooLong);
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(ReferenceError::BadDigest)?;
                (rest, Some(digest))
            }
        };
        let (registry, path) = rest.split_once('/').ok_or(ReferenceError::NoRegistry)?;
        let registry = parse_registry(registry)?;
        let (repository, tag) = match path.split_once(':') {
            None => (path, None),
            Some((repository, tag)) => (repository, Some(parse_tag(tag)?)),
        };
        if !repository.split('/').all(is_path_component) {
            return Err(ReferenceError::BadRepository);
        }
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            registry,
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// An image fixed by digest: `host/repository[:tag]@sha256:digest`. The tag is
/// kept for people; nothing resolves it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinnedReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Digest,
}

impl PinnedReference {
    /// `host` or `host:port`, in lower case.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository in its registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag under which it was asked for.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest that runs.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl From<&PinnedReference> for Reference {
    fn from(pinned: &PinnedReference) -> Self {
        Self {
            registry: pinned.registry.clone(),
            repository: pinned.repository.clone(),
            tag: pinned.tag.clone(),
            digest: Some(pinned.digest),
        }
    }
}

impl FromStr for PinnedReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Reference {
            registry,
            repository,
            tag,
            digest,
        } = text.parse()?;
        let digest = digest.ok_or(ReferenceError::NoDigest)?;
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

impl fmt::Display for PinnedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        write!(f, "@{}", self.digest)
    }
}

/// The registry in lower case. As everywhere in OCI, the first component is a
/// host only when it has a dot or a port, or is `localhost`.
fn parse_registry(text: &str) -> Result<String, ReferenceError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(ReferenceError::BadRegistry)?;
        let address: Ipv6Addr = address.parse().map_err(|_| ReferenceError::BadRegistry)?;
        return match port.strip_prefix(':') {
            None if port.is_empty() => Ok(format!("[{address}]")),
            None => Err(ReferenceError::BadRegistry),
            Some(port) => Ok(format!("[{address}]:{}", parse_port(port)?)),
        };
    }
    let (host, port) = match text.split_once(':') {
        None => (text, None),
        Some((host, port)) => (host, Some(port)),
    };
    if port.is_none() && !host.contains('.') && !host.eq_ignore_ascii_case("localhost") {
        return Err(ReferenceError::NoRegistry);
    }
    if !host.split('.').all(is_host_label) {
        return Err(ReferenceError::BadRegistry);
    }
    let host = host.to_ascii_lowercase();
    match port {
        None => Ok(host),
        Some(port) => Ok(format!("{host}:{}", parse_port(port)?)),
    }
}

fn parse_port(text: &str) -> Result<u16, ReferenceError> {
    // `u16::from_str` also takes a sign.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ReferenceError::BadRegistry);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(ReferenceError::BadRegistry),
        Ok(port) => Ok(port),
    }
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, from the OCI distribution spec.
fn is_path_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    word(first)
        && word(last)
        && bytes.split(|&b| word(b)).all(|separator| match separator {
            [] | b"." | b"_" | b"__" => true,
            dashes => dashes.iter().all(|&b| b == b'-'),
        })
}

fn parse_tag(text: &str) -> Result<String, ReferenceError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let bad_start = text.starts_with(['.', '-']);
    if text.is_empty() || text.len() > MAX_TAG || bad_start || !text.bytes().all(allowed) {
        return Err(ReferenceError::BadTag);
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
