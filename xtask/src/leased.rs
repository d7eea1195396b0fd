//! A program that must not outlive this one. It runs under a small shell that
//! holds a lease: a pipe from this process. However this process ends (a kill
//! -9 included), the pipe closes and the shell kills the program; the program
//! dies with the shell too. A lease can be given up, for `testbed up`.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process::command;

/// `$@` is the program. `read` is the shell's own, so waiting costs nothing;
/// when the lease ends without the word, the program is killed. A program that
/// ends by itself takes the shell with it, whatever the lease says.
const KEEPER: &str = r#"
setpriv --pdeathsig KILL -- "$@" </dev/null &
program=$!
exec 3<&0
(   read -r word <&3
    [ "$word" = keep ] || kill -KILL "$program" 2>/dev/null ) &
exec 3<&- </dev/null
wait "$program"
"#;

/// How long a killed program may take to be gone.
const GRACE: Duration = Duration::from_secs(10);

/// A running program; dropping it kills the program and waits for its end.
#[derive(Debug)]
pub(crate) struct Leased {
    keeper: Child,
    lease: Option<ChildStdin>,
}

impl Leased {
    /// Starts `program`. Its output goes where `setup` sends that of the shell.
    pub(crate) fn start(
        program: &std::process::Command,
        setup: impl FnOnce(&mut std::process::Command) -> Result<()>,
    ) -> Result<Self> {
        let mut shell = command("sh");
        shell
            .args(["-c", KEEPER, "keeper"])
            .arg(program.get_program())
            .args(program.get_args());
        if let Some(folder) = program.get_current_dir() {
            shell.current_dir(folder);
        }
        // A group of its own: Ctrl-C reaches this process alone, which then
        // lets go of the lease.
        shell.stdin(Stdio::piped()).process_group(0);
        setup(&mut shell)?;
        let mut keeper = shell.spawn().context("cannot start sh")?;
        let lease = keeper.stdin.take();
        Ok(Self { keeper, lease })
    }

    /// The shell's process id; killing it kills the program.
    pub(crate) fn id(&self) -> u32 {
        self.keeper.id()
    }

    /// The program's exit, when it has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.keeper.try_wait().context("cannot wait for a child")
    }

    /// Waits for the program to end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            let ended = self.ended()?;
            if ended.is_some() || Instant::now() >= deadline {
                return Ok(ended);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets the program live on without this process.
    pub(crate) fn give_up(mut self) -> Result<()> {
        if let Some(mut lease) = self.lease.take() {
            lease
                .write_all(b"keep\n")
                .context("the program has ended")?;
        }
        Ok(())
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        // Without a lease it was given up.
        if self.lease.take().is_some() && !matches!(self.wait(GRACE), Ok(Some(_))) {
            // The shell is stuck; its death kills the program.
            let _ = self.keeper.kill();
            let _ = self.keeper.wait();
        }
    }
}

#[cfg(test)]
mod tests;
