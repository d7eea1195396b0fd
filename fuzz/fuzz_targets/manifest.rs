//! A manifest or an index, and a config, of the same bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

include!("inside.rs");

fuzz_target!(|bytes: &[u8]| {
    for what in [error::Part::Manifest, error::Part::Index] {
        match manifest::parse(bytes, what) {
            Ok(manifest::Document::Manifest(manifest)) => {
                let _ = image::check_sizes(&manifest, &limits::Limits::default());
            }
            Ok(manifest::Document::Index(_)) => {}
            Err(fault) => assert!(!fault.to_string().contains(char::is_control)),
        }
    }
    for layers in 0..3 {
        if let Ok(config) = manifest::parse_config(bytes, layers) {
            assert_eq!(config.diff_ids.len(), layers);
        }
    }
});
