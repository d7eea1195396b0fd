//! Whole lives of domains on the simulated Xen and xenstore. What a real kernel
//! makes of them is tested by the example `dom0_contract`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::build::BuildError;
use crate::kernel::fixture::Image;
use crate::sim::Sim;
use crate::xenstore::server::Server;

const UUID: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const PAGES_64_MIB: u64 = 64 << 8;

struct Bed {
    server: Server,
    sim: Sim,
    toolstack: Toolstack,
    kernel: Kernel,
}

impl Bed {
    fn new(version: u32) -> Self {
        let server = Server::start();
        let sim = Sim::new(version, server.shared());
        let xen = Xen::probe(Box::new(sim.clone())).unwrap();
        let store = Store::at(server.socket.clone()).unwrap();
        let toolstack = Toolstack::with(xen, store, Box::new(sim.clone()), Box::new(sim.clone()));
        Self {
            server,
            sim,
            toolstack,
            kernel: Image::linux().kernel(),
        }
    }

    fn create(&self, kind: Kind) -> Result<DomId, CreateError> {
        self.toolstack.create_paused(&DomainConfig {
            uuid: UUID,
            name: "guest-1",
            kind,
            vcpus: 2,
            memory_mib: 64,
            kernel: &self.kernel,
            initrd: &[b"initrd", b"launch"],
            cmdline: "console=hvc0",
            disks: &[Disk {
                device: "xvda",
                path: Path::new("/cache/rootfs"),
                read_only: true,
            }],
        })
    }

    /// Nothing that was made is there any more.
    fn assert_empty(&self, what: &str) {
        let world = self.sim.world();
        assert!(world.domains.is_empty(), "{what}: a domain is left");
        drop(world);
        let dump = self.server.state().dump();
        let left: Vec<_> = dump
            .lines()
            .filter(|line| line.contains("001122") || line.contains("/1/"))
            .collect();
        assert!(left.is_empty(), "{what}: nodes are left: {left:#?}");
        let minors: Vec<u32> = self.sim.world().loops.keys().copied().collect();
        for minor in minors {
            assert_eq!(
                self.sim.backing_file(minor),
                None,
                "{what}: a loop device is left"
            );
        }
    }
}

#[test]
fn a_pv_guest_is_built_in_this_order() {
    let bed = Bed::new(0x15);
    let domid = bed.create(Kind::Pv).unwrap();
    let log = bed.sim.world().log.join("\n");
    assert_eq!(
        log,
        "createdomain hvm=false\nmax_vcpus 2\nmax_mem 66560\nclaim_pages 16384\npopulate_physmap order 9\n\
         claim_pages 0\nalloc_unbound\nmap\npin_l4_table\nmap shared_info\nsetvcpucontext 5168\nmap grant_table"
    );
    bed.toolstack.unpause(domid, UUID).unwrap();
    assert_eq!(bed.sim.world().log.last().unwrap(), "unpausedomain");
    assert_eq!(bed.server.state().introduced.len(), 1);
}

#[test]
fn a_pvh_guest_is_built_in_this_order() {
    let bed = Bed::new(0x17);
    bed.create(Kind::Pvh).unwrap();
    let log = bed.sim.world().log.join("\n");
    assert_eq!(
        log,
        "createdomain hvm=true\nmax_vcpus 2\nmax_mem 66576\nset_paging_mempool_size 2629632\nset_memory_map 3\n\
         claim_pages 16388\npopulate_physmap order 9\npopulate_physmap order 0\nclaim_pages 0\nalloc_unbound\n\
         set_param 1\nset_param 2\nset_param 10\nset_param 12\nset_param 17\nset_param 18\nset_param 31\n\
         gethvmcontext\nmap\nsethvmcontext\nmap grant_table"
    );
    // Console and xenstore rings, for domain 0.
    let grants = bed.sim.world().grants[&1].clone();
    assert_eq!(
        grants[..16],
        [
            1, 0, 0, 0, 0xFF, 0xEF, 0xF, 0, 1, 0, 0, 0, 0xFC, 0xEF, 0xF, 0
        ]
    );
    assert_eq!(bed.server.state().introduced, ["1 1044476 1"]);
}

#[test]
fn the_tree_of_a_guest() {
    let bed = Bed::new(0x15);
    bed.create(Kind::Pvh).unwrap();
    let golden = include_str!("golden/pvh.tree");
    assert_eq!(bed.server.state().dump(), golden);
}

#[test]
fn every_version_of_the_interface_is_found() {
    for version in 0x15..=0x18 {
        let bed = Bed::new(version);
        assert_eq!(bed.toolstack.interface_version(), version);
        bed.create(Kind::Pvh).unwrap();
        assert!(bed.sim.world().domains[&1].hvm, "version {version:#x}");
    }
    let server = Server::start();
    let sim = Sim::new(0x19, server.shared());
    assert!(matches!(
        Xen::probe(Box::new(sim)),
        Err(ProbeError::Unsupported)
    ));
}

#[test]
fn all_domains_are_listed_however_many() {
    let bed = Bed::new(0x17);
    for id in 1..300 {
        let uuid = Uuid::from_u128(u128::from(id));
        let domain = crate::sim::Domain {
            uuid,
            vcpus: 1,
            pages: 256,
            ..Default::default()
        };
        bed.sim.world().domains.insert(id * 100, domain);
    }
    let domains = bed.toolstack.domains().unwrap();
    assert_eq!(domains.len(), 300);
    assert_eq!(domains[0].domid, DomId::ZERO);
    let last = domains[299];
    assert_eq!(
        (last.domid.get(), last.uuid),
        (29_900, Uuid::from_u128(299))
    );
    assert_eq!(
        (last.memory_kib, last.vcpus, last.state),
        (1024, 1, DomainState::Paused)
    );
}

#[test]
fn destroying_leaves_nothing_and_can_be_repeated() {
    for kind in [Kind::Pv, Kind::Pvh] {
        let bed = Bed::new(0x15);
        let domid = bed.create(kind).unwrap();
        let other = Uuid::from_u128(7);
        let refused = bed.toolstack.destroy(domid, other);
        assert!(matches!(refused, Err(DestroyError::Mismatch { .. })));
        assert!(matches!(
            bed.toolstack.unpause(domid, other),
            Err(DomainError::Mismatch { .. })
        ));
        assert_eq!(bed.sim.world().domains.len(), 1);
        bed.toolstack.destroy(domid, UUID).unwrap();
        bed.assert_empty("destroyed");
        bed.toolstack.destroy(domid, UUID).unwrap();
    }
    let bed = Bed::new(0x15);
    assert!(matches!(
        bed.toolstack.destroy(DomId::ZERO, Uuid::nil()),
        Err(DestroyError::Control)
    ));
}

#[test]
fn a_create_that_fails_at_any_hypercall_leaves_nothing() {
    for kind in [Kind::Pv, Kind::Pvh] {
        let calls = {
            let bed = Bed::new(0x15);
            let before = bed.sim.world().calls;
            bed.create(kind).unwrap();
            bed.sim.world().calls - before
        };
        assert!(calls > 10);
        for call in 0..calls {
            let bed = Bed::new(0x15);
            bed.sim.world().fail_after = Some((call, libc::EINVAL));
            assert!(bed.create(kind).is_err(), "{kind:?} call {call}");
            bed.assert_empty(&format!("{kind:?}, call {call} failed"));
            // The same guest can be made afterwards.
            bed.create(kind).unwrap();
        }
    }
}

#[test]
fn a_create_that_fails_at_any_store_request_leaves_nothing() {
    let requests = {
        let bed = Bed::new(0x15);
        bed.create(Kind::Pv).unwrap();
        bed.server.state().requests()
    };
    for request in 0..requests {
        let bed = Bed::new(0x15);
        bed.server.state().fail_after = Some(request);
        let created = bed.create(Kind::Pv);
        assert!(created.is_err(), "request {request}");
        bed.assert_empty(&format!("request {request} failed"));
    }
}

#[test]
fn a_destroy_that_fails_anywhere_can_be_repeated() {
    for call in 0..20 {
        let bed = Bed::new(0x15);
        let domid = bed.create(Kind::Pv).unwrap();
        bed.sim.world().fail_after = Some((call, libc::EINVAL));
        let _ = bed.toolstack.destroy(domid, UUID);
        bed.sim.world().fail_after = None;
        bed.toolstack.destroy(domid, UUID).unwrap();
        bed.assert_empty(&format!("call {call} failed"));
    }
    for request in 0..40 {
        let bed = Bed::new(0x15);
        let domid = bed.create(Kind::Pv).unwrap();
        bed.server.state().fail_after = Some(request);
        let _ = bed.toolstack.destroy(domid, UUID);
        bed.server.state().fail_after = None;
        bed.toolstack.destroy(domid, UUID).unwrap();
        bed.assert_empty(&format!("request {request} failed"));
    }
}

#[test]
fn scattered_memory_is_taken_page_by_page() {
    for (large, small, fits) in [
        (5, PAGES_64_MIB, true),
        (0, PAGES_64_MIB + 4, true),
        (32, 4, true),
        (5, 3, false),
    ] {
        for kind in [Kind::Pv, Kind::Pvh] {
            let bed = Bed::new(0x15);
            bed.sim.world().large_extents = large;
            bed.sim.world().small_pages = small;
            let created = bed.create(kind);
            if fits {
                created.unwrap();
                let pages = bed.sim.world().domains[&1].pages;
                assert_eq!(pages - if kind == Kind::Pvh { 4 } else { 0 }, PAGES_64_MIB);
            } else {
                let error = created.unwrap_err();
                assert!(error.is_exhausted());
                assert!(matches!(
                    error,
                    CreateError::Build(BuildError::OutOfMemory {
                        needed_mib: 64 | 65
                    })
                ));
                bed.assert_empty("too little memory");
            }
        }
    }
}

#[test]
fn memory_that_ends_too_early_is_no_guest() {
    // The claim succeeds, and then there is less than it promised.
    let bed = Bed::new(0x15);
    bed.sim.world().large_extents = 31;
    bed.sim.world().small_pages = 511;
    assert!(bed.create(Kind::Pv).unwrap_err().is_exhausted());
    bed.assert_empty("too little memory");
}

#[test]
fn teardown_does_not_follow_what_a_guest_writes() {
    let bed = Bed::new(0x15);
    let domid = bed.create(Kind::Pv).unwrap();
    {
        let mut state = bed.server.state();
        state.set("/local/domain/0/backend/vbd/9/51712/online", b"1");
        state.set("/local/domain/9/data/secret", b"1");
        let front = "/local/domain/1/device/vbd/51712";
        state.set(
            &format!("{front}/backend"),
            b"/local/domain/0/backend/vbd/9/51712",
        );
        state.set("/local/domain/1/device/vbd/1/backend", b"/local/domain/9");
        state.set("/local/domain/1/data/vm", b"/vm/x");
    }
    bed.toolstack.destroy(domid, UUID).unwrap();
    let state = bed.server.state();
    assert_eq!(
        state
            .value("/local/domain/0/backend/vbd/9/51712/online")
            .unwrap(),
        "1"
    );
    assert_eq!(state.value("/local/domain/9/data/secret").unwrap(), "1");
}

#[test]
fn what_others_left_of_a_domain_is_removed_by_its_mark() {
    let bed = Bed::new(0x15);
    let domid = bed.create(Kind::Pv).unwrap();
    bed.sim.world().domains.clear();
    // Another guest's number by now, as far as xenstore knows: ours is not there.
    bed.toolstack.destroy(domid, Uuid::from_u128(7)).unwrap();
    assert!(bed.server.state().value("/local/domain/1/name").is_some());
    bed.toolstack.destroy(domid, UUID).unwrap();
    bed.assert_empty("leftovers");
}

#[test]
fn nodes_of_guests_are_bounded() {
    let bed = Bed::new(0x15);
    let domid = bed.create(Kind::Pv).unwrap();
    bed.server
        .state()
        .set("/local/domain/1/data/xenios/exit", b"code 3");
    let read = |path: &str, max| bed.toolstack.guest_node(domid, path, max);
    assert_eq!(read("data/xenios/exit", 6).unwrap().unwrap(), b"code 3");
    assert!(matches!(
        read("data/xenios/exit", 5),
        Err(DomainError::NodeTooLarge { bytes: 6, .. })
    ));
    assert_eq!(read("data/none", 5).unwrap(), None);
    assert!(matches!(read("../0/data", 5), Err(DomainError::Path(_))));
}

#[test]
fn orders_that_cannot_be_are_refused_before_anything_is_made() {
    let bed = Bed::new(0x15);
    let disk = |device| Disk {
        device,
        path: Path::new("/cache/rootfs"),
        read_only: true,
    };
    let good = DomainConfig {
        uuid: UUID,
        name: "guest",
        kind: Kind::Pv,
        vcpus: 1,
        memory_mib: 64,
        kernel: &bed.kernel,
        initrd: &[],
        cmdline: "",
        disks: &[],
    };
    let refused = |config: DomainConfig<'_>| {
        let error = bed.toolstack.create_paused(&config).unwrap_err();
        assert!(error.is_permanent() && !error.is_exhausted(), "{error}");
    };
    refused(DomainConfig { name: "", ..good });
    refused(DomainConfig {
        name: "a/b",
        ..good
    });
    refused(DomainConfig {
        name: &"n".repeat(129),
        ..good
    });
    refused(DomainConfig { vcpus: 0, ..good });
    refused(DomainConfig { vcpus: 129, ..good });
    refused(DomainConfig {
        memory_mib: 1,
        ..good
    });
    refused(DomainConfig {
        memory_mib: u64::MAX,
        ..good
    });
    refused(DomainConfig {
        cmdline: "a\0b",
        ..good
    });
    refused(DomainConfig {
        disks: &[disk("sda")],
        ..good
    });
    refused(DomainConfig {
        disks: &[disk("xvda"), disk("xvda")],
        ..good
    });
    assert!(bed.sim.world().log.is_empty());
    bed.assert_empty("refused");

    let domid = bed.toolstack.create_paused(&good).unwrap();
    let again = bed.toolstack.create_paused(&good).unwrap_err();
    assert!(matches!(again, CreateError::Exists { domid: found } if found == domid));
}
