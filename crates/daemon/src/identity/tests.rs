//! Certificates that name a tenant, and certificates that do not.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use super::{IdentityError, from_certificate};

fn certificate(common_name: &str, uris: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    for uri in uris {
        params
            .subject_alt_names
            .push(SanType::URI((*uri).try_into().unwrap()));
    }
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn tenant_and_user_are_read() {
    let der = certificate("ann", &["https://example.org", "xenios://tenant/acme-1"]);
    let caller = from_certificate(&der).unwrap();
    assert_eq!(caller.tenant.to_string(), "acme-1");
    assert_eq!(caller.user, "ann");
}

#[test]
fn anything_but_one_good_tenant_is_refused() {
    let cases: [(&[&str], IdentityError); 6] = [
        (&[], IdentityError::TenantCount(0)),
        (&["https://tenant/acme"], IdentityError::TenantCount(0)),
        (
            &["xenios://tenant/a", "xenios://tenant/b"],
            IdentityError::TenantCount(2),
        ),
        (&["xenios://tenant/"], IdentityError::TenantName),
        (&["xenios://tenant/a/b"], IdentityError::TenantName),
        (&["xenios://tenant/UP"], IdentityError::TenantName),
    ];
    for (uris, expected) in cases {
        let error = from_certificate(&certificate("x", uris)).unwrap_err();
        assert_eq!(error, expected, "{uris:?}");
    }
}

#[test]
fn a_user_is_cleaned_and_bounded() {
    let name = format!("a\u{1b}[2J{}", "é".repeat(300));
    let user = from_certificate(&certificate(&name, &["xenios://tenant/a"]))
        .unwrap()
        .user;
    assert!(user.starts_with("a[2J") && user.len() <= 256);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(from_certificate(&bytes).is_err());
    }
}
