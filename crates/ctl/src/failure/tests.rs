//! Every answer of the daemon has an exit code, reasons and a next step.

use tonic_types::{ErrorDetails, PreconditionViolation};

use super::*;

fn refusal(code: Code, kind: &str) -> Status {
    let violations = vec![
        PreconditionViolation::new(kind, "size-limits", "max-vcpus (vcpus): 9 is more than 4"),
        PreconditionViolation::new(kind, "names", "prefix (name): \x1b[2Jno"),
    ];
    let details = ErrorDetails::with_precondition_failure(violations);
    Status::with_error_details(code, "refused by policy: everything again", details)
}

#[test]
fn exit_codes() {
    for (status, exit) in [
        (Status::not_found("x"), 3),
        (Status::invalid_argument("x"), 4),
        (Status::unavailable("x"), 5),
        (Status::deadline_exceeded("x"), 5),
        (Status::resource_exhausted("x"), 5),
        (refusal(Code::PermissionDenied, "policy"), 6),
        (refusal(Code::FailedPrecondition, "policy-error"), 7),
        (Status::permission_denied("x"), 1),
        (Status::failed_precondition("x"), 1),
        (Status::unauthenticated("x"), 1),
        (Status::already_exists("x"), 1),
        (Status::internal("x"), 1),
        (Status::from_error("the connection broke".into()), 5),
    ] {
        let code = status.code();
        assert_eq!(Failure::from(status).exit_code(), exit, "{code:?}");
    }
}

#[test]
fn refusals_are_one_line_each_and_clean() {
    let failure = Failure::from(refusal(Code::PermissionDenied, "policy"));
    assert_eq!(
        failure.to_string(),
        "xenios: refused by policy\n  \
         size-limits: max-vcpus (vcpus): 9 is more than 4\n  \
         names: prefix (name): \\x1b[2Jno\n\
         next: change what the reasons name; `xenios plan` shows the whole judgement"
    );
}

#[test]
fn fields_are_listed() {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("vcpus", "0 is not 1 to 128");
    details.add_bad_request_violation("name", "too long");
    let status = Status::with_error_details(Code::InvalidArgument, "not valid: …", details);
    assert_eq!(
        Failure::from(status).to_string(),
        "xenios: the request is not valid\n  vcpus: 0 is not 1 to 128\n  name: too long\n\
         next: correct the fields and try again"
    );
}

#[test]
fn programs_get_json() {
    let failure = Failure::from(Status::not_found("no such guest"));
    assert_eq!(
        failure.to_json(),
        r#"{"error":{"exit_code":3,"kind":"not_found","message":"no such guest","reasons":[],"next":"check the name; `xenios ls` lists your guests"}}"#
    );
}
