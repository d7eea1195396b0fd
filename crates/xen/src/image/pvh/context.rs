//! HVM context records: the state of a PVH domain's vCPUs as
//! `XEN_DOMCTL_gethvmcontext` gives and `sethvmcontext` takes it.
//!
//! Layouts are those of Xen's `hvm/save.h` and `arch-x86/hvm/save.h`. The
//! header and the MTRR records of the new context are copies of the domain's
//! own, so that what a version of Xen keeps there stays as it was.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::image::layout::{put_u32, put_u64, to_len};

/// `struct hvm_save_descriptor`: type code, instance (16 bits each), length.
const DESCRIPTOR_BYTES: usize = 8;

/// Type codes (`DECLARE_HVM_SAVE_TYPE`), and sizes of the records.
const END: u16 = 0;
const HEADER: u16 = 1;
const CPU: u16 = 2;
const LAPIC_REGS: u16 = 6;
const MTRR: u16 = 14;

const HEADER_BYTES: usize = 24;
const CPU_BYTES: usize = 1032;
const LAPIC_REGS_BYTES: usize = 1024;
const MTRR_BYTES: usize = 240;

/// `HVM_FILE_MAGIC`.
const FILE_MAGIC: u32 = 0x5438_1286;

/// `msr_mtrr_def_type` of `struct hvm_hw_mtrr`: write-back, MTRRs enabled
/// (Intel SDM volume 3, 12.11.2.1).
const MTRR_DEF_TYPE: usize = 232;
const WRITE_BACK_ENABLED: u64 = 6 | (1 << 11);

/// The APIC id is in bits 24 to 31 of this register (Intel SDM volume 3, 11.4.6).
const LAPIC_ID: usize = 0x20;

/// `struct hvm_hw_cpu`.
mod cpu {
    pub(super) const RBX: usize = 520;
    pub(super) const RIP: usize = 640;
    pub(super) const RFLAGS: usize = 648;
    pub(super) const CR0: usize = 656;
    pub(super) const DR6: usize = 720;
    pub(super) const DR7: usize = 728;
    pub(super) const CS_LIMIT: usize = 768;
    pub(super) const DS_LIMIT: usize = 772;
    pub(super) const ES_LIMIT: usize = 776;
    pub(super) const SS_LIMIT: usize = 788;
    pub(super) const TR_LIMIT: usize = 792;
    pub(super) const CS_ACCESS: usize = 888;
    pub(super) const DS_ACCESS: usize = 892;
    pub(super) const ES_ACCESS: usize = 896;
    pub(super) const SS_ACCESS: usize = 908;
    pub(super) const TR_ACCESS: usize = 912;

    /// Protection on, paging off, x87 there (PE, ET).
    pub(super) const CR0_PROTECTED: u64 = 0x11;
    /// The bit of rflags that is always set.
    pub(super) const RFLAGS_RESET: u64 = 1 << 1;
    /// Debug registers as they are after a reset.
    pub(super) const DR6_RESET: u64 = 0xffff_0ff0;
    pub(super) const DR7_RESET: u64 = 0x400;
    /// Flat 32-bit code: present, execute/read, accessed, 32-bit, 4 KiB units.
    pub(super) const CODE: u32 = 0xc9b;
    /// Flat 32-bit data: present, read/write, accessed, 32-bit, 4 KiB units.
    pub(super) const DATA: u32 = 0xc93;
    /// A busy 32-bit task state segment of the smallest size.
    pub(super) const TASK: u32 = 0x8b;
    pub(super) const TASK_LIMIT: u32 = 0x67;
}

const _: () = assert!(cpu::TR_ACCESS + 4 <= CPU_BYTES && MTRR_DEF_TYPE + 8 == MTRR_BYTES);

/// Why a domain's context is of no use.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextError {
    /// A record is longer than what is left of the context.
    #[error("the domain's context is cut short at byte {offset}")]
    Truncated {
        /// Where the record begins.
        offset: usize,
    },
    /// A record is not there.
    #[error("the domain's context has no record of type {kind} for vCPU {vcpu}")]
    Missing {
        /// The record's type code in `arch-x86/hvm/save.h`.
        kind: u16,
        /// The vCPU it should describe.
        vcpu: u16,
    },
    /// A record is of another size than this crate knows.
    #[error("record {kind} of the domain's context has {given} bytes, not {expected}")]
    Size {
        /// The record's type code.
        kind: u16,
        /// Its size.
        given: usize,
        /// The size that is known.
        expected: usize,
    },
    /// It is not a context.
    #[error("the domain's context does not begin with Xen's magic number")]
    Magic,
}

/// The context of a new domain, as `XEN_DOMCTL_gethvmcontext` gave it.
#[derive(Debug, Clone)]
pub struct SavedContext<'a> {
    /// By type code and instance.
    records: BTreeMap<(u16, u16), &'a [u8]>,
}

impl<'a> SavedContext<'a> {
    /// Finds the records.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ContextError> {
        let mut records = BTreeMap::new();
        let mut offset = 0;
        loop {
            let (kind, instance, body) =
                record_at(bytes, offset).ok_or(ContextError::Truncated { offset })?;
            if kind == END {
                break;
            }
            records.insert((kind, instance), body);
            offset += DESCRIPTOR_BYTES + body.len();
        }
        let saved = Self { records };
        let header = saved.record(HEADER, 0, HEADER_BYTES)?;
        if header[..4] != FILE_MAGIC.to_le_bytes() {
            return Err(ContextError::Magic);
        }
        Ok(saved)
    }

    /// The APIC ids that Xen gave to the first `vcpus` vCPUs.
    pub(super) fn apic_ids(&self, vcpus: u32) -> Result<Vec<u8>, ContextError> {
        instances(vcpus)
            .map(|vcpu| {
                let registers = self.record(LAPIC_REGS, vcpu, LAPIC_REGS_BYTES)?;
                Ok(registers[LAPIC_ID + 3])
            })
            .collect()
    }

    /// The context in which the first vCPU starts the kernel.
    pub(super) fn start(
        &self,
        entry: u32,
        start_info: u64,
        vcpus: u32,
    ) -> Result<Vec<u8>, ContextError> {
        let mut context = Vec::new();
        let header = self.record(HEADER, 0, HEADER_BYTES)?;
        push(&mut context, HEADER, 0, header);
        push(&mut context, CPU, 0, &first_vcpu(entry, start_info));
        for vcpu in instances(vcpus) {
            let mut mtrr = self.record(MTRR, vcpu, MTRR_BYTES)?.to_vec();
            put_u64(&mut mtrr, MTRR_DEF_TYPE, WRITE_BACK_ENABLED);
            push(&mut context, MTRR, vcpu, &mtrr);
        }
        push(&mut context, END, 0, &[]);
        Ok(context)
    }

    fn record(&self, kind: u16, vcpu: u16, bytes: usize) -> Result<&'a [u8], ContextError> {
        let body = *self
            .records
            .get(&(kind, vcpu))
            .ok_or(ContextError::Missing { kind, vcpu })?;
        if body.len() != bytes {
            return Err(ContextError::Size {
                kind,
                given: body.len(),
                expected: bytes,
            });
        }
        Ok(body)
    }
}

/// 32-bit protected mode with flat segments, paging off.
fn first_vcpu(entry: u32, start_info: u64) -> [u8; CPU_BYTES] {
    let mut record = [0; CPU_BYTES];
    for (offset, value) in [
        (cpu::RBX, start_info),
        (cpu::RIP, u64::from(entry)),
        (cpu::RFLAGS, cpu::RFLAGS_RESET),
        (cpu::CR0, cpu::CR0_PROTECTED),
        (cpu::DR6, cpu::DR6_RESET),
        (cpu::DR7, cpu::DR7_RESET),
    ] {
        put_u64(&mut record, offset, value);
    }
    for (offset, value) in [
        (cpu::CS_LIMIT, u32::MAX),
        (cpu::DS_LIMIT, u32::MAX),
        (cpu::ES_LIMIT, u32::MAX),
        (cpu::SS_LIMIT, u32::MAX),
        (cpu::TR_LIMIT, cpu::TASK_LIMIT),
        (cpu::CS_ACCESS, cpu::CODE),
        (cpu::DS_ACCESS, cpu::DATA),
        (cpu::ES_ACCESS, cpu::DATA),
        (cpu::SS_ACCESS, cpu::DATA),
        (cpu::TR_ACCESS, cpu::TASK),
    ] {
        put_u32(&mut record, offset, value);
    }
    record
}

/// Instance numbers of per-vCPU records.
fn instances(vcpus: u32) -> impl Iterator<Item = u16> {
    0..u16::try_from(vcpus).unwrap_or(u16::MAX)
}

/// The record whose descriptor begins at `offset`: type, instance, body.
fn record_at(bytes: &[u8], offset: usize) -> Option<(u16, u16, &[u8])> {
    let (descriptor, rest) = bytes
        .get(offset..)?
        .split_first_chunk::<DESCRIPTOR_BYTES>()?;
    let [k0, k1, i0, i1, length @ ..] = *descriptor;
    let length = to_len(u64::from(u32::from_le_bytes(length)));
    let body = rest.get(..length)?;
    Some((
        u16::from_le_bytes([k0, k1]),
        u16::from_le_bytes([i0, i1]),
        body,
    ))
}

fn push(context: &mut Vec<u8>, kind: u16, instance: u16, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("records are a few KiB");
    context.extend_from_slice(&kind.to_le_bytes());
    context.extend_from_slice(&instance.to_le_bytes());
    context.extend_from_slice(&length.to_le_bytes());
    context.extend_from_slice(body);
}
