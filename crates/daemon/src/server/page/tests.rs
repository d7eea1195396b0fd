//! Tokens survive the way to a client and back, and nothing else is one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use uuid::Uuid;
use xenios_core::port::Cursor;

use super::{cursor, size, token};

proptest! {
    #[test]
    fn a_token_gives_its_cursor_back(created_ms: u64, id: u128) {
        let given = Cursor { created_ms, id: Uuid::from_u128(id).into() };
        prop_assert_eq!(cursor(&token(given)).unwrap(), Some(given));
    }

    #[test]
    fn other_text_is_refused(text in "\\PC{1,60}") {
        prop_assume!(!text.starts_with("01"));
        prop_assert!(cursor(&text).is_err());
    }
}

#[test]
fn sizes_are_bounded() {
    for (requested, expected) in [(0, 100), (1, 1), (1000, 1000), (i32::MAX, 1000)] {
        assert_eq!(size(requested).unwrap(), expected);
    }
    assert!(size(-1).is_err());
}
