//! Console logs: what each guest wrote, the newest part of it, in one bounded file.
//!
//! Raw bytes that a guest chose: they go into the gRPC `bytes` field and nowhere else.
//! How the bytes come out of a domain is the Xen adapter's matter.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use xenios_core::GuestId;

use self::ring::Ring;

mod ring;
#[cfg(test)]
mod tests;

/// Bytes of its console that are kept for each guest.
pub const KEPT_BYTES: u64 = 1 << 20;
/// The most that one read returns: comfortable in a gRPC message.
pub const MAX_READ: usize = 64 * 1024;

/// The console logs of a host.
#[derive(Debug)]
pub struct Consoles {
    dir: PathBuf,
    open: Mutex<HashMap<GuestId, Arc<ConsoleLog>>>,
}

/// One guest's log.
#[derive(Debug)]
pub struct ConsoleLog {
    ring: Mutex<Ring>,
    /// Bytes ever written; followers wait on it.
    written: watch::Sender<u64>,
}

/// A piece of a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of the first byte: at least the one asked for, more when that is gone.
    pub offset: u64,
    /// Empty at the end of the log.
    pub data: Vec<u8>,
}

impl Consoles {
    /// Keeps logs in `dir`, which is created.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            open: Mutex::default(),
        })
    }

    /// The log of a guest, created when there is none.
    pub fn log(&self, guest: GuestId) -> io::Result<Arc<ConsoleLog>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = open.get(&guest) {
            return Ok(Arc::clone(log));
        }
        let ring = Ring::open(&self.path(guest), KEPT_BYTES)?;
        let log = Arc::new(ConsoleLog {
            written: watch::Sender::new(ring.written()),
            ring: Mutex::new(ring),
        });
        open.insert(guest, Arc::clone(&log));
        Ok(log)
    }

    /// Removes a guest's log. Readers that have it open end.
    pub fn remove(&self, guest: GuestId) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&guest);
        match std::fs::remove_file(self.path(guest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the logs of guests that are not in `known`.
    pub fn retain(&self, known: &HashSet<GuestId>) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let guest = name.to_str().and_then(|name| name.strip_suffix(".log"));
            if let Some(Ok(guest)) = guest.map(str::parse::<GuestId>)
                && !known.contains(&guest)
            {
                self.remove(guest)?;
            }
        }
        Ok(())
    }

    /// A guest's id is a UUID: hexadecimal digits and dashes, a safe file name.
    fn path(&self, guest: GuestId) -> PathBuf {
        self.dir.join(format!("{guest}.log"))
    }
}

impl ConsoleLog {
    /// Appends what the guest wrote.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let result = ring.append(bytes);
        self.written.send_replace(ring.written());
        result
    }

    /// Reads from `offset` on, or from the first byte that is still kept.
    pub fn read(&self, offset: u64) -> io::Result<Chunk> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.read(offset, MAX_READ)
    }

    /// Tells how many bytes were ever written, and when that changes.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }
}
