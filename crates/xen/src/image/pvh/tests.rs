//! PVH plans: memory map, start info, ACPI tables and the first vCPU.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::image::tests::Memory;
use crate::kernel::Kernel;
use crate::kernel::fixture::{Image, KERNEL_PADDR, patterned};

fn request(kernel: &Kernel, mib: u64, initrd_bytes: u64) -> Request<'_> {
    Request {
        kernel,
        memory_pages: mib * 256,
        vcpus: 3,
        initrd_bytes,
        cmdline: "console=hvc0 quiet",
    }
}

fn record(kind: u16, instance: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), instance.to_le_bytes()].concat();
    bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    bytes.extend(body);
    bytes
}

/// A context as Xen gives it for a new domain: no CPU record, vCPU `n` has APIC
/// id `2 n`.
fn saved(vcpus: u16) -> Vec<u8> {
    let mut header = vec![0x11; 24];
    header[..4].copy_from_slice(&0x5438_1286_u32.to_le_bytes());
    let mut bytes = record(1, 0, &header);
    for vcpu in 0..vcpus {
        let mut lapic = vec![0; 1024];
        lapic[0x23] = u8::try_from(vcpu * 2).unwrap();
        bytes.extend(record(6, vcpu, &lapic));
    }
    for vcpu in 0..vcpus {
        bytes.extend(record(14, vcpu, &[0x40 + u8::try_from(vcpu).unwrap(); 240]));
    }
    bytes.extend(record(0, 0, &[]));
    bytes
}

fn build(plan: &Plan, kernel: &Kernel, initrd: &[&[u8]]) -> Memory {
    let bytes = saved(3);
    let saved = SavedContext::parse(&bytes).unwrap();
    let mut memory = Memory::default();
    for load in plan.loads(kernel, initrd).unwrap() {
        memory.write(load);
    }
    memory.write_runs(plan.runs(&saved).unwrap());
    memory.assert_within(&[plan.ram(), &plan.extra_pages()].concat());
    memory
}

#[test]
fn the_start_info_leads_to_everything() {
    let kernel = Image::linux().kernel();
    let parts: [&[u8]; 2] = [&patterned(4_097, 3), &patterned(9_000, 5)];
    let plan = Plan::new(&request(&kernel, 64, 13_097)).unwrap();
    let memory = build(&plan, &kernel, &parts);
    let at = plan.start_info.paddr();
    assert_eq!(memory.u32(at), 0x336e_c578);
    assert_eq!(memory.u32(at + 4), 1);
    assert_eq!(memory.u32(at + 8), 0);

    assert_eq!(memory.u32(at + 12), 1);
    let module = memory.u64(at + 16);
    assert_eq!(memory.u64(module + 8), 13_097);
    assert_eq!(memory.read(memory.u64(module), 13_097), parts.concat());
    assert_eq!(memory.u64(module) % 4096, 0);

    let cmdline = memory.read(memory.u64(at + 24), 19);
    assert_eq!(cmdline, b"console=hvc0 quiet\0");

    let map = memory.u64(at + 40);
    assert_eq!(memory.u32(at + 48) as usize, plan.memory_map().len());
    for (i, region) in plan.memory_map().iter().enumerate() {
        let entry = map + i as u64 * 24;
        assert_eq!(memory.u64(entry), region.start);
        assert_eq!(memory.u64(entry + 8), region.bytes);
        assert_eq!(memory.u32(entry + 16), region.kind as u32);
    }
    for segment in kernel.segments() {
        let mut expected = segment.bytes.to_vec();
        expected.resize(usize::try_from(segment.mem_bytes).unwrap(), 0);
        assert_eq!(memory.read(segment.paddr, expected.len()), expected);
    }
    // The rings are clear, the identity map is one.
    for ring in [plan.store(), plan.console()] {
        assert_eq!(memory.read(ring.paddr(), 4096), vec![0; 4096]);
    }
    for slot in 0..1024 {
        let entry = memory.u32(0xfeff_e000 + slot * 4);
        assert_eq!(entry, (u32::try_from(slot).unwrap() << 22) | 0xe7);
    }
}

#[test]
fn without_an_initrd_there_is_no_module() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&request(&kernel, 64, 0)).unwrap();
    let memory = build(&plan, &kernel, &[]);
    let at = plan.start_info.paddr();
    assert_eq!((memory.u32(at + 12), memory.u64(at + 16)), (0, 0));
}

/// A table at an address, its checksum tested.
fn table(memory: &Memory, at: u64, signature: [u8; 4]) -> Vec<u8> {
    let bytes = memory.read(at, memory.u32(at + 4) as usize);
    assert_eq!(bytes[..4], signature);
    assert_eq!(sum(&bytes), 0, "checksum of {signature:?}");
    bytes
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn acpi_describes_the_vcpus_and_nothing_else() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&request(&kernel, 64, 0)).unwrap();
    let memory = build(&plan, &kernel, &[]);
    let rsdp_at = memory.u64(plan.start_info.paddr() + 32);
    let rsdp = memory.read(rsdp_at, 36);
    assert_eq!(&rsdp[..8], b"RSD PTR ");
    assert_eq!((sum(&rsdp[..20]), sum(&rsdp), rsdp[15]), (0, 0, 2));
    assert_eq!(rsdp[33..], [0; 3]);

    let xsdt_at = memory.u64(rsdp_at + 24);
    assert_eq!(table(&memory, xsdt_at, *b"XSDT").len(), 36 + 16);
    let fadt_at = memory.u64(xsdt_at + 36);
    let fadt = table(&memory, fadt_at, *b"FACP");
    assert_eq!((fadt.len(), fadt[8]), (276, 6));
    let flags = memory.u32(fadt_at + 112);
    assert_eq!(flags & (1 << 20), 1 << 20, "HW_REDUCED_ACPI");
    let dsdt = table(&memory, memory.u64(fadt_at + 140), *b"DSDT");
    assert_eq!(&dsdt[36..], b"\x10\x06\\_SB_");

    let madt = table(&memory, memory.u64(xsdt_at + 44), *b"APIC");
    assert_eq!(&madt[36..44], [0, 0, 0xe0, 0xfe, 0, 0, 0, 0]);
    let lapics: Vec<&[u8]> = madt[44..].chunks(8).collect();
    let expected: [&[u8]; 3] = [
        &[0, 8, 0, 0, 1, 0, 0, 0],
        &[0, 8, 1, 2, 1, 0, 0, 0],
        &[0, 8, 2, 4, 1, 0, 0, 0],
    ];
    assert_eq!(lapics, expected);
}

#[test]
fn memory_goes_around_the_hole() {
    let kernel = Image::linux().kernel();
    let regions = |mib| {
        let plan = Plan::new(&request(&kernel, mib, 0)).unwrap();
        let ram: u64 = plan.ram().iter().map(|range| range.count).sum();
        assert_eq!(ram, mib * 256);
        assert_eq!(plan.total_pages(), ram + plan.acpi.count + 3);
        let mut end = 0;
        for region in plan.memory_map() {
            assert!(region.start >= end && region.bytes > 0);
            end = region.start + region.bytes;
        }
        plan.memory_map()
            .iter()
            .map(|region| (region.kind as u32, region.start, region.bytes))
            .collect::<Vec<_>>()
    };
    let acpi = (3, 0xfc00_0000, 0x1000);
    let special = (2, 0xfeff_8000, 0x8000);
    assert_eq!(regions(64), [(1, 0, 64 << 20), acpi, special]);
    assert_eq!(regions(3840), [(1, 0, 0xf000_0000), acpi, special]);
    assert_eq!(
        regions(6144),
        [(1, 0, 0xf000_0000), acpi, special, (1, 1 << 32, 2304 << 20)]
    );
    let entry = Plan::new(&request(&kernel, 64, 0)).unwrap().memory_map()[1].e820_entry();
    assert_eq!(
        entry,
        [
            0, 0, 0, 0xfc, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0
        ]
    );
}

#[test]
fn the_most_vcpus_fit_their_tables() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&Request {
        vcpus: 128,
        ..request(&kernel, 64, 0)
    })
    .unwrap();
    let bytes = saved(128);
    let context = SavedContext::parse(&bytes).unwrap();
    let runs = plan.runs(&context).unwrap();
    let acpi = runs
        .iter()
        .find(|run| run.first == plan.acpi.first)
        .unwrap();
    assert_eq!(acpi.bytes.len() as u64, plan.acpi.count * 4096);
    assert_eq!(acpi.bytes[448 + 44 + 127 * 8..][..4], [0, 8, 127, 254]);
}

#[test]
fn the_first_vcpu_starts_in_protected_mode() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&request(&kernel, 64, 0)).unwrap();
    let bytes = saved(3);
    let saved = SavedContext::parse(&bytes).unwrap();
    let context = plan.context(&saved).unwrap();

    // Header as it was, one CPU, an MTRR record for each vCPU, the end.
    let cpu_at = 8 + 24;
    let mtrr_at = cpu_at + 8 + 1032;
    assert_eq!(context.len(), mtrr_at + 3 * (8 + 240) + 8);
    assert_eq!(context[..cpu_at], bytes[..cpu_at]);
    assert_eq!(context[context.len() - 8..], [0; 8]);
    assert_eq!(context[cpu_at..cpu_at + 8], [2, 0, 0, 0, 0x08, 0x04, 0, 0]);
    let cpu = &context[cpu_at + 8..mtrr_at];
    let u64_at = |at: usize| u64::from_le_bytes(cpu[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(cpu[at..at + 4].try_into().unwrap());
    assert_eq!(u64_at(520), plan.start_info.paddr());
    assert_eq!(u64_at(640), KERNEL_PADDR + 0x40);
    assert_eq!((u64_at(656), u64_at(648)), (0x11, 2));
    assert_eq!((u32_at(768), u32_at(888)), (u32::MAX, 0xc9b));
    assert_eq!((u32_at(792), u32_at(912)), (0x67, 0x8b));
    for vcpu in 0..3_u8 {
        let at = mtrr_at + usize::from(vcpu) * 248;
        assert_eq!(context[at..at + 8], [14, 0, vcpu, 0, 240, 0, 0, 0]);
        assert_eq!(context[at + 8..at + 240], [0x40 + vcpu; 232]);
        assert_eq!(context[at + 240..at + 248], [6, 8, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn contexts_of_no_use_are_refused() {
    let kernel = Image::linux().kernel();
    let plan = Plan::new(&request(&kernel, 64, 0)).unwrap();
    let whole = saved(3);
    for length in 0..whole.len() {
        assert!(SavedContext::parse(&whole[..length]).is_err(), "{length}");
    }
    let few = saved(2);
    let few = SavedContext::parse(&few).unwrap();
    let missing = |kind| ContextError::Missing { kind, vcpu: 2 };
    assert_eq!(plan.runs(&few).unwrap_err(), missing(6));
    assert_eq!(plan.context(&few).unwrap_err(), missing(14));
    assert_eq!(
        SavedContext::parse(&[0; 8]).unwrap_err(),
        ContextError::Missing { kind: 1, vcpu: 0 }
    );
    let mut wrong = whole.clone();
    wrong[8] ^= 1;
    assert_eq!(
        SavedContext::parse(&wrong).unwrap_err(),
        ContextError::Magic
    );
}

#[test]
fn what_cannot_start_is_refused() {
    let no_entry = Image::linux().without(18).kernel();
    let error = Plan::new(&request(&no_entry, 64, 0)).unwrap_err();
    assert!(error.to_string().contains("CONFIG_PVH"));
    let outside = Image::linux().with(18, 0x1000).kernel();
    let error = Plan::new(&request(&outside, 64, 0)).unwrap_err();
    assert!(matches!(error, PlanError::Placement { .. }));
    let kernel = Image::linux().kernel();
    let error = Plan::new(&request(&kernel, 18, 0)).unwrap_err();
    assert_eq!(
        error,
        PlanError::MemoryTooSmall {
            needed_mib: 19,
            given_mib: 18
        }
    );
    let error = Plan::new(&request(&kernel, 8192, 0xf000_0000)).unwrap_err();
    assert!(error.to_string().contains("below the device memory"));
    let error = Plan::new(&request(&kernel, 8192, u64::MAX)).unwrap_err();
    assert!(matches!(error, PlanError::MemoryTooSmall { .. }));
}
