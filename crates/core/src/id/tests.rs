//! Names and numbers at their edges.

use super::*;

#[test]
fn names_at_their_edges() {
    let name = |text: &str| text.parse::<GuestName>();
    for good in ["a", "0", "web-1", "a--b", &"a".repeat(63)] {
        assert_eq!(name(good).map(|n| n.to_string()), Ok(good.to_owned()));
    }
    assert_eq!(name(""), Err(NameError::Empty));
    assert_eq!(name(&"a".repeat(64)), Err(NameError::TooLong));
    for bad in ["Web", "a.b", "a b", "ä", "a\0", "a/b", "a\n"] {
        assert_eq!(name(bad), Err(NameError::BadCharacter), "{bad:?}");
    }
    assert_eq!(name("-rm"), Err(NameError::Edge));
    assert_eq!(name("rm-"), Err(NameError::Edge));
}

#[test]
fn a_name_is_never_an_id() {
    let id = GuestId::random();
    assert_eq!(
        id.to_string().parse::<GuestName>(),
        Err(NameError::LooksLikeId)
    );
    let simple = id.uuid().simple().to_string();
    assert_eq!(simple.parse::<GuestName>(), Err(NameError::LooksLikeId));
    assert!(
        GuestName::generated(id)
            .as_str()
            .parse::<GuestName>()
            .is_ok()
    );
    assert!(
        GuestName::generated(id)
            .as_str()
            .parse::<GuestId>()
            .is_err()
    );
    assert_eq!(id.to_string().parse(), Ok(id));
}

#[test]
fn no_domid_is_dom0_or_reserved() {
    assert_eq!(DomId::new(0), None);
    assert_eq!(DomId::new(0x7FF0), None);
    assert_eq!(DomId::new(u16::MAX), None);
    assert_eq!(DomId::new(1).map(DomId::get), Some(1));
    assert_eq!(DomId::new(0x7FEF).map(DomId::get), Some(0x7FEF));
}
