//! Text that looks like code and is none.

use super::code;

#[test]
fn comments_and_literals_become_spaces() {
    for (text, expected) in [
        ("a // unsafe\nb", "a          \nb"),
        ("f(\"}\\\"{\") + g", "f(      ) + g"),
        ("r#\"\"}\"# + x", "        + x"),
        ("br\"}\" x", "      x"),
        ("let c = '}'; 'a: loop", "let c =    ; 'a: loop"),
        ("'\\'' '\\u{7d}' x", "              x"),
        ("'é' x", "     x"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("attr\"x\"", "attr   "),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
    let nested = "/* x /* { */ } */";
    assert_eq!(
        code(&format!("a{nested}b")),
        format!("a{}b", " ".repeat(nested.len()))
    );
}

#[test]
fn text_that_ends_too_early_is_no_trouble() {
    for text in ["\"", "/*", "r#\"", "'", "'\\", "\"\\"] {
        assert_eq!(code(text).len(), text.len(), "{text}");
    }
}
