//! Records come back as they were stored, and this version keeps its form.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use xenios_core::fake::pinned_spec;
use xenios_core::{DomId, Exit, Stage, State, Status};

use super::{RecordError, spec_from_json, spec_to_json, status_from_json, status_to_json};

#[test]
fn a_spec_comes_back_whole() {
    let spec = pinned_spec("web");
    assert_eq!(spec_from_json(&spec_to_json(&spec)).unwrap(), spec);
}

/// The form on disk. A change of it needs a new version and a reader of this one.
#[test]
fn the_form_of_a_status_is_fixed() {
    let mut status = Status {
        state: State::Exited {
            exit: Exit::Lost("crashed".to_owned()),
        },
        condemned: DomId::new(7),
        trouble: None,
        ..Status::default()
    };
    status
        .stages
        .record(Stage::Pull, std::time::Duration::from_micros(1500));
    let json = r#"{"v":1,"r":{"state":{"exited":{"exit":{"lost":"crashed"}}},"condemned":7,"trouble":null,"stages":{"pull":1500}}}"#;
    assert_eq!(status_to_json(&status), json);
    assert_eq!(status_from_json(json).unwrap(), status);
}

#[test]
fn what_is_not_a_record_is_an_error() {
    let newer = status_from_json(r#"{"v":2,"r":{"anything":1}}"#);
    assert!(matches!(newer, Err(RecordError::Version(2))));
    for json in [
        "",
        "{}",
        r#"{"v":1}"#,
        r#"{"v":1,"r":{"state":"preparing","condemned":0,"trouble":null,"stages":{}}}"#,
        r#"{"v":1,"r":{"state":"preparing","condemned":null,"trouble":null,"stages":{},"x":1}}"#,
    ] {
        assert!(status_from_json(json).is_err(), "{json}");
    }
    let bad = spec_to_json(&pinned_spec("web")).replace("\"vcpus\":2", "\"vcpus\":999");
    assert!(matches!(
        spec_from_json(&bad),
        Err(RecordError::Field("spec"))
    ));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        let _ = spec_from_json(&text);
        let _ = status_from_json(&text);
    }
}
