//! A Xen host in QEMU: Xen and a Linux dom0 from Debian's packages, without
//! hardware virtualisation. Real hypercalls, real xenstore, real backends, but
//! no true time: nothing that is measured here is an absolute figure.

mod channel;
mod dom0;
mod qemu;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub(crate) use channel::{Channel, Output};
pub(crate) use qemu::free_port;

use crate::cpio::Archive;
use crate::layout::Layout;
use crate::leased::Leased;
use crate::packages;
use crate::scratch;
use crate::stage::{note, stage};

/// A boot takes 15 to 60 s; a machine that is busy with other work needs more.
const BOOT: Duration = Duration::from_mins(5);
/// To write the disk back and power off.
const SHUTDOWN: Duration = Duration::from_mins(1);
/// How many lines of the console an error shows.
const CONSOLE_TAIL: usize = 25;

/// What a bed is made of.
#[derive(Debug, Clone)]
pub(crate) struct BedConfig {
    /// Added to dom0's filesystem: the daemon, its policies, kernels, keys.
    pub(crate) files: Archive,
    /// Of the whole machine.
    pub(crate) memory_mib: u32,
    /// Of dom0; the rest is for guests.
    pub(crate) dom0_mib: u32,
    /// Of the whole machine.
    pub(crate) cpus: u32,
}

impl Default for BedConfig {
    fn default() -> Self {
        Self {
            files: Archive::new(),
            memory_mib: 2560,
            dom0_mib: 1024,
            cpus: 2,
        }
    }
}

/// How a restart ends the running dom0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// The disk is written back first.
    Clean,
    /// As if the plug had been pulled.
    PowerCut,
}

/// A running bed. Dropping it kills QEMU.
#[derive(Debug)]
pub(crate) struct Bed {
    machine: Option<Leased>,
    channel: Channel,
    config: BedConfig,
    port: u16,
    folder: PathBuf,
    /// Removes the folder of a bed that nobody will look for.
    _scratch: Option<scratch::Folder>,
}

impl Bed {
    /// Downloads what is missing, boots, and waits for dom0's agent.
    pub(crate) fn boot(layout: &Layout, config: &BedConfig) -> Result<Self> {
        scratch::Folder::sweep(&layout.runs(), "bed");
        let scratch = scratch::Folder::below(&layout.runs(), "bed")
            .context("cannot create the bed's folder")?;
        let folder = scratch.path().to_path_buf();
        Self::boot_in(layout, config, &folder, Some(scratch))
    }

    fn boot_in(
        layout: &Layout,
        config: &BedConfig,
        folder: &Path,
        scratch: Option<scratch::Folder>,
    ) -> Result<Self> {
        packages::ensure()?;
        fs::create_dir_all(layout.cache())?;
        let dom0 = stage("Xen and dom0 from Debian's packages", || {
            let _lock = lock(&layout.cache().join("lock"))?;
            dom0::build(&layout.cache())
        })?;
        qemu::prepare(folder, &dom0, &config.files)?;
        let (machine, port, channel) = start(folder, config)?;
        Ok(Self {
            machine: Some(machine),
            channel,
            config: config.clone(),
            port,
            folder: folder.to_path_buf(),
            _scratch: scratch,
        })
    }

    /// The port of 127.0.0.1 that reaches the daemon's port in dom0.
    pub(crate) fn grpc_port(&self) -> u16 {
        self.port
    }

    /// Runs a shell script in dom0; what it started is killed after `limit`.
    pub(crate) fn exec(&mut self, script: &str, limit: Duration) -> Result<Output> {
        self.channel
            .run(script, limit)
            .with_context(|| format!("in dom0: {script}"))
    }

    /// As [`Bed::exec`], for a script that must succeed: its standard output.
    pub(crate) fn sh(&mut self, script: &str, limit: Duration) -> Result<String> {
        let output = self.exec(script, limit)?;
        if output.code != 0 {
            bail!(
                "in dom0, exit code {}: {script}\n{}{}",
                output.code,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Writes a file in dom0.
    pub(crate) fn push(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.channel.put(path, mode, bytes)
    }

    /// Everything that Xen and dom0 printed, over all restarts.
    pub(crate) fn console_log(&self) -> Result<String> {
        let path = self.folder.join(qemu::CONSOLE);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Boots dom0 again. Only `/var/lib/xenios` is kept; the port changes.
    pub(crate) fn restart(&mut self, how: Restart) -> Result<()> {
        let machine = self.machine.take().context("the bed is down")?;
        match how {
            Restart::Clean => power_off(&mut self.channel, machine)?,
            Restart::PowerCut => drop(machine),
        }
        let (machine, port, channel) = start(&self.folder, &self.config)?;
        self.machine = Some(machine);
        self.port = port;
        self.channel = channel;
        Ok(())
    }
}

fn start(folder: &Path, config: &BedConfig) -> Result<(Leased, u16, Channel)> {
    stage("boot Xen and dom0", || {
        let port = free_port()?;
        let mut machine = qemu::start(folder, config, port)?;
        let channel = Channel::connect(&folder.join(qemu::CONTROL), BOOT, || {
            if machine.ended()?.is_some() {
                bail!("QEMU ended:\n{}", last_lines(&folder.join(qemu::ERRORS)));
            }
            Ok(())
        });
        let mut channel = channel.with_context(|| {
            format!(
                "dom0 did not come up; its console ends with:\n{}",
                last_lines(&folder.join(qemu::CONSOLE))
            )
        })?;
        let marks = channel.run("cat /run/marks", Duration::from_secs(30))?;
        let marks = String::from_utf8_lossy(&marks.stdout).into_owned();
        note(&format!(
            "seconds since dom0's kernel began: {}",
            marks.trim_end().replace('\n', ", ")
        ));
        Ok((machine, port, channel))
    })
}

fn power_off(channel: &mut Channel, mut machine: Leased) -> Result<()> {
    channel.run(
        "sync; umount /var/lib/xenios || mount -o remount,ro /var/lib/xenios; setsid sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 &",
        SHUTDOWN,
    )?;
    if machine.wait(SHUTDOWN)?.is_none() {
        bail!("dom0 did not power off in {} s", SHUTDOWN.as_secs());
    }
    Ok(())
}

/// The end of a log, for an error message; without control characters.
fn last_lines(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(CONSOLE_TAIL)..].join("\n");
    tail.chars()
        .filter(|&character| character == '\n' || !character.is_control())
        .collect()
}

/// Two commands at once must not fill the cache together. Released when
/// dropped.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

pub(crate) mod background;
