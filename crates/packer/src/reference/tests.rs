//! References: a table of edges, and that parsing is total and canonical.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Reference, ReferenceError> {
    text.parse()
}

#[test]
fn good_references_come_back_as_written() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for text in [
        "registry.example/app".to_owned(),
        "localhost/app:latest".to_owned(),
        "localhost:5000/a/b_c/d__e/f-g/h.i:V1.2_x".to_owned(),
        "10.0.2.2:5000/busybox".to_owned(),
        "[::1]:5000/app".to_owned(),
        "[fe80::1]/app:1".to_owned(),
        format!("registry.example/app@{digest}"),
        format!("registry.example:443/app:1@{digest}"),
    ] {
        assert_eq!(parse(&text).map(|r| r.to_string()), Ok(text));
    }
}

#[test]
fn parts_are_told_apart() {
    let reference = parse("Registry.EXAMPLE:5000/team/app:V1").unwrap();
    assert_eq!(reference.registry(), "registry.example:5000");
    assert_eq!(reference.repository(), "team/app");
    assert_eq!(reference.tag(), Some("V1"));
    assert_eq!(reference.digest(), None);
}

#[test]
fn bad_references_say_what_is_wrong() {
    use ReferenceError as E;
    let long = format!("registry.example/{}", "a".repeat(300));
    for (text, error) in [
        ("", E::NoRegistry),
        ("busybox", E::NoRegistry),
        ("library/busybox", E::NoRegistry),
        ("/app", E::NoRegistry),
        ("https://registry.example/app", E::BadRegistry),
        ("registry.example:/app", E::BadRegistry),
        ("registry.example:0/app", E::BadRegistry),
        ("registry.example:+80/app", E::BadRegistry),
        ("registry.example:65536/app", E::BadRegistry),
        (
            "user@registry.example/app",
            E::BadDigest(DigestError::Algorithm),
        ),
        ("reg_istry.example/app", E::BadRegistry),
        ("-a.example/app", E::BadRegistry),
        ("a..example/app", E::BadRegistry),
        ("[::1/app", E::BadRegistry),
        ("[::1]x/app", E::BadRegistry),
        ("[127.0.0.1]/app", E::BadRegistry),
        ("registry.example/", E::BadRepository),
        ("registry.example/App", E::BadRepository),
        ("registry.example/../app", E::BadRepository),
        ("registry.example//app", E::BadRepository),
        ("registry.example/a___b", E::BadRepository),
        ("registry.example/a._b", E::BadRepository),
        ("registry.example/app\0", E::BadRepository),
        ("registry.example/app?x=1", E::BadRepository),
        ("registry.example/app:", E::BadTag),
        ("registry.example/app:.1", E::BadTag),
        ("registry.example/app:1:2", E::BadTag),
        ("registry.example/app:a/b", E::BadTag),
        (
            "registry.example/app@sha256:12",
            E::BadDigest(DigestError::Hex),
        ),
        (
            "registry.example/app@sha512:12",
            E::BadDigest(DigestError::Algorithm),
        ),
        (&long, E::TooLong),
    ] {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_pinned_reference_keeps_its_tag_and_needs_a_digest() {
    let a: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    let asked = parse("registry.example/app:1").unwrap();
    let pinned = asked.pin(a);
    assert_eq!(pinned.to_string(), format!("registry.example/app:1@{a}"));
    assert_eq!(pinned.to_string().parse(), Ok(pinned.clone()));
    assert_eq!(
        asked.to_string().parse::<PinnedReference>(),
        Err(ReferenceError::NoDigest)
    );
}

proptest! {
    #[test]
    fn parsing_is_total_and_canonical(text in "\\PC{0,40}|[a-z.:/@\\[\\]A-Z0-9_-]{0,60}") {
        if let Ok(reference) = parse(&text) {
            prop_assert_eq!(parse(&reference.to_string()), Ok(reference));
        }
    }
}
