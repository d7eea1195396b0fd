//! The allow-list: what is an entry for what.

use super::*;

fn registry(authority: &str, plain_http: bool) -> Registry {
    Registry {
        authority: authority.to_owned(),
        plain_http,
        allow_private: false,
        ca_pem: None,
        credentials: None,
    }
}

fn allowed(entries: &[Registry], reference: &str) -> bool {
    let registries = Registries::new(entries, &Limits::default()).unwrap();
    let found = registries.repository(&reference.parse().unwrap());
    match found {
        Ok(_) => true,
        Err(Error::RegistryNotAllowed { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_entry_is_for_one_host_and_port() {
    let tls = registry("Registry.example", false);
    let plain = registry("plain.example:5000", true);
    for (reference, wanted) in [
        ("registry.example/a", true),
        ("REGISTRY.example:443/a", true),
        ("registry.example:80/a", false),
        ("registry.example:5000/a", false),
        ("registry.example.evil.example/a", false),
        ("sub.registry.example/a", false),
        ("plain.example:5000/a", true),
        ("plain.example/a", false),
        ("plain.example:443/a", false),
        ("localhost.evil.example/a", false),
    ] {
        assert_eq!(
            allowed(&[tls.clone(), plain.clone()], reference),
            wanted,
            "{reference}"
        );
    }
    assert!(allowed(
        &[registry("plain.example", true)],
        "plain.example/a"
    ));
    assert!(allowed(
        &[registry("plain.example", true)],
        "plain.example:80/a"
    ));
    assert!(!allowed(&[], "registry.example/a"));
}

#[test]
fn bad_entries_are_named() {
    for bad in [
        "",
        "http://a.example",
        "a.example/x",
        "user@a.example",
        "a.example:0x",
        "a b",
        "a.example?x",
        "a.example#x",
    ] {
        assert!(
            matches!(
                Registries::new(&[registry(bad, false)], &Limits::default()),
                Err(ConfigError::Authority { .. })
            ),
            "{bad:?}"
        );
    }
    let twice = [
        registry("a.example", false),
        registry("A.example:443", false),
    ];
    assert!(matches!(
        Registries::new(&twice, &Limits::default()),
        Err(ConfigError::DuplicateRegistry { .. })
    ));
    let mut ca = registry("a.example", false);
    ca.ca_pem = Some("not a certificate".to_owned());
    assert!(matches!(
        Registries::new(&[ca], &Limits::default()),
        Err(ConfigError::CaCertificates { .. })
    ));
}
