//! The gRPC API over real sockets, with core's hypervisor, registry and packer in
//! memory behind it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod access;
mod bounds;
mod fixture;
mod lifecycle;
mod pki;
mod policies;
mod tenants;
