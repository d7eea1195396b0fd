//! Flags and files describe the same specs.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// The spec of a command line that begins with `xenios create`.
fn spec(line: &[&str]) -> Result<v1::GuestSpec, Failure> {
    let words = ["xenios", "create"].iter().chain(line);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Create(args) => from_args(&args),
        other => panic!("{other:?}"),
    }
}

fn entry(name: &str, value: &str) -> v1::EnvVar {
    v1::EnvVar {
        name: name.into(),
        value: value.into(),
    }
}

#[test]
fn all_flags() {
    let spec = spec(&[
        "r.example/app:1",
        "--name",
        "web",
        "--vcpus",
        "2",
        "--memory",
        "1GiB",
        "-e",
        "A=1",
        "--env",
        "B=x=y",
        "-e",
        "A=2",
        "--label",
        "team=x",
        "--kernel",
        "r.example/k:1",
        "--initrd",
        "r.example/i:1",
        "--user",
        "app:app",
        "--workdir",
        "/srv",
        "--entrypoint",
        "/bin/sh",
        "--entrypoint",
        "-c",
        "--virtualization",
        "pv",
        "--",
        "echo",
        "-n",
        "--rm",
    ])
    .unwrap();
    let expected = v1::GuestSpec {
        name: "web".into(),
        image: "r.example/app:1".into(),
        kernel: "r.example/k:1".into(),
        initrd: "r.example/i:1".into(),
        vcpus: 2,
        memory_mib: 1024,
        env: vec![entry("A", "2"), entry("B", "x=y")],
        entrypoint: vec!["/bin/sh".into(), "-c".into()],
        command: vec!["echo".into(), "-n".into(), "--rm".into()],
        working_dir: "/srv".into(),
        user: "app:app".into(),
        labels: [("team".to_owned(), "x".to_owned())].into(),
        virtualization: v1::Virtualization::Pv.into(),
    };
    assert_eq!(spec, expected);
}

#[test]
fn what_is_not_given_stays_unset() {
    let expected = v1::GuestSpec {
        image: "r.example/a".into(),
        ..v1::GuestSpec::default()
    };
    assert_eq!(spec(&["r.example/a"]).unwrap(), expected);
}

#[test]
fn files_of_both_formats_are_equal_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let toml = dir.path().join("spec.toml");
    fs::write(
        &toml,
        "image = 'r.example/a'\nvcpus = 2\nmemory_mib = 256\ncommand = ['x']\n\
         virtualization = 'pvh'\n[env]\nA = '1'\n[labels]\nk = 'v'\n",
    )
    .unwrap();
    let json = dir.path().join("spec");
    fs::write(
        &json,
        r#"{"image":"r.example/a","vcpus":2,"memory_mib":256,"command":["x"],
           "virtualization":"pvh","env":[{"name":"A","value":"1"}],"labels":{"k":"v"}}"#,
    )
    .unwrap();
    let (toml, json) = (toml.to_str().unwrap(), json.to_str().unwrap());
    let from_toml = spec(&["-f", toml]).unwrap();
    assert_eq!(from_toml, spec(&["-f", json]).unwrap());
    assert_eq!(from_toml.vcpus, 2);
    assert_eq!(from_toml.env, [entry("A", "1")]);

    let merged = spec(&[
        "r.example/b",
        "-f",
        toml,
        "--vcpus",
        "4",
        "-e",
        "A=2",
        "-e",
        "B=3",
    ]);
    let expected = v1::GuestSpec {
        image: "r.example/b".into(),
        vcpus: 4,
        env: vec![entry("A", "2"), entry("B", "3")],
        ..from_toml
    };
    assert_eq!(merged.unwrap(), expected);
}

#[test]
fn bad_files_say_where_and_never_quote_values() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, message) in [
        (
            "a.toml",
            "image = 'a'\nvcpu = 2\n",
            "line 2: unknown field `vcpu`",
        ),
        ("b.toml", "[env]\nTOKEN = s3cret\n", "line 2"),
        (
            "c.json",
            r#"{"image":"a","env":"s3cret"}"#,
            "env must be a table",
        ),
        (
            "d.json",
            r#"{"virtualization":"hvm"}"#,
            "unknown variant `hvm`",
        ),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        let error = spec(&["-f", path.to_str().unwrap()]).unwrap_err();
        assert_eq!(error.exit_code(), 4, "{name}");
        let error = error.to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let missing = spec(&["-f", "/nowhere/spec.toml"]).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/spec.toml"));
}

#[test]
fn a_variable_is_passed_on_by_name() {
    let path = env::var("PATH").unwrap();
    assert_eq!(
        spec(&["a", "-e", "PATH"]).unwrap().env,
        [entry("PATH", &path)]
    );
    let error = spec(&["a", "-e", "XENIOS_NO_SUCH_VARIABLE"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn lines_that_are_refused() {
    for line in [
        &["create"][..],
        &["create", "a", "--memory", "12kB"],
        &["create", "a", "--label", "novalue"],
        &["create", "a", "--virtualization", "hvm"],
        &["create", "a", "command-without-dashes"],
        &["run", "a", "--rm", "-d"],
        &["rm"],
        &["ls", "-o", "yaml"],
    ] {
        let parsed = Cli::try_parse_from(["xenios"].iter().chain(line));
        assert_eq!(parsed.unwrap_err().exit_code(), 2, "{line:?}");
    }
}
