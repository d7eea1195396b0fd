//! Sources that break each rule once.

use std::fmt::Write as _;
use std::path::Path;

use super::{check, parameter_count};

fn messages(path: &str, text: &str) -> Vec<String> {
    check(Path::new(path), text)
        .findings
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_plain_file_passes() {
    let text = "//! Doc.\n\n/// unsafe in a comment\nstruct Guest;\nfn f() -> &'static str {\n    \"unsafe {\"\n}\n";
    assert!(messages("crates/core/src/a.rs", text).is_empty());
}

#[test]
fn every_rule_finds_its_breach() {
    for (path, text, part) in [
        (
            "crates/core/src/a/mod.rs",
            "//! Doc.\n",
            "beside its folder",
        ),
        ("crates/core/src/a.rs", "use std::fmt;\n", "open with"),
        (
            "crates/core/src/a.rs",
            "//! Doc.\nfn f() { unsafe { g() } }\n",
            "a.rs:2: unsafe is only",
        ),
        (
            "crates/core/src/a.rs",
            "//! Doc.\nstruct GuestManager;\n",
            "says nothing",
        ),
        (
            "crates/core/src/a.rs",
            "//! Doc.\nfn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {}\n",
            "6 parameters",
        ),
    ] {
        let found = messages(path, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(part), "{found:?}");
    }
}

#[test]
fn unsafe_is_allowed_where_it_belongs() {
    let text = "//! Doc.\nfn f() { unsafe { g() } }\n";
    for path in [
        "crates/xen/src/sys.rs",
        "crates/xen/src/sys/privcmd.rs",
        "crates/guest/src/init.rs",
    ] {
        assert!(messages(path, text).is_empty(), "{path}");
    }
    // It is the attribute's name, not the keyword.
    let attribute = "//! Doc.\n#![forbid(unsafe_code)]\n";
    assert!(messages("crates/core/src/lib.rs", attribute).is_empty());
}

#[test]
fn sizes_are_counted() {
    let lines = |count: usize| format!("//! Doc.\n{}", "// x\n".repeat(count - 1));
    assert!(messages("crates/core/src/a.rs", &lines(400)).is_empty());
    assert_eq!(messages("crates/core/src/a.rs", &lines(401)).len(), 1);
    assert!(messages("crates/core/src/a/tests.rs", &lines(600)).is_empty());
    assert_eq!(messages("crates/core/src/a/tests.rs", &lines(601)).len(), 1);
}

#[test]
fn long_functions_are_found_by_their_braces() {
    let function = |lines: usize| {
        format!(
            "//! Doc.\nimpl A {{\n    fn long(\n        a: [u8; 3],\n    ) {{\n{}    }}\n}}\n",
            "        g('}');\n".repeat(lines - 4)
        )
    };
    assert!(messages("crates/core/src/a.rs", &function(60)).is_empty());
    let found = messages("crates/core/src/a.rs", &function(61));
    assert_eq!(
        found,
        ["crates/core/src/a.rs:3: long has 61 lines, at most 60"]
    );
}

#[test]
fn traits_are_small() {
    let mut text = "//! Doc.\ntrait Port {\n".to_owned();
    for method in 0..8 {
        writeln!(text, "    fn m{method}(&self);").unwrap();
    }
    text.push_str("}\n");
    let found = messages("crates/core/src/a.rs", &text);
    assert_eq!(
        found,
        ["crates/core/src/a.rs:2: the trait Port has 8 methods, at most 7"]
    );
}

#[test]
fn parameters_are_counted_at_their_own_depth() {
    for (text, count) in [
        ("fn f()", 0),
        ("fn f(a: u8)", 1),
        ("fn f(a: (u8, u8), b: [u8; 2],)", 2),
        ("fn f<F: Fn(u8, u8) -> u8>(a: Map<u8, u8>, f: F)", 2),
        ("fn f(&self, f: impl Fn(u8, u8) -> u8) -> (u8, u8)", 2),
    ] {
        assert_eq!(parameter_count(text.as_bytes()), count, "{text}");
    }
}
