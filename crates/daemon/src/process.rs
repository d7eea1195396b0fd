//! What the daemon asks of the kernel for its own process.

use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit, umask};

/// Makes whatever this process creates from now on nobody else's to read: specs,
/// console output and images are the tenants'. Call it before any thread is started.
pub(crate) fn keep_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Allows as many open files as the host's administrator does. A guest takes a few, and
/// the customary limit of 1024 is reached at some hundred guests.
///
/// # Errors
/// What the kernel said.
pub(crate) fn open_many_files() -> std::io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

#[cfg(test)]
#[test]
fn as_many_files_may_be_open_as_the_administrator_allows() {
    assert!(open_many_files().is_ok());
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
}
