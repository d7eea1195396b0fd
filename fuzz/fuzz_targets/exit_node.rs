//! The node in which a guest says how it ended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_guest::{Exit, MAX_EXIT_NODE};

fuzz_target!(|bytes: &[u8]| {
    match Exit::from_node(bytes) {
        Ok(exit) => {
            assert!(bytes.len() <= MAX_EXIT_NODE);
            if let Exit::Failed(why) = &exit {
                assert!(!why.contains(char::is_control));
            }
            let written = exit.to_node();
            assert!(written.len() <= MAX_EXIT_NODE);
            Exit::from_node(written.as_bytes()).expect("what was written can be read");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
