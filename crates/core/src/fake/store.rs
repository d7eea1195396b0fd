//! Records in memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Faults, locked};
use crate::audit::AuditRecord;
use crate::guest::{Desired, Guest, Status};
use crate::id::{Generation, GuestId, GuestName, TenantId};
use crate::policy::decision::Usage;
use crate::port::{Cursor, GuestCatalog, GuestStore, PortError, StoreError};

/// A store that a restart of the process does not lose.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    /// What goes wrong.
    pub faults: Faults,
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug, Default)]
struct Rows {
    guests: BTreeMap<GuestId, Guest>,
    audit: Vec<AuditRecord>,
}

impl MemoryStore {
    /// An empty store, in a world where `faults` go wrong.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// The guest, whatever goes wrong.
    #[must_use]
    pub fn peek(&self, id: GuestId) -> Option<Guest> {
        self.rows().guests.get(&id).cloned()
    }

    /// The audit records, in order.
    #[must_use]
    pub fn audit(&self) -> Vec<AuditRecord> {
        self.rows().audit.clone()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        locked(&self.rows)
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.faults.begin().map_err(failed)
    }

    fn end(&self) -> Result<(), StoreError> {
        self.faults.tick().map_err(failed)
    }
}

/// Everything but a port error is a store's own answer.
const fn failed(error: PortError) -> StoreError {
    StoreError::Failed(error)
}

impl GuestStore for MemoryStore {
    fn load(&self, id: GuestId) -> Result<Option<Guest>, StoreError> {
        self.begin()?;
        Ok(self.peek(id))
    }

    fn ids(&self) -> Result<Vec<GuestId>, StoreError> {
        self.begin()?;
        Ok(self.rows().guests.keys().copied().collect())
    }

    fn save_status(
        &self,
        id: GuestId,
        seen: Generation,
        status: &Status,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let mut rows = self.rows();
        let guest = rows.guests.get_mut(&id).ok_or(StoreError::NotFound)?;
        if guest.generation != seen {
            return Err(StoreError::Conflict);
        }
        guest.status = status.clone();
        self.end()
    }

    fn forget(&self, id: GuestId) -> Result<(), StoreError> {
        self.begin()?;
        let mut rows = self.rows();
        if rows
            .guests
            .get(&id)
            .is_some_and(|guest| guest.desired != Desired::Deleted)
        {
            return Err(StoreError::Conflict);
        }
        rows.guests.remove(&id);
        self.end()
    }
}

impl GuestCatalog for MemoryStore {
    fn insert(&self, guest: &Guest, audit: &AuditRecord) -> Result<(), StoreError> {
        self.begin()?;
        let mut rows = self.rows();
        let same = |row: &Guest| {
            row.id == guest.id || (row.tenant == guest.tenant && row.name == guest.name)
        };
        if rows.guests.values().any(same) {
            return Err(StoreError::AlreadyExists);
        }
        rows.guests.insert(guest.id, guest.clone());
        rows.audit.push(audit.clone());
        self.end()
    }

    fn record(&self, audit: &AuditRecord) -> Result<(), StoreError> {
        self.begin()?;
        self.rows().audit.push(audit.clone());
        self.end()
    }

    fn find(&self, tenant: &TenantId, name: &GuestName) -> Result<Option<Guest>, StoreError> {
        self.begin()?;
        let rows = self.rows();
        Ok(rows
            .guests
            .values()
            .find(|g| g.tenant == *tenant && g.name == *name)
            .cloned())
    }

    fn list(
        &self,
        tenant: &TenantId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Guest>, StoreError> {
        self.begin()?;
        let rows = self.rows();
        let mut guests: Vec<_> = rows
            .guests
            .values()
            .filter(|g| g.tenant == *tenant)
            .collect();
        guests.sort_by_key(|g| Reverse((g.created_ms, g.id)));
        let follows = |g: &&Guest| {
            after.is_none_or(|cursor| (g.created_ms, g.id) < (cursor.created_ms, cursor.id))
        };
        Ok(guests
            .into_iter()
            .filter(follows)
            .take(limit)
            .cloned()
            .collect())
    }

    fn delete(&self, tenant: &TenantId, id: GuestId) -> Result<Guest, StoreError> {
        self.begin()?;
        let mut rows = self.rows();
        let guest = rows
            .guests
            .get_mut(&id)
            .filter(|guest| guest.tenant == *tenant);
        let guest = guest.ok_or(StoreError::NotFound)?;
        if guest.desired != Desired::Deleted {
            guest.desired = Desired::Deleted;
            guest.generation = guest.generation.next();
        }
        let guest = guest.clone();
        self.end()?;
        Ok(guest)
    }

    fn usage(&self, tenant: &TenantId) -> Result<Usage, StoreError> {
        self.begin()?;
        let rows = self.rows();
        let own = rows.guests.values().filter(|guest| guest.tenant == *tenant);
        Ok(own.fold(Usage::default(), |mut usage, guest| {
            usage.guests += 1;
            usage.vcpus += guest.spec.spec.vcpus().get();
            usage.memory_mib += guest.spec.spec.memory().get();
            usage
        }))
    }
}
