//! What one call may take: the state of its store, which refuses memory beyond the
//! limit and ends a call that floods the log.
//!
//! Time and instructions are kept by wasmtime itself; [`crate::call`] sets them.

use wasmtime::component::{Linker, WasmStr};
use wasmtime::{ResourceLimiter, StoreContextMut};

use crate::bindings::log::Level;
use crate::contract;
use crate::engine::EngineConfig;

/// Core instances in one component: componentize-py makes 38 of them.
pub(crate) const MAX_INSTANCES: u32 = 64;
/// Memories in one component: `QuickJS` components have 3.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// Tables in one component.
pub(crate) const MAX_TABLES: u32 = 16;
/// Elements in one table.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 65_536;

/// Longest text of a policy's making that goes to the journal or into an error.
const MAX_LINE: usize = 512;

/// Where a call is, so that an error can be told by where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Memories are set up and start functions run.
    Instantiating,
    /// The exports are looked up and their types compared.
    Binding,
    /// The policy works, or its answer is read.
    Answering,
}

/// The state of one call.
pub(crate) struct CallState {
    pub(crate) phase: Phase,
    /// Whether the policy was refused memory, a table or an element.
    pub(crate) refused: bool,
    policy: String,
    memory: usize,
    memory_limit: usize,
    log_lines: u32,
    log_bytes: usize,
}

impl CallState {
    pub(crate) fn new(policy: &str, config: &EngineConfig) -> Self {
        Self {
            phase: Phase::Instantiating,
            refused: false,
            policy: policy.to_owned(),
            memory: 0,
            memory_limit: config.memory_bytes,
            log_lines: config.log_lines,
            log_bytes: config.log_bytes,
        }
    }

    fn spend_log(&mut self, bytes: usize) -> Result<(), LogFlood> {
        match (
            self.log_lines.checked_sub(1),
            self.log_bytes.checked_sub(bytes),
        ) {
            (Some(lines), Some(bytes)) => {
                self.log_lines = lines;
                self.log_bytes = bytes;
                Ok(())
            }
            _ => Err(LogFlood),
        }
    }
}

impl ResourceLimiter for CallState {
    // The limit is for all memories together: a component may have several.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let sum = self.memory.saturating_add(desired.saturating_sub(current));
        let allowed = sum <= self.memory_limit;
        if allowed {
            self.memory = sum;
        } else {
            self.refused = true;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired <= MAX_TABLE_ELEMENTS;
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}

/// The call's log is full. An error and not a silent drop: a call that only lost its
/// text could go on to make the host copy text until the deadline.
#[derive(Debug, thiserror::Error)]
#[error("the policy wrote more log than it may")]
pub(crate) struct LogFlood;

/// Gives the policy the one import that it may have.
pub(crate) fn link_log(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    linker.instance(contract::LOG)?.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, CallState>, (level, text): (Level, WasmStr)| {
            // Borrowed from the guest's memory: nothing is copied before the budget is
            // checked.
            let text = text.to_str(&store)?;
            let (bytes, line) = (text.len(), clean(&text));
            store.data_mut().spend_log(bytes)?;
            write_line(&store.data().policy, level, &line);
            Ok(())
        },
    )
}

fn write_line(policy: &str, level: Level, line: &str) {
    match level {
        Level::Debug => tracing::debug!(target: "xenios::policy", policy, "{line}"),
        Level::Info => tracing::info!(target: "xenios::policy", policy, "{line}"),
        Level::Warn => tracing::warn!(target: "xenios::policy", policy, "{line}"),
        Level::Error => tracing::error!(target: "xenios::policy", policy, "{line}"),
    }
}

/// `text` without control characters and not longer than a line may be.
pub(crate) fn clean(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() + c.len_utf8() > MAX_LINE {
            line.push('…');
            break;
        }
        line.push(if c.is_control() || is_bidi(c) { ' ' } else { c });
    }
    line
}

/// The characters that turn the direction of text (Unicode UAX #9): with them a line
/// can show something other than it says.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
