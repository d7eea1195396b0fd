//! The policy as a plain function; the sandbox is tested with it elsewhere.

use xenios_policy_sdk::{example, parse};

use super::*;

const SETTINGS: &str = r#"{ "max_vcpus": 4, "max_memory_mib": 1024, "max_image_mib": 100 }"#;

fn rules(request: &Request, settings: &str) -> Vec<String> {
    let limits = parse::<Limits>(settings).expect("good settings");
    judge(request, &limits, &mut Notes::default())
        .into_iter()
        .map(|violation| format!("{} {}", violation.field, violation.rule))
        .collect()
}

fn request(vcpus: u32, memory_mib: u64, layers: &[u64]) -> Request {
    let mut request = example::validating();
    request.spec.vcpus = vcpus;
    request.spec.memory_mib = memory_mib;
    let pinned = request.pinned.as_mut().expect("a pinned request");
    pinned.image.layers = layers.iter().map(|bytes| example::layer(*bytes)).collect();
    request
}

#[test]
fn every_exceeded_limit_is_a_violation() {
    let cases: [(Request, &[&str]); 6] = [
        (request(4, 1024, &[60 * MIB, 40 * MIB]), &[]),
        (request(5, 1024, &[]), &["vcpus max-vcpus"]),
        (request(1, 1025, &[]), &["memory_mib max-memory"]),
        (
            request(1, 64, &[60 * MIB, 40 * MIB + 1]),
            &["image max-image-size"],
        ),
        (
            request(1, 64, &[u64::MAX, u64::MAX]),
            &["image max-image-size"],
        ),
        (
            request(128, 1 << 20, &[101 * MIB]),
            &[
                "vcpus max-vcpus",
                "memory_mib max-memory",
                "image max-image-size",
            ],
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(rules(&request, SETTINGS), expected);
    }
}

#[test]
fn limits_that_are_not_set_do_not_apply() {
    let request = request(128, 1 << 20, &[u64::MAX]);
    assert_eq!(rules(&request, r#"{ "max_vcpus": 128 }"#), [""; 0]);
}

#[test]
fn an_image_of_unknown_size_is_refused() {
    let mut request = example::validating();
    request.pinned = None;
    assert_eq!(
        rules(&request, r#"{ "max_image_mib": 1 }"#),
        ["image max-image-size"]
    );
    assert_eq!(rules(&request, r#"{ "max_vcpus": 128 }"#), [""; 0]);
}

#[test]
fn settings_are_strict() {
    let cases = [
        ("{}", "no limit is set"),
        (r#"{ "max_vcpu": 4 }"#, "unknown field `max_vcpu`"),
        (r#"{ "max_vcpus": 0 }"#, "max_vcpus is 0"),
        (r#"{ "max_vcpus": -1 }"#, "invalid value"),
        (r#"{ "max_vcpus": "4" }"#, "invalid type"),
        (r#"{ "max_memory_mib": 1.5 }"#, "invalid type"),
        (r#"{ "max_vcpus": 1, "max_vcpus": 2 }"#, "duplicate field"),
    ];
    for (settings, expected) in cases {
        let problems = parse::<Limits>(settings).expect_err(settings);
        assert!(
            problems.join(" ").contains(expected),
            "{problems:?} lacks {expected:?}"
        );
    }
}
