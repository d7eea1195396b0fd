//! The Unix socket's place in the file system.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::os::unix::fs::PermissionsExt;

use super::{ListenError, bind_unix};

#[tokio::test]
async fn a_stale_socket_is_replaced_and_the_mode_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/x.sock");
    drop(bind_unix(&path).await.unwrap());
    assert!(path.exists(), "a dropped listener leaves its socket");
    let _listener = bind_unix(&path).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[tokio::test]
async fn what_is_in_use_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("x.sock");
    let _listener = bind_unix(&socket).await.unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    for path in [socket, file.clone()] {
        let error = bind_unix(&path).await.unwrap_err();
        assert!(matches!(error, ListenError::UnixInUse { .. }), "{error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}
