//! Bytes that an image chose, made fit for an error message.

use std::fmt;

/// Longest text shown, in bytes before escaping.
const MAX_SHOWN: usize = 96;

/// Bytes from an image: shown escaped, so that they cannot drive a terminal or
/// forge a line of a journal, and cut to a length that a reader can take.
#[derive(Clone, PartialEq, Eq)]
pub struct Printable(Box<[u8]>);

impl Printable {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        // One byte more than is shown tells that something was cut.
        Self(bytes[..bytes.len().min(MAX_SHOWN + 1)].into())
    }
}

impl fmt::Display for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(MAX_SHOWN)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if self.0.len() > MAX_SHOWN {
            f.write_str("…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Printable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
