//! Finding the compressed kernel within a bzImage.
//!
//! Offsets are those of Linux's `Documentation/arch/x86/boot.rst`. The real-mode
//! setup code in front of the payload is not looked at.

use super::KernelError;
use super::bytes::{range, u16_at, u32_at};

const SETUP_SECTS: usize = 0x1f1;
const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

const BOOT_FLAG_VALUE: u16 = 0xaa55;
const SECTOR_BYTES: u64 = 512;
/// The first protocol with the payload's place.
const MIN_VERSION: u16 = 0x0208;

/// The compressed payload of a bzImage.
pub(super) fn payload(bytes: &[u8]) -> Result<&[u8], KernelError> {
    let is_bzimage = u16_at(bytes, BOOT_FLAG) == Some(BOOT_FLAG_VALUE)
        && bytes.get(MAGIC..MAGIC + 4) == Some(b"HdrS".as_slice());
    if !is_bzimage {
        return Err(KernelError::UnknownFormat);
    }
    let header = KernelError::Truncated {
        what: "the bzImage setup header",
    };
    let (Some(version), Some(offset), Some(length), Some(&sectors)) = (
        u16_at(bytes, VERSION),
        u32_at(bytes, PAYLOAD_OFFSET),
        u32_at(bytes, PAYLOAD_LENGTH),
        bytes.get(SETUP_SECTS),
    ) else {
        return Err(header);
    };
    if version < MIN_VERSION {
        let [minor, major] = version.to_le_bytes();
        return Err(KernelError::OldBootProtocol { major, minor });
    }
    // Zero means four, for loaders older than the field. The boot sector itself
    // is not counted.
    let sectors = if sectors == 0 { 4 } else { u64::from(sectors) };
    let protected_mode = (sectors + 1) * SECTOR_BYTES;
    range(bytes, protected_mode + u64::from(offset), u64::from(length)).ok_or(
        KernelError::Truncated {
            what: "the compressed kernel",
        },
    )
}
