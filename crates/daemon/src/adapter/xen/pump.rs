//! Console pumps: one thread a domain moves what the guest prints into its log.
//!
//! The guest's bytes go into the log as they are, and into nothing else. A guest whose
//! console nobody reads runs until the ring is full (2 KiB), and then waits, even in
//! the middle of a panic. So a pump lasts as long as the domain, whatever fails: a
//! console that cannot be attached is tried again, and what cannot be kept is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xenios_core::GuestId;
use xenios_xen::{Console, ConsoleError, ConsoleRead, DomId, Toolstack};

use crate::console::{ConsoleLog, Consoles};

#[cfg(test)]
mod tests;

/// A pump looks this often whether it shall end.
const SLICE: Duration = Duration::from_millis(100);
/// A console that cannot be attached is tried again after so many slices.
const RETRY_SLICES: u32 = 10;
/// Larger than a console ring (`xencons_interface`: 2 KiB from the guest).
const BUFFER: usize = 4096;
/// Reads after the end was asked for: a guest that never stops printing is cut off.
const LAST_READS: usize = 64;
/// A guest that prints without end gets so many reads in each period, and waits for
/// the rest of it: at most 640 KiB a second of the host's time and disk. The ring
/// holds it back. (`xenconsoled` allows 30 in 200 ms.)
const READS_A_PERIOD: u32 = 64;
const PERIOD: Duration = Duration::from_millis(200);

/// The pumps of all guests.
pub(super) struct Pumps {
    toolstack: Arc<Toolstack>,
    consoles: Arc<Consoles>,
    running: Mutex<HashMap<GuestId, Pump>>,
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

    /// Sees to it that the domain's console is read. Called whenever the domain is
    /// looked at.
    pub(super) fn ensure(&self, guest: GuestId, domid: DomId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pump) = running.get(&guest) {
            if pump.domid == domid && !pump.thread.is_finished() {
                return;
            }
            // A pump of an earlier domain ends by itself.
            pump.end.store(true, Ordering::Release);
        }
        match self.start(guest, domid) {
            Ok(pump) => {
                running.insert(guest, pump);
            }
            Err(error) => {
                tracing::warn!(%guest, %domid, %error, "the console cannot be read yet");
            }
        }
    }

    fn start(&self, guest: GuestId, domid: DomId) -> std::io::Result<Pump> {
        let end = Arc::new(AtomicBool::new(false));
        let (toolstack, consoles) = (Arc::clone(&self.toolstack), Arc::clone(&self.consoles));
        let seen = Arc::clone(&end);
        let thread = std::thread::Builder::new()
            .name(format!("console-{domid}"))
            .spawn(move || {
                let attach = || toolstack.console(domid, guest.uuid());
                pump(&attach, &mut Sink::new(guest, &consoles), &seen);
            })?;
        Ok(Pump { domid, end, thread })
    }

    /// Reads the rest of the console and lets go of it.
    pub(super) fn finish(&self, guest: GuestId, domid: DomId) {
        let pump = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            match running.get(&guest) {
                Some(pump) if pump.domid == domid => running.remove(&guest),
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

/// An attached console.
trait Source {
    fn read(&self, buffer: &mut [u8], wait: Duration) -> Result<ConsoleRead, ConsoleError>;
}

impl Source for Console {
    fn read(&self, buffer: &mut [u8], wait: Duration) -> Result<ConsoleRead, ConsoleError> {
        Self::read(self, buffer, wait)
    }
}

/// Attaches and reads until the domain is gone or the end is asked for. It attaches
/// once even then: what a guest printed before the daemon came back is still there.
fn pump<S: Source>(
    attach: &dyn Fn() -> Result<S, ConsoleError>,
    sink: &mut Sink<'_>,
    end: &AtomicBool,
) {
    let mut told = false;
    loop {
        let failed = match attach() {
            Ok(console) => match drain(&console, sink, end) {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(ConsoleError::NoDomain { .. }) => return,
            Err(error) => error,
        };
        if !told {
            let (guest, error) = (sink.guest, anyhow::Error::new(failed));
            tracing::warn!(%guest, "the console cannot be read; trying again: {error:#}");
            told = true;
        }
        for _ in 0..RETRY_SLICES {
            if end.load(Ordering::Acquire) {
                return;
            }
            std::thread::sleep(SLICE);
        }
    }
}

/// Reads until there is nothing more to come.
fn drain(console: &impl Source, sink: &mut Sink<'_>, end: &AtomicBool) -> Result<(), ConsoleError> {
    let mut buffer = vec![0; BUFFER];
    let mut allowance = Allowance::new(Instant::now());
    let mut last = 0;
    while last < LAST_READS {
        let ending = end.load(Ordering::Acquire);
        let wait = if ending { Duration::ZERO } else { SLICE };
        last += usize::from(ending);
        match console.read(&mut buffer, wait)? {
            ConsoleRead::Data(count) => sink.keep(&buffer[..count]),
            ConsoleRead::Quiet if ending => return Ok(()),
            ConsoleRead::Quiet => continue,
            ConsoleRead::Closed => return Ok(()),
        }
        if let Some(rest) = allowance.spend(Instant::now())
            && !ending
        {
            std::thread::sleep(rest);
        }
    }
    Ok(())
}

/// How much a guest may print in a period.
struct Allowance {
    began: Instant,
    left: u32,
}

impl Allowance {
    const fn new(now: Instant) -> Self {
        Self {
            began: now,
            left: READS_A_PERIOD,
        }
    }

    /// Takes note of one read; how long to wait before the next, when it was the last
    /// of its period.
    fn spend(&mut self, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.began) >= PERIOD {
            *self = Self::new(now);
        }
        self.left = self.left.saturating_sub(1);
        (self.left == 0).then(|| (self.began + PERIOD).saturating_duration_since(now))
    }
}

/// Where a guest's bytes go: its log, or nowhere while that cannot be written. A full
/// disk must not stop the guest.
struct Sink<'a> {
    guest: GuestId,
    consoles: &'a Consoles,
    log: Option<Arc<ConsoleLog>>,
    losing: bool,
}

impl<'a> Sink<'a> {
    const fn new(guest: GuestId, consoles: &'a Consoles) -> Self {
        Self {
            guest,
            consoles,
            log: None,
            losing: false,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let kept = self.log().and_then(|log| log.append(bytes));
        if let Err(error) = &kept
            && !self.losing
        {
            tracing::warn!(guest = %self.guest, %error, "console output is lost");
        }
        self.losing = kept.is_err();
    }

    fn log(&mut self) -> std::io::Result<Arc<ConsoleLog>> {
        if let Some(log) = &self.log {
            return Ok(Arc::clone(log));
        }
        let log = self.consoles.log(self.guest)?;
        self.log = Some(Arc::clone(&log));
        Ok(log)
    }
}
