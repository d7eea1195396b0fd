//! Users are resolved as by other OCI runtimes.

use proptest::prelude::*;

use super::*;

const PASSWD_FILE: &str = "\
root:x:0:0:root:/root:/bin/sh
# a comment
broken
app:x:1000:1001:App:/home/app:/bin/sh
nohome:x:7:8
huge:x:4294967295:0::/:/bin/sh
";
const GROUP_FILE: &str = "\
root:x:0:
app:x:1001:
audio:x:29:app,other
video:x:44:other,app
games:x:60:application
";

fn resolved(user: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
    let user = resolve_in(user, PASSWD_FILE, GROUP_FILE).map_err(|e| e.to_string())?;
    let groups = user.groups.iter().map(|gid| gid.as_raw()).collect();
    Ok((user.uid.as_raw(), user.gid.as_raw(), groups, user.home))
}

#[test]
fn users_and_groups() {
    let table: [(&str, u32, u32, &[u32], &str); 11] = [
        ("", 0, 0, &[], "/root"),
        ("root", 0, 0, &[], "/root"),
        ("app", 1000, 1001, &[29, 44], "/home/app"),
        ("1000", 1000, 1001, &[29, 44], "/home/app"),
        ("app:", 1000, 1001, &[29, 44], "/home/app"),
        ("app:audio", 1000, 29, &[], "/home/app"),
        ("app:5000", 1000, 5000, &[], "/home/app"),
        (":audio", 0, 29, &[], "/root"),
        ("1234", 1234, 0, &[], "/"),
        ("1234:1234", 1234, 1234, &[], "/"),
        ("nohome", 7, 8, &[], "/"),
    ];
    for (user, uid, gid, groups, home) in table {
        assert_eq!(
            resolved(user),
            Ok((uid, gid, groups.to_vec(), home.to_owned())),
            "{user:?}"
        );
    }
}

#[test]
fn what_cannot_be_resolved_says_why() {
    for (user, message) in [
        ("nobody", "the image has no user \"nobody\" in /etc/passwd"),
        ("huge", "the image has no user \"huge\" in /etc/passwd"),
        (
            "app:wheel",
            "the image has no group \"wheel\" in /etc/group",
        ),
        ("4294967295", "the id 4294967295 is above 2147483647"),
        (
            "99999999999999",
            "the id 99999999999999 is above 2147483647",
        ),
        ("app:4294967295", "the id 4294967295 is above 2147483647"),
        ("-1", "the image has no user \"-1\" in /etc/passwd"),
    ] {
        assert_eq!(resolved(user), Err(message.to_owned()), "{user:?}");
    }
}

#[test]
fn an_image_without_databases_runs_as_root_or_a_number() {
    assert!(resolve_in("", "", "").is_ok());
    assert!(resolve_in("65532:65532", "", "").is_ok());
    assert!(resolve_in("app", "", "").is_err());
}

proptest! {
    #[test]
    fn arbitrary_databases_never_panic(user in ".{0,12}", passwd in "[a:0-9\n,]{0,80}", group in "[a:0-9\n,]{0,80}") {
        let _ = resolve_in(&user, &passwd, &group);
    }
}
