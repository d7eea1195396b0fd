//! The packer against a registry on loopback: real TCP, real HTTP, bad intentions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "the unit tests, which share it, use all of it")]
mod archive;
mod boot;
mod hostile;
mod image;
mod krata;
mod pull;
mod registry;
