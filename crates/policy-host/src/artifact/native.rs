//! Turns machine code that this crate made into a component. The only `unsafe` code
//! of the crate.
#![expect(
    unsafe_code,
    reason = "wasmtime cannot check machine code; who made it is checked by `OwnCode`"
)]

use wasmtime::Engine;
use wasmtime::component::Component;

use super::OwnCode;

/// Refuses code of another wasmtime, target or config.
pub(super) fn component(engine: &Engine, code: &OwnCode) -> wasmtime::Result<Component> {
    // SAFETY: the bytes must come unchanged from `Engine::precompile_component`. An
    // `OwnCode` is made in two places. `PolicyEngine::compile` puts the compiler's
    // result into it. `artifact::read` makes it of a file that belongs to our own user
    // and that nobody else may write, in a directory of which the same holds, after it
    // compared the digest that we wrote behind the code; it reads the file into memory
    // first, so that the bytes cannot change afterwards.
    unsafe { Component::deserialize(engine, &code.0) }
}
