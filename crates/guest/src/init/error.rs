//! What the init could not do. Env values are never part of it.

use std::error::Error;
use std::io;

use rustix::io::Errno;
use thiserror::Error;
use xenios_guest::LaunchError;

use super::users::UserError;

#[derive(Debug, Error)]
pub(crate) enum InitError {
    #[error("cannot {action}{}{path}", if path.is_empty() { "" } else { " " })]
    System {
        action: &'static str,
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{device} did not appear within {seconds} seconds")]
    NoDevice { device: String, seconds: u64 },
    #[error("{path} is in the image, but no directory")]
    NoDirectory { path: String },
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    User(#[from] UserError),
}

impl InitError {
    /// For `map_err`: what was being done to what.
    pub(crate) fn at(action: &'static str, path: &str) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::System {
            action,
            path,
            source: errno.into(),
        }
    }

    /// Like [`InitError::at`], for errors of the standard library.
    pub(crate) fn io(action: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System {
            action,
            path,
            source,
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}
