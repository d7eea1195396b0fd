//! What comes in on xenstored's socket, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The module is private, and needs nothing else of its crate.
#[allow(dead_code, unreachable_pub, reason = "only a part is used here")]
#[path = "../../crates/xen/src/xenstore/wire.rs"]
mod wire;

fuzz_target!(|bytes: &[u8]| {
    let mut received = bytes.to_vec();
    let mut taken = 0;
    while let Ok(Some(message)) = wire::decode(&mut received) {
        taken += 16 + message.payload.len();
        assert!(message.payload.len() <= wire::PAYLOAD_MAX);
    }
    assert_eq!(taken + received.len(), bytes.len(), "bytes went missing");
});
