//! What is refused before it ever answers, and with which words.

use std::time::Duration;

use xenios_policy_host::{
    EngineConfig, FaultKind, Kind, LoadError, MAX_COMPONENT_BYTES, MAX_SETTINGS_BYTES,
};

use crate::components::{ENGINE, built, chain, engine, generous, load};
use crate::text;

/// Each must be refused with words that name the trouble.
fn refuses(cases: &[(&str, Vec<u8>, &str)]) {
    for (name, component, expected) in cases {
        let error = load(&ENGINE, component, "{}").expect_err(name);
        let text = chain(&error);
        assert!(
            text.contains(expected),
            "{name}: {text:?} lacks {expected:?}"
        );
    }
}

#[test]
fn what_is_no_component_is_refused() {
    let whole = built("size-limits.wasm");
    refuses(&[
        ("nothing", Vec::new(), "not valid"),
        ("garbage", b"#!/bin/sh\n".to_vec(), "not valid"),
        ("truncated", whole[..whole.len() / 2].to_vec(), "not valid"),
        ("core module", text::component("(module)"), "core module"),
    ]);
}

#[test]
fn what_the_sandbox_does_not_run_is_refused() {
    refuses(&[
        (
            "large memory",
            text::policy(&["(memory 2000)"]),
            "not valid",
        ),
        (
            "many memories",
            text::policy(&["(memory 1)"; 5]),
            "not valid",
        ),
        ("memory64", text::policy(&["(memory i64 1)"]), "not valid"),
        (
            "threads",
            text::policy(&["(memory 1 1 shared)"]),
            "not valid",
        ),
        ("gc", text::policy(&["(type (struct))"]), "not valid"),
    ]);
}

#[test]
fn what_does_not_keep_the_contract_is_refused() {
    let exports = r#"(instance $e)
        (export "xenios:policy/validator@1.0.0" (instance $e))
        (export "xenios:policy/settings@1.0.0" (instance $e))"#;
    let other_log = format!(
        r#"(component
            (import "xenios:policy/log@1.0.0"
                (instance (export "log" (func (param "x" u32)))))
            {exports})"#
    );
    let empty_interfaces = format!("(component {exports})");
    let wasi = r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#;
    let function = r#"(component (import "system" (func)))"#;
    refuses(&[
        (
            "empty",
            text::component("(component)"),
            "does not export `xenios:policy/validator@1.0.0`",
        ),
        (
            "wasi",
            text::component(wasi),
            "imports `wasi:cli/environment@0.2.0`",
        ),
        ("function", text::component(function), "imports `system`"),
        (
            "other log",
            text::component(&other_log),
            "its imports do not have the types",
        ),
        (
            "empty interfaces",
            text::component(&empty_interfaces),
            "its exports do not have the types",
        ),
        (
            "other types",
            text::policy(&[]),
            "its exports do not have the types",
        ),
    ]);
}

#[test]
fn a_large_component_is_refused_before_it_is_read() {
    let error = load(&ENGINE, &vec![0; MAX_COMPONENT_BYTES + 1], "{}").expect_err("too large");
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
}

/// Limits hold while a component is instantiated, too.
#[test]
fn what_starts_badly_does_not_load() {
    let spin = text::policy(&["(func $f (loop (br 0))) (start $f)"]);
    let trap = text::policy(&["(func $f unreachable) (start $f)"]);
    // 600 pages of 64 KiB fit into 64 MiB once, not twice.
    let grows = "(memory 1)
        (func $f (if (i32.eq (memory.grow (i32.const 600)) (i32.const -1)) (then unreachable)))
        (start $f)";
    let one_memory = text::policy(&[grows]);
    let two_memories = text::policy(&[grows, grows]);
    let table = text::policy(&["(table 1 funcref)
        (func $f (if (i32.eq (table.grow (ref.null func) (i32.const 100000)) (i32.const -1))
            (then unreachable)))
        (start $f)"]);
    let cases = [
        (
            "loop, by time",
            &spin,
            EngineConfig {
                deadline: Duration::from_millis(20),
                ..generous()
            },
            FaultKind::Deadline,
        ),
        (
            "loop, by fuel",
            &spin,
            EngineConfig {
                fuel: 100_000,
                ..generous()
            },
            FaultKind::Fuel,
        ),
        ("trap", &trap, generous(), FaultKind::Trap),
        (
            "memories in sum",
            &two_memories,
            generous(),
            FaultKind::Memory,
        ),
        ("table", &table, generous(), FaultKind::Memory),
    ];
    for (name, component, config, expected) in cases {
        match load(&engine(&config), component, "{}").expect_err(name) {
            LoadError::Check(fault) => assert_eq!(fault.kind, expected, "{name}: {fault}"),
            other => panic!("{name}: {}", chain(&other)),
        }
    }
    // One of the two starts well: it is the contract's types that are missing then.
    let error = load(&ENGINE, &one_memory, "{}").expect_err("not the contract's types");
    assert!(matches!(error, LoadError::Mismatch { .. }), "{error}");
}

#[test]
fn settings_are_a_small_object() {
    let component = built("size-limits.wasm");
    let large = format!(r#"{{ "max_vcpus": {}1 }}"#, " ".repeat(MAX_SETTINGS_BYTES));
    let cases = [
        ("", "are not JSON"),
        ("[]", "are not a JSON object"),
        ("4", "are not a JSON object"),
        (r#"{ "max_vcpus": 1 "#, "are not JSON"),
        (&large, "at most 65536"),
    ];
    for (settings, expected) in cases {
        let error = load(&ENGINE, &component, settings).expect_err(expected);
        assert!(matches!(error, LoadError::SettingsShape(_)));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// The policy checks its settings inside the sandbox.
#[test]
fn a_policy_refuses_settings_in_its_own_words() {
    let cases = [
        (
            "size-limits.wasm",
            r#"{ "max_vcpu": 4 }"#,
            "unknown field `max_vcpu`",
        ),
        ("size-limits.wasm", "{}", "no limit is set"),
        ("allowed-kernels.wasm", "{}", "missing field `host_default`"),
        (
            "env-rewrite.wasm",
            r#"{ "set": { "A=": "", "B=": "" } }"#,
            r#"set: "A=" is not the name of an env entry; set: "B=" is"#,
        ),
    ];
    for (file, settings, expected) in cases {
        let error = load(&ENGINE, &built(file), settings).expect_err(expected);
        assert!(matches!(error, LoadError::Settings(_)));
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_policy_may_fail_over_its_settings() {
    let component = built("tests/tests-hostile.wasm");
    let mood = |mood: &str| format!(r#"{{ "settings": "{mood}" }}"#);
    match load(&ENGINE, &component, &mood("panic")).expect_err("a trap") {
        LoadError::Check(fault) => assert_eq!(fault.kind, FaultKind::Trap),
        other => panic!("{}", chain(&other)),
    }
    let hasty = engine(&EngineConfig {
        fuel: 1_000_000,
        ..generous()
    });
    match load(&hasty, &component, &mood("loop")).expect_err("a loop") {
        LoadError::Check(fault) => assert_eq!(fault.kind, FaultKind::Fuel),
        other => panic!("{}", chain(&other)),
    }
    // What it says is cut, and cannot reach into the operator's terminal.
    let text = load(&ENGINE, &component, &mood("escape"))
        .expect_err("escapes")
        .to_string();
    assert!(
        text.len() < 600 && !text.contains(['\u{1b}', '\u{202e}']),
        "{text:?}"
    );
}

#[test]
fn the_kinds_are_told_by_what_is_exported() {
    let cases = [
        (
            "size-limits.wasm",
            r#"{ "max_vcpus": 1 }"#,
            Kind::Validating,
        ),
        (
            "allowed-kernels.wasm",
            r#"{ "host_default": true }"#,
            Kind::Validating,
        ),
        ("env-rewrite.wasm", r#"{ "remove": ["A"] }"#, Kind::Mutating),
    ];
    for (file, settings, kind) in cases {
        let policy = load(&ENGINE, &built(file), settings).expect(file);
        assert_eq!(policy.kind(), kind, "{file}");
    }
}
