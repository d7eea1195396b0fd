//! `cargo xtask test --long`: what takes too long for every change. Properties
//! with many more cases, and each fuzz target for a minute.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::layout::Layout;
use crate::process::{command, output, visible};
use crate::stage::{note, stage};

/// Cases of each property; a plain run has 256.
const CASES: &str = "20000";
/// Seconds for each fuzz target.
const SECONDS: u32 = 60;

/// Properties with many cases.
pub(crate) fn properties(layout: &Layout) -> Result<()> {
    visible(
        command("cargo")
            .args(["test", "--locked", "--workspace", "--quiet"])
            .env("PROPTEST_CASES", CASES)
            .current_dir(layout.root()),
    )
}

/// Every target of `fuzz/`, one after the other; the first that crashes fails.
pub(crate) fn fuzz(layout: &Layout) -> Result<()> {
    let folder = layout.root().join("fuzz");
    let cargo_fuzz = cargo_fuzz(layout)?;
    let mut targets: Vec<String> = fs::read_dir(folder.join("seeds"))?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    targets.sort();
    for target in targets {
        fs::create_dir_all(folder.join("corpus").join(&target))?;
        stage(&format!("fuzz {target}"), || {
            visible(
                command(&cargo_fuzz)
                    .args(["fuzz", "run", "--fuzz-dir", ".", "--sanitizer", "none"])
                    .args([
                        &target,
                        &format!("corpus/{target}"),
                        &format!("seeds/{target}"),
                    ])
                    .args(["--", &format!("-max_total_time={SECONDS}")])
                    .args(["-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1"])
                    // The stable compiler takes the coverage flags.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env_remove("CARGO_TARGET_DIR")
                    .current_dir(&folder),
            )
        })?;
    }
    Ok(())
}

/// `cargo-fuzz` of this machine, or one that is built into the target folder.
fn cargo_fuzz(layout: &Layout) -> Result<PathBuf> {
    if output(command("cargo-fuzz").args(["fuzz", "--version"])).is_ok() {
        return Ok("cargo-fuzz".into());
    }
    let folder = layout.runs().join("tools");
    let program = folder.join("bin/cargo-fuzz");
    if !program.exists() {
        note("cargo install cargo-fuzz");
        let install = ["install", "cargo-fuzz", "--locked", "--quiet", "--root"];
        visible(command("cargo").args(install).arg(&folder))
            .context("cargo-fuzz cannot be installed")?;
    }
    Ok(program)
}
