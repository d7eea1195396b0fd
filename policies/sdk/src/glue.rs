//! What the macros [`crate::validator!`] and [`crate::mutator!`] expand to. Not for
//! policies to use.

pub use xenios_policy_mutating as mutating;
pub use xenios_policy_mutating::exports::xenios::policy::mutator::{
    Guest as MutatorGuest, Mutation as WireMutation,
};
pub use xenios_policy_mutating::exports::xenios::policy::settings::Guest as ChangingSettingsGuest;
pub use xenios_policy_validating as validating;
pub use xenios_policy_validating::exports::xenios::policy::settings::Guest as SettingsGuest;
pub use xenios_policy_validating::exports::xenios::policy::validator::Guest as ValidatorGuest;
pub use xenios_policy_validating::xenios::policy::types::Report;

use crate::settings::{Settings, parse};
use crate::{Level, Mutation, Notes, Request, Violation, log};

/// Sends a panic's message to the host, which otherwise only sees the trap.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log(Level::Error, &panic.to_string())));
}

pub fn check<S: Settings>(settings: &str) -> Result<(), Vec<String>> {
    report_panics();
    parse::<S>(settings).map(|_| ())
}

pub fn validate<S: Settings>(
    request: &Request,
    settings: &str,
    judge: fn(&Request, &S, &mut Notes) -> Vec<Violation>,
) -> (Result<(), Vec<Violation>>, Report) {
    let mut notes = Notes::default();
    let violations = judge(request, &checked(settings), &mut notes);
    let result = if violations.is_empty() {
        Ok(())
    } else {
        Err(violations)
    };
    (result, notes.into())
}

pub fn mutate<S: Settings>(
    request: &Request,
    settings: &str,
    mutate: fn(&Request, &S, &mut Notes) -> Mutation,
) -> (WireMutation, Report) {
    let mut notes = Notes::default();
    let mutation = match mutate(request, &checked(settings), &mut notes) {
        Mutation::Unchanged => WireMutation::Unchanged,
        Mutation::Replace(spec) => WireMutation::Replace(*spec),
        Mutation::Deny(violations) => WireMutation::Deny(violations),
    };
    (mutation, notes.into())
}

/// Settings that the host had checked when it loaded the policy.
fn checked<S: Settings>(settings: &str) -> S {
    report_panics();
    match parse(settings) {
        Ok(settings) => settings,
        Err(problems) => panic!("the host gave other settings than it had checked: {problems:?}"),
    }
}
