//! How long to wait before a step is tried again. Pure.

use std::time::Duration;

/// The wait after the first failure, at most.
pub const FIRST: Duration = Duration::from_millis(250);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(30);

/// The wait after `failures` failures in a row (at least 1): doubles from
/// [`FIRST`] to [`LONGEST`], less up to half of it. What is taken off follows from
/// `seed`, so that guests that fail together do not return together, and the same
/// guest waits the same in every test.
#[must_use]
pub fn delay(failures: u32, seed: u64) -> Duration {
    // 2^7 times the first wait exceeds the longest.
    let doublings = failures.saturating_sub(1).min(7);
    let full = (FIRST * (1 << doublings)).min(LONGEST);
    let half = full / 2;
    let spread = mix(seed ^ u64::from(failures)) % 1024;
    // Below 1024, so that nothing is lost.
    let spread = u32::try_from(spread).unwrap_or(0);
    half + half * spread / 1024
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): every bit of the seed
/// reaches every bit of the result.
const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
