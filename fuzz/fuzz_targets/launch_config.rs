//! What a guest's init is to run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_guest::LaunchConfig;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = LaunchConfig::from_json(bytes) {
        // Escapes may make it longer than it came, and so too long.
        if config.check().is_ok() {
            assert!(config.to_cpio().len().is_multiple_of(4));
        }
    }
});
