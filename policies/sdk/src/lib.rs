//! Write a Xenios policy as one function.
//!
//! A validating policy is a type for its settings and a function that lists what
//! speaks against a spec; [`validator!`] makes a component of them:
//!
//! ```
//! use xenios_policy_sdk::{Notes, Request, Settings, Violation, violation};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! pub struct Limit {
//!     max_vcpus: u32,
//! }
//!
//! impl Settings for Limit {}
//!
//! pub fn judge(request: &Request, limit: &Limit, _notes: &mut Notes) -> Vec<Violation> {
//!     let asked = request.spec.vcpus;
//!     if asked <= limit.max_vcpus {
//!         return Vec::new();
//!     }
//!     let message = format!("{asked} vCPUs are more than {}", limit.max_vcpus);
//!     vec![violation("max-vcpus", "vcpus", message)]
//! }
//!
//! xenios_policy_sdk::validator!(Limit, judge);
//! ```
//!
//! A mutating policy returns a [`Mutation`] instead; see [`mutator!`]. Everything but
//! the component itself also builds for the machine at hand, so a policy is tested
//! with plain `cargo test`.
//!
//! A policy that panics refuses the spec; the message goes to the host's journal, so
//! it must not hold the value of an env entry.

#![warn(missing_docs)]

pub mod example;
#[doc(hidden)]
pub mod glue;
mod notes;
mod settings;

pub use notes::{Notes, violation};
pub use settings::{Settings, parse};
pub use xenios_policy_validating::xenios::policy::log::{Level, log};
pub use xenios_policy_validating::xenios::policy::types::{
    BootFile, GuestSpec, HostFile, ImageConfig, ImageFacts, Layer, Operation, Pair, Pinned,
    PinnedReference, Request, Usage, Violation, Virtualization,
};

/// What a mutating policy wants done with a spec.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// Nothing.
    Unchanged,
    /// This spec instead. Asked about it again, the policy must change nothing more.
    Replace(Box<GuestSpec>),
    /// Refuse it.
    Deny(Vec<Violation>),
}

/// Makes a validating policy of a settings type and a function
/// `fn(&Request, &Settings, &mut Notes) -> Vec<Violation>`. No violation means yes.
#[macro_export]
macro_rules! validator {
    ($settings:ty, $judge:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Policy;

            impl $crate::glue::SettingsGuest for Policy {
                fn validate_settings(settings: String) -> Result<(), Vec<String>> {
                    $crate::glue::check::<$settings>(&settings)
                }
            }

            impl $crate::glue::ValidatorGuest for Policy {
                fn validate(
                    request: $crate::Request,
                    settings: String,
                ) -> (Result<(), Vec<$crate::Violation>>, $crate::glue::Report) {
                    $crate::glue::validate(&request, &settings, $judge)
                }
            }

            $crate::glue::validating::export_validating!(Policy with_types_in $crate::glue::validating);
        };
    };
}

/// Makes a mutating policy of a settings type and a function
/// `fn(&Request, &Settings, &mut Notes) -> Mutation`.
#[macro_export]
macro_rules! mutator {
    ($settings:ty, $mutate:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Policy;

            impl $crate::glue::ChangingSettingsGuest for Policy {
                fn validate_settings(settings: String) -> Result<(), Vec<String>> {
                    $crate::glue::check::<$settings>(&settings)
                }
            }

            impl $crate::glue::MutatorGuest for Policy {
                fn mutate(
                    request: $crate::Request,
                    settings: String,
                ) -> ($crate::glue::WireMutation, $crate::glue::Report) {
                    $crate::glue::mutate(&request, &settings, $mutate)
                }
            }

    $crate::glue::mutating::export_mutating!(Policy with_types_in $crate::glue::mutating);
        };
    };
}
