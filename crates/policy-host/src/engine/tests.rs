//! The engine without a policy.

use super::*;

#[test]
fn a_config_out_of_range_is_refused() {
    let good = EngineConfig::default;
    let cases = [
        EngineConfig { slots: 0, ..good() },
        EngineConfig {
            slots: 1025,
            ..good()
        },
        EngineConfig {
            deadline: Duration::ZERO,
            ..good()
        },
        EngineConfig {
            deadline: Duration::from_secs(61),
            ..good()
        },
        EngineConfig { fuel: 0, ..good() },
        EngineConfig {
            memory_bytes: 0,
            ..good()
        },
        EngineConfig {
            memory_bytes: (1 << 32) + 1,
            ..good()
        },
        EngineConfig {
            output_bytes: 0,
            ..good()
        },
    ];
    for config in cases {
        let result = PolicyEngine::new(&config);
        assert!(matches!(result, Err(EngineError::Config(_))), "{config:?}");
    }
}

#[test]
fn deadlines_are_rounded_up_to_whole_epochs() {
    let ticks = |deadline| {
        EngineConfig {
            deadline,
            ..EngineConfig::default()
        }
        .deadline_ticks()
    };
    assert_eq!(ticks(Duration::from_nanos(1)), 2);
    assert_eq!(ticks(TICK), 2);
    assert_eq!(ticks(TICK + Duration::from_nanos(1)), 3);
    assert_eq!(ticks(Duration::from_millis(50)), 26);
}

#[test]
fn slots_are_counted() {
    let engine = PolicyEngine::new(&EngineConfig {
        slots: 1,
        slot_wait: Duration::from_millis(1),
        ..EngineConfig::default()
    })
    .expect("an engine");
    let first = engine.slot().expect("the only slot");
    assert!(engine.slot().is_none());
    drop(first);
    assert!(engine.slot().is_some());
}

/// What an artifact is named by must not differ from one process or budget to the
/// next.
#[test]
fn the_fingerprint_is_of_the_compiler_and_not_of_the_budget() {
    let engine = |slots, fuel| {
        let config = EngineConfig {
            slots,
            fuel,
            ..EngineConfig::default()
        };
        PolicyEngine::new(&config).expect("an engine").fingerprint()
    };
    assert_eq!(engine(1, 1), engine(2, 1_000));
}

#[test]
fn modules_and_garbage_are_told_apart() {
    let engine = PolicyEngine::new(&EngineConfig {
        slots: 1,
        ..EngineConfig::default()
    })
    .expect("an engine");
    assert!(matches!(
        engine.compile(b"\0asm\x01\0\0\0"),
        Err(LoadError::CoreModule)
    ));
    for garbage in [
        &b""[..],
        b"\0asm",
        b"#!/bin/sh",
        b"\0asm\x0d\0\x01\0\xff\xff",
    ] {
        assert!(
            matches!(engine.compile(garbage), Err(LoadError::Invalid(_))),
            "{garbage:?}"
        );
    }
}
