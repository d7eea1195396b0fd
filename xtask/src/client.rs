//! `xenios` as a user runs it: over mTLS to the forwarded port, judged by its
//! exit code and what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::certs::Files;
use crate::process::command;

/// "The daemon is unavailable or too slow" (`xenios --help`).
const UNAVAILABLE: i32 = 5;

/// One user of one bed.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    xenios: PathBuf,
    endpoint: String,
    user: Files,
    authority: PathBuf,
}

/// What a call did.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit code; `xenios --help` says what each means.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it said on standard error.
    pub(crate) stderr: String,
}

impl Answer {
    /// The printed JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("xenios printed no JSON: {}{}", self.stdout, self.stderr))
    }

    /// Fails unless the exit code is `code`.
    pub(crate) fn expect(self, code: i32) -> Result<Self> {
        if self.code != code {
            bail!(
                "xenios exited with {} instead of {code}: {}{}",
                self.code,
                self.stdout,
                self.stderr
            );
        }
        Ok(self)
    }
}

impl Client {
    /// A user with a certificate, and the authority of the daemon's.
    pub(crate) fn new(xenios: &Path, port: u16, user: &Files, authority: &Path) -> Self {
        Self {
            xenios: xenios.to_path_buf(),
            endpoint: format!("https://127.0.0.1:{port}"),
            user: user.clone(),
            authority: authority.to_path_buf(),
        }
    }

    /// Runs `xenios` with these arguments.
    pub(crate) fn call(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self
            .command(arguments)
            .output()
            .context("cannot start xenios")?;
        Ok(Answer {
            code: output.status.code().context("xenios was killed")?,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// As [`Client::call`], as one would see it in a terminal.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<Answer> {
        println!("$ xenios {}", shell_words(arguments));
        let answer = self.call(arguments)?;
        print!("{}{}", answer.stdout, answer.stderr);
        if answer.code != 0 {
            println!("[exit code {}]", answer.code);
        }
        println!();
        Ok(answer)
    }

    /// The guest as JSON.
    pub(crate) fn guest(&self, name: &str) -> Result<Value> {
        self.call(&["get", name, "-o", "json"])?.expect(0)?.json()
    }

    /// Waits for the guest's phase.
    pub(crate) fn wait_for_phase(
        &self,
        name: &str,
        phases: &[&str],
        limit: Duration,
    ) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            let guest = self.guest(name)?;
            let phase = guest["status"]["phase"].as_str().unwrap_or_default();
            if phases.contains(&phase) {
                return Ok(guest);
            }
            if Instant::now() > deadline {
                bail!(
                    "{name} is still {phase}, not {phases:?}: {}",
                    guest["status"]
                );
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until the daemon answers.
    pub(crate) fn wait_until_ready(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.call(&["ls"])?;
            if answer.code != UNAVAILABLE || Instant::now() > deadline {
                return answer.expect(0).map(drop);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut xenios = command(&self.xenios);
        xenios
            .args(arguments)
            .env("XENIOS_ENDPOINT", &self.endpoint)
            .env("XENIOS_CERT", &self.user.certificate)
            .env("XENIOS_KEY", &self.user.key)
            .env("XENIOS_CA", &self.authority);
        xenios
    }
}

/// Arguments as one would type them.
fn shell_words(arguments: &[&str]) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=@,".contains(character);
    let word = |argument: &&str| {
        if !argument.is_empty() && argument.chars().all(plain) {
            (*argument).to_owned()
        } else {
            format!("'{}'", argument.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
