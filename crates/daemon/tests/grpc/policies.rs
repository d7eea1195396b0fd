//! Bad specs and refused ones: every reason, in the answer's details; and quotas.

use tonic::Code;
use tonic_types::StatusExt;
use xenios_api::v1;
use xenios_core::fake::{FnMutator, FnValidator};
use xenios_core::policy::{
    FaultKind, Judgement, Mutation, PolicyFault, Report, Verdict, Violation,
};
use xenios_core::{MutatingPolicy, PolicyChain, ValidatingPolicy};

use crate::fixture::{Fixture, create, spec};

fn deny(rule: &str, field: &str) -> Judgement {
    Judgement {
        verdict: Verdict::Deny(vec![Violation {
            rule: rule.to_owned(),
            field: field.to_owned(),
            message: "not here".to_owned(),
        }]),
        report: Report::default(),
    }
}

fn allow() -> Judgement {
    Judgement {
        verdict: Verdict::Allow,
        report: Report {
            warnings: vec!["mind the gap".to_owned()],
            audit: Vec::new(),
        },
    }
}

/// At most `guests` guests a tenant.
fn quota(guests: u32) -> Box<dyn ValidatingPolicy> {
    Box::new(FnValidator::new("quota", move |request| {
        let full = request.usage.guests >= guests;
        Ok(if full { deny("guests", "") } else { allow() })
    }))
}

fn rewrite() -> Box<dyn MutatingPolicy> {
    Box::new(FnMutator::new("env-rewrite", &["env"], |request| {
        let mut draft = request.spec.to_draft();
        draft.env = vec![("LOG_LEVEL".to_owned(), "info".to_owned())];
        Ok(Mutation::Replace {
            draft: Box::new(draft),
            report: Report::default(),
        })
    }))
}

fn chain(validating: Vec<Box<dyn ValidatingPolicy>>) -> PolicyChain {
    PolicyChain::new(vec![rewrite()], validating, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_reported_and_nothing_is_recorded() {
    let fixture = Fixture::open().await;
    let mut client = fixture.client("acme").await;
    let bad = v1::GuestSpec {
        name: "No!".to_owned(),
        image: "no-registry".to_owned(),
        vcpus: 4096,
        memory_mib: 1,
        ..v1::GuestSpec::default()
    };
    let status = client.create_guest(create(bad)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().unwrap();
    let fields: Vec<_> = details
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    for field in ["name", "image", "vcpus", "memory_mib"] {
        assert!(fields.contains(&field), "{field} not in {fields:?}");
    }
    let request = v1::CreateGuestRequest::default();
    let status = client.create_guest(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut missing = spec("web");
    missing.image = "registry.example:5000/missing:1".to_owned();
    let status = client.create_guest(create(missing)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(
        status.message().starts_with("image:"),
        "{}",
        status.message()
    );
    let listed = client.list_guests(v1::ListGuestsRequest::default()).await;
    assert!(listed.unwrap().into_inner().guests.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_every_policy_are_in_the_details() {
    let deny_all = |name: &str| -> Box<dyn ValidatingPolicy> {
        Box::new(FnValidator::new(name, |_| Ok(deny("rule", "vcpus"))))
    };
    let chain = chain(vec![deny_all("size-limits"), deny_all("allowed-kernels")]);
    let fixture = Fixture::with_chain(chain).await;
    let mut client = fixture.client("acme").await;
    let status = client.create_guest(create(spec("web"))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let details = status.get_details_precondition_failure().unwrap();
    let subjects: Vec<_> = details.violations.iter().map(|v| &*v.subject).collect();
    assert_eq!(subjects, ["size-limits", "allowed-kernels"]);
    assert_eq!(details.violations[0].description, "rule (vcpus): not here");

    let request = v1::CreateGuestRequest {
        spec: Some(spec("web")),
        dry_run: true,
    };
    let plan = client.create_guest(request).await.unwrap().into_inner();
    assert_eq!(plan.refusals.len(), 2);
    assert_eq!(plan.changes[0].policy, "env-rewrite");
    assert_eq!(plan.changes[0].changes[0].field, "env[LOG_LEVEL]");
    let planned = plan.guest.unwrap();
    assert!(planned.id.is_empty());
    assert_eq!(planned.spec.unwrap().env[0].value, "info");
    let recorded = outcomes(&fixture);
    assert_eq!(recorded, ["denied"], "the refusal, and not the question");
}

/// How the recorded decisions ended.
fn outcomes(fixture: &Fixture) -> Vec<String> {
    let database = rusqlite::Connection::open(fixture.dir.path().join("state.db")).unwrap();
    let mut query = database
        .prepare("SELECT outcome FROM audit ORDER BY seq")
        .unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_answer_refuses() {
    let broken = FnValidator::new("broken", |_| {
        Err(PolicyFault {
            kind: FaultKind::Deadline,
            message: "for the operator".to_owned(),
        })
    });
    let fixture = Fixture::with_chain(chain(vec![Box::new(broken)])).await;
    let mut client = fixture.client("acme").await;
    let status = client.create_guest(create(spec("web"))).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = status.get_details_precondition_failure().unwrap();
    assert_eq!(details.violations[0].r#type, "policy-error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_records_nothing() {
    let fixture = Fixture::with_chain(chain(vec![quota(1)])).await;
    let mut client = fixture.client("acme").await;
    let request = v1::CreateGuestRequest {
        spec: Some(spec("web")),
        dry_run: true,
    };
    for _ in 0..2 {
        let plan = client.create_guest(request.clone()).await.unwrap();
        let plan = plan.into_inner();
        assert!(plan.refusals.is_empty());
        assert_eq!(plan.warnings, ["quota: mind the gap"]);
    }
    let listed = client.list_guests(v1::ListGuestsRequest::default()).await;
    assert!(listed.unwrap().into_inner().guests.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_at_the_same_time_never_exceed_a_quota() {
    let fixture = Fixture::with_chain(chain(vec![quota(3)])).await;
    let client = fixture.client("acme").await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..16 {
        let mut client = client.clone();
        calls.spawn(async move {
            let request = create(spec(&format!("g{number}")));
            client.create_guest(request).await.map(drop)
        });
    }
    let outcomes = calls.join_all().await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 3);
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    for status in refused {
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
}
