//! The exit node is read from a guest: strict, bounded, never a panic.

use proptest::prelude::*;

use super::*;

#[test]
fn nodes_have_one_spelling() {
    for (exit, node) in [
        (Exit::Code(0), "code 0"),
        (Exit::Code(255), "code 255"),
        (Exit::Signal(9), "signal 9"),
        (Exit::Failed("no rootfs".into()), "failed no rootfs"),
    ] {
        assert_eq!(exit.to_node(), node);
        assert_eq!(Exit::from_node(node.as_bytes()), Ok(exit));
    }
}

#[test]
fn everything_else_is_refused() {
    for node in [
        "",
        "code",
        "code ",
        "code 256",
        "code 00",
        "code +1",
        "code -1",
        "code 1 ",
        " code 1",
        "code 1\n",
        "code 1\0",
        "Code 1",
        "signal 0",
        "signal 65",
        "failed",
        "failed ",
        "failed a\x1b[31m",
        "failed two\nlines",
        "lost",
    ] {
        assert_eq!(
            Exit::from_node(node.as_bytes()),
            Err(ExitError::Malformed),
            "{node:?}"
        );
    }
    assert_eq!(
        Exit::from_node(&[b'x'; MAX_EXIT_NODE + 1]),
        Err(ExitError::TooLong(MAX_EXIT_NODE + 1))
    );
    assert_eq!(Exit::from_node(b"failed \xff"), Err(ExitError::Malformed));
}

#[test]
fn messages_are_cleaned_and_cut() {
    assert_eq!(
        Exit::Failed(String::new()).to_node(),
        "failed no reason given"
    );
    assert_eq!(
        Exit::Failed("a\nb\t\u{9b}c\n".into()).to_node(),
        "failed a b  c"
    );
    let long = Exit::Failed("é".repeat(400)).to_node();
    assert_eq!(long.len(), MAX_EXIT_NODE - MAX_EXIT_MESSAGE % 2);
    assert!(Exit::from_node(long.as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(exit) = Exit::from_node(&bytes) {
            prop_assert_eq!(exit.to_node().into_bytes(), bytes);
        }
    }

    #[test]
    fn every_message_makes_a_node_that_parses(message in ".{0,700}") {
        let node = Exit::Failed(message).to_node();
        prop_assert!(node.len() <= MAX_EXIT_NODE);
        let parsed = Exit::from_node(node.as_bytes());
        prop_assert!(parsed.is_ok(), "{:?}", parsed);
    }

    #[test]
    fn near_misses_never_panic(node in "(code|signal|failed) ?[ -~]{0,5}") {
        if let Ok(exit) = Exit::from_node(node.as_bytes()) {
            let again = exit.to_node();
            prop_assert!(again == node || matches!(exit, Exit::Failed(_)));
        }
    }
}
