//! dom0's own part: loop devices, block backends, channels.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Sim;
use crate::domid::DomId;
use crate::seam::{BlockHost, Channels, Doorbell, Errno, LoopDevice, Pages};

impl BlockHost for Sim {
    fn attach(&self, file: &Path, _: bool) -> io::Result<LoopDevice> {
        let mut world = self.world();
        let minor = (0..=u32::MAX)
            .find(|minor| !world.loops.contains_key(minor))
            .unwrap();
        world.loops.insert(minor, file.to_owned());
        // A descriptor would detach the loop when the create call drops it; here
        // `backing_file` finds out who still uses it.
        Ok(LoopDevice {
            major: 7,
            minor,
            hold: None,
        })
    }

    fn backing_file(&self, minor: u32) -> Option<PathBuf> {
        let used: BTreeSet<String> = self
            .store
            .lock()
            .unwrap()
            .dump()
            .lines()
            .map(str::to_owned)
            .collect();
        let physical = format!("physical-device = \"7:{minor:x}\"");
        if !used.iter().any(|line| line.contains(&physical)) {
            self.world().loops.remove(&minor);
        }
        self.world().loops.get(&minor).cloned()
    }

    fn detach(&self, minor: u32, file: &Path) -> io::Result<()> {
        let mut world = self.world();
        if world.loops.get(&minor).map(PathBuf::as_path) == Some(file) {
            world.loops.remove(&minor);
        }
        Ok(())
    }

    fn backends(&self, domain: DomId) -> Vec<u32> {
        let online = |device: &u32| self.node(domain, *device, "online").as_deref() == Some("1");
        [51712, 51728].into_iter().filter(online).collect()
    }

    fn backend_open(&self, domain: DomId, device: u32) -> bool {
        self.node(domain, device, "physical-device").is_some()
    }
}

impl Channels for Sim {
    fn map_grant(&self, _: DomId, _: u32) -> Result<Box<dyn Pages>, Errno> {
        Err(Errno(libc::ENODEV))
    }

    fn bind(&self, _: DomId, _: u32) -> Result<Box<dyn Doorbell>, Errno> {
        struct Silent;
        impl Doorbell for Silent {
            fn ring(&self) -> Result<(), Errno> {
                Ok(())
            }

            fn wait(&self, _: Duration) -> Result<bool, Errno> {
                Ok(false)
            }
        }
        Ok(Box::new(Silent))
    }
}
