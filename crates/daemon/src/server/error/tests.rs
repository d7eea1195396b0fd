//! Codes and details, as the contract's comments promise them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tonic::{Code, Status};
use tonic_types::StatusExt;
use xenios_core::port::StoreError;
use xenios_core::{ErrorKind, PortError, Refusal};

use super::CallError;

fn refusal(policy: &str, field: &str, policy_error: bool) -> Refusal {
    Refusal {
        policy: policy.to_owned(),
        rule: "max-vcpus".to_owned(),
        field: field.to_owned(),
        reason: "9 is more than 4".to_owned(),
        policy_error,
    }
}

#[test]
fn refusals_are_all_in_the_details() {
    let all = vec![refusal("size", "vcpus", false), refusal("other", "", false)];
    let status = Status::from(CallError::Refused(all));
    assert_eq!(status.code(), Code::PermissionDenied);
    let violations = status
        .get_details_precondition_failure()
        .unwrap()
        .violations;
    let shown: Vec<_> = violations
        .iter()
        .map(|v| (&*v.r#type, &*v.subject, &*v.description))
        .collect();
    let expected = [
        ("policy", "size", "max-vcpus (vcpus): 9 is more than 4"),
        ("policy", "other", "max-vcpus: 9 is more than 4"),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_policy_that_could_not_answer_is_the_operators_matter() {
    let all = vec![refusal("a", "", false), refusal("b", "", true)];
    let status = Status::from(CallError::Refused(all));
    assert_eq!(status.code(), Code::FailedPrecondition);
    let violations = status
        .get_details_precondition_failure()
        .unwrap()
        .violations;
    assert_eq!(violations[0].r#type, "policy");
    assert_eq!(violations[1].r#type, "policy-error");
}

#[test]
fn kinds_become_codes_and_causes_stay_here() {
    let cases = [
        (ErrorKind::Transient, Code::Unavailable, true),
        (ErrorKind::Exhausted, Code::ResourceExhausted, true),
        (ErrorKind::NotFound, Code::NotFound, false),
        (ErrorKind::Permanent, Code::InvalidArgument, false),
    ];
    for (kind, code, retry) in cases {
        let error = PortError::new(kind, "no such image").caused_by("/secret/path");
        let status = Status::from(CallError::Unpinned {
            field: "image",
            error,
        });
        assert_eq!(status.code(), code, "{kind:?}");
        assert!(status.message().contains("image: no such image"));
        assert!(!status.message().contains("secret"));
        assert_eq!(status.get_details_retry_info().is_some(), retry);
    }
    let store = StoreError::Failed(PortError::new(ErrorKind::Transient, "the store"));
    assert_eq!(
        Status::from(CallError::from(store)).code(),
        Code::Unavailable
    );
    let none = Status::from(CallError::from(StoreError::NotFound));
    assert_eq!(none.code(), Code::NotFound);
}

#[test]
fn an_answer_always_fits_into_headers() {
    let all: Vec<_> = (0..200)
        .map(|number| Refusal {
            reason: "é".repeat(250),
            ..refusal(&format!("policy-{number}"), "vcpus", false)
        })
        .collect();
    let status = Status::from(CallError::Refused(all));
    let headers = status.clone().into_http::<()>();
    let bytes: usize = headers
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum();
    assert!(bytes < 8 * 1024, "{bytes}");
    let violations = status
        .get_details_precondition_failure()
        .unwrap()
        .violations;
    let last = &violations[violations.len() - 1].description;
    let told = violations.len() - 1;
    assert_eq!(*last, format!("{} more; a dry run shows all", 200 - told));
}
