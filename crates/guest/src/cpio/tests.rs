//! The archive is a wire format: compared byte for byte.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

#[test]
fn an_archive_is_these_bytes() {
    let mut cpio = Cpio::new();
    cpio.directory("d", 0o700);
    cpio.file("d/f", 0o600, b"hello");
    let expected = concat!(
        "070701",
        "00000001",
        "000041c0",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000002",
        "00000000",
        "d\0",
        "070701",
        "00000002",
        "00008180",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000005",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000004",
        "00000000",
        "d/f\0\0\0",
        "hello\0\0\0",
        "070701",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000001",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "00000000",
        "0000000b",
        "00000000",
        "TRAILER!!!\0\0\0\0",
    );
    assert_eq!(String::from_utf8(cpio.finish()).unwrap(), expected);
}
