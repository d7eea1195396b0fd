//! Every limit of a spec, at and beyond it.

use proptest::prelude::*;

use super::*;
use crate::fake::submission;
use crate::spec::Virtualization;

fn draft() -> SpecDraft {
    submission("web").draft
}

fn defaults() -> Defaults {
    submission("web").defaults
}

fn errors(change: impl FnOnce(&mut SpecDraft)) -> Vec<(String, String)> {
    let mut draft = draft();
    change(&mut draft);
    let errors = match parse(draft, &defaults()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.as_slice().to_vec(),
    };
    errors.into_iter().map(|e| (e.field, e.message)).collect()
}

fn pairs_of(count: usize, value: &str) -> Vec<(String, String)> {
    (0..count)
        .map(|i| (format!("K{i}"), value.to_owned()))
        .collect()
}

/// A wrong draft: how it came to be, the field at fault, words of the message.
type Case = (fn(&mut SpecDraft), &'static str, &'static str);

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

const SCALARS: &[Case] = &[
    (|d| d.name = "Web".into(), "name", "replace"),
    (|d| d.name = "a".repeat(64), "name", "shorten"),
    (
        |d| d.name = "550e8400-e29b-41d4-a716-446655440000".into(),
        "name",
        "guest id",
    ),
    (|d| d.image = String::new(), "image", "required"),
    (|d| d.image = "busybox".into(), "image", "no registry"),
    (
        |d| d.image = "r.example/a\0".into(),
        "image",
        "bad repository",
    ),
    (
        |d| d.image = format!("r.example/{}", "a".repeat(1000)),
        "image",
        "longer",
    ),
    (|d| d.kernel = "vmlinuz".into(), "kernel", "no registry"),
    (|d| d.initrd = "r.example/a:".into(), "initrd", "bad tag"),
    (|d| d.vcpus = 129, "vcpus", "ask for 1 to 128"),
    (|d| d.vcpus = u32::MAX, "vcpus", "4294967295"),
    (|d| d.memory_mib = 1, "memory_mib", "too little"),
    (|d| d.memory_mib = 63, "memory_mib", "ask for 64 to"),
    (|d| d.memory_mib = (1 << 20) + 1, "memory_mib", "more than"),
    (|d| d.memory_mib = 1 << 60, "memory_mib", "more than"),
    (|d| d.memory_mib = u64::MAX, "memory_mib", "more than"),
    (|d| d.working_dir = "tmp".into(), "working_dir", "absolute"),
    (
        |d| d.working_dir = "/a\0".into(),
        "working_dir",
        "control character",
    ),
    (
        |d| d.working_dir = format!("/{}", "a".repeat(4095)),
        "working_dir",
        "longer",
    ),
    (|d| d.user = ":users".into(), "user", "user[:group]"),
    (|d| d.user = "a:".into(), "user", "user[:group]"),
    (|d| d.user = "a:b:c".into(), "user", "user[:group]"),
    (|d| d.user = "a b".into(), "user", "user[:group]"),
    (|d| d.user = "4294967295".into(), "user", "4294967294"),
    (|d| d.user = "-1".into(), "user", "user[:group]"),
    (|d| d.user = "a\0".into(), "user", "user[:group]"),
];

const LISTS: &[Case] = &[
    (
        |d| d.env = vec![pair("A", ""), pair("", "")],
        "env[1].name",
        "is empty",
    ),
    (
        |d| d.env = vec![pair("A=B", "")],
        "env[0].name",
        "not a usable name",
    ),
    (
        |d| d.env = vec![pair("1A", "")],
        "env[0].name",
        "begin with no digit",
    ),
    (
        |d| d.env = vec![pair("A B", "")],
        "env[0].name",
        "not a usable name",
    ),
    (
        |d| d.env = vec![pair("A\0", "")],
        "env[0].name",
        "not a usable name",
    ),
    (
        |d| d.env = vec![pair(&"A".repeat(257), "")],
        "env[0].name",
        "longer",
    ),
    (
        |d| d.env = vec![pair("A", "1"), pair("B", ""), pair("A", "2")],
        "env[2].name",
        "twice",
    ),
    (|d| d.env = vec![pair("A", "x\0")], "env[0].value", "NUL"),
    (
        |d| d.env = vec![pair("A", "x\x1b[2J")],
        "env[0].value",
        "control character",
    ),
    (|d| d.env = pairs_of(257, ""), "env", "at most 256"),
    (
        |d| d.env = vec![pair("A", &"x".repeat(64 << 10))],
        "env",
        "at most 65536",
    ),
    (
        |d| d.labels = vec![pair("", "")],
        "labels[0].key",
        "is empty",
    ),
    (
        |d| d.labels = vec![pair("a", ""), pair("a", "")],
        "labels[1].key",
        "twice",
    ),
    (
        |d| d.labels = vec![pair("a", "\0")],
        "labels[0].value",
        "NUL",
    ),
    (
        |d| d.labels = vec![pair("/a", "")],
        "labels[0].key",
        "not a usable key",
    ),
    (|d| d.labels = pairs_of(65, ""), "labels", "at most 64"),
    (
        |d| d.labels = vec![pair("a", &"x".repeat(16 << 10))],
        "labels",
        "at most 16384",
    ),
    (
        |d| d.command = vec!["a".into(), "b\0".into()],
        "command[1]",
        "NUL",
    ),
    (
        |d| d.command = vec![String::new(); 1025],
        "command",
        "at most 1024",
    ),
    (
        |d| d.command = vec!["x".repeat(128 << 10)],
        "command",
        "at most 131072",
    ),
    (
        |d| d.entrypoint = vec!["\x07".into()],
        "entrypoint[0]",
        "control character",
    ),
    (
        |d| d.entrypoint = vec![String::new()],
        "entrypoint[0]",
        "is empty",
    ),
    (
        |d| d.entrypoint = vec!["x".into(); 1025],
        "entrypoint",
        "at most 1024",
    ),
];

#[test]
fn each_wrong_field_is_named_and_explained() {
    for (i, (change, field, words)) in SCALARS.iter().chain(LISTS).enumerate() {
        let found = errors(change);
        assert_eq!(found.len(), 1, "case {i}, {field}: {found:?}");
        assert_eq!(found[0].0, *field, "case {i}: {found:?}");
        assert!(found[0].1.contains(words), "case {i}: {found:?}");
    }
}

#[test]
fn every_wrong_field_is_reported_at_once() {
    let found = errors(|d| {
        for (change, ..) in SCALARS {
            change(d);
        }
        d.env = vec![pair("", "\0"), pair("A", "\0")];
    });
    let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "name",
            "image",
            "kernel",
            "initrd",
            "vcpus",
            "memory_mib",
            "env[0].name",
            "env[0].value",
            "env[1].value",
            "working_dir",
            "user"
        ]
    );
}

#[test]
fn errors_are_bounded_and_hold_no_env_value() {
    let found = errors(|d| d.env = vec![pair("A", "hunter2\0"); 256]);
    assert_eq!(found.len(), 101);
    assert!(
        found[100].1.contains("more fields are wrong"),
        "{:?}",
        found[100]
    );
    assert!(!format!("{found:?}").contains("hunter2"));
    let found = errors(|d| d.name = "\x1b]0;".repeat(10_000));
    assert!(
        found[0].1.len() < 1000 && !found[0].1.contains('\x1b'),
        "{found:?}"
    );
}

#[test]
fn the_limits_themselves_are_good() {
    let good: &[fn(&mut SpecDraft)] = &[
        |d| (d.vcpus, d.memory_mib) = (1, 64),
        |d| (d.vcpus, d.memory_mib) = (128, 1 << 20),
        |d| d.env = pairs_of(256, "x"),
        |d| d.env = vec![pair("A", &"x".repeat((64 << 10) - 1))],
        |d| d.env = vec![pair("a.b-c_D", "tab\tline\r\nmore = \u{1F680}")],
        |d| d.labels = pairs_of(64, ""),
        |d| d.command = vec![String::new(); 1024],
        |d| d.command = vec!["x".repeat((128 << 10) - 1)],
        |d| d.user = "www-data:4294967294".into(),
        |d| d.user = "0:0".into(),
    ];
    for (i, change) in good.iter().enumerate() {
        assert_eq!(errors(change), [], "case {i}");
    }
}

#[test]
fn unset_fields_get_the_defaults() {
    let mut draft = draft();
    draft.name = String::new();
    let spec = parse(draft, &defaults()).unwrap();
    assert_eq!((spec.vcpus().get(), spec.memory().get()), (1, 128));
    assert_eq!(spec.name(), &defaults().name);
    assert_eq!(spec.virtualization(), Virtualization::Pvh);
    assert_eq!(
        (spec.kernel(), spec.working_dir(), spec.user()),
        (None, None, None)
    );
}

proptest! {
    #[test]
    fn a_spec_is_its_own_draft(
        numbers in (0_u32..200, 0_u64..2000),
        env in prop::collection::vec(("[A-Z]{1,2}", "\\PC{0,8}"), 0..6),
        text in (any::<String>(), any::<String>(), any::<String>()),
        args in prop::collection::vec("\\PC{0,5}", 0..4),
    ) {
        let given = SpecDraft {
            vcpus: numbers.0,
            memory_mib: numbers.1,
            env,
            name: text.0,
            user: text.1,
            working_dir: text.2,
            command: args,
            ..draft()
        };
        for given in [given.clone(), SpecDraft { name: String::new(), user: String::new(), working_dir: String::new(), ..given }] {
            if let Ok(spec) = parse(given, &defaults()) {
                prop_assert_eq!(parse(spec.to_draft(), &defaults()), Ok(spec));
            }
        }
    }
}
