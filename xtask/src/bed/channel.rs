//! The host's end of the control channel: requests to the agent in dom0, framed
//! by length over a Unix socket that QEMU joins to a virtio-serial port. No
//! answer is ever looked for in console text.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What the agent may take beyond a command's own limit: it forks a few times,
/// which is slow under emulation.
const SLACK: Duration = Duration::from_mins(1);
/// How long one read waits, so that deadlines and QEMU's end are noticed.
const POLL: Duration = Duration::from_millis(200);
/// A line of the agent is shorter.
const LINE_LIMIT: usize = 200;
/// More than a command may print.
const OUTPUT_LIMIT: usize = 256 << 20;

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Exit code as a shell gives it: 128 + n for a signal.
    pub(crate) code: u8,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

/// A synchronised connection to the agent.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: UnixStream,
    buffer: Vec<u8>,
    next: u64,
}

/// How a command ended.
enum Ended {
    Code(u8),
    Timeout,
}

impl Channel {
    /// Connects to the socket and waits until the agent answers. `alive` is
    /// asked while waiting and ends it with an error.
    pub(crate) fn connect(
        socket: &Path,
        limit: Duration,
        mut alive: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let socket = loop {
            match dial(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() >= deadline => {
                    return Err(error)
                        .with_context(|| format!("cannot connect to {}", socket.display()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            alive()?;
        };
        socket
            .set_read_timeout(Some(POLL))
            .context("cannot set a timeout")?;
        let mut channel = Self {
            socket,
            buffer: Vec::new(),
            next: 0,
        };
        channel.synchronise(deadline, &mut alive)?;
        Ok(channel)
    }

    /// Skips what an earlier client left, up to the echo of a new token.
    fn synchronise(
        &mut self,
        deadline: Instant,
        alive: &mut impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let token = self.token();
        let echo = format!("sync {token}\n");
        // The empty line ends whatever an earlier client left half-said.
        self.send(format!("\n{echo}").as_bytes())?;
        loop {
            alive()?;
            if let Some(at) = find(&self.buffer, echo.as_bytes()) {
                self.buffer.drain(..at + echo.len());
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("the agent in dom0 did not answer in time");
            }
            self.receive()?;
        }
    }

    /// Runs a shell script in dom0, killed after `limit` with all it started.
    pub(crate) fn run(&mut self, script: &str, limit: Duration) -> Result<Output> {
        // A script that was cut short does not parse, so no part of it runs.
        let script = format!("{{\n{script}\n}}\n");
        let token = self.token();
        let seconds = limit.as_secs().max(1);
        self.send(format!("run {token} {seconds} {}\n{script}", script.len()).as_bytes())?;
        let (ended, stdout, stderr) = self.answer(&token, limit + SLACK)?;
        match ended {
            Ended::Code(code) => Ok(Output {
                code,
                stdout,
                stderr,
            }),
            Ended::Timeout => bail!(
                "the command was killed after {seconds} s; it had printed: {}{}",
                String::from_utf8_lossy(&stdout),
                String::from_utf8_lossy(&stderr)
            ),
        }
    }

    /// Writes a file in dom0; its folder is made.
    pub(crate) fn put(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        if !path.starts_with('/') || path.contains(char::is_whitespace) {
            bail!("{path:?} is not an absolute path without spaces");
        }
        let token = self.token();
        self.send(format!("put {token} {mode:o} {} {path}\n", bytes.len()).as_bytes())?;
        self.send(bytes)?;
        // A slow megabyte a second.
        let limit = SLACK + Duration::from_secs(bytes.len() as u64 >> 20);
        let (ended, _, stderr) = self.answer(&token, limit)?;
        match ended {
            Ended::Code(0) => Ok(()),
            _ => bail!(
                "cannot write {path} in dom0: {}",
                String::from_utf8_lossy(&stderr).trim_end()
            ),
        }
    }

    fn answer(&mut self, token: &str, limit: Duration) -> Result<(Ended, Vec<u8>, Vec<u8>)> {
        let deadline = Instant::now() + limit;
        let line = loop {
            if let Some(at) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=at).collect();
                break String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            self.more(LINE_LIMIT, deadline)?;
        };
        let (ended, stdout, stderr) =
            parse(&line, token).with_context(|| format!("the agent answered {line:?}"))?;
        while self.buffer.len() < stdout + stderr {
            self.more(OUTPUT_LIMIT * 2, deadline)?;
        }
        let mut output: Vec<u8> = self.buffer.drain(..stdout + stderr).collect();
        let stderr = output.split_off(stdout);
        Ok((ended, output, stderr))
    }

    fn more(&mut self, limit: usize, deadline: Instant) -> Result<()> {
        if self.buffer.len() > limit {
            bail!("the agent in dom0 sent more than was agreed");
        }
        if Instant::now() >= deadline {
            bail!("the agent in dom0 did not answer in time");
        }
        self.receive()
    }

    /// Appends what has arrived; waits at most [`POLL`].
    fn receive(&mut self) -> Result<()> {
        let mut chunk = vec![0; 1 << 16];
        match self.socket.read(&mut chunk) {
            Ok(0) => bail!("QEMU closed the control channel: the machine has ended"),
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read from the control channel"),
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket
            .write_all(bytes)
            .context("cannot write to the control channel")
    }

    /// Unique among the clients of one bed.
    fn token(&mut self) -> String {
        self.next += 1;
        format!("{}-{}", std::process::id(), self.next)
    }
}

/// Connects through `/proc/self/fd`: the path of a socket is limited to 108
/// bytes (`unix(7)`), a checkout's may be longer.
fn dial(socket: &Path) -> std::io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let folder = File::open(folder)?;
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

/// `done TOKEN CODE OUT ERR`.
fn parse(line: &str, token: &str) -> Option<(Ended, usize, usize)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["done", answered, code, stdout, stderr] = words.as_slice() else {
        return None;
    };
    let length = |text: &str| text.parse().ok().filter(|&length| length <= OUTPUT_LIMIT);
    let ended = if *code == "timeout" {
        Ended::Timeout
    } else {
        Ended::Code(code.parse().ok()?)
    };
    (*answered == token).then_some((ended, length(stdout)?, length(stderr)?))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
