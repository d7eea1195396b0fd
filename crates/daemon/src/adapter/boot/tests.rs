//! What was judged is what boots.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use xenios_core::fake::image_facts;
use xenios_core::{BootFile, ErrorKind, ImageFacts, PortError};

use super::{BootError, BootImages, HostFile, ImageFiles, read_bounded};

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

/// An image cache that holds one file, whatever is asked for.
struct OneFile(PathBuf);

impl BootImages for OneFile {
    fn kernel(&self, _: &ImageFacts) -> Result<PathBuf, PortError> {
        Ok(self.0.clone())
    }

    fn initrd(&self, _: &ImageFacts) -> Result<PathBuf, PortError> {
        Ok(self.0.clone())
    }
}

#[test]
fn a_kernel_that_is_none_is_a_clear_and_final_error_without_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernel");
    let files = ImageFiles::new(Arc::new(OneFile(path.clone())));
    let facts = image_facts(&"registry.example:5000/kernel:1".parse().unwrap());
    // The cache lost it: that may pass.
    let error = files.kernel(&facts).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient);
    for garbage in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0xff; 4096]] {
        std::fs::write(&path, garbage).unwrap();
        let error = files.kernel(&facts).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permanent);
        let message = error.message;
        assert!(message.contains("kernel"), "{message}");
        assert!(!message.contains(dir.path().to_str().unwrap()), "{message}");
    }
}
