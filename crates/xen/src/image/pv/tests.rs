//! PV plans: the layout, and page tables walked as the processor would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::image::tests::Memory;
use crate::kernel::fixture::{INIT_P2M, Image, KERNEL_PADDR, VIRT_BASE, patterned};
use crate::kernel::{Kernel, Limits};

const SHARED_INFO_FRAME: u64 = 0x7_1234;

fn request(kernel: &Kernel, mib: u64, initrd_bytes: u64) -> Request<'_> {
    Request {
        kernel,
        memory_pages: mib * 256,
        vcpus: 2,
        initrd_bytes,
        cmdline: "console=hvc0 quiet",
    }
}

/// Machine frames in an order that no mistake preserves.
fn scattered(pages: u64) -> Vec<u64> {
    (0..pages).map(|pfn| (pfn ^ 0x15) * 3 + 0x10_0000).collect()
}

/// A guest as the driver would leave it before the first instruction.
struct Built {
    plan: Plan,
    p2m: Vec<u64>,
    memory: Memory,
    context: Box<[u8; VCPU_CONTEXT_BYTES]>,
}

fn build(kernel: &Kernel, mib: u64, initrd: &[&[u8]]) -> Built {
    let bytes = initrd.iter().map(|part| part.len() as u64).sum();
    let plan = Plan::new(&request(kernel, mib, bytes)).unwrap();
    let p2m = scattered(plan.memory().count);
    let live = Live {
        p2m: &p2m,
        shared_info_frame: SHARED_INFO_FRAME,
        store_port: 1,
        console_port: 2,
    };
    let mut memory = Memory::default();
    for load in plan.loads(kernel, initrd).unwrap() {
        memory.write(load);
    }
    memory.write_runs(plan.runs(&live).unwrap());
    memory.assert_within(&[plan.memory()]);
    let context = plan.vcpu_context(&live).unwrap();
    Built {
        plan,
        p2m,
        memory,
        context,
    }
}

impl Built {
    fn register(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.context[offset..offset + 8].try_into().unwrap())
    }

    fn pfn(&self, mfn: u64) -> u64 {
        let pfn = self.p2m.iter().position(|other| *other == mfn);
        pfn.expect("a frame of this guest") as u64
    }

    /// What a virtual address is mapped to, by walking the tables from cr3:
    /// guest page and whether it may be written.
    fn walk(&self, vaddr: u64) -> Option<(u64, bool)> {
        let mut table = self.pfn(self.register(5008) >> 12);
        for shift in [39, 30, 21, 12] {
            let slot = (vaddr >> shift) & 511;
            let entry = self.memory.u64(table * 4096 + slot * 8);
            if entry & 1 == 0 {
                return None;
            }
            let next = self.pfn((entry >> 12) & 0xff_ffff_ffff);
            if shift == 12 {
                return Some((next, entry & 2 != 0));
            }
            assert_eq!(entry & 0xfff, 0x67, "tables are reached with all rights");
            table = next;
        }
        unreachable!()
    }

    fn start_info(&self, offset: u64) -> u64 {
        self.memory.u64(self.start_info_paddr() + offset)
    }

    fn start_info_paddr(&self) -> u64 {
        let (pfn, writable) = self.walk(self.register(624)).unwrap();
        assert!(writable);
        pfn * 4096
    }

    /// All of the initial mapping is what "Start-of-day memory layout" says.
    fn check_mapping(&self) {
        let tables: BTreeSet<u64> = self
            .plan
            .table_pages()
            .into_iter()
            .flat_map(PfnRange::iter)
            .collect();
        // The region's end: the first page that is not mapped.
        let region = (0..self.plan.memory_pages)
            .find(|pfn| self.walk(self.plan.virt_base + pfn * 4096).is_none())
            .unwrap_or(self.plan.memory_pages);
        assert_eq!((self.plan.virt_base + region * 4096) % (4 << 20), 0);
        for pfn in 0..region {
            let found = self.walk(self.plan.virt_base + pfn * 4096);
            assert_eq!(found, Some((pfn, !tables.contains(&pfn))), "page {pfn:#x}");
        }
        let stack = self.walk(self.register(672) - 4096).unwrap();
        assert_eq!(stack, (self.plan.stack.0, true));
        assert!((region - stack.0 - 1) * 4096 >= 512 << 10, "padding");
        // The tables in the region are those that start info names.
        assert_eq!(
            self.start_info(88),
            self.plan.virt_base + self.plan.top_table().0 * 4096
        );
        assert_eq!(self.start_info(96), self.plan.main_tables.count);
    }

    /// The guest finds every machine frame in its list.
    fn check_frame_list(&self) {
        let list = self.start_info(104);
        for (pfn, mfn) in self.p2m.iter().enumerate() {
            let vaddr = list + pfn as u64 * 8;
            let (page, writable) = self.walk(vaddr).unwrap();
            assert!(writable);
            assert_eq!(self.memory.u64(page * 4096 + vaddr % 4096), *mfn);
        }
        let first = self.start_info(1152);
        let frames = first..first + self.start_info(1160);
        assert_eq!(self.walk(list).unwrap().0, first);
        for table in self.plan.frames.tables.iter() {
            assert!(frames.contains(&table));
        }
    }
}

#[test]
fn linux_starts_with_its_list_apart_and_its_initrd_unmapped() {
    let kernel = Image::linux().kernel();
    let parts: [&[u8]; 2] = [&patterned(10_001, 3), &patterned(5_000, 9)];
    let built = build(&kernel, 64, &parts);
    built.check_mapping();
    built.check_frame_list();

    assert_eq!(built.memory.read(built.start_info_paddr(), 6), b"xen-3.");
    let cmdline = built.memory.read(built.start_info_paddr() + 128, 19);
    assert_eq!(cmdline, b"console=hvc0 quiet\0");
    assert_eq!(built.start_info(32), 64 * 256);
    assert_eq!(built.start_info(40), SHARED_INFO_FRAME << 12);
    assert_eq!(built.start_info(48), 1 << 3, "SIF_MOD_START_PFN");
    assert_eq!(built.start_info(104), INIT_P2M);
    assert_eq!(built.start_info(120), 15_001);
    let initrd = built.memory.read(built.start_info(112) * 4096, 15_001);
    assert_eq!(initrd, parts.concat());

    // Rings: clear pages, named by machine frame, with their ports.
    for (mfn_at, port_at, port) in [(56, 64, 1), (72, 80, 2)] {
        let ring = built.pfn(built.start_info(mfn_at));
        assert_eq!(built.memory.read(ring * 4096, 4096), vec![0; 4096]);
        assert_eq!(built.memory.u32(built.start_info_paddr() + port_at), port);
    }
    assert_eq!(built.pfn(built.start_info(56)), built.plan.store().0);
    assert_eq!(built.pfn(built.start_info(72)), built.plan.console().0);

    // The kernel, seen through the mapping.
    for segment in kernel.segments() {
        let (pfn, _) = built.walk(segment.vaddr).unwrap();
        assert_eq!(pfn, segment.paddr / 4096);
        let mut expected = segment.bytes.to_vec();
        expected.resize(usize::try_from(segment.mem_bytes).unwrap(), 0);
        assert_eq!(built.memory.read(segment.paddr, expected.len()), expected);
    }
    // What is not in the region is behind it.
    assert_eq!(built.walk(VIRT_BASE + built.start_info(112) * 4096), None);
}

#[test]
fn the_first_vcpu_starts_at_the_entry() {
    let built = build(&Image::linux().kernel(), 64, &[]);
    assert_eq!(built.register(512), 0x24);
    assert_eq!(built.register(648), VIRT_BASE + KERNEL_PADDR + 0x120);
    assert_eq!(built.register(656), 0xe033);
    assert_eq!(built.register(664), 0x200);
    assert_eq!(built.register(680), 0xe02b);
    assert_eq!(built.register(4968), 0xe02b);
    assert_eq!(built.register(4976), built.register(672));
    assert_eq!(built.register(5096), 0xffff_0ff0);
    assert_eq!(built.register(5104), 0x400);
    // No initrd: nothing is said of one.
    assert_eq!(
        (
            built.start_info(48),
            built.start_info(112),
            built.start_info(120)
        ),
        (0, 0, 0)
    );
}

#[test]
fn an_older_kernel_has_everything_in_the_region() {
    let kernel = Image::linux()
        .without(15)
        .without(16)
        .with(2, VIRT_BASE + KERNEL_PADDR + 0x3000)
        .kernel();
    let initrd = patterned(9_000, 3);
    let built = build(&kernel, 40, &[&initrd]);
    built.check_mapping();
    built.check_frame_list();
    assert_eq!(
        built.plan.hypercall_page(),
        Some(Pfn(KERNEL_PADDR / 4096 + 3))
    );
    assert_eq!(built.start_info(48), 0);
    let (pfn, _) = built.walk(built.start_info(112)).unwrap();
    assert_eq!(built.memory.read(pfn * 4096, 9_000), initrd);
    // Kernel, initrd, list, start info: in this order.
    let list = built.walk(built.start_info(104)).unwrap().0;
    assert!(pfn < list && list < built.start_info_paddr() / 4096);
}

#[test]
fn tables_span_more_than_one_run_in_a_large_guest() {
    let kernel = Image::linux().without(15).kernel();
    // 1 GiB of frames in the region's list: 2 MiB of it.
    let plan = Plan::new(&request(&kernel, 1024, 0)).unwrap();
    let p2m = scattered(plan.memory().count);
    let live = Live {
        p2m: &p2m,
        shared_info_frame: 1,
        store_port: 1,
        console_port: 2,
    };
    let runs: Vec<_> = plan.runs(&live).unwrap().collect();
    assert!(runs.iter().filter(|run| run.bytes.len() == 1 << 20).count() >= 2);
}

#[test]
fn padding_never_falls_short() {
    let kernel = Image::linux().without(16).kernel();
    // Every place within the last 4 MiB where the region's content can end.
    for initrd_pages in 0..1024 {
        let plan = Plan::new(&request(&kernel, 64, initrd_pages * 4096)).unwrap();
        // The list of frames begins where the region ends.
        let region_end = plan.frames.pages.first.0;
        let padding = region_end - plan.stack.0 - 1;
        assert!(
            (128..128 + 1024).contains(&padding),
            "{initrd_pages}: {padding}"
        );
        assert_eq!(region_end % 1024, 0);
    }
}

#[test]
fn memory_that_does_not_suffice_is_named() {
    let kernel = Image::linux().kernel();
    let least = (1..64)
        .find(|mib| Plan::new(&request(&kernel, *mib, 1 << 20)).is_ok())
        .unwrap();
    // The kernel ends above 18 MiB; rounding, padding, list and initrd follow.
    assert!((19..=25).contains(&least), "{least}");
    let error = Plan::new(&request(&kernel, least - 1, 1 << 20)).unwrap_err();
    assert_eq!(
        error,
        PlanError::MemoryTooSmall {
            needed_mib: least,
            given_mib: least - 1
        }
    );
    let huge = Plan::new(&request(&kernel, 64, u64::MAX)).unwrap_err();
    assert!(matches!(huge, PlanError::MemoryTooSmall { .. }));
}

#[test]
fn requests_that_cannot_be_met_are_refused() {
    let kernel = Image::linux().kernel();
    let long = "x".repeat(1024);
    let with = |change: fn(&mut Request<'_>)| {
        let mut request = request(&kernel, 64, 0);
        change(&mut request);
        Plan::new(&request).unwrap_err()
    };
    assert!(matches!(with(|r| r.vcpus = 0), PlanError::Vcpus { .. }));
    assert!(matches!(with(|r| r.vcpus = 129), PlanError::Vcpus { .. }));
    assert!(matches!(
        with(|r| r.cmdline = "a\0b"),
        PlanError::CommandLine { .. }
    ));
    assert!(matches!(
        with(|r| r.memory_pages = u64::MAX),
        PlanError::MemoryTooLarge { .. }
    ));
    let mut request = request(&kernel, 64, 0);
    request.cmdline = &long;
    assert!(matches!(
        Plan::new(&request),
        Err(PlanError::CommandLine {
            bytes: 1024,
            limit: 1023
        })
    ));
    request.cmdline = &long[1..];
    Plan::new(&request).unwrap();
}

#[test]
fn notes_that_lead_outside_are_refused() {
    let entry = 1;
    let table = [
        (entry, VIRT_BASE),
        (entry, 0),
        (entry, u64::MAX),
        (2, VIRT_BASE + KERNEL_PADDR + 1),
        (2, VIRT_BASE),
        (3, VIRT_BASE + 1),
        (15, VIRT_BASE + KERNEL_PADDR),
        (15, 0xffff_8000_0000_0000),
        (15, 0x1234),
        (15, 0x8000_0000_0000),
        (15, !0xfff),
    ];
    for (kind, value) in table {
        let kernel = Image::linux().with(kind, value).kernel();
        let error = Plan::new(&request(&kernel, 64, 0)).unwrap_err();
        assert!(
            matches!(error, PlanError::Placement { .. }),
            "{kind} {value:#x}: {error}"
        );
    }
    let in_hole = 0xffff_8100_0000_0000;
    let kernel = Image::linux()
        .with(3, in_hole)
        .with(1, in_hole + KERNEL_PADDR)
        .kernel();
    assert!(Plan::new(&request(&kernel, 64, 0)).is_err());
    let pvh_only = Image::linux().without(1).kernel();
    let error = Plan::new(&request(&pvh_only, 64, 0)).unwrap_err();
    assert!(error.to_string().contains("CONFIG_XEN_PV"));
}

#[test]
fn frames_and_initrd_must_be_those_of_the_plan() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&request(&kernel, 64, 10)).unwrap();
    let live = Live {
        p2m: &[1, 2, 3],
        shared_info_frame: 1,
        store_port: 1,
        console_port: 2,
    };
    assert!(matches!(
        plan.runs(&live).err(),
        Some(PlanError::FrameCount { given: 3, .. })
    ));
    assert!(plan.vcpu_context(&live).is_err());
    assert_eq!(
        plan.loads(&kernel, &[&[0; 11]]).unwrap_err(),
        PlanError::InitrdChanged {
            planned: 10,
            given: 11
        }
    );
}

#[test]
fn shared_info_masks_events_on_every_vcpu() {
    let page = shared_info_page();
    for (offset, byte) in page.iter().enumerate() {
        let mask = offset < 32 * 64 && offset % 64 == 1;
        assert_eq!(*byte, u8::from(mask), "{offset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_size_maps_right(
        mib in 30_u64..90,
        initrd in 0_usize..3_000_000,
        apart in any::<bool>(),
        unmapped in any::<bool>(),
        init_p2m in prop_oneof![
            Just(INIT_P2M),
            // Next to the region, under the same upper tables.
            Just(VIRT_BASE - (1 << 30)),
            Just(0xffff_8800_0000_0000),
            Just(0x1f_f000),
        ],
    ) {
        let mut image = Image::linux().with(15, init_p2m);
        if !apart {
            image = image.without(15);
        }
        if !unmapped {
            image = image.without(16);
        }
        let initrd = patterned(initrd, 3);
        let built = build(&image.kernel(), mib, &[&initrd]);
        built.check_mapping();
        built.check_frame_list();
    }
}

proptest! {
    #[test]
    fn mutated_kernels_never_panic(
        changes in proptest::collection::vec((64_usize..700, any::<u8>()), 1..4),
        mib in 0_u64..100,
    ) {
        let mut elf = Image::linux().elf();
        for (at, value) in changes {
            elf[at] = value;
        }
        if let Ok(kernel) = Kernel::parse(&elf, &Limits::default()) {
            let _ = Plan::new(&request(&kernel, mib, 1000));
            let _ = crate::image::pvh::Plan::new(&request(&kernel, mib, 1000));
        }
    }
}

/// The layout of a distribution's kernel, named by `XENIOS_TEST_KERNEL`.
#[test]
fn a_real_kernel_maps_right() {
    let Some(path) = std::env::var_os("XENIOS_TEST_KERNEL") else {
        return;
    };
    let kernel = Kernel::parse(&std::fs::read(path).unwrap(), &Limits::default()).unwrap();
    let built = build(&kernel, 128, &[&patterned(5_000_000, 3)]);
    built.check_mapping();
    built.check_frame_list();
}
