//! The backend of a guest's console: reads what the guest prints, and types.
//!
//! The ring's page belongs to the guest, which may write anything there at any
//! time (see [`ring`]). What is read are the guest's own bytes: they must not
//! reach a terminal or a log as they are.

mod ring;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::domid::DomId;
use crate::seam::{Channels, Doorbell, Errno};
use ring::Ring;

/// How long to wait at most before looking whether the console was closed.
const SLICE: Duration = Duration::from_millis(200);

/// Why a console cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// There is no such domain, or it is another guest's.
    #[error("domain {domid} is not the guest's")]
    NoDomain {
        /// The number that was given.
        domid: DomId,
    },
    /// The domain has no console of ours.
    #[error("domain {domid} has no console of this toolstack")]
    NoConsole {
        /// The domain.
        domid: DomId,
    },
    /// The ring could not be mapped, or the event channel not be bound; it is
    /// bound already while another [`Console`] of the domain exists.
    #[error("the console of domain {domid} cannot be attached: is it attached already?")]
    Attach {
        /// The domain.
        domid: DomId,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },
    /// The event channel failed.
    #[error("the console's event channel failed")]
    Channel(#[source] std::io::Error),
    /// Xen could not be asked.
    #[error("the console's domain cannot be looked at")]
    Hypercall(#[from] crate::hypercall::HypercallError),
    /// xenstore could not be asked.
    #[error("the console's nodes cannot be read")]
    Store(#[from] crate::xenstore::StoreError),
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleRead {
    /// This many bytes are in the buffer.
    Data(usize),
    /// The guest printed nothing in time.
    Quiet,
    /// The domain was destroyed by this process. Whoever wants the last of what it
    /// printed reads until [`Self::Quiet`] before that.
    Closed,
}

/// An attached console. Somebody must read it for as long as the guest runs: a
/// guest that finds its ring (2 KiB) full waits, even in the middle of a crash,
/// and its end is not noticed then.
///
/// It holds a page of the guest until it is dropped or the
/// domain is destroyed by this process's [`crate::Toolstack`].
pub struct Console {
    shared: Arc<Shared>,
}

/// The part that the toolstack can close.
pub(crate) struct Shared {
    domain: DomId,
    live: Mutex<Option<Live>>,
}

struct Live {
    ring: Ring,
    bell: Arc<dyn Doorbell>,
}

impl Console {
    /// Maps the ring and binds the event channel.
    pub(crate) fn attach(
        channels: &dyn Channels,
        domain: DomId,
        port: u32,
    ) -> Result<Self, ConsoleError> {
        let failed = |errno: Errno| ConsoleError::Attach {
            domid: domain,
            source: std::io::Error::from_raw_os_error(errno.0),
        };
        // The channel first: only one can have it, so only one reads the ring.
        let bell: Arc<dyn Doorbell> = channels.bind(domain, port).map_err(failed)?.into();
        let page = channels
            .map_grant(domain, crate::build::CONSOLE_GRANT)
            .map_err(failed)?;
        let live = Live {
            ring: Ring::attach(page),
            bell,
        };
        let shared = Shared {
            domain,
            live: Mutex::new(Some(live)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Reads what the guest has printed, at most as much as the buffer holds, and
    /// waits for it as long as `timeout`.
    pub fn read(&self, buffer: &mut [u8], timeout: Duration) -> Result<ConsoleRead, ConsoleError> {
        let deadline = Instant::now() + timeout;
        loop {
            let bell = {
                let mut live = self.shared.lock();
                let Some(live) = live.as_mut() else {
                    return Ok(ConsoleRead::Closed);
                };
                let count = live.ring.read(buffer);
                if count > 0 {
                    // The guest may wait for room.
                    live.bell.ring().map_err(channel)?;
                    return Ok(ConsoleRead::Data(count));
                }
                Arc::clone(&live.bell)
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(ConsoleRead::Quiet);
            }
            bell.wait(left.min(SLICE)).map_err(channel)?;
        }
    }

    /// Types bytes; returns how many the guest had room for.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, ConsoleError> {
        let mut live = self.shared.lock();
        let Some(live) = live.as_mut() else {
            return Ok(0);
        };
        let count = live.ring.write(bytes);
        if count > 0 {
            live.bell.ring().map_err(channel)?;
        }
        Ok(count)
    }

    /// For the toolstack, which closes it with the domain.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("domain", &self.shared.domain)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Whose console it is.
    pub(crate) fn domain(&self) -> DomId {
        self.domain
    }

    /// Gives page and channel back.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn channel(errno: Errno) -> ConsoleError {
    ConsoleError::Channel(std::io::Error::from_raw_os_error(errno.0))
}
