//! Nothing that a guest writes reaches the terminal as a command.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::*;

fn whole(bytes: &[u8]) -> String {
    let mut cleaner = Cleaner::default();
    let mut clean = cleaner.push(bytes);
    clean.push_str(&cleaner.finish());
    clean
}

#[test]
fn text_passes_and_control_is_shown() {
    let table: [(&[u8], &str); 15] = [
        (b"hello\n\tworld", "hello\n\tworld"),
        (
            "gr\u{fc}\u{df}e \u{1f389}".as_bytes(),
            "gr\u{fc}\u{df}e \u{1f389}",
        ),
        (b"a\r\nb\r\r\nc", "a\nb\nc"),
        (b"10%\r20%\r", "10%\n20%\n"),
        (b"\x1b[1;31mred\x1b[0m \x1b[mx", "red x"),
        (b"\x1b[2J", "\\x1b[2J"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        (b"\x1b", "\\x1b"),
        (b"\x1b[31", "\\x1b[31"),
        (b"\x00\x7f\x08", "\\x00\\x7f\\x08"),
        (b"\xff\xc3(", "\\xff\\xc3("),
        (b"\xe2\x82", "\\xe2\\x82"),
        ("\u{9b}2J".as_bytes(), "\\u{9b}2J"),
        ("a\u{202e}b\u{200b}".as_bytes(), "a\\u{202e}b\\u{200b}"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    ];
    for (bytes, expected) in table {
        assert_eq!(whole(bytes), expected, "{bytes:?}");
    }
    assert_eq!(line("a\nb\x1b[2J\t"), "a\\nb\\x1b[2J\\t");
}

#[test]
fn json_keeps_its_value() {
    let text = serde_json::to_string("a\u{9b}\u{202e}\u{e0041}\x7f\u{e9}\n").unwrap();
    let clean = json(&text);
    assert_eq!(clean, "\"a\\u009b\\u202e\\udb40\\udc41\\u007f\u{e9}\\n\"");
    let values: [String; 2] = [&text, &clean].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(values[0], values[1]);
}

proptest! {
    #[test]
    fn the_output_is_harmless_however_the_input_is_cut(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'm'), Just(b'\r'), Just(b'1')],
            0..200,
        ),
        cuts in proptest::collection::vec(0_usize..20, 0..40),
    ) {
        let clean = whole(&bytes);
        prop_assert!(clean.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        prop_assert!(!clean.chars().any(is_invisible));

        let mut cleaner = Cleaner::default();
        let mut pieces = String::new();
        let mut rest: &[u8] = &bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push_str(&cleaner.push(piece));
            prop_assert!(cleaner.pending.len() < MAX_COLOUR + 3);
            rest = after;
        }
        pieces.push_str(&cleaner.push(rest));
        pieces.push_str(&cleaner.finish());
        prop_assert_eq!(pieces, clean);
    }
}
