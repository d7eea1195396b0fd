//! One call of a policy: a fresh instance, its budget, and what an error of the
//! runtime means.

use wasmtime::{Store, Trap};

use crate::engine::PolicyEngine;
use crate::error::{Cause, Fault, FaultKind};
use crate::limits::{CallState, LogFlood, Phase};

/// A call that gave no answer.
pub(crate) enum Failure {
    /// The policy's exports have other types than the contract's. Found when it is
    /// loaded, so never later.
    Mismatch(Cause),
    /// Anything else.
    Fault(Fault),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => fault,
            Failure::Mismatch(_) => Self::new(
                FaultKind::BadOutput,
                "its exports do not have the types of the contract",
            ),
        }
    }
}

/// Runs `body` in a new store, within the engine's budget, and says what fuel it
/// took. `body` instantiates the policy and keeps [`CallState::phase`].
pub(crate) fn run<T>(
    engine: &PolicyEngine,
    policy: &str,
    body: impl FnOnce(&mut Store<CallState>) -> wasmtime::Result<T>,
) -> Result<(T, u64), Failure> {
    let config = engine.config();
    let Some(_slot) = engine.slot() else {
        return Err(Failure::Fault(Fault::new(
            FaultKind::Unavailable,
            format!(
                "all {} slots were busy for {:?}",
                config.slots, config.slot_wait
            ),
        )));
    };
    // The ticker runs before the deadline is set: it counts from the present epoch.
    let _ticking = engine.ticker().ticking();
    let mut store = Store::new(engine.wasmtime(), CallState::new(policy, config));
    store.limiter(|state| state);
    store.set_epoch_deadline(config.deadline_ticks());
    store.set_hostcall_fuel(config.output_bytes);
    let result = store
        .set_fuel(config.fuel)
        .and_then(|()| body(&mut store))
        .and_then(|value| Ok((value, config.fuel.saturating_sub(store.get_fuel()?))));
    result.map_err(|error| failure(engine, store.data(), error))
}

fn failure(engine: &PolicyEngine, state: &CallState, error: wasmtime::Error) -> Failure {
    if state.phase == Phase::Binding {
        return Failure::Mismatch(error.into());
    }
    // With the policy's own backtrace, for its author.
    tracing::debug!(?error, "a policy failed");
    let kind = kind(state, &error);
    Failure::Fault(Fault::new(kind, describe(engine, kind, &error)))
}

/// By types and by what the limits saw, never by an error's text.
fn kind(state: &CallState, error: &wasmtime::Error) -> FaultKind {
    if error.is::<LogFlood>() {
        return FaultKind::LogFlood;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => FaultKind::Deadline,
        Some(Trap::OutOfFuel) => FaultKind::Fuel,
        // A policy that was refused memory mostly crashes of it.
        _ if state.refused => FaultKind::Memory,
        // Traps of the canonical ABI: the answer could not be read.
        Some(
            Trap::InvalidChar
            | Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::UnalignedPointer,
        ) => FaultKind::BadOutput,
        Some(_) => FaultKind::Trap,
        None if state.phase == Phase::Instantiating => FaultKind::Unavailable,
        None => FaultKind::BadOutput,
    }
}

fn describe(engine: &PolicyEngine, kind: FaultKind, error: &wasmtime::Error) -> String {
    let config = engine.config();
    match kind {
        FaultKind::Trap => match error.downcast_ref::<Trap>() {
            Some(trap) => format!("it crashed: {trap}"),
            None => "it crashed".to_owned(),
        },
        FaultKind::Deadline => format!("it ran longer than {:?}", config.deadline),
        FaultKind::Fuel => format!("it used up its {} units of fuel", config.fuel),
        FaultKind::Memory => format!(
            "it failed for want of memory; it may have {} bytes",
            config.memory_bytes
        ),
        FaultKind::LogFlood => format!(
            "it wrote more log than {} lines or {} bytes",
            config.log_lines, config.log_bytes
        ),
        FaultKind::BadOutput => format!(
            "what it gave the host is not valid, or has more than {} bytes",
            config.output_bytes
        ),
        FaultKind::Unavailable => format!("it could not be instantiated: {}", root(error)),
        FaultKind::WrongKind => "it does not answer this question".to_owned(),
    }
}

/// The innermost cause. Before a policy runs, that is the runtime's own text.
fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
