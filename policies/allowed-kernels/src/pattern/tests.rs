//! Which patterns match what, and which are refused.

use super::*;

fn pattern(text: &str) -> Pattern {
    Pattern::try_from(text.to_owned()).expect(text)
}

#[test]
fn patterns_match_whole_parts() {
    // Pattern, registry, repository, whether it matches.
    let cases = [
        ("r.io/kernels/linux", "r.io", "kernels/linux", true),
        ("r.io/kernels/linux", "r.io", "kernels/linux2", false),
        ("r.io/kernels/linux", "r.io", "kernels", false),
        ("r.io/kernels/linux", "r.io", "kernels/linux/x", false),
        ("r.io/kernels/*", "r.io", "kernels/linux", true),
        ("r.io/kernels/*", "r.io", "kernels/linux/x", false),
        ("r.io/kernels/*", "r.io", "evil/kernels", false),
        ("r.io/kernels/**", "r.io", "kernels/linux/x", true),
        ("r.io/kernels/**", "r.io", "kernels", false),
        ("r.io/kernels/**", "r.io", "kernels-evil/x", false),
        ("r.io/**", "r.io", "anything/at/all", true),
        ("r.io/**", "r.io.evil.com", "x", false),
        ("r.io/**", "evil.com", "r.io/x", false),
        ("r.io:5000/**", "r.io", "x", false),
        ("r.io:5000/**", "r.io:5000", "x", true),
        ("r.io/linux-*-lts", "r.io", "linux-6.12-lts", true),
        ("r.io/linux-*-lts", "r.io", "linux-lts", false),
        ("r.io/*a*a", "r.io", "xaya", true),
        ("r.io/*a*a", "r.io", "xa", false),
        ("r.io/a*a", "r.io", "a", false),
    ];
    for (text, registry, repository, expected) in cases {
        let found = pattern(text).matches(registry, repository);
        assert_eq!(found, expected, "{text} on {registry}/{repository}");
    }
}

#[test]
fn patterns_that_could_be_misread_are_refused() {
    let cases = [
        ("r.io", "is not registry/repository"),
        ("*/kernels", "without *"),
        ("*.io/kernels", "without *"),
        ("/kernels", "must begin with a registry"),
        ("r.io/kernels:6.12", "tag or digest"),
        ("r.io/kernels@sha256:00", "tag or digest"),
        ("r.io/", "empty part"),
        ("r.io/a//b", "empty part"),
        ("r.io/**/kernels", "another place"),
        ("r.io/kern**", "another place"),
    ];
    for (text, expected) in cases {
        let error = Pattern::try_from(text.to_owned()).expect_err(text);
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}
