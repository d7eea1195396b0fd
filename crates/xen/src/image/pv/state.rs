//! The structures that a PV guest starts with: start info, shared info, the
//! first vCPU's context.
//!
//! Offsets are those of Xen's public headers (`xen.h`, `arch-x86/xen.h`,
//! `arch-x86/xen-x86_64.h`) for x86-64, as a C compiler lays them out.

use super::{Live, Plan};
use crate::image::layout::{put_u32, put_u64};
use crate::image::{PAGE_BYTES, PAGE_LEN};

/// `struct start_info` of `xen.h`.
mod start_info {
    pub(super) const NR_PAGES: usize = 32;
    pub(super) const SHARED_INFO: usize = 40;
    pub(super) const FLAGS: usize = 48;
    pub(super) const STORE_MFN: usize = 56;
    pub(super) const STORE_EVTCHN: usize = 64;
    pub(super) const CONSOLE_MFN: usize = 72;
    pub(super) const CONSOLE_EVTCHN: usize = 80;
    pub(super) const PT_BASE: usize = 88;
    pub(super) const NR_PT_FRAMES: usize = 96;
    pub(super) const MFN_LIST: usize = 104;
    pub(super) const MOD_START: usize = 112;
    pub(super) const MOD_LEN: usize = 120;
    pub(super) const CMD_LINE: usize = 128;
    pub(super) const FIRST_P2M_PFN: usize = 1152;
    pub(super) const NR_P2M_FRAMES: usize = 1160;
    pub(super) const BYTES: usize = 1168;

    /// `magic`: guests compare its first five bytes.
    pub(super) const MAGIC: &[u8] = b"xen-3.0-x86_64";
    /// `SIF_MOD_START_PFN`.
    pub(super) const MOD_START_IS_PFN: u32 = 1 << 3;
}

/// `struct vcpu_guest_context` of `arch-x86/xen.h`.
mod vcpu {
    pub(super) const FLAGS: usize = 512;
    pub(super) const RSI: usize = 624;
    pub(super) const RIP: usize = 648;
    pub(super) const CS: usize = 656;
    pub(super) const RFLAGS: usize = 664;
    pub(super) const RSP: usize = 672;
    pub(super) const SS: usize = 680;
    pub(super) const KERNEL_SS: usize = 4968;
    pub(super) const KERNEL_SP: usize = 4976;
    pub(super) const CR3: usize = 4984 + 3 * 8;
    pub(super) const DR6: usize = 5048 + 6 * 8;
    pub(super) const DR7: usize = 5048 + 7 * 8;

    /// `VGCF_in_kernel` and `VGCF_online`.
    pub(super) const KERNEL_ONLINE: u64 = (1 << 2) | (1 << 5);
    /// `FLAT_KERNEL_CS64` and `FLAT_KERNEL_SS64` of `arch-x86/xen-x86_64.h`.
    pub(super) const FLAT_CS: u64 = 0xe033;
    pub(super) const FLAT_SS: u64 = 0xe02b;
    /// The interrupt flag; with it, events are delivered once unmasked.
    pub(super) const INTERRUPTS: u64 = 1 << 9;
    /// Debug registers as they are after a reset (Intel SDM volume 3, 10.1.1).
    pub(super) const DR6_RESET: u64 = 0xffff_0ff0;
    pub(super) const DR7_RESET: u64 = 0x400;
}

/// Size of `struct vcpu_guest_context` in bytes.
pub const VCPU_CONTEXT_BYTES: usize = 5168;

/// `MAX_GUEST_CMDLINE` of `xen.h` is 1024, with the NUL.
pub(super) const MAX_CMDLINE_BYTES: usize = 1023;

const _: () = assert!(start_info::CMD_LINE + MAX_CMDLINE_BYTES < start_info::FIRST_P2M_PFN);
const _: () = assert!(start_info::NR_P2M_FRAMES + 8 == start_info::BYTES);
const _: () = assert!(start_info::BYTES <= PAGE_LEN);
const _: () = assert!(vcpu::DR7 + 8 <= VCPU_CONTEXT_BYTES);

/// `struct vcpu_info` of `xen.h`: 64 bytes, the mask is its second one.
const VCPU_INFO_BYTES: usize = 64;
const EVTCHN_UPCALL_MASK: usize = 1;
/// `XEN_LEGACY_MAX_VCPUS` of `arch-x86/xen.h`.
const LEGACY_VCPUS: usize = 32;

/// The shared info page as the guest must find it: zero, with events masked on
/// every vCPU that it has room for. It belongs at the frame that
/// `XEN_DOMCTL_getdomaininfo` names, which is not one of the guest's own pages.
#[must_use]
pub fn shared_info_page() -> Box<[u8; PAGE_LEN]> {
    let mut page = Box::new([0; PAGE_LEN]);
    for vcpu in 0..LEGACY_VCPUS {
        page[vcpu * VCPU_INFO_BYTES + EVTCHN_UPCALL_MASK] = 1;
    }
    page
}

/// Machine frame of a planned page.
fn mfn(live: &Live<'_>, pfn: crate::image::Pfn) -> u64 {
    live.p2m[crate::image::layout::to_len(pfn.0)]
}

/// The start info page, then the xenstore and console rings, clear.
pub(super) fn boot_pages(plan: &Plan, live: &Live<'_>) -> Vec<u8> {
    use start_info as at;
    let mut pages = vec![0; 3 * PAGE_LEN];
    let info = &mut pages[..];
    info[..at::MAGIC.len()].copy_from_slice(at::MAGIC);
    put_u64(info, at::NR_PAGES, plan.memory_pages);
    put_u64(info, at::SHARED_INFO, live.shared_info_frame * PAGE_BYTES);
    put_u64(info, at::STORE_MFN, mfn(live, plan.store()));
    put_u32(info, at::STORE_EVTCHN, live.store_port);
    put_u64(info, at::CONSOLE_MFN, mfn(live, plan.console()));
    put_u32(info, at::CONSOLE_EVTCHN, live.console_port);
    put_u64(info, at::PT_BASE, plan.vaddr(plan.top_table()));
    put_u64(info, at::NR_PT_FRAMES, plan.main_tables.count);
    put_u64(info, at::MFN_LIST, plan.frames.vaddr);
    put_u64(info, at::FIRST_P2M_PFN, plan.frames.pages.first.0);
    let list_frames = plan.frames.pages.count + plan.frames.tables.count;
    put_u64(info, at::NR_P2M_FRAMES, list_frames);
    if plan.initrd.bytes > 0 {
        let (start, flags) = if plan.initrd.mapped {
            (plan.vaddr(plan.initrd.first), 0)
        } else {
            (plan.initrd.first.0, at::MOD_START_IS_PFN)
        };
        put_u64(info, at::MOD_START, start);
        put_u64(info, at::MOD_LEN, plan.initrd.bytes);
        put_u32(info, at::FLAGS, flags);
    }
    let cmdline = plan.cmdline.as_bytes();
    info[at::CMD_LINE..at::CMD_LINE + cmdline.len()].copy_from_slice(cmdline);
    pages
}

/// Registers as "Start-of-day memory layout" and the kernel's notes want them.
pub(super) fn vcpu_context(plan: &Plan, live: &Live<'_>) -> Box<[u8; VCPU_CONTEXT_BYTES]> {
    let mut context = Box::new([0; VCPU_CONTEXT_BYTES]);
    let stack_top = plan.vaddr(plan.stack) + PAGE_BYTES;
    let fields = [
        (vcpu::FLAGS, vcpu::KERNEL_ONLINE),
        (vcpu::RSI, plan.vaddr(plan.start_info)),
        (vcpu::RIP, plan.entry),
        (vcpu::RFLAGS, vcpu::INTERRUPTS),
        (vcpu::RSP, stack_top),
        // These two are 16 bits wide, followed by padding.
        (vcpu::CS, vcpu::FLAT_CS),
        (vcpu::SS, vcpu::FLAT_SS),
        (vcpu::KERNEL_SS, vcpu::FLAT_SS),
        (vcpu::KERNEL_SP, stack_top),
        (vcpu::CR3, mfn(live, plan.top_table()) * PAGE_BYTES),
        (vcpu::DR6, vcpu::DR6_RESET),
        (vcpu::DR7, vcpu::DR7_RESET),
    ];
    for (offset, value) in fields {
        put_u64(&mut context[..], offset, value);
    }
    context
}
