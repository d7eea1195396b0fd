//! Xen's log, as it was seen, and as it looks when a guest is to blame.

use super::{printable, tells};

const STRUCK: &str = "\
(XEN) Freed 656kB init memory
(XEN) d5v0 Triple fault - invoking HVM shutdown action 3
(XEN) *** Dumping Dom5 vcpu#0 state: ***
(XEN) ----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----
(XEN) CPU:    1
(XEN) RIP:    e008:[<ffff82d0402044a5>]
(XEN) RFLAGS: 0000000000000246   CONTEXT: hvm guest (d5v0)
";

#[test]
fn a_guest_with_xens_own_instruction_pointer_is_the_emulators_fault() {
    assert!(tells(STRUCK));
}

#[test]
fn a_guest_that_faults_in_its_own_code_is_not() {
    assert!(!tells(&STRUCK.replace(
        "e008:[<ffff82d0402044a5>]",
        "0010:[<ffffffff81000110>]"
    )));
    assert!(!tells(&STRUCK.replace(
        "Triple fault - invoking HVM shutdown action 3",
        "something else"
    )));
    assert!(!tells(""));
}

#[test]
fn what_a_guest_wrote_into_xens_log_is_printed_as_text() {
    assert_eq!(
        printable("(d5) \u{1b}[2Jboo\r\nnext\n"),
        "(d5) [2Jboo\nnext\n"
    );
}
