//! The contract's types as wasmtime generates them from `policies/wit`. They stay
//! inside this crate: [`crate::convert`] turns them into its own.

/// A policy that says yes or no.
pub(crate) mod validating {
    wasmtime::component::bindgen!({
        path: "../../policies/wit",
        world: "validating",
    });
}

/// A policy that changes a spec.
pub(crate) mod mutating {
    wasmtime::component::bindgen!({
        path: "../../policies/wit",
        world: "mutating",
        with: {
            "xenios:policy/types@1.0.0": super::validating::xenios::policy::types,
            "xenios:policy/log@1.0.0": super::validating::xenios::policy::log,
        },
    });
}

pub(crate) use mutating::exports::xenios::policy::mutator;
pub(crate) use validating::xenios::policy::{log, types};
