//! Names inside an image, normalised.
//!
//! A path here is a list of plain components below the image's root. It is never
//! turned into a path of the host.

use crate::error::NameFault;

/// Longest component in bytes (Linux, `NAME_MAX`; squashfs has 256).
const MAX_COMPONENT: usize = 255;
/// Longest path in bytes (Linux, `PATH_MAX`).
const MAX_PATH: usize = 4096;

/// A normalised path: components without `.`, `..`, `/`, NUL and emptiness, joined
/// by `/`. Empty is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImagePath(Vec<u8>);

impl ImagePath {
    /// Takes `name` as a tar entry or a hard link's target gives it. `.` and
    /// repeated or trailing slashes mean nothing; what could lead out of the image
    /// is refused rather than clamped, since no honest builder writes it.
    pub(crate) fn parse(name: &[u8], max_depth: usize) -> Result<Self, NameFault> {
        if name.len() > MAX_PATH {
            return Err(NameFault::TooLong);
        }
        if name.contains(&0) {
            return Err(NameFault::Nul);
        }
        if name.first() == Some(&b'/') {
            return Err(NameFault::Absolute);
        }
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        for component in name.split(|&b| b == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(NameFault::Parent),
                _ if component.len() > MAX_COMPONENT => return Err(NameFault::ComponentTooLong),
                _ => {}
            }
            depth += 1;
            if depth > max_depth {
                return Err(NameFault::TooDeep);
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(component);
        }
        Ok(Self(path))
    }

    /// The components, outermost first.
    pub(crate) fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    /// The directory and the last component; `None` for the root.
    pub(crate) fn split_last(&self) -> Option<(Self, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            None => (Self(Vec::new()), &self.0),
            Some(at) => (Self(self.0[..at].to_vec()), &self.0[at + 1..]),
        })
    }

    /// As text for people; the root is empty.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
