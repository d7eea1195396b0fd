//! A policy that misbehaves in the way that the guest's name says. It serves the
//! tests of the sandbox and is never installed.
#![expect(
    unsafe_code,
    reason = "misbehaving is the purpose: pointers that lead nowhere"
)]

use std::hint::black_box;

use serde::Deserialize;
use xenios_policy_sdk::{Level, Notes, Request, Settings, Violation, log, violation};

/// The settings may misbehave as well.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mood {
    #[serde(default)]
    settings: String,
}

impl Settings for Mood {
    fn problems(&self) -> Vec<String> {
        match self.settings.as_str() {
            "" => Vec::new(),
            "loop" => loop_forever(),
            "panic" => panic!("as asked"),
            "escape" => vec!["\u{1b}[2J\u{202e}".repeat(1000)],
            other => vec![format!("no such mood: {other}")],
        }
    }
}

fn loop_forever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Misbehaves.
///
/// # Panics
///
/// When it is asked to, among other things.
pub fn judge(request: &Request, _mood: &Mood, notes: &mut Notes) -> Vec<Violation> {
    match request.spec.name.as_str() {
        "allow" => {}
        "deny" => return vec![violation("asked", "name", "as asked")],
        "log" => log(Level::Info, "one line"),
        "loop" => loop_forever(),
        "panic" => panic!("as asked"),
        "divide" => drop(black_box(1 / black_box(0_u32))),
        "unreachable" => std::process::abort(),
        "recurse" => drop(black_box(recurse(u64::MAX))),
        "grow" => grow(),
        "grow-quietly" => grow_until_refused(),
        "log-flood" => (0..1_000_000).for_each(|_| log(Level::Info, "again")),
        "log-empty-flood" => (0..1_000_000).for_each(|_| log(Level::Info, "")),
        "log-huge" => log(Level::Info, &"x".repeat(512 << 10)),
        "log-garbage" => log(Level::Info, garbage()),
        "log-nowhere" => log(Level::Info, nowhere()),
        "output-garbage" => return vec![violation("r", "f", garbage())],
        "output-nowhere" => return vec![violation("r", "f", stolen(nowhere()))],
        "output-huge" => return vec![violation("r", "f", "x".repeat(20 << 20))],
        // 20 GB to copy, of 1 MiB of memory.
        "output-aliased" => {
            let text: &'static str = "x".repeat(1 << 20).leak();
            return (0..20_000)
                .map(|_| violation("", "", stolen(text)))
                .collect();
        }
        "output-many" => (0..200_000).for_each(|_| notes.warn(String::new())),
        other => panic!("no such misbehaviour: {other}"),
    }
    Vec::new()
}

fn recurse(depth: u64) -> u64 {
    let mut frame = [depth; 64];
    black_box(&mut frame);
    if depth == 0 {
        0
    } else {
        recurse(depth - 1) + frame[63]
    }
}

fn grow() {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![black_box(1_u8); 1 << 20]);
    }
}

/// Takes no for an answer.
fn grow_until_refused() {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        let mut more = Vec::new();
        if more.try_reserve_exact(1 << 20).is_err() {
            return;
        }
        kept.push(black_box(more));
    }
}

fn garbage() -> &'static str {
    let bytes: &'static [u8] = vec![black_box(0xff); 8].leak();
    // SAFETY: none; the host must notice.
    unsafe { str::from_utf8_unchecked(bytes) }
}

/// Text that begins far outside the memory that a call may have.
fn nowhere() -> &'static str {
    // SAFETY: none; the host must notice. Nothing here reads it.
    unsafe {
        let bytes = std::slice::from_raw_parts(std::ptr::without_provenance(0x7fff_0000), 64);
        str::from_utf8_unchecked(bytes)
    }
}

/// A string that does not own its text. It must reach the host and never be dropped.
fn stolen(text: &'static str) -> String {
    // SAFETY: none; the instance ends before anything is freed.
    unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), text.len(), text.len()) }
}

xenios_policy_sdk::validator!(Mood, judge);
