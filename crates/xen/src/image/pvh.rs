//! The memory, tables and registers of a PVH guest (direct boot).
//!
//! The entry convention is that of Xen's `arch-x86/hvm/start_info.h`: 32-bit
//! protected mode, paging off, `ebx` points to the start info. The guest's RAM
//! begins at 0 and continues above 4 GiB if it does not fit below the hole at
//! [`HOLE_START`]. In the hole lie, each on pages of its own that the driver
//! populates besides the RAM: the ACPI tables and the special pages (xenstore
//! ring, console ring, identity page table).
//!
//! Xen emulates a local APIC for such a guest and nothing else
//! (`emulation_flags` = [`EMULATION_FLAGS`]): no IOAPIC, PIC, PIT, HPET, RTC or
//! PM timer, so the ACPI tables are of the hardware-reduced kind. The local APIC
//! page itself is Xen's: it is never populated.
//!
//! The guest's other vCPUs are found through the MADT and started through the
//! local APIC.

mod acpi;
mod context;
mod start_info;

#[cfg(test)]
mod tests;

use super::layout::{self, pages};
use super::{Load, PAGE_LEN, Pfn, PfnRange, PlanError, Request, Run};
use crate::kernel::Kernel;

pub use context::{ContextError, SavedContext};

/// Where RAM below 4 GiB ends at the latest: `HVM_BELOW_4G_RAM_END` of
/// `hvm/e820.h`.
pub const HOLE_START: u64 = 0xf000_0000;
/// Where RAM goes on.
const HOLE_END: u64 = 1 << 32;

/// `XEN_X86_EMU_LAPIC` of `arch-x86/xen.h`: what
/// `XEN_DOMCTL_createdomain`'s `emulation_flags` must be for a PVH guest.
pub const EMULATION_FLAGS: u32 = 1 << 0;

/// The ACPI tables, where Xen's own toolstack puts them too.
const ACPI_START: u64 = 0xfc00_0000;
/// The special pages: eight page numbers end here. Xen's own toolstack numbers
/// them so; three of them are used without a device model and memory events.
const SPECIAL_END: u64 = 0xff000;
const SPECIAL_COUNT: u64 = 8;
const STORE_PAGE: u64 = SPECIAL_END - SPECIAL_COUNT + 4;
const IDENT_PAGE: u64 = SPECIAL_END - SPECIAL_COUNT + 6;
const CONSOLE_PAGE: u64 = SPECIAL_END - SPECIAL_COUNT + 7;

/// Longest command line in bytes: what a Linux x86 guest reads
/// (`COMMAND_LINE_SIZE` is 2048, with the NUL).
const MAX_CMDLINE_BYTES: usize = 2047;

// The hole's tenants do not meet.
const _: () = assert!(ACPI_START >= HOLE_START);
const _: () = assert!(ACPI_START + acpi::MAX_BYTES < acpi::LAPIC_ADDRESS as u64);
const _: () = assert!((acpi::LAPIC_ADDRESS as u64) < (SPECIAL_END - SPECIAL_COUNT) * 4096);

/// `HVM_PARAM_*` of `hvm/params.h`, as far as a PVH guest's builder sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum HvmParam {
    /// Guest page of the xenstore ring.
    StorePfn = 1,
    /// The guest's port of xenstore's event channel.
    StoreEvtchn = 2,
    /// How timer interrupts are delivered.
    TimerMode = 10,
    /// Physical address of the identity page table.
    IdentPt = 12,
    /// Guest page of the console ring.
    ConsolePfn = 17,
    /// The guest's port of the console's event channel.
    ConsoleEvtchn = 18,
    /// What a triple fault is reported as (`SHUTDOWN_*` of `sched.h`).
    TripleFaultReason = 31,
}

/// `HVMPTM_no_delay_for_missed_ticks`: guest time is wall-clock time.
const TIMER_NO_DELAY: u64 = 1;
/// `SHUTDOWN_crash`: without this, a guest that dies before it can report a
/// crash looks like one that asked for a reboot.
const SHUTDOWN_CRASH: u64 = 3;

/// What a stretch of guest-physical memory is, with its `E820_*` number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MemoryKind {
    /// Usable memory.
    Ram = 1,
    /// Not usable, not to be reassigned.
    Reserved = 2,
    /// ACPI tables.
    Acpi = 3,
}

/// One entry of the memory map (e820) that the guest gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRegion {
    /// First physical address.
    pub start: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: MemoryKind,
}

impl MemoryRegion {
    /// `struct e820entry` as `XENMEM_set_memory_map` takes it: start, size, kind
    /// (8 + 8 + 4 bytes, packed).
    #[must_use]
    pub fn e820_entry(&self) -> [u8; 20] {
        let mut entry = [0; 20];
        layout::put_u64(&mut entry, 0, self.start);
        layout::put_u64(&mut entry, 8, self.bytes);
        layout::put_u32(&mut entry, 16, self.kind as u32);
        entry
    }
}

/// How a PVH guest's memory is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    entry: u32,
    vcpus: u32,
    ram: Vec<PfnRange>,
    start_info: Pfn,
    initrd: Pfn,
    initrd_bytes: u64,
    acpi: PfnRange,
    map: Vec<MemoryRegion>,
    cmdline: String,
}

impl Plan {
    /// Lays the guest out, or says why it cannot be.
    pub fn new(request: &Request<'_>) -> Result<Self, PlanError> {
        layout::check(request, MAX_CMDLINE_BYTES)?;
        let Some(entry) = request.kernel.notes().phys32_entry else {
            return Err(PlanError::Unsupported {
                kind: "PVH",
                why: "it has no PHYS32_ENTRY note; use a kernel with CONFIG_PVH, or a PV guest",
            });
        };
        let extent = layout::kernel_extent(request.kernel);
        if !extent.contains(&u64::from(entry)) {
            return Err(PlanError::Placement {
                what: "PHYS32_ENTRY lies outside of the kernel's segments",
            });
        }
        let low_pages = request.memory_pages.min(HOLE_START / super::PAGE_BYTES);
        let high_pages = request.memory_pages - low_pages;
        let map = memory_map(low_pages, high_pages, acpi_pages(request.vcpus));
        // The start info comes before the initrd: early in boot, a kernel can
        // reach little memory beyond its own.
        let start_info = pages(extent.end);
        let info_pages = pages(start_info::size(request.cmdline, map.len()));
        let initrd = start_info + info_pages;
        let end = initrd.saturating_add(pages(request.initrd_bytes));
        layout::check_fits(request, end)?;
        if end > low_pages {
            return Err(PlanError::Placement {
                what: "kernel and initrd do not fit below the device memory under 4 GiB",
            });
        }
        let mut ram = vec![PfnRange::new(0, low_pages)];
        if high_pages > 0 {
            ram.push(PfnRange::new(HOLE_END / super::PAGE_BYTES, high_pages));
        }
        Ok(Self {
            entry,
            vcpus: request.vcpus,
            ram,
            start_info: Pfn(start_info),
            initrd: Pfn(initrd),
            initrd_bytes: request.initrd_bytes,
            acpi: acpi_pages(request.vcpus),
            map,
            cmdline: request.cmdline.to_owned(),
        })
    }

    /// The RAM to populate: one run, or two with the hole between them.
    #[must_use]
    pub fn ram(&self) -> &[PfnRange] {
        &self.ram
    }

    /// The pages to populate besides the RAM, one by one (order 0): ACPI tables,
    /// xenstore ring, identity page table with the console ring behind it.
    #[must_use]
    pub fn extra_pages(&self) -> [PfnRange; 3] {
        [
            self.acpi,
            PfnRange::new(STORE_PAGE, 1),
            PfnRange::new(IDENT_PAGE, 2),
        ]
    }

    /// How many pages the domain needs in all: its `max_mem` must allow them.
    #[must_use]
    pub fn total_pages(&self) -> u64 {
        let extra = self.extra_pages();
        self.ram.iter().chain(&extra).map(|range| range.count).sum()
    }

    /// The memory map, for `XENMEM_set_memory_map`. The start info holds the
    /// same.
    #[must_use]
    pub fn memory_map(&self) -> &[MemoryRegion] {
        &self.map
    }

    /// The xenstore ring; it is what `XS_INTRODUCE` takes.
    #[must_use]
    pub fn store(&self) -> Pfn {
        Pfn(STORE_PAGE)
    }

    /// The console ring.
    #[must_use]
    pub fn console(&self) -> Pfn {
        Pfn(CONSOLE_PAGE)
    }

    /// The HVM parameters to set, for the event channels that were allocated in
    /// the guest for dom0.
    #[must_use]
    pub fn hvm_params(&self, store_port: u32, console_port: u32) -> [(HvmParam, u64); 7] {
        [
            (HvmParam::StorePfn, STORE_PAGE),
            (HvmParam::StoreEvtchn, u64::from(store_port)),
            (HvmParam::TimerMode, TIMER_NO_DELAY),
            (HvmParam::IdentPt, Pfn(IDENT_PAGE).paddr()),
            (HvmParam::ConsolePfn, CONSOLE_PAGE),
            (HvmParam::ConsoleEvtchn, u64::from(console_port)),
            (HvmParam::TripleFaultReason, SHUTDOWN_CRASH),
        ]
    }

    /// Bytes of the kernel and of the initrd, whose parts follow one another
    /// without gaps.
    pub fn loads<'a>(
        &self,
        kernel: &'a Kernel,
        initrd: &[&'a [u8]],
    ) -> Result<Vec<Load<'a>>, PlanError> {
        layout::loads(kernel, initrd, self.initrd.paddr(), self.initrd_bytes)
    }

    /// The pages that the plan makes: start info, ACPI tables, identity page
    /// table, clear rings. `saved` is the domain's context (`gethvmcontext`),
    /// which knows the APIC ids that Xen gave to the vCPUs.
    pub fn runs(&self, saved: &SavedContext<'_>) -> Result<Vec<Run>, ContextError> {
        let ids = saved.apic_ids(self.vcpus)?;
        let mut tables = acpi::tables(ACPI_START, &ids);
        tables.resize(layout::to_len(self.acpi.count) * PAGE_LEN, 0);
        let initrd = (self.initrd.paddr(), self.initrd_bytes);
        let info = start_info::bytes(
            self.start_info.paddr(),
            &self.cmdline,
            (self.initrd_bytes > 0).then_some(initrd),
            &self.map,
        );
        let run = |first, bytes| Run { first, bytes };
        Ok(vec![
            run(self.start_info, whole_pages(info)),
            run(self.acpi.first, tables),
            run(self.store(), vec![0; PAGE_LEN]),
            run(Pfn(IDENT_PAGE), identity_page_table()),
            run(self.console(), vec![0; PAGE_LEN]),
        ])
    }

    /// The context to give to `XEN_DOMCTL_sethvmcontext`: the first vCPU at the
    /// kernel's entry, and write-back memory on all of them.
    pub fn context(&self, saved: &SavedContext<'_>) -> Result<Vec<u8>, ContextError> {
        saved.start(self.entry, self.start_info.paddr(), self.vcpus)
    }
}

fn acpi_pages(vcpus: u32) -> PfnRange {
    PfnRange::new(ACPI_START / super::PAGE_BYTES, pages(acpi::size(vcpus)))
}

/// The memory map by ascending address.
fn memory_map(low_pages: u64, high_pages: u64, acpi: PfnRange) -> Vec<MemoryRegion> {
    let region = |range: PfnRange, kind| MemoryRegion {
        start: range.first.paddr(),
        bytes: range.count * super::PAGE_BYTES,
        kind,
    };
    let special = PfnRange::new(SPECIAL_END - SPECIAL_COUNT, SPECIAL_COUNT);
    let mut map = vec![
        region(PfnRange::new(0, low_pages), MemoryKind::Ram),
        region(acpi, MemoryKind::Acpi),
        region(special, MemoryKind::Reserved),
    ];
    if high_pages > 0 {
        let high = PfnRange::new(HOLE_END / super::PAGE_BYTES, high_pages);
        map.push(region(high, MemoryKind::Ram));
    }
    map
}

/// A 32-bit page directory that maps the first 4 GiB onto themselves with 4 MiB
/// pages. CPUs that cannot run a guest without paging use it while the guest has
/// its own paging off (`HVM_PARAM_IDENT_PT`).
fn identity_page_table() -> Vec<u8> {
    /// Present, writable, user, accessed, dirty, 4 MiB.
    const FLAGS: u32 = 0xe7;
    let entry = |i: u32| (i << 22) | FLAGS;
    (0..1024).flat_map(|i| entry(i).to_le_bytes()).collect()
}

fn whole_pages(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(PAGE_LEN), 0);
    bytes
}
