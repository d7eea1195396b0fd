//! How commands are shown.

use super::shell_words;

#[test]
fn words_are_quoted_as_a_shell_would_need_them() {
    for (arguments, expected) in [
        (
            &["run", "10.0.2.2:5000/a/b:1"][..],
            "run 10.0.2.2:5000/a/b:1",
        ),
        (&["-c", "echo \"$X\""], "-c 'echo \"$X\"'"),
        (&["it's", ""], r"'it'\''s' ''"),
    ] {
        assert_eq!(shell_words(arguments), expected);
    }
}
