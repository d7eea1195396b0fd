//! What was judged is what boots.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use xenios_core::{BootFile, ErrorKind};

use super::{BootError, HostFile, read_bounded};

#[test]
fn a_file_that_was_replaced_no_longer_serves_what_was_judged() {
    let before = HostFile::new(Path::new("/boot/initrd"), b"before", b"before".to_vec());
    let after = HostFile::new(Path::new("/boot/initrd"), b"after", b"after".to_vec());
    let BootFile::HostDefault { name, digest } = before.pinned() else {
        panic!("not the host's");
    };
    assert_eq!(name, "initrd");
    assert_eq!(*before.get("initrd", &digest).unwrap(), b"before");
    let error = after.get("initrd", &digest).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permanent);
    assert!(error.message.contains("replaced"), "{}", error.message);
}

#[test]
fn a_file_is_read_only_up_to_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, b"12345").unwrap();
    assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
    let error = read_bounded(&path, 4).unwrap_err();
    assert!(matches!(error, BootError::TooLarge { limit: 4, .. }));
}
