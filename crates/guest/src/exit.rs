//! How a guest ended, and the one line of text that says so in xenstore.
//!
//! The host parses what a guest wrote, so the format is strict and small:
//! `code 0`, `signal 9` or `failed <message>`, nothing before or after.

use thiserror::Error;

/// The longest message in bytes.
pub const MAX_EXIT_MESSAGE: usize = 512;

/// The longest node in bytes: `failed `, then a message.
pub const MAX_EXIT_NODE: usize = FAILED.len() + MAX_EXIT_MESSAGE;

/// The highest signal number of Linux on x86 (`_NSIG` in `asm/signal.h`).
const MAX_SIGNAL: u8 = 64;

const CODE: &str = "code ";
const SIGNAL: &str = "signal ";
const FAILED: &str = "failed ";

/// How a guest ended, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The command ended with this code. 126 and 127 also mean, as in a shell,
    /// that the command could not be executed or was not found.
    Code(u8),
    /// A signal (1 to 64) ended the command.
    Signal(u8),
    /// The init could not start the command; the message is one line.
    Failed(String),
}

/// Why a node is not an [`Exit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExitError {
    /// More than [`MAX_EXIT_NODE`] bytes.
    #[error("the exit node has {0} bytes, more than {MAX_EXIT_NODE}")]
    TooLong(usize),
    /// Neither a code, a signal nor a failure.
    #[error("the exit node is not `code N`, `signal N` or `failed MESSAGE`")]
    Malformed,
}

impl Exit {
    /// The text of the node. A message is cut to [`MAX_EXIT_MESSAGE`] bytes and
    /// its control characters become spaces, so that [`Exit::from_node`] reads
    /// every node that this function wrote.
    #[must_use]
    pub fn to_node(&self) -> String {
        match self {
            Self::Code(code) => format!("{CODE}{code}"),
            Self::Signal(signal) => format!("{SIGNAL}{signal}"),
            Self::Failed(message) => format!("{FAILED}{}", one_line(message)),
        }
    }

    /// Parses bytes that a guest wrote.
    pub fn from_node(bytes: &[u8]) -> Result<Self, ExitError> {
        if bytes.len() > MAX_EXIT_NODE {
            return Err(ExitError::TooLong(bytes.len()));
        }
        let text = str::from_utf8(bytes).map_err(|_| ExitError::Malformed)?;
        if let Some(code) = text.strip_prefix(CODE) {
            return number(code).map(Self::Code);
        }
        if let Some(signal) = text.strip_prefix(SIGNAL) {
            return match number(signal)? {
                signal @ 1..=MAX_SIGNAL => Ok(Self::Signal(signal)),
                _ => Err(ExitError::Malformed),
            };
        }
        match text.strip_prefix(FAILED) {
            Some(message) if !message.is_empty() && !message.contains(char::is_control) => {
                Ok(Self::Failed(message.to_owned()))
            }
            _ => Err(ExitError::Malformed),
        }
    }
}

/// The one spelling of a number: no sign, no leading zero.
fn number(text: &str) -> Result<u8, ExitError> {
    match text.parse::<u8>() {
        Ok(value) if value.to_string() == text => Ok(value),
        _ => Err(ExitError::Malformed),
    }
}

fn one_line(message: &str) -> String {
    let mut line = String::new();
    for c in message.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > MAX_EXIT_MESSAGE {
            break;
        }
        line.push(c);
    }
    if line.is_empty() {
        line.push_str("no reason given");
    }
    line
}

#[cfg(test)]
mod tests;
