//! What one tenant may take of the daemon at the same time.
//!
//! Calls of one tenant wait for each other, or are refused, before they can crowd out
//! another's. What guests may take of the host is decided by policies, not here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use xenios_core::TenantId;

#[cfg(test)]
mod tests;

/// Decisions of one tenant at the same time; further ones wait.
const MAX_DECISIONS: usize = 4;
/// Watches and console streams of one tenant; further ones are refused.
const MAX_STREAMS: usize = 64;

/// One tenant's share.
#[derive(Debug)]
pub struct Share {
    /// Held while a guest is committed: what the tenant uses does not grow meanwhile.
    pub commit: Mutex<()>,
    decisions: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// The shares of all tenants that have called. Tenants are named by the operator's
/// certificates and configuration, so they are few.
#[derive(Debug, Default)]
pub struct Shares(Mutex<HashMap<TenantId, Arc<Share>>>);

impl Shares {
    /// The share of a tenant.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Arc<Share> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant) {
            return Arc::clone(share);
        }
        let share = Arc::new(Share {
            commit: Mutex::default(),
            decisions: Arc::new(Semaphore::new(MAX_DECISIONS)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        });
        shares.insert(tenant.clone(), Arc::clone(&share));
        share
    }
}

impl Share {
    /// Waits for room for one more decision; it ends with the permit.
    ///
    /// # Panics
    /// Never: the semaphore is not closed.
    pub async fn decision(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.decisions).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// Room for one more stream, if there is any; it ends with the permit.
    #[must_use]
    pub fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }
}
