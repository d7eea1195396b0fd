//! `create` and `plan`: a spec goes through the policies, with or without
//! consequences.

use xenios_api::v1;

use crate::calls::{Daemon, guest_of};
use crate::cli::{Format, SpecArgs};
use crate::failure::Failure;
use crate::output::Output;
use crate::spec;
use crate::view::{json, table};

pub(super) async fn create(
    daemon: &Daemon,
    args: &SpecArgs,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let answer = daemon.create(spec::from_args(args)?, false).await?;
    let guest = guest_of(&answer)?;
    match output.format {
        Format::Json => output.json(&json::Created::from(&answer))?,
        Format::Table => {
            remark(&answer, output);
            output.text(&format!("{}\n", crate::clean::line(&guest.id)))?;
        }
    }
    Ok(0)
}

pub(super) async fn plan(
    daemon: &Daemon,
    args: &SpecArgs,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let answer = daemon.create(spec::from_args(args)?, true).await?;
    match output.format {
        Format::Json => output.json(&json::Created::from(&answer))?,
        Format::Table => output.text(&table::plan(&answer))?,
    }
    if answer.refusals.is_empty() {
        return Ok(0);
    }
    let failure = Failure::would_be_refused(answer.refusals.iter().any(|r| r.policy_error));
    if output.format == Format::Json {
        // The answer says it all.
        return Ok(failure.exit_code());
    }
    Err(failure)
}

/// Says what the policies did to a spec that was admitted. Values are left out:
/// they may be secrets, and this goes where logs go.
pub(super) fn remark(answer: &v1::CreateGuestResponse, output: &mut Output<'_>) {
    for policy in &answer.changes {
        for change in &policy.changes {
            let verb = match (&change.before, &change.after) {
                (None, _) => "added",
                (Some(_), None) => "removed",
                (Some(_), Some(_)) => "changed",
            };
            output.remark(&format!("policy {} {verb} {}", policy.policy, change.field));
        }
    }
    for warning in &answer.warnings {
        output.remark(&format!("warning: {warning}"));
    }
}
