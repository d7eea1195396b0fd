//! The policy as a plain function; the sandbox is tested with it elsewhere.

use xenios_policy_sdk::{example, parse};

use super::*;

fn digest(fill: char) -> String {
    format!("sha256:{}", String::from(fill).repeat(64))
}

fn host_kernel() -> BootFile {
    example::host_file("vmlinuz", &digest('a'))
}

fn kernel_image(registry: &str, repository: &str) -> BootFile {
    BootFile::Image(example::image(registry, repository, &digest('b')))
}

fn refusal(kernel: BootFile, settings: &str) -> Option<String> {
    let allowed = parse::<Allowed>(settings).expect("good settings");
    let mut request = example::validating();
    request.pinned.as_mut().expect("a pinned request").kernel = kernel;
    let mut violations = judge(&request, &allowed, &mut Notes::default());
    assert!(violations.len() <= 1);
    violations.pop().map(|violation| {
        assert_eq!(violation.rule, "kernel-not-allowed");
        assert_eq!(violation.field, "kernel");
        violation.message
    })
}

#[test]
fn only_listed_kernels_boot() {
    let images = r#"{ "host_default": false, "images": ["r.io/kernels/*"] }"#;
    let host = r#"{ "host_default": true }"#;
    let digest_of = |fill| {
        format!(
            r#"{{ "host_default": false, "digests": ["{}"] }}"#,
            digest(fill)
        )
    };
    let cases = [
        (host_kernel(), host.to_owned(), true),
        (host_kernel(), images.to_owned(), false),
        (host_kernel(), digest_of('a'), true),
        (host_kernel(), digest_of('b'), false),
        (
            kernel_image("r.io", "kernels/linux"),
            host.to_owned(),
            false,
        ),
        (
            kernel_image("r.io", "kernels/linux"),
            images.to_owned(),
            true,
        ),
        (
            kernel_image("r.io", "other/linux"),
            images.to_owned(),
            false,
        ),
        (
            kernel_image("r.io:5000", "kernels/linux"),
            images.to_owned(),
            false,
        ),
        (
            kernel_image("evil.com", "kernels/linux"),
            digest_of('b'),
            true,
        ),
        (kernel_image("r.io", "kernels/linux"), digest_of('c'), false),
    ];
    for (kernel, settings, allowed) in cases {
        let refusal = refusal(kernel.clone(), &settings);
        assert_eq!(
            refusal.is_none(),
            allowed,
            "{kernel:?} with {settings}: {refusal:?}"
        );
    }
}

#[test]
fn a_refusal_names_the_kernel() {
    let images = r#"{ "host_default": false, "images": ["r.io/kernels/*"] }"#;
    let message = refusal(kernel_image("evil.com", "linux"), images).expect("a refusal");
    assert_eq!(
        message,
        format!(
            "kernels from evil.com/linux@{} are not allowed",
            digest('b')
        )
    );
    let message = refusal(host_kernel(), images).expect("a refusal");
    assert!(message.contains("vmlinuz"), "{message}");
}

#[test]
fn a_kernel_that_is_not_known_is_refused() {
    let allowed = parse::<Allowed>(r#"{ "host_default": true }"#).expect("good settings");
    let mut request = example::validating();
    request.pinned = None;
    assert_eq!(judge(&request, &allowed, &mut Notes::default()).len(), 1);
}

#[test]
fn settings_are_strict() {
    let cases = [
        ("{}", "missing field `host_default`"),
        (r#"{ "host_default": false }"#, "no kernel is allowed"),
        (
            r#"{ "host_default": true, "digest": [] }"#,
            "unknown field `digest`",
        ),
        (
            r#"{ "host_default": true, "digests": ["abc"] }"#,
            "\"abc\" is not sha256:",
        ),
        (
            r#"{ "host_default": true, "images": ["linux"] }"#,
            "is not registry/repository",
        ),
    ];
    for (settings, expected) in cases {
        let problems = parse::<Allowed>(settings).expect_err(settings);
        assert!(
            problems.join(" ").contains(expected),
            "{problems:?} lacks {expected:?}"
        );
    }
    let upper = digest('a').to_uppercase();
    let settings = format!(r#"{{ "host_default": false, "digests": ["{upper}"] }}"#);
    assert!(parse::<Allowed>(&settings).is_err());
}
