//! The ACPI tables of a guest whose only device is a local APIC.
//!
//! Hardware-reduced ACPI (ACPI 6.3, 4.1): RSDP, XSDT, FADT, MADT and a DSDT
//! that declares nothing. A guest needs them to find its vCPUs; power buttons,
//! sleep states and hotplug are xenstore's business.

use crate::image::layout::{put_u32, put_u64};

/// Where the local APIC of every vCPU is.
pub(super) const LAPIC_ADDRESS: u32 = 0xfee0_0000;

/// Bytes that all tables have at most.
pub(super) const MAX_BYTES: u64 = 0x1_0000;

// ACPI 6.3: 5.2.5.3, 5.2.6, 5.2.8, 5.2.9, 5.2.12 and 5.2.12.2.
const RSDP_BYTES: usize = 36;
const HEADER_BYTES: usize = 36;
const XSDT_BYTES: usize = HEADER_BYTES + 2 * 8;
const FADT_BYTES: usize = 276;
const MADT_BYTES: usize = HEADER_BYTES + 8;
const LAPIC_BYTES: usize = 8;

/// The whole of the DSDT's code, `Scope (\_SB) {}`: some guests' interpreters
/// refuse a table without any.
const AML: [u8; 7] = [0x10, 0x06, b'\\', b'_', b'S', b'B', b'_'];

// Places of the tables, each on a 16-byte boundary, the MADT last: it grows.
const RSDP_AT: usize = 0;
const XSDT_AT: usize = 48;
const FADT_AT: usize = 112;
const DSDT_AT: usize = 400;
const MADT_AT: usize = 448;

const _: () = assert!(RSDP_AT + RSDP_BYTES <= XSDT_AT && XSDT_AT + XSDT_BYTES <= FADT_AT);
const _: () = assert!(FADT_AT + FADT_BYTES <= DSDT_AT);
const _: () = assert!(DSDT_AT + HEADER_BYTES + AML.len() <= MADT_AT);

/// Bytes of all tables.
pub(super) fn size(vcpus: u32) -> u64 {
    (MADT_AT + MADT_BYTES) as u64 + LAPIC_BYTES as u64 * u64::from(vcpus)
}

/// The tables as they lie from `paddr` on, the RSDP first; one APIC id for each
/// vCPU, in the order of vCPU numbers. (A PVH guest tells Xen a vCPU's number by
/// its ACPI processor id, so that one must be the number.)
pub(super) fn tables(paddr: u64, apic_ids: &[u8]) -> Vec<u8> {
    let address = |at: usize| paddr + at as u64;
    let mut bytes = vec![0; RSDP_BYTES];
    bytes[..8].copy_from_slice(b"RSD PTR ");
    bytes[9..15].copy_from_slice(OEM_ID);
    bytes[15] = 2;
    put_u32(&mut bytes, 20, 36);
    put_u64(&mut bytes, 24, address(XSDT_AT));
    // The first checksum covers the first 20 bytes, the second one all.
    bytes[8] = checksum(&bytes[..20]);
    bytes[32] = checksum(&bytes);

    let pointers = [address(FADT_AT), address(MADT_AT)];
    let body: Vec<u8> = pointers.iter().flat_map(|p| p.to_le_bytes()).collect();
    place(&mut bytes, XSDT_AT, &table(*b"XSDT", 1, &body));
    place(&mut bytes, FADT_AT, &fadt(address(DSDT_AT)));
    place(&mut bytes, DSDT_AT, &table(*b"DSDT", 2, &AML));
    place(&mut bytes, MADT_AT, &madt(apic_ids));
    bytes
}

/// ACPI 6.3, 5.2.9.
fn fadt(dsdt: u64) -> Vec<u8> {
    /// Offsets within the table.
    const BOOT_ARCH: usize = 109;
    const FLAGS: usize = 112;
    const MINOR: usize = 131;
    const X_DSDT: usize = 140;
    /// No VGA, no CMOS clock; and, by bits not set, no 8042 and no legacy
    /// devices.
    const NO_VGA_NO_RTC: u8 = (1 << 2) | (1 << 5);
    /// WBINVD works, C1 works, no fixed power and sleep buttons,
    /// `HW_REDUCED_ACPI`.
    const HARDWARE: u32 = (1 << 0) | (1 << 2) | (1 << 4) | (1 << 5) | (1 << 20);
    let mut body = [0; FADT_BYTES - HEADER_BYTES];
    body[BOOT_ARCH - HEADER_BYTES] = NO_VGA_NO_RTC;
    put_u32(&mut body, FLAGS - HEADER_BYTES, HARDWARE);
    body[MINOR - HEADER_BYTES] = 3;
    put_u64(&mut body, X_DSDT - HEADER_BYTES, dsdt);
    table(*b"FACP", 6, &body)
}

/// ACPI 6.3, 5.2.12.
fn madt(apic_ids: &[u8]) -> Vec<u8> {
    /// A processor local APIC, enabled.
    const LOCAL_APIC: u8 = 0;
    const ENABLED: u32 = 1;
    let mut body = LAPIC_ADDRESS.to_le_bytes().to_vec();
    // Flags: without PCAT_COMPAT, there are no 8259s.
    body.extend_from_slice(&0_u32.to_le_bytes());
    for (vcpu, apic_id) in (0_u8..=u8::MAX).zip(apic_ids) {
        body.extend_from_slice(&[LOCAL_APIC, 8, vcpu, *apic_id]);
        body.extend_from_slice(&ENABLED.to_le_bytes());
    }
    table(*b"APIC", 5, &body)
}

const OEM_ID: &[u8; 6] = b"XENIOS";

/// A table with its header (ACPI 6.3, 5.2.6).
fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&signature);
    let length = u32::try_from(HEADER_BYTES + body.len()).expect("tables are a few KiB");
    put_u32(&mut bytes, 4, length);
    bytes[8] = revision;
    bytes[10..16].copy_from_slice(OEM_ID);
    bytes[16..24].copy_from_slice(b"XENIOSPV");
    put_u32(&mut bytes, 24, 1);
    bytes[28..32].copy_from_slice(b"XNIO");
    put_u32(&mut bytes, 32, 1);
    bytes.extend_from_slice(body);
    bytes[9] = checksum(&bytes);
    bytes
}

/// What makes the bytes sum up to zero, while the checksum's own byte is zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

fn place(bytes: &mut Vec<u8>, at: usize, table: &[u8]) {
    bytes.resize(at, 0);
    bytes.extend_from_slice(table);
}
