//! Path normalisation: a table, and that nothing leads out.

use proptest::prelude::*;

use super::*;

fn parse(name: &[u8]) -> Result<String, NameFault> {
    ImagePath::parse(name, 8).map(|path| String::from_utf8(path.0).unwrap())
}

#[test]
fn names_are_normalised_or_refused() {
    for (name, path) in [
        ("", Ok("")),
        (".", Ok("")),
        ("./", Ok("")),
        ("a", Ok("a")),
        ("./a/b", Ok("a/b")),
        ("a//./b/", Ok("a/b")),
        ("a/...", Ok("a/...")),
        (" ", Ok(" ")),
        ("/a", Err(NameFault::Absolute)),
        ("//", Err(NameFault::Absolute)),
        ("..", Err(NameFault::Parent)),
        ("../a", Err(NameFault::Parent)),
        ("a/../b", Err(NameFault::Parent)),
        ("a/..", Err(NameFault::Parent)),
        ("a\0b", Err(NameFault::Nul)),
        ("1/2/3/4/5/6/7/8", Ok("1/2/3/4/5/6/7/8")),
        ("1/2/3/4/5/6/7/8/9", Err(NameFault::TooDeep)),
    ] {
        assert_eq!(parse(name.as_bytes()), path.map(str::to_owned), "{name:?}");
    }
    assert!(parse(&[b'a'; 255]).is_ok());
    assert_eq!(parse(&[b'a'; 256]), Err(NameFault::ComponentTooLong));
    assert_eq!(parse(&b"a/".repeat(3000)), Err(NameFault::TooLong));
}

#[test]
fn the_last_component_splits_off() {
    let path = ImagePath::parse(b"a/b/c", 8).unwrap();
    let (parent, name) = path.split_last().unwrap();
    assert_eq!((parent.as_bytes(), name), (&b"a/b"[..], &b"c"[..]));
    assert_eq!(ImagePath::parse(b"./", 8).unwrap().split_last(), None);
}

proptest! {
    #[test]
    fn any_bytes_normalise_to_plain_components_or_are_refused(
        name in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..64)
    ) {
        if let Ok(path) = ImagePath::parse(&name, 8) {
            let mut depth = 0;
            for component in path.components() {
                prop_assert!(!matches!(component, b"" | b"." | b".."));
                prop_assert!(!component.contains(&b'/') && !component.contains(&0));
                depth += 1;
            }
            prop_assert!(depth <= 8);
            // Normalising twice changes nothing.
            prop_assert_eq!(ImagePath::parse(path.as_bytes(), 8), Ok(path.clone()));
        }
    }
}
