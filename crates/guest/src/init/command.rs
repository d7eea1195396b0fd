//! Which file a command is, and the environment that it gets.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use xenios_guest::LaunchConfig;

use super::users::User;

/// The `PATH` of an image that names none, as other OCI runtimes have it.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit codes of a shell for a command that it cannot run.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Why a command cannot be run. `PATH` is not shown: env values may be secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    #[error("it is in no directory of PATH")]
    NotInPath,
    #[error("there is no such file")]
    NoFile,
    #[error("it is no executable file")]
    NotExecutable,
}

impl Problem {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::NotInPath | Self::NoFile => NOT_FOUND,
            Self::NotExecutable => NOT_EXECUTABLE,
        }
    }
}

/// The exit code for an error of `execve`. "Not found" is then the interpreter
/// or the loader of a file that does exist.
pub(crate) fn exit_code_of(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    }
}

/// What an error of `execve` means for a file that was found.
pub(crate) fn reason_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the interpreter or loader that it names is missing".into(),
        _ => error.to_string(),
    }
}

/// The config's environment, with `PATH`, `HOME` and `HOSTNAME` when it has none.
pub(crate) fn environment(config: &LaunchConfig, user: &User) -> Vec<(String, String)> {
    let mut env = config.env.clone();
    for (name, value) in [
        ("PATH", DEFAULT_PATH),
        ("HOME", &user.home),
        ("HOSTNAME", &config.hostname),
    ] {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    env
}

/// The value of `PATH`, the last one as in `execve`'s callers.
pub(crate) fn path_of(env: &[(String, String)]) -> &str {
    env.iter()
        .rfind(|(name, _)| name == "PATH")
        .map_or("", |(_, value)| value)
}

/// Finds the file of a command, as `execvp` does: one with a slash is a path
/// (relative to the working directory), another is looked up in `path`.
pub(crate) fn find(command: &str, path: &str) -> Result<PathBuf, Problem> {
    if command.contains('/') {
        return executable(Path::new(command)).map(|()| command.into());
    }
    let mut worst = Problem::NotInPath;
    for directory in path.split(':').filter(|directory| !directory.is_empty()) {
        let candidate = Path::new(directory).join(command);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            // A directory of that name is no candidate.
            Err(Problem::NotExecutable) if candidate.is_file() => worst = Problem::NotExecutable,
            Err(_) => {}
        }
    }
    Err(worst)
}

fn executable(path: &Path) -> Result<(), Problem> {
    let metadata = path.metadata().map_err(|_| Problem::NoFile)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        Ok(())
    } else {
        Err(Problem::NotExecutable)
    }
}

#[cfg(test)]
mod tests;
