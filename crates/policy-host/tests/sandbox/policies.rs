//! The three policies that come with Xenios, through the sandbox.

use xenios_policy_host::{Mutation, Policy, Request, Verdict, Violation};

use crate::components::{ENGINE, built, load};
use crate::requests::{self, digest, host_file};

fn policy(name: &str, settings: &str) -> Policy {
    let component = built(&format!("{name}.wasm"));
    load(&ENGINE, &component, settings).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn rules(policy: &Policy, request: &Request) -> Vec<(String, String)> {
    let judgement = policy.validate(request).expect("an answer");
    match judgement.verdict {
        Verdict::Allow => Vec::new(),
        Verdict::Deny(violations) => violations
            .into_iter()
            .map(|Violation { rule, field, .. }| (rule, field))
            .collect(),
    }
}

#[test]
fn size_limits_lists_every_limit_that_is_exceeded() {
    let vcpus = ("max-vcpus".to_owned(), "vcpus".to_owned());
    let memory = ("max-memory".to_owned(), "memory_mib".to_owned());
    let image = ("max-image-size".to_owned(), "image".to_owned());
    let cases = [
        (
            r#"{ "max_vcpus": 2, "max_memory_mib": 256, "max_image_mib": 90 }"#,
            vec![],
        ),
        (r#"{ "max_vcpus": 1 }"#, vec![vcpus.clone()]),
        (r#"{ "max_memory_mib": 255 }"#, vec![memory.clone()]),
        (r#"{ "max_image_mib": 89 }"#, vec![image.clone()]),
        (
            r#"{ "max_vcpus": 1, "max_memory_mib": 1, "max_image_mib": 1 }"#,
            vec![vcpus, memory, image],
        ),
    ];
    for (settings, expected) in cases {
        let found = rules(&policy("size-limits", settings), &requests::validating());
        assert_eq!(found, expected, "{settings}");
    }
}

#[test]
fn a_violation_arrives_as_it_was_made() {
    let policy = policy("size-limits", r#"{ "max_vcpus": 1 }"#);
    let judgement = policy.validate(&requests::validating()).expect("an answer");
    let expected = Violation {
        rule: "max-vcpus".to_owned(),
        field: "vcpus".to_owned(),
        message: "2 vCPUs asked for, at most 1 allowed".to_owned(),
    };
    assert_eq!(judgement.verdict, Verdict::Deny(vec![expected]));
}

#[test]
fn allowed_kernels_knows_images_and_the_hosts_own() {
    let from_image = requests::validating();
    let mut of_host = requests::validating();
    of_host.pinned.as_mut().expect("pinned").kernel = host_file("vmlinuz", 'a');
    let by_digest = |fill| {
        format!(
            r#"{{ "host_default": false, "digests": ["{}"] }}"#,
            digest(fill)
        )
    };
    let cases = [
        (&of_host, r#"{ "host_default": true }"#.to_owned(), true),
        (&from_image, r#"{ "host_default": true }"#.to_owned(), false),
        (&of_host, by_digest('a'), true),
        (&from_image, by_digest('2'), true),
        (&from_image, by_digest('a'), false),
        (
            &from_image,
            r#"{ "host_default": false, "images": ["r.io/kernels/*"] }"#.to_owned(),
            true,
        ),
        (
            &from_image,
            r#"{ "host_default": false, "images": ["r.io/*"] }"#.to_owned(),
            false,
        ),
    ];
    for (request, settings, allowed) in cases {
        let found = rules(&policy("allowed-kernels", &settings), request);
        assert_eq!(found.is_empty(), allowed, "{settings}: {found:?}");
    }
}

#[test]
fn env_rewrite_changes_the_env_and_nothing_else() {
    let settings = r#"{
        "set": { "LEVEL": "info" }, "default": { "TZ": "UTC" }, "remove_prefix": ["gr"]
    }"#;
    let policy = policy("env-rewrite", settings);
    let mut request = requests::mutating();
    let answer = policy.mutate(&request).expect("an answer");
    let warnings = ["env[größe] was removed", "env[LEVEL] was replaced"];
    assert_eq!(answer.report.warnings, warnings);
    let Mutation::Replace(spec) = answer.mutation else {
        panic!("{:?}", answer.mutation);
    };
    let mut expected = request.spec.clone();
    expected.env = vec![
        ("LEVEL".to_owned(), "info".to_owned()),
        ("TZ".to_owned(), "UTC".to_owned()),
    ];
    // Values are not shown by `Debug`, so that the comparison comes first.
    assert!(*spec == expected, "{spec:?}");

    request.spec = *spec;
    let again = policy.mutate(&request).expect("an answer");
    assert_eq!(again.mutation, Mutation::Unchanged);
}

/// The same question gets the same answer at the same price, whatever ran before.
#[test]
fn verdicts_and_fuel_are_the_same_in_every_instance() {
    let settings = r#"{ "max_vcpus": 1, "max_image_mib": 1 }"#;
    let validator = policy("size-limits", settings);
    let first = validator
        .validate(&requests::validating())
        .expect("an answer");
    let mutator = policy("env-rewrite", r#"{ "set": { "A": "1" } }"#);
    let first_mutation = mutator.mutate(&requests::mutating()).expect("an answer");
    assert!(first.fuel > 0 && first_mutation.fuel > 0);
    for _ in 0..50 {
        let next = validator
            .validate(&requests::validating())
            .expect("an answer");
        assert_eq!(next, first);
        let next = mutator.mutate(&requests::mutating()).expect("an answer");
        assert_eq!(next, first_mutation);
    }
    // Another engine, with another budget, comes to the same.
    let other = crate::components::engine(&xenios_policy_host::EngineConfig::default());
    let component = built("size-limits.wasm");
    let other = load(&other, &component, settings).expect("it loads");
    assert_eq!(
        other.validate(&requests::validating()).expect("an answer"),
        first
    );
}
