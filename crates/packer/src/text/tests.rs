//! What an image wrote never reaches a terminal as it is.

use super::*;

#[test]
fn control_and_foreign_bytes_are_escaped() {
    assert_eq!(
        Printable::new(b"a\x1b[2J\n\xff\"").to_string(),
        r#""a\x1b[2J\n\xff\"""#
    );
}

#[test]
fn long_texts_are_cut_and_say_so() {
    let whole = Printable::new(&[b'a'; MAX_SHOWN]).to_string();
    assert_eq!(whole.len(), MAX_SHOWN + 2);
    assert!(Printable::new(&[b'a'; 5000]).to_string().ends_with("a\"…"));
}
