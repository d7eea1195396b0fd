//! The budgets of a call, without a call.

use proptest::prelude::*;

use super::*;

fn state(memory_bytes: usize, log_lines: u32, log_bytes: usize) -> CallState {
    let config = EngineConfig {
        memory_bytes,
        log_lines,
        log_bytes,
        ..EngineConfig::default()
    };
    CallState::new("test", &config)
}

#[test]
fn memory_is_summed_over_memories() {
    let mut state = state(100, 1, 1);
    assert!(state.memory_growing(0, 60, None).expect("no error"));
    assert!(!state.memory_growing(0, 60, None).expect("no error"));
    assert!(state.refused);
    // What was refused was not counted.
    assert!(state.memory_growing(60, 100, None).expect("no error"));
    assert!(
        !state
            .memory_growing(100, usize::MAX, None)
            .expect("no error")
    );
}

#[test]
fn the_log_has_a_budget_of_lines_and_of_bytes() {
    let mut lines = state(1, 2, 100);
    assert!(lines.spend_log(0).is_ok());
    assert!(lines.spend_log(0).is_ok());
    assert!(lines.spend_log(0).is_err());
    let mut bytes = state(1, 100, 10);
    assert!(bytes.spend_log(10).is_ok());
    assert!(bytes.spend_log(1).is_err());
}

proptest! {
    #[test]
    fn a_cleaned_line_is_short_and_harmless(text in any::<String>()) {
        let line = clean(&text);
        prop_assert!(line.len() <= MAX_LINE + '…'.len_utf8());
        prop_assert!(!line.chars().any(|c| c.is_control() || is_bidi(c)));
    }
}

#[test]
fn a_line_that_fits_stays() {
    assert_eq!(clean("größer als 4\n\u{1b}[31m"), "größer als 4  [31m");
    assert_eq!(clean(&"x".repeat(600)), format!("{}…", "x".repeat(512)));
}
