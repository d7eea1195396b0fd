//! The bytes of xenstore's wire format, in both directions.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::*;

fn message(kind: u32, request: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let mut bytes: Vec<u8> = [kind, request, 0, length]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn a_write_is_these_bytes() {
    let bytes = encode_write("data/xenios/exit", "code 0").unwrap();
    let mut expected = vec![11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0, 0, 0];
    expected.extend_from_slice(b"data/xenios/exit\0code 0");
    assert_eq!(bytes, expected);
    let long = "x".repeat(MAX_PAYLOAD);
    assert!(matches!(
        encode_write("a", &long),
        Err(XenbusError::TooLong)
    ));
}

#[test]
fn answers_are_awaited_whole_and_events_skipped() {
    let mut stream = message(XS_WATCH_EVENT, 0, b"p\0t\0");
    stream.extend(message(XS_WRITE, REQUEST_ID, b"OK\0"));
    let mut received = Vec::new();
    let (last, first) = stream.split_last().unwrap();
    for byte in first {
        received.push(*byte);
        assert!(decode(&mut received).is_none());
    }
    received.push(*last);
    assert!(matches!(decode(&mut received), Some(Ok(()))));
}

#[test]
fn other_answers_are_errors() {
    let refused = decode(&mut message(XS_ERROR, REQUEST_ID, b"EACCES\0"));
    assert!(matches!(refused, Some(Err(XenbusError::Refused(name))) if name == "EACCES"));
    let hostile = decode(&mut message(XS_ERROR, REQUEST_ID, b"\x1b[2J\xff"));
    assert!(matches!(hostile, Some(Err(XenbusError::Refused(name))) if !name.contains('\x1b')));
    for mut other in [
        message(XS_WRITE, 7, b"OK\0"),
        message(2, REQUEST_ID, b""),
        message(XS_WRITE, REQUEST_ID, &[0; MAX_PAYLOAD + 1]),
    ] {
        assert!(matches!(
            decode(&mut other),
            Some(Err(XenbusError::Malformed))
        ));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode(&mut bytes);
    }
}
