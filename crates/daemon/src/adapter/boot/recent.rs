//! The last few values that were made, by digest, each made once.
//!
//! What is made is known by the digest of what it is made of, so it never gets old;
//! only the number of values is bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use xenios_core::Digest;

#[cfg(test)]
mod tests;

/// A value that is being made, or was. Whoever wants it meanwhile waits.
type Slot<T> = Mutex<Option<Arc<T>>>;

/// At most so many values, the least recently used first.
pub(super) struct Recent<T> {
    most: usize,
    slots: Mutex<VecDeque<(Digest, Arc<Slot<T>>)>>,
}

impl<T> Recent<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            slots: Mutex::default(),
        }
    }

    /// The value of that digest, or what `make` makes of it. A failure is not kept.
    pub(super) fn get<E>(
        &self,
        digest: &Digest,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let slot = self.slot(digest);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = slot.as_ref() {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        *slot = Some(Arc::clone(&value));
        Ok(value)
    }

    fn slot(&self, digest: &Digest) -> Arc<Slot<T>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let at = slots.iter().position(|(known, _)| known == digest);
        let entry = match at.and_then(|at| slots.remove(at)) {
            Some(entry) => entry,
            None => (digest.clone(), Arc::default()),
        };
        let slot = Arc::clone(&entry.1);
        slots.push_back(entry);
        while slots.len() > self.most {
            slots.pop_front();
        }
        slot
    }
}
