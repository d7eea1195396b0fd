//! Whole commands against a daemon in memory: what is printed where, and the
//! exit code.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fake;

use std::path::PathBuf;

use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};
use xenios_api::v1;
use xenios_api::v1::exit::How;

use self::fake::Fake;
use super::*;
use crate::view::tests::{exited, refused_plan, running};

struct Bed {
    fake: Fake,
    socket: PathBuf,
    _dir: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
struct Done {
    code: u8,
    out: String,
    err: String,
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let fake = Fake::default();
        fake.serve(&socket);
        Self {
            fake,
            socket,
            _dir: dir,
        }
    }

    /// Does what `main` does, with its own streams.
    async fn xenios(&self, line: &[&str]) -> Done {
        let endpoint = format!("unix://{}", self.socket.display());
        let start = ["xenios", "--config", "/dev/null", "--endpoint", &endpoint];
        let cli = Cli::try_parse_from(start.iter().chain(line)).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output {
            out: &mut out,
            err: &mut err,
            format: cli.output,
        };
        let code = match connect_and_execute(cli, &mut output).await {
            Ok(code) => code,
            Err(failure) => {
                output.failure(&failure);
                failure.exit_code()
            }
        };
        Done {
            code,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }
}

fn ended(how: How) -> v1::GuestStatus {
    exited("x", how).status.unwrap()
}

#[tokio::test]
async fn run_shows_the_console_clean_and_returns_the_guests_code() {
    let bed = Bed::new();
    bed.fake.state().console = "hi\r\n\x1b[31mr\u{fc}\x1b[0m\x1b[2J\n".into();
    bed.fake.state().end = ended(How::Code(7));
    let done = bed
        .xenios(&["run", "r.example/a", "--name", "web", "--", "x"])
        .await;
    assert_eq!((done.code, done.err.as_str()), (7, ""), "{done:?}");
    assert_eq!(done.out, "hi\nr\u{fc}\\x1b[2J\n");
    let state = bed.fake.state();
    assert_eq!(state.created[0].command, ["x"]);
    assert_eq!(state.guests.len(), 1);
}

#[tokio::test]
async fn run_maps_every_end() {
    let failed = v1::GuestStatus {
        phase: v1::Phase::Failed.into(),
        error: "no memory".into(),
        ..v1::GuestStatus::default()
    };
    for (end, code, message) in [
        (ended(How::Code(0)), 0, ""),
        (ended(How::Code(255)), 255, ""),
        (ended(How::Signal(9)), 137, ""),
        (
            ended(How::Lost("crash".into())),
            1,
            "without an exit code: crash",
        ),
        (ended(How::Code(-1)), 1, "does not know"),
        (failed, 1, "could not be run: no memory"),
    ] {
        let bed = Bed::new();
        bed.fake.state().end = end;
        let done = bed.xenios(&["run", "r.example/a"]).await;
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.err.contains(message), "{done:?}");
    }
}

#[tokio::test]
async fn run_goes_on_where_a_lost_connection_ended() {
    let bed = Bed::new();
    bed.fake.state().console = b"0123456789".to_vec();
    bed.fake.state().breaks_at = Some(4);
    bed.fake.state().end = ended(How::Code(0));
    let done = bed.xenios(&["run", "r.example/a"]).await;
    assert_eq!((done.code, done.out.as_str()), (0, "0123456789"));
    assert!(done.err.contains("trying again"), "{done:?}");
    assert_eq!(bed.fake.state().offsets, [0, 4, 10]);
}

#[tokio::test]
async fn run_removes_when_asked_and_detaches() {
    let bed = Bed::new();
    bed.fake.state().end = ended(How::Code(3));
    let done = bed.xenios(&["run", "r.example/a", "--rm"]).await;
    assert_eq!(done.code, 3, "{done:?}");
    assert_eq!(bed.fake.state().guests, []);

    let done = bed.xenios(&["run", "r.example/a", "-d"]).await;
    assert_eq!((done.code, done.out.as_str()), (0, "id-0\n"));
}

#[tokio::test]
async fn run_tells_programs_everything_in_lines() {
    let bed = Bed::new();
    bed.fake.state().console = b"abcd".to_vec();
    bed.fake.state().end = ended(How::Code(0));
    let done = bed.xenios(&["-o", "json", "run", "r.example/a"]).await;
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!(lines[0], r#"{"console":{"offset":0,"data":"YWJj"}}"#);
    assert_eq!(lines[1], r#"{"console":{"offset":3,"data":"ZA=="}}"#);
    assert!(lines[2].starts_with(r#"{"guest":{"id":"id-0""#), "{done:?}");
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn create_says_what_policies_did_without_values() {
    let bed = Bed::new();
    bed.fake.state().plan = refused_plan();
    let done = bed.xenios(&["create", "r.example/a"]).await;
    assert_eq!((done.code, done.out.as_str()), (0, "id-0\n"));
    assert_eq!(
        done.err,
        "xenios: policy defaults added env[LOG_LEVEL]\n\
         xenios: policy defaults changed memory_mib\n\
         xenios: warning: the image is old\n"
    );
}

#[tokio::test]
async fn refusals_have_their_own_exit_codes() {
    for (code, kind, exit) in [
        (Code::PermissionDenied, "policy", 6),
        (Code::FailedPrecondition, "policy-error", 7),
    ] {
        let bed = Bed::new();
        let violation =
            PreconditionViolation::new(kind, "images", "unsigned (image): no signature");
        let details = ErrorDetails::with_precondition_failure(vec![violation]);
        let status = Status::with_error_details(code, "no", details);
        bed.fake.state().refuses = Some(status.clone());
        let done = bed.xenios(&["run", "r.example/a"]).await;
        assert_eq!((done.code, done.out.as_str()), (exit, ""));
        assert!(
            done.err
                .contains("\n  images: unsigned (image): no signature\n"),
            "{done:?}"
        );

        bed.fake.state().refuses = Some(status);
        let done = bed.xenios(&["create", "r.example/a", "-o", "json"]).await;
        let error: serde_json::Value = serde_json::from_str(&done.err).unwrap();
        assert_eq!(error["error"]["exit_code"], exit);
        assert_eq!(error["error"]["reasons"][0]["subject"], "images");
    }
}

#[tokio::test]
async fn plan_shows_the_judgement_and_its_exit_code() {
    let bed = Bed::new();
    bed.fake.state().plan = refused_plan();
    let done = bed.xenios(&["plan", "r.example/a"]).await;
    assert_eq!(done.code, 6);
    assert!(
        done.out
            .contains("size-limits  max-vcpus  vcpus  2 is more than 1\n"),
        "{done:?}"
    );
    assert!(done.err.contains("would be refused"), "{done:?}");

    bed.fake.state().plan.refusals[1].policy_error = true;
    let done = bed.xenios(&["-o", "json", "plan", "r.example/a"]).await;
    assert_eq!((done.code, done.err.as_str()), (7, ""));
    assert!(done.out.contains(r#""policy_error":true"#));

    bed.fake.state().plan.refusals.clear();
    assert_eq!(bed.xenios(&["plan", "r.example/a"]).await.code, 0);
    assert_eq!(bed.fake.state().guests, []);
}

#[tokio::test]
async fn lists_turn_every_page() {
    let bed = Bed::new();
    let done = bed.xenios(&["ls"]).await;
    assert_eq!((done.code, done.out.as_str()), (0, ""));
    bed.fake.state().guests = vec![running(), exited("web", How::Code(0)), running()];
    let done = bed.xenios(&["ls"]).await;
    assert_eq!(done.out.lines().count(), 4, "{done:?}");
    let done = bed.xenios(&["ls", "-o", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(list["guests"].as_array().unwrap().len(), 3);
    assert!(!done.out.contains('\u{202e}'), "{done:?}");
}

#[tokio::test]
async fn a_printed_spec_can_be_read_again() {
    let bed = Bed::new();
    bed.fake.state().guests = vec![running()];
    let done = bed.xenios(&["get", "db", "-o", "json"]).await;
    let guest: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let file = bed.socket.with_file_name("spec.json");
    std::fs::write(&file, guest["spec"].to_string()).unwrap();
    let done = bed.xenios(&["create", "-f", file.to_str().unwrap()]).await;
    assert_eq!(done.code, 0, "{done:?}");
    let state = bed.fake.state();
    assert_eq!(Some(&state.created[0]), state.guests[0].spec.as_ref());
}

#[tokio::test]
async fn logs_are_clean_unless_raw() {
    let bed = Bed::new();
    bed.fake.state().guests = vec![running()];
    bed.fake.state().console = b"a\x1b[2J\xff\r\n".to_vec();
    assert_eq!(bed.xenios(&["logs", "db"]).await.out, "a\\x1b[2J\\xff\n");
    bed.fake.state().console = b"a\x1b[2J\r\n".to_vec();
    assert_eq!(
        bed.xenios(&["logs", "db", "--raw"]).await.out,
        "a\x1b[2J\r\n"
    );
    bed.fake.state().end = ended(How::Code(9));
    let done = bed.xenios(&["logs", "db", "-f"]).await;
    assert_eq!((done.code, done.out.as_str()), (0, "a\\x1b[2J\n"));
    assert_eq!(bed.xenios(&["logs", "nobody"]).await.code, 3);
}

#[tokio::test]
async fn rm_goes_on_after_a_failure_and_waits() {
    let bed = Bed::new();
    bed.fake.state().guests = vec![running()];
    let done = bed.xenios(&["rm", "nobody", "db"]).await;
    assert_eq!((done.code, done.out.as_str()), (3, "db\n"), "{done:?}");
    assert_eq!(bed.fake.state().guests.len(), 1);
    let done = bed.xenios(&["rm", "--wait", "db"]).await;
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(bed.fake.state().guests, []);
}

#[tokio::test]
async fn watch_prints_lines_until_its_guest_is_gone() {
    let bed = Bed::new();
    let mut guest = running();
    guest.status.as_mut().unwrap().phase = v1::Phase::Deleting.into();
    bed.fake.state().guests = vec![guest.clone()];
    let done = bed.xenios(&["watch", "db"]).await;
    let id = &guest.id;
    assert_eq!(
        (done.code, done.out),
        (
            0,
            format!(
                "db                       deleting   {id}\n\
                 db                       deleted    {id}\n"
            )
        )
    );
    bed.fake.state().guests = vec![guest];
    let done = bed.xenios(&["-o", "json", "watch", "db"]).await;
    let lines: Vec<_> = done.out.lines().collect();
    assert_eq!(lines[1], r#"{"bookmark":{}}"#);
    assert_eq!(lines.len(), 3);
}

mod tls;
