//! The policy as a plain function; the sandbox is tested with it elsewhere.

use xenios_policy_sdk::{example, parse};

use super::*;

type Env<'a> = &'a [(&'a str, &'a str)];

fn pairs(env: Env<'_>) -> Vec<Pair> {
    env.iter()
        .map(|(name, value)| example::pair(name, value))
        .collect()
}

/// The env after the rewrite, or `None` when nothing changes, and the warnings.
fn rewritten(env: Env<'_>, settings: &str) -> (Option<Vec<(String, String)>>, Vec<String>) {
    let rewrites = parse::<Rewrites>(settings).expect("good settings");
    let mut request = example::mutating();
    request.spec.env = pairs(env);
    let mut notes = Notes::default();
    let env = match rewrite(&request, &rewrites, &mut notes) {
        Mutation::Unchanged => None,
        Mutation::Deny(violations) => panic!("it never denies: {violations:?}"),
        Mutation::Replace(spec) => {
            request.spec = (*spec).clone();
            let again = rewrite(&request, &rewrites, &mut Notes::default());
            assert!(
                matches!(again, Mutation::Unchanged),
                "not idempotent: {again:?}"
            );
            Some(
                spec.env
                    .into_iter()
                    .map(|pair| (pair.name, pair.value))
                    .collect(),
            )
        }
    };
    (env, notes.warnings().to_vec())
}

fn owned(env: Env<'_>) -> Vec<(String, String)> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    env.iter().map(own).collect()
}

#[test]
fn it_sets_defaults_and_removes() {
    let set = r#"{ "set": { "B": "1" } }"#;
    let default = r#"{ "default": { "B": "1" } }"#;
    let remove = r#"{ "remove": ["B"], "remove_prefix": ["AWS_"] }"#;
    let cases: [(Env<'_>, &str, Option<Env<'_>>); 9] = [
        (
            &[("A", "a"), ("C", "c")],
            set,
            Some(&[("A", "a"), ("B", "1"), ("C", "c")]),
        ),
        (&[("B", "2")], set, Some(&[("B", "1")])),
        (&[("B", "1")], set, None),
        (&[], default, Some(&[("B", "1")])),
        (&[("B", "2")], default, None),
        (&[("B", "")], default, None),
        (&[("A", "a"), ("B", "b")], remove, Some(&[("A", "a")])),
        (
            &[("AWS", "a"), ("AWS_KEY", "k"), ("BB", "b")],
            remove,
            Some(&[("AWS", "a"), ("BB", "b")]),
        ),
        (&[("A", "a")], remove, None),
    ];
    for (env, settings, expected) in cases {
        let (found, _) = rewritten(env, settings);
        assert_eq!(found, expected.map(owned), "{env:?} with {settings}");
    }
}

#[test]
fn warnings_name_entries_and_never_their_values() {
    let env = [("DEBUG", "secret-1"), ("LEVEL", "secret-2")];
    let settings = r#"{ "remove": ["DEBUG"], "set": { "LEVEL": "info", "NEW": "x" } }"#;
    let (_, warnings) = rewritten(&env, settings);
    assert_eq!(
        warnings,
        ["env[DEBUG] was removed", "env[LEVEL] was replaced"]
    );
}

#[test]
fn settings_are_strict() {
    let cases = [
        ("{}", "nothing to do"),
        (r#"{ "sets": {} }"#, "unknown field `sets`"),
        (r#"{ "set": { "A": 1 } }"#, "invalid type"),
        (r#"{ "set": { "": "x" } }"#, "set: \"\" is not the name"),
        (
            r#"{ "default": { "A=B": "x" } }"#,
            "default: \"A=B\" is not the name",
        ),
        (r#"{ "remove": ["A\u0000"] }"#, "remove: "),
        (r#"{ "remove_prefix": [""] }"#, "remove_prefix: \"\" is not"),
        (
            r#"{ "remove": ["A"], "set": { "A": "x" } }"#,
            "set: \"A\" is removed as well",
        ),
        (
            r#"{ "remove_prefix": ["A"], "default": { "AB": "x" } }"#,
            "default: \"AB\" is removed",
        ),
        (
            r#"{ "set": { "A": "x" }, "default": { "A": "y" } }"#,
            "default: \"A\" is set as well",
        ),
    ];
    for (settings, expected) in cases {
        let problems = parse::<Rewrites>(settings).expect_err(settings);
        assert!(
            problems.join(" ").contains(expected),
            "{problems:?} lacks {expected:?}"
        );
    }
}
