//! Cleaning is bounded and leaves nothing that a terminal obeys.

use proptest::prelude::*;

use super::*;

#[test]
fn cleaning_removes_what_a_terminal_obeys() {
    assert_eq!(
        clean("a\x1b[31mb\r\nc\u{202E}d\u{200B}e\u{9b}f", 100),
        "a[31mbcdef"
    );
    assert_eq!(clean("éé", 4), "éé");
    assert_eq!(clean("ééé", 5), "é…");
    assert_eq!(clean("abc", 2), "");
    assert_eq!(quoted("a\n\"b"), r#""a\n\"b""#);
}

proptest! {
    #[test]
    fn cleaned_text_is_bounded(text in any::<String>(), max in 0_usize..20) {
        let cleaned = clean(&text, max);
        prop_assert!(cleaned.len() <= max);
        prop_assert!(!cleaned.chars().any(char::is_control));
        prop_assert!(quoted(&text).chars().all(|c| !c.is_control()));
    }
}
