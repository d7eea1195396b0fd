//! The context of a PVH domain. It comes from Xen, which is trusted: this only looks
//! for a version of Xen that this crate would panic on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_xen::image::pvh::SavedContext;

fuzz_target!(|bytes: &[u8]| {
    let _ = SavedContext::parse(bytes);
});
