//! Says what is being done and how long it took, on standard error, so that a
//! command's own output stays alone on standard output.

use std::time::{Duration, Instant};

use anyhow::Result;

/// Runs `work`, printing its name before and its time after.
pub(crate) fn stage<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("-- {title} ...");
    let start = Instant::now();
    let result = work();
    let ending = if result.is_ok() { "done" } else { "FAILED" };
    eprintln!("-- {title}: {ending} in {}", seconds(start.elapsed()));
    result
}

/// A line that belongs to the stage in progress.
pub(crate) fn note(text: &str) {
    eprintln!("   {text}");
}

/// Seconds with one decimal, as the stages print them.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
