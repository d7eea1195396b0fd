//! What a kernel tells Xen about itself in its ELF notes.
//!
//! Numbers and meanings are those of Xen's `elfnote.h`.

use super::KernelError;
use super::bytes::{u16_at, u32_at, u64_at};

const ENTRY: u32 = 1;
const HYPERCALL_PAGE: u32 = 2;
const VIRT_BASE: u32 = 3;
const PADDR_OFFSET: u32 = 4;
const XEN_VERSION: u32 = 5;
const GUEST_OS: u32 = 6;
const GUEST_VERSION: u32 = 7;
const FEATURES: u32 = 10;
const INIT_P2M: u32 = 15;
const MOD_START_PFN: u32 = 16;
const SUPPORTED_FEATURES: u32 = 17;
const PHYS32_ENTRY: u32 = 18;

/// Longest text of a note.
const MAX_TEXT_BYTES: usize = 1024;

/// Features (`features.h`) that a PV guest without privileges does not get.
const NOT_FOR_PV: [&str; 3] = ["auto_translated_physmap", "supervisor_mode_kernel", "dom0"];

/// Xen's notes of a kernel. What a kernel does not say is None, or the default
/// that `elfnote.h` states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XenNotes {
    /// Virtual entry point of a PV guest.
    pub entry: Option<u64>,
    /// Virtual address of the page for hypercall stubs. Linux has not asked for
    /// one since 6.13 (and its stable branches since December 2024).
    pub hypercall_page: Option<u64>,
    /// Virtual address onto which guest page 0 is mapped.
    pub virt_base: u64,
    /// What is to be subtracted from the ELF image's physical addresses.
    pub paddr_offset: u64,
    /// `xen-3.0`, always.
    pub xen_version: Option<String>,
    /// Name of the operating system.
    pub guest_os: Option<String>,
    /// Version of the operating system.
    pub guest_version: Option<String>,
    /// Names of features divided by `|`; those that are required begin with `!`.
    pub features: Option<String>,
    /// Supported features as bits (`XENFEAT_*`).
    pub supported_features: u64,
    /// Virtual address at which the list of frames is to be mapped.
    pub init_p2m: Option<u64>,
    /// Whether an initrd may lie outside of the initial mapping.
    pub mod_start_pfn: bool,
    /// Physical entry point of a PVH guest.
    pub phys32_entry: Option<u32>,
}

impl XenNotes {
    /// Whether the kernel requires a feature that PV guests do not have.
    pub(super) fn requires_more_than_pv(&self) -> bool {
        let features = self.features.as_deref().unwrap_or_default();
        features
            .split('|')
            .filter_map(|feature| feature.strip_prefix('!'))
            .any(|feature| NOT_FOR_PV.contains(&feature))
    }

    /// Takes one note in. Unknown types are left out.
    pub(super) fn read(&mut self, kind: u32, value: &[u8]) -> Result<(), KernelError> {
        let bad = KernelError::BadNote { kind };
        match kind {
            ENTRY => self.entry = Some(number(value).ok_or(bad)?),
            HYPERCALL_PAGE => self.hypercall_page = Some(number(value).ok_or(bad)?),
            VIRT_BASE => self.virt_base = number(value).ok_or(bad)?,
            PADDR_OFFSET => self.paddr_offset = number(value).ok_or(bad)?,
            XEN_VERSION => self.xen_version = Some(text(value).ok_or(bad)?),
            GUEST_OS => self.guest_os = Some(text(value).ok_or(bad)?),
            GUEST_VERSION => self.guest_version = Some(text(value).ok_or(bad)?),
            FEATURES => self.features = Some(text(value).ok_or(bad)?),
            INIT_P2M => self.init_p2m = Some(number(value).ok_or(bad)?),
            MOD_START_PFN => self.mod_start_pfn = number(value).ok_or(bad)? != 0,
            SUPPORTED_FEATURES => self.supported_features = number(value).ok_or(bad)?,
            PHYS32_ENTRY => {
                let entry = number(value).and_then(|entry| u32::try_from(entry).ok());
                self.phys32_entry = Some(entry.ok_or(bad)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// "Numeric types are either 4 or 8 bytes"; Xen itself takes shorter ones too.
fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        1 => Some(u64::from(value[0])),
        2 => u16_at(value, 0).map(u64::from),
        4 => u32_at(value, 0).map(u64::from),
        8 => u64_at(value, 0),
        _ => None,
    }
}

/// Printable ASCII up to the first NUL.
fn text(value: &[u8]) -> Option<String> {
    let text = value.split(|byte| *byte == 0).next()?;
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    (text.len() <= MAX_TEXT_BYTES && text.iter().all(printable))
        .then(|| String::from_utf8_lossy(text).into_owned())
}
