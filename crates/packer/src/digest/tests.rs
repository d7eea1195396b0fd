//! Digests: one spelling, and a known answer.

use super::*;

/// FIPS 180-2, appendix B.1: the digest of "abc".
const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_digest_is_lower_case_hex_of_full_length() {
    let digest: Digest = ABC.parse().unwrap();
    assert_eq!(digest.to_string(), ABC);
    assert_eq!(digest, Digest::of(b"abc"));
    for (bad, error) in [
        ("", DigestError::Algorithm),
        ("sha512:00", DigestError::Algorithm),
        ("SHA256:00", DigestError::Algorithm),
        ("sha256:", DigestError::Hex),
        ("sha256:../../../../etc/passwd", DigestError::Hex),
        (&ABC[..70], DigestError::Hex),
        (&format!("{ABC}a"), DigestError::Hex),
        (&ABC.replace("ba78", "BA78"), DigestError::Hex),
        (&ABC.replace("ba78", "zz78"), DigestError::Hex),
    ] {
        assert_eq!(bad.parse::<Digest>(), Err(error), "{bad}");
    }
}

#[test]
fn hashing_counts_and_hashes_what_went_through() {
    let mut hashing = Hashing::new(Vec::new());
    hashing.write_all(b"a").unwrap();
    hashing.write_all(b"bc").unwrap();
    assert_eq!(hashing.len(), 3);
    assert_eq!(hashing.finish(), (b"abc".to_vec(), Digest::of(b"abc"), 3));
}
