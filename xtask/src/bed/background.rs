//! The bed of `testbed up`: one a target folder, running on after the command,
//! found again by its folder and its pid file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Bed, BedConfig, Channel, qemu};
use crate::layout::Layout;

/// A port file and a pid file beside QEMU's own.
const PID: &str = "pid";
const PORT: &str = "grpc-port";
/// A bed that is up answers at once, unless another command is running in it.
const CONNECT: Duration = Duration::from_mins(1);
const POWER_OFF: Duration = Duration::from_secs(30);

/// A bed that an earlier command left running.
#[derive(Debug)]
pub(crate) struct Background {
    folder: PathBuf,
    pid: String,
}

impl Background {
    /// The running one, if there is one.
    pub(crate) fn find(layout: &Layout) -> Option<Self> {
        let folder = folder(layout);
        let pid = fs::read_to_string(folder.join(PID)).ok()?.trim().to_owned();
        // A pid alone may be anybody's by now: the keeper works in the folder.
        let here = fs::canonicalize(&folder).ok()?;
        let there = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (here == there).then_some(Self { folder, pid })
    }

    /// Boots one and lets it run on.
    pub(crate) fn up(layout: &Layout, config: &BedConfig) -> Result<Self> {
        let folder = folder(layout);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clean {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let mut bed = Bed::boot_in(layout, config, &folder, None)?;
        let machine = bed.machine.take().expect("a booted bed has a machine");
        let pid = machine.id().to_string();
        fs::write(folder.join(PORT), format!("{}\n", bed.grpc_port()))?;
        fs::write(folder.join(PID), format!("{pid}\n"))?;
        machine.give_up()?;
        Ok(Self { folder, pid })
    }

    /// The agent of its dom0.
    pub(crate) fn channel(&self) -> Result<Channel> {
        Channel::connect(&self.folder.join(qemu::CONTROL), CONNECT, || Ok(()))
            .context("the bed does not answer; `cargo xtask testbed down` ends it")
    }

    /// The port of 127.0.0.1 that reaches the daemon's port in dom0.
    pub(crate) fn grpc_port(&self) -> Result<u16> {
        let text =
            fs::read_to_string(self.folder.join(PORT)).context("cannot read the bed's port")?;
        text.trim()
            .parse()
            .context("the bed's port file holds no port")
    }

    /// Where the console log is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Powers it off; kills it when it does not obey.
    pub(crate) fn down(self) -> Result<()> {
        if let Ok(mut channel) = self.channel() {
            let script = "sync; umount /var/lib/xenios; setsid sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 &";
            if channel.run(script, POWER_OFF).is_ok() {
                self.wait(POWER_OFF);
            }
        }
        if self.alive() {
            kill(&self.pid)?;
            self.wait(POWER_OFF);
        }
        if self.alive() {
            bail!("process {} does not end", self.pid);
        }
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn alive(&self) -> bool {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).is_ok()
    }

    fn wait(&self, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        while self.alive() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn kill(pid: &str) -> Result<()> {
    let pid = pid
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .context("the pid file holds no pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).context("cannot kill the bed")
}

fn folder(layout: &Layout) -> PathBuf {
    layout.runs().join("run")
}
