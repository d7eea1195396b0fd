//! The launch config crosses from host to guest: golden text, strict reading.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::*;

fn config() -> LaunchConfig {
    LaunchConfig {
        hostname: "web".into(),
        rootfs_device: "/dev/xvda".into(),
        rootfs_type: "squashfs".into(),
        argv: vec!["/bin/sh".into(), "-c".into(), "echo \"hi\"".into()],
        env: vec![("TOKEN".into(), "s3cret".into())],
        working_dir: "/srv".into(),
        user: "app:app".into(),
    }
}

const GOLDEN: &str = concat!(
    r#"{"version":1,"launch":{"hostname":"web","rootfs_device":"/dev/xvda","#,
    r#""rootfs_type":"squashfs","argv":["/bin/sh","-c","echo \"hi\""],"#,
    r#""env":[["TOKEN","s3cret"]],"working_dir":"/srv","user":"app:app"}}"#,
);

#[test]
fn the_text_is_golden_and_reads_back() {
    assert_eq!(String::from_utf8(config().to_json()).unwrap(), GOLDEN);
    assert_eq!(
        LaunchConfig::from_json(GOLDEN.as_bytes()).unwrap(),
        config()
    );
}

#[test]
fn the_archive_is_what_the_cpio_tool_reads() {
    let archive = config().to_cpio();
    assert_eq!(archive.len() % 4, 0);
    assert_eq!(archive, config().to_cpio());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("launch.cpio");
    std::fs::write(&file, &archive).unwrap();
    let Ok(listing) = std::process::Command::new("cpio")
        .args(["-itv", "--quiet", "-F"])
        .arg(&file)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
    else {
        return; // No cpio on this machine; the bytes are tested beside the writer.
    };
    let listing = String::from_utf8(listing.stdout).unwrap();
    let lines: Vec<Vec<&str>> = listing
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 2, "{listing}");
    assert_eq!((lines[0][0], lines[0][8]), ("drwx------", "xenios"));
    assert_eq!(
        (lines[1][0], lines[1][8]),
        ("-rw-------", "xenios/launch.json")
    );
    assert_eq!(lines[1][4], GOLDEN.len().to_string());
}

#[test]
fn bad_fields_are_named() {
    type Break = fn(&mut LaunchConfig);
    let table: [(Break, &str); 13] = [
        (|c| c.hostname.clear(), "hostname"),
        (|c| c.hostname = "x".repeat(65), "hostname"),
        (|c| c.rootfs_device = "xvda".into(), "rootfs_device"),
        (|c| c.rootfs_device = "/dev/../etc".into(), "rootfs_device"),
        (|c| c.rootfs_type = "ext4".into(), "rootfs_type"),
        (|c| c.argv.clear(), "argv"),
        (|c| c.argv[0].clear(), "argv"),
        (|c| c.argv.push("a\0b".into()), "argv"),
        (|c| c.env.push(("A=B".into(), String::new())), "env"),
        (|c| c.env.push((String::new(), String::new())), "env"),
        (|c| c.env.push(("A".into(), "\0".into())), "env"),
        (|c| c.working_dir = "srv".into(), "working_dir"),
        (|c| c.user = "\0".into(), "user"),
    ];
    for (breaks, name) in table {
        let mut broken = config();
        breaks(&mut broken);
        for error in [
            broken.check().unwrap_err(),
            LaunchConfig::from_json(&broken.to_json()).unwrap_err(),
        ] {
            assert!(
                matches!(error, LaunchError::Field { field, .. } if field == name),
                "{name}: {error}"
            );
        }
    }
    assert!(config().check().is_ok());
}

#[test]
fn other_texts_are_refused() {
    let newer = br#"{"version":2,"launch":{"cgroup":"x"}}"#;
    assert!(matches!(
        LaunchConfig::from_json(newer),
        Err(LaunchError::Version(2))
    ));
    let unknown = GOLDEN.replace("\"user\"", "\"usr\"");
    assert!(matches!(
        LaunchConfig::from_json(unknown.as_bytes()),
        Err(LaunchError::Malformed { .. })
    ));
    let mut long = config();
    long.argv.push("x".repeat(MAX_LAUNCH_BYTES));
    assert!(matches!(long.check(), Err(LaunchError::TooLong)));
    assert!(matches!(
        LaunchConfig::from_json(&long.to_json()),
        Err(LaunchError::TooLong)
    ));
}

#[test]
fn values_of_the_environment_are_never_shown() {
    assert!(!format!("{:?}", config()).contains("s3cret"));
    let wrong_type = GOLDEN.replace(r#"[["TOKEN","s3cret"]]"#, r#""s3cret""#);
    let error = LaunchConfig::from_json(wrong_type.as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = LaunchConfig::from_json(&bytes);
    }

    #[test]
    fn every_good_config_reads_back(
        argv in proptest::collection::vec("[^\0]{1,20}", 1..5),
        env in proptest::collection::vec(("[^\0=]{1,10}", "[^\0]{0,20}"), 0..5),
    ) {
        let config = LaunchConfig { argv, env, ..config() };
        prop_assert_eq!(LaunchConfig::from_json(&config.to_json()).unwrap(), config);
    }
}
