//! The console: Xen's `hvc0`, or whatever console the kernel uses elsewhere.
//!
//! The init writes through its own descriptor, which never blocks: a host that
//! does not read the console must not keep a guest from ending.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::termios::tcdrain;

use super::error::InitError;

/// Xen's own console.
const XEN_CONSOLE: &str = "/dev/hvc0";
/// Where the kernel names its consoles, the preferred one last.
const ACTIVE_CONSOLES: &str = "/sys/class/tty/console/active";
/// The kernel log, where the init speaks when there is no console.
const KERNEL_LOG: &str = "/dev/kmsg";
/// How long the last bytes may take to leave.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
/// Owner reads and writes, nobody else.
const CONSOLE_MODE: Mode = Mode::from_raw_mode(0o600);

pub(crate) struct Console {
    device: Option<PathBuf>,
    messages: Option<File>,
}

impl Console {
    /// Finds a console that can be opened. Having none is no error.
    pub(crate) fn open() -> Self {
        let active = fs::read_to_string(ACTIVE_CONSOLES).unwrap_or_default();
        let preferred = active.split_whitespace().next_back();
        let candidates = [
            Some(PathBuf::from(XEN_CONSOLE)),
            preferred.map(|name| PathBuf::from("/dev").join(name)),
        ];
        for device in candidates.into_iter().flatten() {
            if let Ok(messages) = open(&device, OFlags::NONBLOCK) {
                return Self {
                    device: Some(device),
                    messages: Some(messages),
                };
            }
        }
        Self {
            device: None,
            messages: OpenOptions::new().write(true).open(KERNEL_LOG).ok(),
        }
    }

    /// Writes one line, as far as the console takes it.
    pub(crate) fn say(&self, line: &str) {
        if let Some(mut messages) = self.messages.as_ref() {
            // Nobody is left to tell when the console itself fails.
            let _ = messages.write_all(format!("xenios-init: {line}\n").as_bytes());
        }
    }

    /// Opens the console for the command and makes it this session's controlling
    /// terminal. It becomes the user's, so that a program can open `/dev/stdout`
    /// again.
    pub(crate) fn stdio(&self, owner: Uid) -> Result<File, InitError> {
        let device = self.device.clone().unwrap_or_else(|| "/dev/null".into());
        let path = device.display().to_string();
        let file = open(&device, OFlags::empty()).map_err(InitError::io("open", &path))?;
        if self.device.is_some() {
            // The kernel starts the first process outside any session.
            let _ = setsid();
            ioctl_tiocsctty(&file).map_err(InitError::at("take as terminal", &path))?;
            fchown(&file, Some(owner), Some(Gid::ROOT))
                .and_then(|()| fchmod(&file, CONSOLE_MODE))
                .map_err(InitError::at("hand over", &path))?;
        }
        Ok(file)
    }

    /// Waits a little for the host to read what was written.
    pub(crate) fn drain(&self) {
        let Some(Ok(messages)) = self.messages.as_ref().map(File::try_clone) else {
            return;
        };
        let (done, drained) = mpsc::channel();
        thread::spawn(move || {
            let _ = tcdrain(&messages);
            let _ = done.send(());
        });
        let _ = drained.recv_timeout(DRAIN_DEADLINE);
    }
}

fn open(device: &PathBuf, flags: OFlags) -> std::io::Result<File> {
    let flags = (OFlags::NOCTTY | flags).bits();
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.cast_signed())
        .open(device)
}
