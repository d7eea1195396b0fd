//! Destroying a domain, and seeing to it that nothing of it is left.
//!
//! Order: pause, so that the guest changes nothing any more; disconnect the
//! backends; remove the nodes; destroy the domain. The domain itself goes last,
//! because its handle is the mark by which the rest is found: whoever dies
//! half-way can begin again.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use tracing::warn;
use uuid::Uuid;

use super::{Toolstack, nodes};
use crate::device::vbd::{self, state};
use crate::domid::DomId;
use crate::hypercall::HypercallError;
use crate::xenstore::{Edit, StoreError, StorePath};

/// How long backends may take to finish what the guest had asked of them.
const BACKEND_LIMIT: Duration = Duration::from_secs(10);
/// How long a loop device may take to let go of its file by itself.
const LOOP_LIMIT: Duration = Duration::from_secs(2);
/// How long pages of the domain may stay with somebody.
const DYING_LIMIT: Duration = Duration::from_secs(20);
/// How often these are looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// Why a domain could not be destroyed in full. It can be tried again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DestroyError {
    /// The number belongs to another guest by now: nothing was touched.
    #[error("domain {domid} has another UUID: it is not the guest that was meant")]
    Mismatch {
        /// The number.
        domid: DomId,
    },
    /// dom0 itself was meant.
    #[error("dom0 is never destroyed")]
    Control,
    /// Xen refused.
    #[error("the domain could not be destroyed")]
    Hypercall(#[from] HypercallError),
    /// xenstore refused.
    #[error("the domain's nodes could not be removed")]
    Store(#[from] StoreError),
    /// The kernel still serves one of its disks.
    #[error("the block backend of domain {domid} did not let go of device {device}")]
    Backend {
        /// The domain.
        domid: DomId,
        /// The device's number.
        device: u32,
    },
    /// Somebody holds pages of the domain.
    #[error("domain {domid} is destroyed, but somebody still holds pages of it")]
    Dying {
        /// The domain.
        domid: DomId,
    },
}

/// A loop device and its file, as recorded when the domain was made.
struct LoopRecord {
    minor: u32,
    file: PathBuf,
}

impl Toolstack {
    /// Destroys a domain and everything that was made for it, and waits until
    /// nothing is left. Does nothing if it is gone already; refuses if the number
    /// is another guest's by now.
    pub fn destroy(&self, domid: DomId, uuid: Uuid) -> Result<(), DestroyError> {
        if domid == DomId::ZERO {
            return Err(DestroyError::Control);
        }
        let Some(info) = self.xen.info(domid)? else {
            return self.remove_leftovers(domid, uuid);
        };
        if info.uuid != uuid {
            return Err(DestroyError::Mismatch { domid });
        }
        self.close_consoles(domid);
        if !info.flags.dying() {
            self.xen.pause(domid)?;
        }
        self.remove_devices(domid, uuid)?;
        self.store.apply(&nodes::removal(domid, uuid))?;
        self.xen.destroy(domid)?;
        self.wait_until_gone(domid, uuid)
    }

    /// Somebody else destroyed the domain (`xl destroy`), or xenstored kept what
    /// belongs to a domain that is gone: the nodes carry our mark too, where only
    /// dom0 can write.
    fn remove_leftovers(&self, domid: DomId, uuid: Uuid) -> Result<(), DestroyError> {
        self.close_consoles(domid);
        let vm = StorePath::vm(uuid);
        let mark = self.store.read_text(&StorePath::domain(domid).join("vm"))?;
        if mark.as_deref() == Some(vm.as_str()) {
            self.remove_devices(domid, uuid)?;
            self.store.apply(&nodes::removal(domid, uuid))?;
        } else {
            let loops = self.loop_records(uuid)?;
            self.store.apply(&[Edit::Remove(vm)])?;
            self.release_loops(&loops);
        }
        Ok(())
    }

    /// Disconnects the domain's block backends and removes their nodes. Which there
    /// are is what the kernel says, not what stands in a guest's nodes.
    fn remove_devices(&self, domid: DomId, uuid: Uuid) -> Result<(), DestroyError> {
        let loops = self.loop_records(uuid)?;
        // With the guest's end closed and ours offline, the kernel finishes what
        // is under way, closes the block device, and drops the backend.
        let mut edits = Vec::new();
        for device in self.blocks.backends(domid) {
            let (back, front) = (vbd::backend(domid, device), vbd::frontend(domid, device));
            edits.push(Edit::write(back.join("online"), "0"));
            edits.push(Edit::write(back.join("state"), state::CLOSING));
            edits.push(Edit::write(front.join("state"), state::CLOSED));
        }
        if !edits.is_empty() {
            self.store.apply(&edits)?;
        }
        let closed = self.wait_for_backends(domid);
        // Removing the nodes makes the kernel drop what is still there.
        let gone = [vbd::backends(domid), vbd::backend_errors(domid)];
        self.store.apply(&gone.map(Edit::Remove))?;
        if closed.is_err() {
            self.wait_for_backends(domid)?;
        }
        self.release_loops(&loops);
        Ok(())
    }

    fn wait_for_backends(&self, domid: DomId) -> Result<(), DestroyError> {
        let deadline = Instant::now() + BACKEND_LIMIT;
        while let Some(device) = self.blocks.backends(domid).first().copied() {
            if Instant::now() >= deadline {
                return Err(DestroyError::Backend { domid, device });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn loop_records(&self, uuid: Uuid) -> Result<Vec<LoopRecord>, StoreError> {
        let records = vbd::records(uuid);
        let mut loops = Vec::new();
        for device in self.store.list(&records)? {
            let Ok(record) = records.try_join(&device) else {
                continue;
            };
            let minor = self.store.read_text(&record.join("loop"))?;
            let file = self.store.read_text(&record.join("file"))?;
            if let (Some(minor), Some(file)) = (minor.and_then(|text| text.parse().ok()), file) {
                loops.push(LoopRecord {
                    minor,
                    file: file.into(),
                });
            }
        }
        Ok(loops)
    }

    /// Loop devices detach themselves with their last user. One that does not in
    /// time is told to: if another guest has it by now (the number and the file
    /// are the same), this changes nothing, for it detaches only when unused.
    fn release_loops(&self, loops: &[LoopRecord]) {
        let deadline = Instant::now() + LOOP_LIMIT;
        for record in loops {
            let held = || self.blocks.backing_file(record.minor).as_ref() == Some(&record.file);
            while held() && Instant::now() < deadline {
                thread::sleep(PAUSE);
            }
            if !held() {
                continue;
            }
            if let Err(error) = self.blocks.detach(record.minor, &record.file) {
                warn!(minor = record.minor, %error, "a loop device could not be detached");
            }
        }
    }

    fn wait_until_gone(&self, domid: DomId, uuid: Uuid) -> Result<(), DestroyError> {
        let deadline = Instant::now() + DYING_LIMIT;
        while self.xen.info(domid)?.is_some_and(|info| info.uuid == uuid) {
            // One that was attached while the domain was not dying yet.
            self.close_consoles(domid);
            if Instant::now() >= deadline {
                return Err(DestroyError::Dying { domid });
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
