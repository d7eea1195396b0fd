//! The start info of a PVH guest, with all that it points to: module list,
//! memory map, command line.
//!
//! Layouts are those of Xen's `arch-x86/hvm/start_info.h`, version 1.

use super::{ACPI_START, MemoryRegion};
use crate::image::layout::{put_u32, put_u64, to_len};

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;

/// Sizes of `hvm_start_info`, `hvm_modlist_entry` and `hvm_memmap_table_entry`.
const INFO_BYTES: usize = 56;
const MODULE_BYTES: usize = 32;
const REGION_BYTES: usize = 24;

// The parts follow one another: info, one module, map, command line.
const MODULE_AT: usize = INFO_BYTES;
const MAP_AT: usize = MODULE_AT + MODULE_BYTES;

/// Bytes of all parts, for a map of so many regions.
pub(super) fn size(cmdline: &str, regions: usize) -> u64 {
    (MAP_AT + regions * REGION_BYTES + cmdline.len() + 1) as u64
}

/// The parts as they lie from `paddr` on. The initrd is an address and a size.
pub(super) fn bytes(
    paddr: u64,
    cmdline: &str,
    initrd: Option<(u64, u64)>,
    map: &[MemoryRegion],
) -> Vec<u8> {
    let mut bytes = vec![0; to_len(size(cmdline, map.len()))];
    let cmdline_at = MAP_AT + map.len() * REGION_BYTES;
    put_u32(&mut bytes, 0, MAGIC);
    put_u32(&mut bytes, 4, VERSION);
    // Offset 8: SIF_* flags, none for a guest without privileges.
    if let Some((start, size)) = initrd {
        put_u32(&mut bytes, 12, 1);
        put_u64(&mut bytes, 16, paddr + MODULE_AT as u64);
        put_u64(&mut bytes, MODULE_AT, start);
        put_u64(&mut bytes, MODULE_AT + 8, size);
    }
    put_u64(&mut bytes, 24, paddr + cmdline_at as u64);
    // The RSDP is the first of the tables.
    put_u64(&mut bytes, 32, ACPI_START);
    put_u64(&mut bytes, 40, paddr + MAP_AT as u64);
    let regions = u32::try_from(map.len()).expect("a map has a handful of regions");
    put_u32(&mut bytes, 48, regions);
    for (i, region) in map.iter().enumerate() {
        let at = MAP_AT + i * REGION_BYTES;
        put_u64(&mut bytes, at, region.start);
        put_u64(&mut bytes, at + 8, region.bytes);
        put_u32(&mut bytes, at + 16, region.kind as u32);
    }
    bytes[cmdline_at..cmdline_at + cmdline.len()].copy_from_slice(cmdline.as_bytes());
    bytes
}
