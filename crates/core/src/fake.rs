//! The ports in memory, for tests of this crate and of those that use it.
//!
//! Each is one narrow implementation that keeps its port's promises, can be told
//! to fail ([`Faults`]), and shows what became of the world. Nothing here is for
//! production.

mod hypervisor;
mod policy;
mod sample;
mod store;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::facts::{BootDefaults, ImageFacts, PinnedSpec};
use crate::port::{ErrorKind, Images, PortError, Rootfs, Rootfses};
use crate::reference::ImageReference;

pub use hypervisor::MemoryHypervisor;
pub use policy::{FnMutator, FnValidator};
pub use sample::{
    audit_record, boot_defaults, digest, guest, image_facts, pinned_spec, submission, tenant,
};
pub use store::MemoryStore;

/// What goes wrong, shared by the fakes of one world: scripted errors, and the
/// death of the process.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    errors: VecDeque<Option<ErrorKind>>,
    ticks_left: Option<u32>,
}

impl Faults {
    /// The next calls of any port fail, or not, in this order.
    pub fn script(&self, errors: impl IntoIterator<Item = Option<ErrorKind>>) {
        self.lock().errors.extend(errors);
    }

    /// The process dies after `ticks` more moments: every call has one before, one
    /// after and perhaps some amid its effects. From then on every call fails and
    /// does nothing.
    pub fn die_after(&self, ticks: u32) {
        self.lock().ticks_left = Some(ticks);
    }

    /// Whether the process has died.
    #[must_use]
    pub fn dead(&self) -> bool {
        self.lock().ticks_left == Some(0)
    }

    /// The process lives again, and no error is left.
    pub fn clear(&self) {
        *self.lock() = Script::default();
    }

    /// The begin of a call: the death of the process, or the scripted error.
    fn begin(&self) -> Result<(), PortError> {
        self.tick()?;
        match self.lock().errors.pop_front().flatten() {
            None => Ok(()),
            Some(kind) => Err(PortError::new(kind, format!("scripted: {kind:?}"))),
        }
    }

    /// A moment at which the process may die.
    fn tick(&self) -> Result<(), PortError> {
        match &mut self.lock().ticks_left {
            None => Ok(()),
            Some(0) => Err(PortError::new(ErrorKind::Transient, "the process is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        locked(&self.0)
    }
}

/// A lock whose holder panicked holds what it held; the test fails anyway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Root filesystems without files.
#[derive(Clone, Debug, Default)]
pub struct MemoryRootfses {
    /// What goes wrong.
    pub faults: Faults,
}

impl Rootfses for MemoryRootfses {
    fn pack(&self, spec: &PinnedSpec) -> Result<Rootfs, PortError> {
        self.faults.begin()?;
        let path = PathBuf::from("/nowhere").join(spec.image.reference.digest().hex());
        self.faults.tick()?;
        Ok(Rootfs {
            path,
            pull: Duration::from_millis(20),
            pack: Duration::from_millis(10),
        })
    }
}

/// A registry that has every image, but for those whose repository begins with
/// `missing`.
#[derive(Clone, Debug, Default)]
pub struct MemoryImages {
    /// What goes wrong.
    pub faults: Faults,
}

impl Images for MemoryImages {
    fn facts(&self, reference: &ImageReference) -> Result<ImageFacts, PortError> {
        self.faults.begin()?;
        if reference.repository().starts_with("missing") {
            return Err(PortError::new(
                ErrorKind::NotFound,
                "there is no such image",
            ));
        }
        Ok(image_facts(reference))
    }

    fn boot_defaults(&self) -> BootDefaults {
        boot_defaults()
    }
}
