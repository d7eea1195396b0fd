//! What a guest is, whether it may exist, and what to do next.
//!
//! This crate holds the whole logic of Xenios without the world: it has no I/O,
//! no async and no serialisation. It owns the traits ([`port`]) that it needs of
//! the world; the daemon implements them over the libraries.
//!
//! The path of a spec: [`SpecDraft`] is parsed into a [`GuestSpec`] ([`spec`]);
//! the [`PolicyChain`] mutates, pins and judges it, and is the only maker of
//! [`Admitted`]; a [`Worker`] then drives the recorded [`Guest`], one
//! [`next_step`] at a time.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

pub mod admitted;
pub mod audit;
pub mod backoff;
pub mod contract;
pub mod digest;
pub mod facts;
pub mod fake;
pub mod guest;
pub mod id;
pub mod launch;
pub mod plan;
pub mod policy;
pub mod port;
pub mod reference;
pub mod spec;
mod text;
pub mod worker;

pub use admitted::Admitted;
pub use audit::{AuditRecord, AuditVerdict};
pub use digest::{Digest, DigestError};
pub use facts::{BootDefaults, BootFile, ImageConfig, ImageFacts, LayerFacts, PinnedSpec};
pub use guest::{Desired, Exit, Guest, Phase, Stage, Stages, State, Status};
pub use id::{DomId, Generation, GuestId, GuestName, NameError, TenantId};
pub use launch::Launch;
pub use plan::{Step, next_step};
pub use policy::chain::PolicyChain;
pub use policy::decision::{Decision, Outcome, PolicyChanges, Refusal, Submission, Usage};
pub use policy::{MutatingPolicy, PolicyRequest, ValidatingPolicy};
pub use port::{ErrorKind, PortError};
pub use reference::{ImageReference, PinnedReference, ReferenceError};
pub use spec::{
    Defaults, FieldChange, FieldError, FieldErrors, GuestSpec, MemoryMib, SpecDraft, Vcpus,
    Virtualization, diff,
};
pub use worker::{Next, Pace, Ports, Worker};
