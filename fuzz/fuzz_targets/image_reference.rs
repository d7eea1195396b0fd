//! An image reference as a spec has it. The packer must understand it too, in the same
//! way: policies judge the one, the packer follows the other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_core::ImageReference;
use xenios_packer::Reference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<ImageReference>() else {
        return;
    };
    let written = reference.to_string();
    assert_eq!(written.parse(), Ok(reference.clone()));
    let Ok(followed) = written.parse::<Reference>() else {
        return;
    };
    assert_eq!(followed.registry(), reference.registry());
    assert_eq!(followed.repository(), reference.repository());
    assert_eq!(followed.tag(), reference.tag());
});
