//! Runs one WebAssembly policy safely.
//!
//! A policy is a component of the package `xenios:policy@1.0.0` (its contract is in
//! `policies/wit`). Each call gets a fresh instance with a budget of time,
//! instructions, memory, output and log, no other import than that log, and no
//! state that outlives it: the same request and settings give the same answer and
//! cost the same [fuel](Judgement::fuel). A policy that cannot answer is a
//! [`Fault`], never a panic and never a verdict.
//!
//! This crate knows nothing of guests beyond the plain [`Request`], of bindings, of
//! chains or of what a verdict leads to.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use xenios_policy_host::{Artifacts, EngineConfig, Policy, PolicyEngine, PolicySource};
//!
//! let engine = PolicyEngine::new(&EngineConfig::default())?;
//! let artifacts = Artifacts::open("/var/lib/xenios/artifacts")?;
//! let policy = Policy::load(
//!     &engine,
//!     &PolicySource {
//!         name: "size-limits",
//!         component: &std::fs::read("/usr/lib/xenios/policies/size-limits.wasm")?,
//!         settings: r#"{ "max_vcpus": 4 }"#,
//!     },
//!     Some(&artifacts),
//! )?;
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod artifact;
mod bindings;
mod call;
mod contract;
mod convert;
mod engine;
mod error;
mod limits;
mod policy;
mod request;
mod ticker;
mod verdict;

pub use artifact::{Artifacts, Prepared};
pub use engine::{EngineConfig, PolicyEngine};
pub use error::{ArtifactError, EngineError, Fault, FaultKind, LoadError};
pub use policy::{Kind, MAX_COMPONENT_BYTES, MAX_SETTINGS_BYTES, Policy, PolicySource};
pub use request::{
    BootFile, GuestSpec, ImageConfig, ImageFacts, Layer, Operation, Pinned, PinnedReference,
    Request, Usage, Virtualization,
};
pub use verdict::{Judgement, Mutated, Mutation, Report, Verdict, Violation};
