//! A diff shows every change, and is empty only between equals.

use proptest::prelude::*;

use super::*;
use crate::fake::submission;
use crate::spec::{SpecDraft, Virtualization};

fn spec(change: impl FnOnce(&mut SpecDraft)) -> GuestSpec {
    let mut submission = submission("web");
    change(&mut submission.draft);
    GuestSpec::parse(submission.draft, &submission.defaults).unwrap()
}

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn change(field: &str, before: Option<&str>, after: Option<&str>) -> FieldChange {
    FieldChange {
        field: field.to_owned(),
        before: before.map(ToOwned::to_owned),
        after: after.map(ToOwned::to_owned),
    }
}

#[test]
fn every_field_is_compared() {
    let before = spec(|d| {
        d.env = pairs(&[("A", "1"), ("B", "2")]);
        d.labels = pairs(&[("x", "1")]);
        d.command = vec!["sh".into(), "a b".into()];
    });
    let after = spec(|d| {
        d.name = "other".into();
        d.image = "r.example/b".into();
        d.kernel = "r.example/k".into();
        d.initrd = "r.example/i".into();
        d.vcpus = 2;
        d.memory_mib = 256;
        d.env = pairs(&[("C", ""), ("B", "3")]);
        d.entrypoint = vec!["e".into()];
        d.working_dir = "/w".into();
        d.user = "u".into();
        d.virtualization = Some(Virtualization::Pv);
    });
    let expected = [
        change("name", Some("web"), Some("other")),
        change(
            "image",
            Some("registry.example:5000/app:1"),
            Some("r.example/b"),
        ),
        change("kernel", None, Some("r.example/k")),
        change("initrd", None, Some("r.example/i")),
        change("vcpus", Some("1"), Some("2")),
        change("memory_mib", Some("128"), Some("256")),
        change("env[A]", Some("1"), None),
        change("env[B]", Some("2"), Some("3")),
        change("env[C]", None, Some("")),
        change("entrypoint", None, Some(r#"["e"]"#)),
        change("command", Some(r#"["sh", "a b"]"#), None),
        change("working_dir", None, Some("/w")),
        change("user", None, Some("u")),
        change("labels[x]", Some("1"), None),
        change("virtualization", Some("pvh"), Some("pv")),
    ];
    let changes = diff(&before, &after);
    assert_eq!(changes, expected);
    assert_eq!(changes[6].root(), "env");
    assert!(
        !format!("{:?}", changes[7]).contains('3'),
        "env values are not shown"
    );
}

#[test]
fn the_order_of_env_and_labels_means_nothing() {
    let a = spec(|d| d.env = pairs(&[("A", "1"), ("B", "2")]));
    let b = spec(|d| d.env = pairs(&[("B", "2"), ("A", "1")]));
    assert_eq!(a, b);
}

fn any_spec() -> impl Strategy<Value = GuestSpec> {
    let map = || prop::collection::btree_map("[AB]", "[xy]{0,1}", 0..3);
    let args = || prop::collection::vec("[\", ]{0,2}", 0..3);
    (1_u32..3, map(), map(), args(), prop::bool::ANY).prop_map(|(vcpus, env, labels, args, pv)| {
        spec(|d| {
            d.vcpus = vcpus;
            d.env = env.into_iter().collect();
            d.labels = labels.into_iter().collect();
            d.command = args;
            d.virtualization = pv.then_some(Virtualization::Pv);
        })
    })
}

proptest! {
    #[test]
    fn a_diff_is_empty_exactly_between_equals(a in any_spec(), b in any_spec()) {
        prop_assert_eq!(diff(&a, &b).is_empty(), a == b);
        prop_assert_eq!(diff(&a, &a), []);
        prop_assert_eq!(diff(&a, &b).len(), diff(&b, &a).len());
    }
}
