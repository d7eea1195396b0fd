//! Hearing of domains that come and go.

use std::time::Duration;

use crate::xenstore::{Connection, Store, StoreError};

/// Special watches of xenstored: a domain was introduced; a domain shut down,
/// crashed, or is gone.
const INTRODUCED: &str = "@introduceDomain";
const RELEASED: &str = "@releaseDomain";

/// That something happened; which domain it was is for the listener to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainEvent {
    /// A domain was introduced to xenstore.
    Introduced,
    /// A domain shut down, crashed, or is gone.
    Released,
}

/// A subscription, on a connection of its own.
pub struct DomainEvents {
    connection: Connection,
}

impl DomainEvents {
    pub(super) fn subscribe(store: &Store) -> Result<Self, StoreError> {
        let connection = store.watch(&[INTRODUCED, RELEASED])?;
        Ok(Self { connection })
    }

    /// The next event, or nothing in time. After an error the subscription is
    /// dead: make a new one.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<DomainEvent>, StoreError> {
        Ok(match self.connection.next_event(timeout)?.as_deref() {
            Some(INTRODUCED) => Some(DomainEvent::Introduced),
            Some(RELEASED) => Some(DomainEvent::Released),
            _ => None,
        })
    }
}

impl std::fmt::Debug for DomainEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DomainEvents").finish_non_exhaustive()
    }
}
