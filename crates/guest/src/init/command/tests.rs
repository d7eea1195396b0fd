//! Commands are found as `execvp` finds them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;

use rustix::fs::{Gid, Uid};

use super::*;

#[test]
fn commands_are_found_in_path_order() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for (path, mode) in [
        ("a/plain", 0o644),
        ("b/plain", 0o755),
        ("a/only-plain", 0o644),
        ("a/both", 0o755),
        ("b/both", 0o755),
    ] {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), "").unwrap();
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all(at("a/dir")).unwrap();
    let path = format!(":{}:/nowhere:{}", at("a").display(), at("b").display());
    let absolute = |name: &str| at(name).display().to_string();
    let table = [
        ("both".to_owned(), Ok(at("a/both"))),
        ("plain".into(), Ok(at("b/plain"))),
        ("only-plain".into(), Err(Problem::NotExecutable)),
        ("dir".into(), Err(Problem::NotInPath)),
        ("missing".into(), Err(Problem::NotInPath)),
        (absolute("b/plain"), Ok(at("b/plain"))),
        (absolute("a/plain"), Err(Problem::NotExecutable)),
        (absolute("a/dir"), Err(Problem::NotExecutable)),
        (absolute("a/none"), Err(Problem::NoFile)),
    ];
    for (command, expected) in table {
        assert_eq!(find(&command, &path), expected, "{command}");
    }
    assert_eq!(Problem::NotInPath.exit_code(), 127);
    assert_eq!(Problem::NotExecutable.exit_code(), 126);
}

#[test]
fn what_execve_says_becomes_a_shells_exit_code() {
    for (errno, code) in [
        (libc::ENOENT, 127),
        (libc::EACCES, 126),
        (libc::ENOEXEC, 126),
        (libc::E2BIG, 126),
    ] {
        assert_eq!(exit_code_of(&io::Error::from_raw_os_error(errno)), code);
    }
}

#[test]
fn the_environment_is_completed_not_changed() {
    let user = User {
        uid: Uid::ROOT,
        gid: Gid::ROOT,
        groups: Vec::new(),
        home: "/root".into(),
    };
    let mut config = LaunchConfig {
        hostname: "web".into(),
        rootfs_device: "/dev/xvda".into(),
        rootfs_type: "squashfs".into(),
        argv: vec!["x".into()],
        env: Vec::new(),
        working_dir: String::new(),
        user: String::new(),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        environment(&config, &user),
        [
            pair("PATH", DEFAULT_PATH),
            pair("HOME", "/root"),
            pair("HOSTNAME", "web")
        ]
    );
    config.env = vec![pair("HOME", "/srv"), pair("PATH", ""), pair("HOSTNAME", "")];
    assert_eq!(environment(&config, &user), config.env);
    assert_eq!(path_of(&[pair("PATH", "/a"), pair("PATH", "/b")]), "/b");
}
