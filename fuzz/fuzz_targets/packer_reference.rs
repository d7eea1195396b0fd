//! An image reference as the packer reads it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_packer::{PinnedReference, Reference};

fuzz_target!(|text: &str| {
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string().parse(), Ok(reference));
    }
    if let Ok(pinned) = text.parse::<PinnedReference>() {
        assert_eq!(pinned.to_string().parse(), Ok(pinned));
    }
});
