//! Running other programs: one place that turns an exit status into an error
//! which names the command and what it said.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// How much of a failed program's standard error an error message repeats.
const STDERR_TAIL: usize = 4000;

/// A command for `program`, with no standard input.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

/// Runs the command, its output captured; a failure is an error.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let said = said.trim_end();
        let mut from = said.len().saturating_sub(STDERR_TAIL);
        while !said.is_char_boundary(from) {
            from += 1;
        }
        bail!("{} failed with {status}:\n{}", line(command), &said[from..]);
    }
    Ok(stdout)
}

/// As [`output`], for programs that print text.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    String::from_utf8(output(command)?)
        .with_context(|| format!("{} did not print UTF-8", line(command)))
}

/// Runs the command with the terminal as its output.
pub(crate) fn visible(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed with {status}", line(command));
    }
    Ok(())
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Whether anybody may execute the file.
pub(crate) fn is_executable(file: &std::path::Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = file
        .metadata()
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(metadata.permissions().mode() & 0o111 != 0)
}
