//! Policies that misbehave while they answer: each is a fault of the right kind, and
//! the next call is as good as the first.

use std::sync::LazyLock;
use std::time::Duration;

use xenios_policy_host::{EngineConfig, FaultKind, Policy, Verdict};

use crate::components::{ENGINE, built, engine, generous, load};
use crate::requests;

fn hostile(config: &EngineConfig) -> Policy {
    load(&engine(config), &built("tests/tests-hostile.wasm"), "{}").expect("it loads")
}

static HOSTILE: LazyLock<Policy> =
    LazyLock::new(|| load(&ENGINE, &built("tests/tests-hostile.wasm"), "{}").expect("it loads"));

#[test]
fn every_misbehaviour_is_a_fault_and_the_next_call_is_fine() {
    let cases = [
        ("panic", FaultKind::Trap),
        ("divide", FaultKind::Trap),
        ("unreachable", FaultKind::Trap),
        ("recurse", FaultKind::Trap),
        ("grow", FaultKind::Memory),
        ("log-flood", FaultKind::LogFlood),
        ("log-empty-flood", FaultKind::LogFlood),
        ("log-huge", FaultKind::LogFlood),
        ("log-garbage", FaultKind::BadOutput),
        ("log-nowhere", FaultKind::BadOutput),
        ("output-garbage", FaultKind::BadOutput),
        ("output-nowhere", FaultKind::BadOutput),
        ("output-huge", FaultKind::BadOutput),
        ("output-aliased", FaultKind::BadOutput),
        ("output-many", FaultKind::BadOutput),
    ];
    for (name, expected) in cases {
        let fault = HOSTILE.validate(&requests::named(name)).expect_err(name);
        assert_eq!(fault.kind, expected, "{name}: {fault}");
        let next = HOSTILE
            .validate(&requests::named("allow"))
            .expect("the next call");
        assert_eq!(next.verdict, Verdict::Allow, "after {name}");
    }
}

#[test]
fn a_loop_ends_by_time_and_by_fuel() {
    let by_time = hostile(&EngineConfig {
        deadline: Duration::from_millis(50),
        ..generous()
    });
    let fault = by_time
        .validate(&requests::named("loop"))
        .expect_err("a loop");
    assert_eq!(fault.kind, FaultKind::Deadline, "{fault}");

    let by_fuel = hostile(&EngineConfig {
        fuel: 10_000_000,
        ..generous()
    });
    let fault = by_fuel
        .validate(&requests::named("loop"))
        .expect_err("a loop");
    assert_eq!(fault.kind, FaultKind::Fuel, "{fault}");
}

#[test]
fn a_policy_may_live_with_a_refusal_of_memory() {
    let judgement = HOSTILE
        .validate(&requests::named("grow-quietly"))
        .expect("no fault");
    assert_eq!(judgement.verdict, Verdict::Allow);
}

#[test]
fn a_log_within_its_budget_is_no_fault() {
    let judgement = HOSTILE.validate(&requests::named("log")).expect("no fault");
    assert_eq!(judgement.verdict, Verdict::Allow);
    let mute = hostile(&EngineConfig {
        log_lines: 0,
        ..generous()
    });
    let fault = mute
        .validate(&requests::named("log"))
        .expect_err("no line is allowed");
    assert_eq!(fault.kind, FaultKind::LogFlood);
}

#[test]
fn a_question_to_the_wrong_kind_is_a_fault() {
    let fault = HOSTILE
        .mutate(&requests::named("allow"))
        .expect_err("it only validates");
    assert_eq!(fault.kind, FaultKind::WrongKind);
}

/// More threads than slots: each call waits for its turn, none fails for want of
/// memory in the pool.
#[test]
fn calls_beyond_the_slots_wait() {
    let policy = hostile(&EngineConfig {
        slots: 2,
        ..generous()
    });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for name in ["allow", "grow", "deny", "panic"].iter().cycle().take(20) {
                    let result = policy.validate(&requests::named(name));
                    match *name {
                        "grow" | "panic" => assert!(result.is_err()),
                        _ => assert!(result.is_ok(), "{result:?}"),
                    }
                }
            });
        }
    });
}

/// What the operator reads holds nothing that the policy or the tenant wrote.
#[test]
fn a_fault_says_what_happened_and_repeats_nothing() {
    let texts = [
        (
            "panic",
            "it crashed: wasm trap: wasm `unreachable` instruction executed",
        ),
        (
            "grow",
            "it failed for want of memory; it may have 67108864 bytes",
        ),
        (
            "output-huge",
            "what it gave the host is not valid, or has more than 1048576 bytes",
        ),
        (
            "log-flood",
            "it wrote more log than 64 lines or 16384 bytes",
        ),
    ];
    for (name, expected) in texts {
        let fault = HOSTILE.validate(&requests::named(name)).expect_err(name);
        assert_eq!(fault.to_string(), expected);
    }
}
