//! A Xen and a dom0 kernel of one process, for this crate's tests.
//!
//! It decodes the hypercalls' bytes by itself, keeps domains and their memory in
//! maps, and records what was asked. It knows nothing of what a kernel does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dom0;
mod memory;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use uuid::Uuid;

use crate::domid::DomId;
use crate::seam::{Call, Errno, Pages, Privcmd};
use crate::xenstore::server;

use memory::{PAGE, Place, SimPages};

/// Where machine frames begin: nobody should take one for a guest's page number.
const FIRST_MFN: u64 = 0x10_0000;
const SHARED_INFO_MFN: u64 = 0xF000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Domain {
    pub(crate) uuid: Uuid,
    pub(crate) hvm: bool,
    pub(crate) running: bool,
    pub(crate) pages: u64,
    pub(crate) vcpus: u32,
}

impl Domain {
    /// `struct xen_domctl_getdomaininfo`.
    fn describe(&self, id: u16, buffer: &mut [u8]) {
        let flags = u32::from(self.hvm) << 1 | u32::from(!self.running) << 3;
        buffer[..2].copy_from_slice(&id.to_le_bytes());
        buffer[4..8].copy_from_slice(&flags.to_le_bytes());
        buffer[8..16].copy_from_slice(&self.pages.to_le_bytes());
        buffer[48..56].copy_from_slice(&SHARED_INFO_MFN.to_le_bytes());
        buffer[68..72].copy_from_slice(&self.vcpus.wrapping_sub(1).to_le_bytes());
        buffer[76..92].copy_from_slice(self.uuid.as_bytes());
    }
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) version: u32,
    pub(crate) domains: BTreeMap<u16, Domain>,
    /// What was asked for, in order; the same twice in a row is there once.
    pub(crate) log: Vec<String>,
    /// Pages of guests by domain and frame.
    pub(crate) memory: HashMap<(u16, u64), Vec<u8>>,
    pub(crate) grants: HashMap<u16, Vec<u8>>,
    mapped: usize,
    next_domain: u16,
    next_port: u32,
    next_mfn: u64,
    /// Free memory: in pieces of 2 MiB, and in pages.
    pub(crate) large_extents: u64,
    pub(crate) small_pages: u64,
    /// Calls until one fails, and how.
    pub(crate) fail_after: Option<(u32, i32)>,
    pub(crate) calls: u32,
    pub(crate) loops: BTreeMap<u32, PathBuf>,
}

/// The handle that all parts share.
#[derive(Clone)]
pub(crate) struct Sim {
    world: Arc<Mutex<World>>,
    store: Arc<Mutex<server::State>>,
}

impl Sim {
    pub(crate) fn new(version: u32, store: Arc<Mutex<server::State>>) -> Self {
        let world = World {
            version,
            next_domain: 1,
            next_port: 1,
            next_mfn: FIRST_MFN,
            large_extents: 1 << 20,
            small_pages: 1 << 20,
            ..World::default()
        };
        Self {
            world: Arc::new(Mutex::new(world)),
            store,
        }
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn node(&self, domain: DomId, device: u32, name: &str) -> Option<String> {
        let path = format!("/local/domain/0/backend/vbd/{domain}/{device}/{name}");
        self.store.lock().unwrap().value(&path)
    }
}

impl World {
    fn note(&mut self, entry: impl Into<String>) {
        let entry = entry.into();
        if self.log.last() != Some(&entry) {
            self.log.push(entry);
        }
    }

    fn domctl(&mut self, call: &mut Call) -> Result<u64, Errno> {
        let Call { buffers, links, .. } = call;
        let (first, rest) = buffers.split_first_mut().unwrap();
        assert_eq!(first.len(), 144, "struct xen_domctl");
        if u32_at(first, 4) != self.version {
            return Err(Errno(libc::EACCES));
        }
        let (command, domid) = (u32_at(first, 0), u16::from_le_bytes([first[8], first[9]]));
        if command != 1 && command != 5 && !self.domains.contains_key(&domid) {
            return Err(Errno(libc::ESRCH));
        }
        for link in links {
            assert_eq!((link.from, link.to), (0, 1));
        }
        match command {
            1 => self.create(first),
            2 => {
                self.note("destroydomain");
                self.domains.remove(&domid);
            }
            3 => {
                self.note("pausedomain");
                self.domains.get_mut(&domid).unwrap().running = false;
            }
            4 => {
                self.note("unpausedomain");
                self.domains.get_mut(&domid).unwrap().running = true;
            }
            5 => return self.info(first, domid),
            11 => self.note(format!("max_mem {}", u64_at(first, 16))),
            12 => self.note(format!("setvcpucontext {}", rest[0].len())),
            15 => {
                let vcpus = u32_at(first, 16);
                self.domains.get_mut(&domid).unwrap().vcpus = vcpus;
                self.note(format!("max_vcpus {vcpus}"));
            }
            22 => self.note("hypercall_init"),
            33 => {
                let context = hvm_context(self.domains[&domid].vcpus);
                let size = u32::try_from(context.len()).unwrap();
                if let Some(buffer) = rest.first_mut() {
                    self.note("gethvmcontext");
                    buffer.copy_from_slice(&context);
                }
                first[16..20].copy_from_slice(&size.to_le_bytes());
            }
            34 => self.note("sethvmcontext"),
            86 => self.note(format!("set_paging_mempool_size {}", u64_at(first, 16))),
            other => panic!("domctl {other} is not known"),
        }
        Ok(0)
    }

    fn create(&mut self, first: &mut [u8]) {
        let arch = if self.version >= 0x17 { 60 } else { 56 };
        let domain = Domain {
            uuid: Uuid::from_slice(&first[20..36]).unwrap(),
            hvm: u32_at(first, 16 + 20) == 3 && u32_at(first, 16 + arch) == 1,
            ..Domain::default()
        };
        self.note(format!("createdomain hvm={}", domain.hvm));
        self.domains.insert(self.next_domain, domain);
        first[8..10].copy_from_slice(&self.next_domain.to_le_bytes());
        self.next_domain += 1;
    }

    /// As Xen 4.19 and later answer: about this very domain.
    fn info(&self, buffer: &mut [u8], id: u16) -> Result<u64, Errno> {
        let domain = if id == 0 {
            &Domain {
                running: true,
                ..Domain::default()
            }
        } else {
            self.domains.get(&id).ok_or(Errno(libc::ESRCH))?
        };
        domain.describe(id, &mut buffer[16..]);
        Ok(0)
    }

    /// `getdomaininfolist`, with domain 0.
    fn sysctl(&self, buffers: &mut [Vec<u8>]) -> Result<u64, Errno> {
        if u32_at(&buffers[0], 4) != if self.version >= 0x18 { 0x16 } else { 0x15 } {
            return Err(Errno(libc::EACCES));
        }
        assert_eq!(u32_at(&buffers[0], 0), 6);
        let first = u16::from_le_bytes([buffers[0][8], buffers[0][9]]);
        let max = u32_at(&buffers[0], 12);
        let dom0 = Domain {
            running: true,
            ..Domain::default()
        };
        let all = [(0, &dom0)].into_iter();
        let all = all.chain(self.domains.iter().map(|(id, domain)| (*id, domain)));
        let mut count: u32 = 0;
        let entries = buffers[1].chunks_exact_mut(112);
        for ((id, domain), entry) in all.filter(|(id, _)| *id >= first).zip(entries) {
            domain.describe(id, entry);
            count += 1;
        }
        assert!(count <= max);
        buffers[0][24..28].copy_from_slice(&count.to_le_bytes());
        Ok(0)
    }

    fn memory_op(&mut self, command: u64, buffers: &mut [Vec<u8>]) -> Result<u64, Errno> {
        match command {
            6 => Ok(self.populate(buffers)),
            13 => {
                self.note(format!("set_memory_map {}", u32_at(&buffers[0], 8)));
                Ok(0)
            }
            24 => {
                let pages = u64_at(&buffers[0], 8);
                self.note(format!("claim_pages {pages}"));
                if pages > self.large_extents * 512 + self.small_pages {
                    return Err(Errno(libc::ENOMEM));
                }
                Ok(0)
            }
            other => panic!("memory_op {other} is not known"),
        }
    }

    fn populate(&mut self, buffers: &mut [Vec<u8>]) -> u64 {
        let (count, order) = (u64_at(&buffers[0], 8), u32_at(&buffers[0], 16));
        let domid = u16::from_le_bytes([buffers[0][24], buffers[0][25]]);
        let pages = 1 << order;
        let free = if order == 9 {
            &mut self.large_extents
        } else {
            &mut self.small_pages
        };
        let done = count.min(*free);
        *free -= done;
        self.note(format!("populate_physmap order {order}"));
        let domain = self.domains.get_mut(&domid).unwrap();
        domain.pages += done * pages;
        let hvm = domain.hvm;
        for extent in buffers[1]
            .chunks_exact_mut(8)
            .take(usize::try_from(done).unwrap())
        {
            let first = if hvm {
                u64_at(extent, 0)
            } else {
                self.next_mfn
            };
            for page in 0..pages {
                self.memory.insert((domid, first + page), Vec::new());
            }
            if !hvm {
                extent.copy_from_slice(&self.next_mfn.to_le_bytes());
                // Pieces are never next to one another.
                self.next_mfn += 2 * pages;
            }
        }
        done
    }
}

impl Privcmd for Sim {
    fn hypercall(&self, call: &mut Call) -> Result<u64, Errno> {
        let mut world = self.world();
        world.calls += 1;
        if let Some((left, errno)) = world.fail_after {
            world.fail_after = left.checked_sub(1).map(|left| (left, errno));
            if left == 0 {
                return Err(Errno(errno));
            }
        }
        let command = match call.arguments[0] {
            crate::seam::Argument::Value(value) => value,
            crate::seam::Argument::Buffer(_) => 0,
        };
        match call.number {
            36 => world.domctl(call),
            35 => world.sysctl(&mut call.buffers),
            12 => world.memory_op(command, &mut call.buffers),
            26 => {
                assert_eq!(
                    world.mapped, 0,
                    "no page may be mapped while tables are pinned"
                );
                world.note("pin_l4_table");
                Ok(0)
            }
            32 => {
                world.note("alloc_unbound");
                let port = world.next_port;
                world.next_port += 1;
                call.buffers[0][4..8].copy_from_slice(&port.to_le_bytes());
                Ok(0)
            }
            34 => {
                let index = u32_at(&call.buffers[0], 4);
                world.note(format!("set_param {index}"));
                Ok(0)
            }
            other => panic!("hypercall {other} is not known"),
        }
    }

    fn map_frames(&self, domain: DomId, frames: &[u64]) -> Result<Box<dyn Pages>, Errno> {
        let mut world = self.world();
        world.mapped += 1;
        let known = |frame: &u64| {
            *frame == SHARED_INFO_MFN || world.memory.contains_key(&(domain.get(), *frame))
        };
        assert!(
            frames.iter().all(known),
            "a frame was mapped that was never populated"
        );
        let shared = frames.first() == Some(&SHARED_INFO_MFN);
        world.note(if shared { "map shared_info" } else { "map" });
        Ok(Box::new(SimPages {
            sim: self.clone(),
            domain: domain.get(),
            place: Place::Frames(frames.to_vec()),
        }))
    }

    fn map_grant_table(&self, domain: DomId) -> Result<Box<dyn Pages>, Errno> {
        let mut world = self.world();
        world.mapped += 1;
        world.note("map grant_table");
        world.grants.insert(domain.get(), vec![0; PAGE]);
        Ok(Box::new(SimPages {
            sim: self.clone(),
            domain: domain.get(),
            place: Place::Grants,
        }))
    }
}

/// Records as a new domain has them: header, LAPIC registers and MTRRs.
fn hvm_context(vcpus: u32) -> Vec<u8> {
    let mut context = Vec::new();
    let mut push = |kind: u16, instance: u16, body: &[u8]| {
        context.extend(kind.to_le_bytes());
        context.extend(instance.to_le_bytes());
        context.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        context.extend(body);
    };
    let mut header = [0; 24];
    header[..4].copy_from_slice(&0x5438_1286_u32.to_le_bytes());
    push(1, 0, &header);
    for vcpu in 0..u16::try_from(vcpus).unwrap() {
        push(6, vcpu, &[0; 1024]);
        push(14, vcpu, &[0; 240]);
    }
    push(0, 0, &[]);
    context
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}
