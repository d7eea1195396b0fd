//! A fault of the emulator, told apart from faults of ours.
//!
//! Now and then, and more often on a busy machine, QEMU's emulation of SVM enters
//! an HVM guest with Xen's own instruction pointer and code segment; the first
//! instruction then faults three times. No guest can get there by itself: its
//! segments are its own. A check that this struck proves nothing and is tried
//! again; any other crash of a guest counts. PV guests are not affected.

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Result;

use crate::bed::Bed;
use crate::client::Answer;
use crate::stage::note;

/// How often a check is tried that the emulator disturbs.
pub(crate) const TRIES: usize = 4;

const LIMIT: Duration = Duration::from_mins(1);
/// What is said before another try.
pub(crate) const AGAIN: &str = "the emulator entered a guest with Xen's registers; again";
/// What Xen prints when a guest's processor gives up.
const GAVE_UP: &str = "Triple fault";
/// What Xen prints before the registers of a guest that crashed.
const CRASHED: &str = "*** Dumping Dom";
/// The code segment is `__HYPERVISOR_CS` and the address lies behind
/// `XEN_VIRT_START` (Xen's `x86/include/asm/config.h`).
const IN_XEN: &str = "RIP:    e008:[<ffff82d0";
/// The dump of the state follows the message at once.
const DUMP_LINES: usize = 6;

/// Whether it struck since the last call. Empties Xen's log.
pub(crate) fn struck(bed: &mut Bed) -> Result<bool> {
    let log = bed.sh("xl dmesg -c", LIMIT)?;
    let struck = tells(&log);
    if !struck && log.contains(CRASHED) {
        // Another crash, and nobody else keeps what Xen said of it.
        // A guest can write into it: HVM guests have a debug port.
        println!("{}", printable(&log));
    }
    Ok(struck)
}

/// Calls until the emulator leaves the call alone, at most [`TRIES`] times: the
/// last answer. One with the exit code `good` is not looked into.
pub(crate) fn undisturbed(
    bed: &mut Bed,
    good: i32,
    mut call: impl FnMut() -> Result<Answer>,
) -> Result<Answer> {
    struck(bed)?;
    for _ in 1..TRIES {
        let answer = call()?;
        if answer.code == good || !struck(bed)? {
            return Ok(answer);
        }
        note(AGAIN);
    }
    call()
}

fn printable(log: &str) -> String {
    log.chars()
        .filter(|&character| character == '\n' || !character.is_control())
        .collect()
}

fn tells(log: &str) -> bool {
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().enumerate().any(|(number, line)| {
        line.contains(GAVE_UP)
            && lines[number..]
                .iter()
                .take(DUMP_LINES)
                .any(|line| line.contains(IN_XEN))
    })
}
