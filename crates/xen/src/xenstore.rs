//! A client of xenstore, over the daemon's socket in dom0.
//!
//! One connection serves all threads, one call at a time; every call has a
//! deadline, so that a daemon that hangs is an error and not a hang of ours.
//! What is to be written is given as a list of [`Edit`]s and done in one
//! transaction: planning a tree and writing it are two things.

mod connection;
mod path;
mod wire;

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::domid::{DomId, Port};
use connection::Request;
use wire::Kind;

pub(crate) use connection::Connection;
pub use path::PathError;
pub(crate) use path::StorePath;

/// Where xenstored listens; the second is the older name.
const SOCKETS: [&str; 2] = ["/run/xenstored/socket", "/var/run/xenstored/socket"];
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How often a transaction that met another one is tried again.
const TRANSACTION_TRIES: u32 = 32;

/// A failure to talk to xenstore.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no daemon at the socket.
    #[error("xenstored cannot be reached at {path}: is it running?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The daemon did not answer in time.
    #[error("xenstored did not answer within {} s", CALL_LIMIT.as_secs())]
    Timeout,
    /// The connection broke.
    #[error("the connection to xenstored broke")]
    Broken(#[source] io::Error),
    /// The daemon said something that the protocol does not know.
    #[error("xenstored broke the protocol: {0}")]
    Protocol(&'static str),
    /// The daemon refused a request.
    #[error("xenstored refused to {operation} {path}: {code}")]
    Refused {
        /// The verb.
        operation: &'static str,
        /// What it was about.
        path: String,
        /// The error's name (`EACCES`, …).
        code: String,
    },
    /// A request would exceed what the protocol carries.
    #[error("a value of {bytes} bytes for xenstore is too large: at most {limit} are possible")]
    TooLarge {
        /// Its size with the path.
        bytes: usize,
        /// The protocol's limit.
        limit: usize,
    },
    /// Too many others wrote the same nodes at the same time.
    #[error("a xenstore transaction met other writers {TRANSACTION_TRIES} times in a row")]
    Contended,
}

impl StoreError {
    /// Whether the request was refused with this error name.
    fn is(&self, name: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == name)
    }

    /// Whether the connection may not be used any more.
    fn breaks_connection(&self) -> bool {
        matches!(self, Self::Timeout | Self::Broken(_) | Self::Protocol(_))
    }
}

/// Who may do what with a node: the owner may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permissions {
    /// The owner.
    pub(crate) owner: DomId,
    /// Another domain, which may read.
    pub(crate) reader: Option<DomId>,
}

/// One change of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    /// Writes a node, making it and those above it as needed; a new node has the
    /// permissions of the one above.
    Write(StorePath, Vec<u8>),
    /// Says who may do what.
    Grant(StorePath, Permissions),
    /// Removes a node with all below it, if it is there.
    Remove(StorePath),
}

impl Edit {
    /// A node with text in it.
    pub(crate) fn write(path: StorePath, value: impl Into<String>) -> Self {
        Self::Write(path, value.into().into_bytes())
    }
}

/// The store.
pub(crate) struct Store {
    socket: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Store {
    /// Connects to the daemon.
    pub(crate) fn open() -> Result<Self, StoreError> {
        let found = SOCKETS.iter().map(PathBuf::from).find(|path| path.exists());
        Self::at(found.unwrap_or_else(|| PathBuf::from(SOCKETS[0])))
    }

    /// Connects to a daemon at a socket.
    pub(crate) fn at(socket: PathBuf) -> Result<Self, StoreError> {
        let store = Self {
            socket,
            connection: Mutex::new(None),
        };
        let connection = store.connect()?;
        *store.lock() = Some(connection);
        Ok(store)
    }

    /// A node's value, or nothing if there is no such node.
    pub(crate) fn read(&self, path: &StorePath) -> Result<Option<Vec<u8>>, StoreError> {
        let answer = self.with(|connection, deadline| {
            connection.call(&Request::about(Kind::Read, path), deadline)
        });
        absent(answer)
    }

    /// A node's value as text; what is not UTF-8 is as good as absent.
    pub(crate) fn read_text(&self, path: &StorePath) -> Result<Option<String>, StoreError> {
        Ok(self
            .read(path)?
            .and_then(|value| String::from_utf8(value).ok()))
    }

    /// The names of the nodes below one; none if that is not there.
    pub(crate) fn list(&self, path: &StorePath) -> Result<Vec<String>, StoreError> {
        let answer = self.with(|connection, deadline| connection.list(path, deadline));
        Ok(absent(answer)?.unwrap_or_default())
    }

    /// Makes all changes or none.
    pub(crate) fn apply(&self, edits: &[Edit]) -> Result<(), StoreError> {
        for _ in 0..TRANSACTION_TRIES {
            match self.with(|connection, deadline| connection.transaction(edits, deadline)) {
                Err(error) if error.is("EAGAIN") => {}
                other => return other,
            }
        }
        Err(StoreError::Contended)
    }

    /// Tells the daemon of a new domain: where its ring is, and which event
    /// channel waits for it.
    pub(crate) fn introduce(
        &self,
        domain: DomId,
        frame: u64,
        port: Port,
    ) -> Result<(), StoreError> {
        self.with(|connection, deadline| {
            let fields = [domain.to_string(), frame.to_string(), port.to_string()];
            connection
                .call(&Request::introduce(&fields), deadline)
                .map(drop)
        })
    }

    /// A connection of its own that hears of what happens at a path.
    pub(crate) fn watch(&self, paths: &[&'static str]) -> Result<Connection, StoreError> {
        let mut connection = self.connect()?;
        for path in paths {
            connection.call(&Request::watch(path), Instant::now() + CALL_LIMIT)?;
        }
        Ok(connection)
    }

    /// Calls on the shared connection. One that has died in the meantime (the
    /// daemon was restarted) is replaced once: all that is sent here may be sent
    /// twice.
    fn with<T>(
        &self,
        call: impl Fn(&mut Connection, Instant) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut kept = self.lock();
        let deadline = Instant::now() + CALL_LIMIT;
        let (mut connection, fresh) = match kept.take() {
            Some(connection) => (connection, false),
            None => (self.connect()?, true),
        };
        let mut answer = call(&mut connection, deadline);
        if matches!(answer, Err(StoreError::Broken(_))) && !fresh {
            connection = self.connect()?;
            answer = call(&mut connection, deadline);
        }
        if !matches!(&answer, Err(error) if error.breaks_connection()) {
            *kept = Some(connection);
        }
        answer
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let stream: UnixStream =
            crate::sys::connect_unix(&self.socket, Instant::now() + CALL_LIMIT).map_err(
                |source| StoreError::Unreachable {
                    path: self.socket.clone(),
                    source,
                },
            )?;
        Ok(Connection::new(stream))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// "No such node" as a value.
fn absent<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is("ENOENT") => Ok(None),
        Err(error) => Err(error),
    }
}
