//! Dates, and that the certificates are what they say.

use super::{Authority, civil};

#[test]
fn days_become_dates() {
    // From `date -u -d @SECONDS`.
    for (days, date) in [
        (0, (1970, 1, 1)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (19_722, (2023, 12, 31)),
        (19_782, (2024, 2, 29)),
        (20_781, (2026, 11, 24)),
        (47_540, (2100, 2, 28)),
        (47_541, (2100, 3, 1)),
    ] {
        assert_eq!(civil(days), date, "{days}");
    }
}

#[test]
fn keys_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = crate::scratch::Folder::new("certs");
    let authority = Authority::new().unwrap();
    let files = authority
        .client("acme", "alice")
        .unwrap()
        .write(folder.path(), "alice")
        .unwrap();
    assert_eq!(
        std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = std::fs::read_to_string(&files.certificate).unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(
        authority
            .certificate()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert!(authority.server().is_ok());
}
