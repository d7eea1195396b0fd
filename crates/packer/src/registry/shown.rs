//! Which blobs a repository has shown to have, so that each is asked for once while
//! this process lives. Whether the repository may still be read is not remembered
//! here: its manifest is fetched anew each time.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Repository;
use crate::digest::Digest;

/// Most entries; beyond it all are forgotten, and shown again as they are needed.
const MOST: usize = 65_536;

/// Authority, repository, and a blob that was there.
type Entry = (String, String, Digest);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<HashSet<Entry>>);

impl Shown {
    pub(crate) fn contains(&self, repository: &Repository<'_>, blob: Digest) -> bool {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.contains(&entry(repository, blob))
    }

    pub(crate) fn insert(&self, repository: &Repository<'_>, blob: Digest) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() >= MOST {
            shown.clear();
        }
        shown.insert(entry(repository, blob));
    }
}

fn entry(repository: &Repository<'_>, blob: Digest) -> Entry {
    (repository.authority.clone(), repository.name.clone(), blob)
}
