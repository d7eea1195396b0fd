//! Console pumps: one thread a domain moves what the guest prints into its log.
//!
//! The guest's bytes go into the log as they are, and into nothing else.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use xenios_core::GuestId;
use xenios_xen::{Console, ConsoleRead, DomId, Toolstack};

use crate::console::{ConsoleLog, Consoles};

/// A pump looks this often whether it shall end.
const SLICE: Duration = Duration::from_millis(100);
/// Larger than a console ring (`xencons_interface`: 2 KiB from the guest).
const BUFFER: usize = 4096;
/// Reads after the end was asked for: a guest that never stops printing is cut off.
const LAST_READS: usize = 64;

/// The pumps of all guests.
pub(super) struct Pumps {
    toolstack: Arc<Toolstack>,
    consoles: Arc<Consoles>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    pumps: HashMap<GuestId, Pump>,
    /// Domains whose console could not be attached: tried again, but told once.
    broken: HashSet<DomId>,
}

struct Pump {
    domid: DomId,
    end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pumps {
    pub(super) fn new(toolstack: Arc<Toolstack>, consoles: Arc<Consoles>) -> Self {
        Self {
            toolstack,
            consoles,
            running: Mutex::default(),
        }
    }

    /// Sees to it that the domain's console is read. A guest whose console nobody
    /// reads runs until the ring is full (2 KiB), and then waits, even in the middle
    /// of a panic; so a console that could not be attached is tried again.
    pub(super) fn ensure(&self, guest: GuestId, domid: DomId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pump) = running.pumps.get(&guest)
            && pump.domid == domid
            && !pump.thread.is_finished()
        {
            return;
        }
        match self.start(guest, domid) {
            Ok(pump) => {
                running.broken.remove(&domid);
                running.pumps.insert(guest, pump);
            }
            Err(error) => {
                if running.broken.insert(domid) {
                    tracing::warn!(%guest, %domid, "the console cannot be read: {error:#}");
                }
            }
        }
    }

    fn start(&self, guest: GuestId, domid: DomId) -> anyhow::Result<Pump> {
        let console = self.toolstack.console(domid, guest.uuid())?;
        let log = self.consoles.log(guest)?;
        let end = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name(format!("console-{domid}"))
            .spawn(move || pump(guest, &console, &log, &seen))?;
        Ok(Pump { domid, end, thread })
    }

    /// Reads the rest of the console and lets go of it.
    pub(super) fn finish(&self, guest: GuestId, domid: DomId) {
        let pump = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.broken.remove(&domid);
            match running.pumps.get(&guest) {
                Some(pump) if pump.domid == domid => running.pumps.remove(&guest),
                _ => None,
            }
        };
        if let Some(pump) = pump {
            pump.end.store(true, Ordering::Release);
            if pump.thread.join().is_err() {
                tracing::error!(%guest, "the console pump panicked");
            }
        }
    }
}

fn pump(guest: GuestId, console: &Console, log: &ConsoleLog, end: &AtomicBool) {
    let mut buffer = vec![0; BUFFER];
    let mut last = 0;
    while last < LAST_READS {
        let ending = end.load(Ordering::Acquire);
        let wait = if ending { Duration::ZERO } else { SLICE };
        last += usize::from(ending);
        match console.read(&mut buffer, wait) {
            Ok(ConsoleRead::Data(count)) => {
                if let Err(error) = log.append(&buffer[..count]) {
                    // The guest must not be stopped by a full disk.
                    tracing::warn!(%guest, %error, "console output is lost");
                }
            }
            Ok(ConsoleRead::Quiet) if ending => return,
            Ok(ConsoleRead::Quiet) => {}
            Ok(ConsoleRead::Closed) => return,
            Err(error) => {
                tracing::warn!(%guest, %error, "the console cannot be read any more");
                return;
            }
        }
    }
}
