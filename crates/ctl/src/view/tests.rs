//! What is printed is a promise: golden texts.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use prost_types::Timestamp;

use super::*;

const IMAGE: &str =
    "r.example/app:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A guest that ran and ended.
pub(crate) fn exited(name: &str, how: v1::exit::How) -> v1::Guest {
    v1::Guest {
        id: "6f2d0f7e-0f2c-4f0e-9f52-5f2ad2f0a001".into(),
        spec: Some(v1::GuestSpec {
            name: name.into(),
            image: IMAGE.into(),
            vcpus: 2,
            memory_mib: 256,
            env: vec![v1::EnvVar {
                name: "TOKEN".into(),
                value: "s3cret".into(),
            }],
            command: vec!["/bin/sh".into(), "-c".into(), "echo it's".into()],
            labels: [("team".to_owned(), "x".to_owned())].into(),
            virtualization: v1::Virtualization::Pvh.into(),
            ..v1::GuestSpec::default()
        }),
        status: Some(v1::GuestStatus {
            phase: v1::Phase::Exited.into(),
            exit: Some(v1::Exit { how: Some(how) }),
            host: "bed".into(),
            stages: vec![v1::StageTime {
                stage: "pull".into(),
                micros: 120_500,
            }],
            ..v1::GuestStatus::default()
        }),
        create_time: Some(Timestamp {
            seconds: 1_790_000_000,
            nanos: 0,
        }),
    }
}

/// A guest that runs, with a hostile label.
pub(crate) fn running() -> v1::Guest {
    let mut guest = exited("db", v1::exit::How::Code(0));
    let status = guest.status.as_mut().unwrap();
    status.phase = v1::Phase::Running.into();
    status.exit = None;
    status.domid = Some(7);
    let spec = guest.spec.as_mut().unwrap();
    spec.labels = [("x\x1b[2J".to_owned(), "\u{202e}y\n".to_owned())].into();
    guest
}

/// A dry run that two policies changed and two refuse.
pub(crate) fn refused_plan() -> v1::CreateGuestResponse {
    let change = |field: &str, before: Option<&str>, after: Option<&str>| v1::FieldChange {
        field: field.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    let refusal = |policy: &str, rule: &str, field: &str, reason: &str| v1::Refusal {
        policy: policy.into(),
        rule: rule.into(),
        field: field.into(),
        reason: reason.into(),
        policy_error: false,
    };
    v1::CreateGuestResponse {
        guest: Some(v1::Guest {
            id: String::new(),
            ..exited("web", v1::exit::How::Code(0))
        }),
        changes: vec![v1::PolicyChanges {
            policy: "defaults".into(),
            changes: vec![
                change("env[LOG_LEVEL]", None, Some("info")),
                change("memory_mib", Some("128"), Some("256")),
            ],
        }],
        warnings: vec!["the image is old".into()],
        refusals: vec![
            refusal("size-limits", "max-vcpus", "vcpus", "2 is more than 1"),
            refusal("images", "unsigned", "", "no signature\x1b[31m"),
        ],
    }
}

#[test]
fn list_table() {
    let guests = [running(), exited("web", v1::exit::How::Signal(9))];
    assert_eq!(
        table::guests(&guests, 1_790_000_090),
        "\
NAME  ID                                    PHASE    IMAGE                         VCPUS  MEMORY   AGE  EXIT
db    6f2d0f7e-0f2c-4f0e-9f52-5f2ad2f0a001  running  r.example/app:1@0123456789ab  2      256 MiB  1m   -
web   6f2d0f7e-0f2c-4f0e-9f52-5f2ad2f0a001  exited   r.example/app:1@0123456789ab  2      256 MiB  1m   signal 9
"
    );
}

#[test]
fn guest_table_is_clean_and_hides_env_values() {
    let text = table::guest(&running());
    assert_eq!(
        text,
        format!(
            "\
Name:            db
Image:           {IMAGE}
VCPUs:           2
Memory:          256 MiB
Command:         /bin/sh -c 'echo it'\\''s'
Env:             TOKEN
Labels:          x\\x1b[2J=\\u{{202e}}y\\n
Virtualization:  pvh
ID:       6f2d0f7e-0f2c-4f0e-9f52-5f2ad2f0a001
Phase:    running
Host:     bed
Domain:   7
Created:  2026-09-21T14:13:20Z
Stages:   pull 120 ms
"
        )
    );
}

#[test]
fn plan_table() {
    let text = table::plan(&refused_plan());
    let (_, judgement) = text.split_once("\n\n").unwrap();
    assert_eq!(
        judgement,
        "\
Changed by policies:
POLICY    FIELD           BEFORE  AFTER
defaults  env[LOG_LEVEL]  -       info
defaults  memory_mib      128     256

Warnings:
the image is old

Refused:
POLICY       RULE       FIELD  REASON
size-limits  max-vcpus  vcpus  2 is more than 1
images       unsigned   -      no signature\\x1b[31m
"
    );
    let admitted = v1::CreateGuestResponse {
        changes: Vec::new(),
        warnings: Vec::new(),
        refusals: Vec::new(),
        ..refused_plan()
    };
    assert!(!table::plan(&admitted).contains("\n\n"));
}

#[test]
fn json_of_a_guest() {
    let guest = exited("web", v1::exit::How::Code(3));
    let text = serde_json::to_string_pretty(&json::Guest::from(&guest)).unwrap();
    assert_eq!(text, include_str!("golden/guest.json").trim_end());
}

#[test]
fn json_of_a_plan() {
    let plan = v1::CreateGuestResponse {
        guest: None,
        ..refused_plan()
    };
    let text = serde_json::to_string_pretty(&json::Created::from(&plan)).unwrap();
    assert_eq!(text, include_str!("golden/plan.json").trim_end());
}

#[test]
fn json_of_streams_is_one_line_each() {
    let guest = exited("web", v1::exit::How::Lost("crash".into()));
    let line = serde_json::to_string(&json::Event::guest(&guest)).unwrap();
    assert!(line.starts_with(r#"{"guest":{"id":"6f2d0f7e"#), "{line}");
    assert!(line.contains(r#""exit":{"lost":"crash"}"#), "{line}");
    for (event, expected) in [
        (json::Event::Bookmark {}, r#"{"bookmark":{}}"#),
        (
            json::Event::console(5, b"\x1b\xff"),
            r#"{"console":{"offset":5,"data":"G/8="}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
    }
}

#[test]
fn every_phase_has_a_word() {
    for (value, word) in [
        (v1::Phase::Unspecified, "unspecified"),
        (v1::Phase::Preparing, "preparing"),
        (v1::Phase::Running, "running"),
        (v1::Phase::Deleted, "deleted"),
    ] {
        assert_eq!(phase(value), word);
    }
}
