//! Guest memory that is mapped.

use super::Sim;
use crate::seam::Pages;

pub(super) const PAGE: usize = 4096;

pub(super) enum Place {
    Frames(Vec<u64>),
    Grants,
}

pub(super) struct SimPages {
    pub(super) sim: Sim,
    pub(super) domain: u16,
    pub(super) place: Place,
}

impl Pages for SimPages {
    fn write(&self, offset: usize, bytes: &[u8]) {
        let mut world = self.sim.world();
        match &self.place {
            Place::Grants => {
                world.grants.get_mut(&self.domain).unwrap()[offset..offset + bytes.len()]
                    .copy_from_slice(bytes);
            }
            Place::Frames(frames) => {
                for (index, byte) in bytes.iter().enumerate() {
                    let at = offset + index;
                    let page = world
                        .memory
                        .entry((self.domain, frames[at / PAGE]))
                        .or_default();
                    page.resize(PAGE, 0xC2);
                    page[at % PAGE] = *byte;
                }
            }
        }
    }

    fn clear(&self, offset: usize, count: usize) {
        self.write(offset, &vec![0; count]);
    }

    fn read(&self, _: usize, _: &mut [u8]) {
        unreachable!("the builder reads nothing back");
    }

    fn load_u32(&self, _: usize) -> u32 {
        unreachable!("the builder reads nothing back");
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
}

impl Drop for SimPages {
    fn drop(&mut self) {
        self.sim.world().mapped -= 1;
    }
}
