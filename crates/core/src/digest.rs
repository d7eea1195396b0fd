//! SHA-256 digests as OCI writes them. Nothing is hashed here.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Hex digits of a SHA-256 digest.
const HEX_DIGITS: usize = 64;

/// `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md §digests).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DigestError {
    /// Another algorithm than SHA-256, or none.
    #[error(
        "the digest must be of the form sha256:<64 hex digits>; other algorithms are not supported"
    )]
    Algorithm,
    /// Not 64 lower-case hex digits.
    #[error("a sha256 digest has 64 hex digits, in lower case; copy it again")]
    Hex,
}

impl Digest {
    /// The digest with its algorithm, as a reference shows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hex digits alone: safe as a file name.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").ok_or(DigestError::Algorithm)?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != HEX_DIGITS || !hex.bytes().all(lower_hex) {
            return Err(DigestError::Hex);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
