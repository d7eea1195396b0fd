//! What is pure in the adapter; domains themselves are tested on real Xen.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;
use xenios_core::fake::guest;
use xenios_core::port::{DomainOrder, Rootfs};
use xenios_core::{Exit, GuestId};
use xenios_xen::{DomId, DomainState, Shutdown};

use super::watch::changed;
use super::{exit, launch_archive};

#[test]
fn an_end_is_believed_only_in_its_exact_form() {
    assert_eq!(exit(b"code 7"), Some(Exit::Code(7)));
    assert_eq!(exit(b"signal 9"), Some(Exit::Signal(9)));
    let failed = Exit::Lost("no such file".to_owned());
    assert_eq!(exit(b"failed no such file"), Some(failed));
    for node in [&b""[..], b"code 7\n", b"code 256", b"code -1", b"\xff"] {
        assert_eq!(exit(node), None, "{node:?}");
    }
}

#[test]
fn a_guest_is_launched_with_the_image_config_under_the_spec() {
    let guest = guest("a", "web", 1);
    let rootfs = Rootfs {
        path: PathBuf::from("/nowhere"),
        pull: Duration::ZERO,
        pack: Duration::ZERO,
    };
    let order = DomainOrder {
        id: guest.id,
        name: &guest.name,
        spec: &guest.spec,
        rootfs: &rootfs,
    };
    let archive = launch_archive(&order).unwrap();
    assert_eq!(archive.len() % 4, 0);
    let text = String::from_utf8_lossy(&archive);
    for part in [
        r#""hostname":"web""#,
        r#""rootfs_device":"/dev/xvda""#,
        r#"["/bin/sh","-c","echo \"$0\"",""]"#,
        r#"["PATH","/bin"]"#,
    ] {
        assert!(text.contains(part), "{part} is missing");
    }
    assert!(
        !text.contains(r#"["LOG_LEVEL","image"]"#),
        "the spec's env wins"
    );
}

#[test]
fn only_guests_whose_domains_changed_are_woken() {
    let key = |n: u16| (Uuid::from_u128(u128::from(n)), DomId::new(n).unwrap());
    let before = HashMap::from([
        (key(1), DomainState::Running),
        (key(2), DomainState::Running),
        (key(3), DomainState::Running),
    ]);
    let now = HashMap::from([
        (key(1), DomainState::Running),
        (key(2), DomainState::Shutdown(Shutdown::Crash)),
        (key(4), DomainState::Paused),
    ]);
    let mut woken = changed(&before, &now);
    woken.sort();
    let expected = [2, 3, 4].map(|n| GuestId::from(Uuid::from_u128(n)));
    assert_eq!(woken, expected);
    assert!(changed(&now, &now).is_empty());
}
