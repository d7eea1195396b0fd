//! Waits for the command, reaps every orphan, and passes on a wish to stop.

use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait,
};
use xenios_guest::Exit;

use super::sys::{self, Event};

/// How long the command may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often the clock is looked at when no signal comes.
const TICK: Duration = Duration::from_secs(1);
/// How long killed processes may take to go.
const KILL_DEADLINE: Duration = Duration::from_secs(2);
const KILL_POLL: Duration = Duration::from_millis(20);

/// Returns how `child` ended.
pub(crate) fn until_end(child: Pid) -> Exit {
    let mut kill_at: Option<Instant> = None;
    loop {
        if let Some(exit) = reap(child) {
            return exit;
        }
        match sys::next_event(TICK) {
            Some(Event::Stop) if kill_at.is_none() => {
                kill_at = Some(Instant::now() + STOP_GRACE);
                // It may have ended just now; the next round sees it.
                let _ = kill_process(child, Signal::TERM);
            }
            _ if kill_at.is_some_and(|at| Instant::now() >= at) => {
                let _ = kill_process(child, Signal::KILL);
            }
            _ => {}
        }
    }
}

/// Kills and reaps whatever the command left behind.
pub(crate) fn end_everything() {
    // Addressed to the first process's id, the signal goes to all but it.
    if kill_process_group(Pid::INIT, Signal::KILL).is_err() {
        return;
    }
    let started = Instant::now();
    while started.elapsed() < KILL_DEADLINE {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(KILL_POLL),
            // No child is left.
            Err(_) => return,
        }
    }
}

/// Reaps all that ended; the answer is about `child`.
fn reap(child: Pid) -> Option<Exit> {
    let mut exit = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            exit = Some(exit_of(status));
        }
    }
    exit
}

fn exit_of(status: WaitStatus) -> Exit {
    let byte = |value: i32| u8::try_from(value).ok();
    if let Some(code) = status.exit_status().and_then(byte) {
        return Exit::Code(code);
    }
    match status.terminating_signal().and_then(byte) {
        Some(signal) => Exit::Signal(signal),
        None => Exit::Failed(format!("unknown wait status {status:?}")),
    }
}
