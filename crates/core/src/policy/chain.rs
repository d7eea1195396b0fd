//! The policy chain: mutate, pin, judge. The only maker of
//! [`Admitted`].
//!
//! A mutating policy cannot admit and a validating one cannot change. Each result
//! of a mutating policy is parsed again, may differ only where its binding says,
//! and must stay as it is when the chain runs over it once more. Validating
//! policies see digests, never tags, and all of them run, so that the user learns
//! every reason at once. A policy that cannot answer refuses. Nothing here does
//! I/O but pinning, through [`Images`].

use crate::admitted::Admitted;
use crate::facts::{BootFile, ImageFacts, PinnedSpec};
use crate::policy::decision::{Decision, Outcome, PolicyChanges, Refusal, Submission};
use crate::policy::heard::{Heard, denied, invalid_output, non_idempotent, not_permitted};
use crate::policy::{
    MutatingPolicy, Mutation, PolicyIdentity, PolicyRequest, ValidatingPolicy, Verdict,
};
use crate::port::{ErrorKind, Images, PortError};
use crate::reference::ImageReference;
use crate::spec::{GuestSpec, diff};

/// The bound policies, in order. It is never changed: a new chain replaces it, so
/// that a decision in flight ends on the chain that it began on.
pub struct PolicyChain {
    mutating: Vec<Box<dyn MutatingPolicy>>,
    validating: Vec<Box<dyn ValidatingPolicy>>,
    generation: u64,
}

impl PolicyChain {
    /// A chain of these policies, run in this order. `generation` tells chains
    /// apart in the records.
    #[must_use]
    pub fn new(
        mutating: Vec<Box<dyn MutatingPolicy>>,
        validating: Vec<Box<dyn ValidatingPolicy>>,
        generation: u64,
    ) -> Self {
        Self {
            mutating,
            validating,
            generation,
        }
    }

    /// The policies, in the order in which they run.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyIdentity> {
        let identity = |name: &str, version: &str| PolicyIdentity {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let mutating = self
            .mutating
            .iter()
            .map(|p| identity(p.name(), p.version()));
        let validating = self
            .validating
            .iter()
            .map(|p| identity(p.name(), p.version()));
        mutating.chain(validating).collect()
    }

    /// Decides whether the submitted spec may run, and as what.
    #[must_use]
    pub fn decide(&self, submission: &Submission, images: &dyn Images) -> Decision {
        let mut heard = Heard::new(&submission.draft);
        let outcome = match self.run(submission, images, &mut heard) {
            Ok(admitted) => Outcome::Admitted(Box::new(admitted)),
            Err(outcome) => outcome,
        };
        let draft = match &heard.judged {
            Some(pinned) => pinned.to_draft(),
            None => heard.mutated.clone(),
        };
        Decision {
            outcome,
            draft,
            changes: heard.changes,
            warnings: heard.warnings,
            notes: heard.notes,
            mutated: heard.mutated,
            judged: heard.judged,
            policies: self.policies(),
            chain_generation: self.generation,
        }
    }

    fn run(
        &self,
        submission: &Submission,
        images: &dyn Images,
        heard: &mut Heard,
    ) -> Result<Admitted<PinnedSpec>, Outcome> {
        let spec = GuestSpec::parse(submission.draft.clone(), &submission.defaults)
            .map_err(Outcome::Invalid)?;
        heard.mutated = spec.to_draft();
        let spec = self.mutate(submission, spec, heard)?;
        self.replay(submission, &spec, heard)?;
        let pinned = pin(spec, images)?;
        pinned.launch().map_err(Outcome::Invalid)?;
        heard.judged = Some(pinned.clone());
        self.judge(submission, &pinned, heard)?;
        Ok(Admitted::by_the_chain(pinned))
    }

    /// Runs the mutating policies. The first that refuses ends it: a later one
    /// would answer on a spec that nobody asked for.
    fn mutate(
        &self,
        submission: &Submission,
        mut spec: GuestSpec,
        heard: &mut Heard,
    ) -> Result<GuestSpec, Outcome> {
        for policy in &self.mutating {
            let next =
                mutated(policy.as_ref(), submission, &spec, heard).map_err(Outcome::Refused)?;
            let changes = diff(&spec, &next);
            if changes.is_empty() {
                continue;
            }
            let name = policy.name();
            let refusals = not_permitted(name, policy.may_change(), &changes);
            if !refusals.is_empty() {
                return Err(Outcome::Refused(refusals));
            }
            heard.changes.push(PolicyChanges {
                policy: name.to_owned(),
                changes,
            });
            spec = next;
            heard.mutated = spec.to_draft();
        }
        Ok(spec)
    }

    /// Runs the mutating policies once more, on their own result: a chain that
    /// would change it again has not settled what runs.
    fn replay(
        &self,
        submission: &Submission,
        spec: &GuestSpec,
        heard: &mut Heard,
    ) -> Result<(), Outcome> {
        let mut refusals = Vec::new();
        for policy in &self.mutating {
            // What it said the first time is enough.
            let mut unheard = Heard::new(&heard.mutated);
            match mutated(policy.as_ref(), submission, spec, &mut unheard) {
                Ok(again) => {
                    let changes = diff(spec, &again);
                    refusals.extend(changes.iter().map(|c| non_idempotent(policy.name(), c)));
                }
                Err(refused) => {
                    heard.notes.append(&mut unheard.notes);
                    refusals.extend(refused);
                }
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Outcome::Refused(refusals))
        }
    }

    /// Runs every validating policy and keeps every reason.
    fn judge(
        &self,
        submission: &Submission,
        pinned: &PinnedSpec,
        heard: &mut Heard,
    ) -> Result<(), Outcome> {
        let request = request(submission, &pinned.spec, Some(pinned));
        let mut refusals = Vec::new();
        for policy in &self.validating {
            let name = policy.name();
            match policy.validate(&request) {
                Ok(judgement) => {
                    heard.report(name, &judgement.report);
                    if let Verdict::Deny(violations) = judgement.verdict {
                        refusals.extend(denied(name, &violations));
                    }
                }
                Err(fault) => refusals.push(heard.fault(name, &fault)),
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Outcome::Refused(refusals))
        }
    }
}

/// The spec that `policy` makes of `spec`, parsed; or why it refuses.
fn mutated(
    policy: &dyn MutatingPolicy,
    submission: &Submission,
    spec: &GuestSpec,
    heard: &mut Heard,
) -> Result<GuestSpec, Vec<Refusal>> {
    let name = policy.name();
    match policy.mutate(&request(submission, spec, None)) {
        Ok(Mutation::Unchanged { report }) => {
            heard.report(name, &report);
            Ok(spec.clone())
        }
        Ok(Mutation::Replace { draft, report }) => {
            heard.report(name, &report);
            GuestSpec::parse(*draft, &submission.defaults)
                .map_err(|errors| invalid_output(name, &errors))
        }
        Ok(Mutation::Deny { violations, report }) => {
            heard.report(name, &report);
            Err(denied(name, &violations))
        }
        Err(fault) => Err(vec![heard.fault(name, &fault)]),
    }
}

fn request<'a>(
    submission: &'a Submission,
    spec: &'a GuestSpec,
    pinned: Option<&'a PinnedSpec>,
) -> PolicyRequest<'a> {
    PolicyRequest {
        tenant: &submission.tenant,
        user: &submission.user,
        operation: submission.operation,
        dry_run: submission.dry_run,
        now_ms: submission.now_ms,
        usage: submission.usage,
        spec,
        pinned,
    }
}

/// Turns every reference into a digest, with its facts.
fn pin(spec: GuestSpec, images: &dyn Images) -> Result<PinnedSpec, Outcome> {
    let facts = |field, reference: &ImageReference| {
        facts(reference, images).map_err(|error| Outcome::Unpinned { field, error })
    };
    let defaults = images.boot_defaults();
    let image = facts("image", spec.image())?;
    let kernel = match spec.kernel() {
        None => defaults.kernel,
        Some(reference) => BootFile::Image(Box::new(facts("kernel", reference)?)),
    };
    let initrd = match spec.initrd() {
        None => defaults.initrd,
        Some(reference) => BootFile::Image(Box::new(facts("initrd", reference)?)),
    };
    Ok(PinnedSpec {
        spec,
        image,
        kernel,
        initrd,
    })
}

fn facts(reference: &ImageReference, images: &dyn Images) -> Result<ImageFacts, PortError> {
    let facts = images.facts(reference)?;
    if facts.reference.answers(reference) {
        return Ok(facts);
    }
    let message = "the registry answered with another image than it was asked for";
    Err(PortError::new(ErrorKind::Permanent, message))
}

#[cfg(test)]
mod tests;
