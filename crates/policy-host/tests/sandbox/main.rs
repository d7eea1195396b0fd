//! The sandbox from outside: real policies, hostile ones, and artifacts.
//!
//! The components come from `cargo xtask policies`. No test here measures time: where
//! one limit is at work, the others are far away.

mod artifacts;
mod components;
mod hostile;
mod load;
mod policies;
mod requests;
mod text;
