//! The chain: what refuses, what is recorded, and that nothing slips past.

use std::sync::{Arc, Mutex};

use super::*;
use crate::audit::AuditVerdict;
use crate::fake::{FnMutator, FnValidator, MemoryImages, digest, image_facts, submission};
use crate::policy::{
    FaultKind, Judgement, MAX_TEXT, MAX_VIOLATIONS, PolicyFault, Report, Violation,
};
use crate::spec::SpecDraft;

fn mutator(
    name: &str,
    may_change: &[&str],
    change: impl Fn(&mut SpecDraft) + Send + Sync + 'static,
) -> Box<dyn MutatingPolicy> {
    Box::new(FnMutator::new(name, may_change, move |request| {
        let mut draft = request.spec.to_draft();
        change(&mut draft);
        Ok(Mutation::Replace {
            draft: Box::new(draft),
            report: Report::default(),
        })
    }))
}

fn validator(name: &str, verdict: Verdict) -> Box<dyn ValidatingPolicy> {
    Box::new(FnValidator::new(name, move |_| {
        Ok(Judgement {
            verdict: verdict.clone(),
            report: Report::default(),
        })
    }))
}

fn faulty(kind: FaultKind) -> Box<dyn ValidatingPolicy> {
    let fault = PolicyFault {
        kind,
        message: "wasm trap\x1b[2J at 0x12".to_owned(),
    };
    Box::new(FnValidator::new("faulty", move |_| Err(fault.clone())))
}

fn violation(rule: &str, message: &str) -> Violation {
    Violation {
        rule: rule.to_owned(),
        field: "vcpus".to_owned(),
        message: message.to_owned(),
    }
}

fn set_env(draft: &mut SpecDraft, name: &str, value: &str) {
    draft.env.retain(|(n, _)| n != name);
    draft.env.push((name.to_owned(), value.to_owned()));
}

fn decide(
    mutating: Vec<Box<dyn MutatingPolicy>>,
    validating: Vec<Box<dyn ValidatingPolicy>>,
) -> Decision {
    let chain = PolicyChain::new(mutating, validating, 7);
    chain.decide(&submission("web"), &MemoryImages::default())
}

fn refusals(decision: &Decision) -> Vec<(&str, &str, &str, bool)> {
    match &decision.outcome {
        Outcome::Refused(all) => all
            .iter()
            .map(|r| {
                (
                    r.policy.as_str(),
                    r.rule.as_str(),
                    r.field.as_str(),
                    r.policy_error,
                )
            })
            .collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_empty_chain_admits_and_pins() {
    let decision = decide(vec![], vec![]);
    let Outcome::Admitted(admitted) = &decision.outcome else {
        panic!("{decision:?}")
    };
    assert_eq!(admitted.image.reference.digest(), &digest(1));
    assert_eq!(
        decision.draft.image,
        format!("registry.example:5000/app:1@{}", digest(1))
    );
    assert_eq!(decision.draft.kernel, "", "the host's kernel stays unnamed");
    let record = decision.audit_record(&submission("web"), None).unwrap();
    assert_eq!(
        (record.verdict, record.chain_generation),
        (AuditVerdict::Admitted, 7)
    );
    assert_eq!(
        record.judged.as_ref(),
        Some(&***admitted),
        "what was judged is what runs"
    );
}

#[test]
fn changes_are_recorded_by_policy_and_judged() {
    let seen = Arc::new(Mutex::new(None));
    let watched = Arc::clone(&seen);
    let watch = FnValidator::new("watch", move |request| {
        let env = request.spec.env().get("LOG_LEVEL").cloned();
        *watched.lock().unwrap() = Some((env, request.pinned.is_some()));
        let report = Report {
            warnings: vec!["old\x1b[2J image".to_owned()],
            audit: vec![("k".to_owned(), "v".to_owned())],
        };
        Ok(Judgement {
            verdict: Verdict::Allow,
            report,
        })
    });
    let decision = decide(
        vec![
            mutator("first", &["env"], |d| set_env(d, "LOG_LEVEL", "info")),
            mutator("idle", &[], |_| {}),
            mutator("second", &["memory_mib", "env[A]"], |d| {
                d.memory_mib = 256;
                set_env(d, "A", "1");
            }),
        ],
        vec![Box::new(watch)],
    );
    assert!(
        matches!(decision.outcome, Outcome::Admitted(_)),
        "{decision:?}"
    );
    assert_eq!(*seen.lock().unwrap(), Some((Some("info".to_owned()), true)));
    let shown: Vec<_> = decision
        .changes
        .iter()
        .flat_map(|p| {
            p.changes
                .iter()
                .map(|c| (p.policy.as_str(), c.field.as_str()))
        })
        .collect();
    let expected = [
        ("first", "env[LOG_LEVEL]"),
        ("second", "memory_mib"),
        ("second", "env[A]"),
    ];
    assert_eq!(shown, expected);
    assert_eq!(decision.warnings[0].text, "old[2J image");
    assert_eq!(
        (
            decision.notes[0].policy.as_str(),
            decision.notes[0].text.as_str()
        ),
        ("watch", "v")
    );
}

#[test]
fn a_policy_is_told_who_asks_and_what_is_used() {
    let chain = PolicyChain::new(
        vec![],
        vec![Box::new(FnValidator::new("quota", |request| {
            assert_eq!((request.tenant.as_str(), request.user), ("a", "someone"));
            assert!(request.dry_run && request.usage.guests == 3 && request.now_ms > 0);
            Ok(Judgement {
                verdict: Verdict::Deny(vec![violation("quota", "full")]),
                report: Report::default(),
            })
        }))],
        1,
    );
    let mut asked = submission("web");
    asked.dry_run = true;
    asked.usage.guests = 3;
    let decision = chain.decide(&asked, &MemoryImages::default());
    assert_eq!(refusals(&decision), [("quota", "quota", "vcpus", false)]);
    let record = decision.audit_record(&asked, None).unwrap();
    assert!(record.dry_run && record.verdict == AuditVerdict::Denied && record.usage.guests == 3);
}

#[test]
fn a_change_outside_the_binding_refuses() {
    let cases: Vec<(Box<dyn MutatingPolicy>, &str)> = vec![
        (mutator("m", &["env"], |d| d.vcpus = 4), "vcpus"),
        (mutator("m", &["vcp", "vcpus[0]"], |d| d.vcpus = 4), "vcpus"),
        (
            mutator("m", &["env[A]"], |d| set_env(d, "B", "1")),
            "env[B]",
        ),
        (
            mutator("m", &["env"], |d| d.labels.push(("x".into(), "1".into()))),
            "labels[x]",
        ),
        (mutator("m", &["name"], |d| d.name = "other".into()), "name"),
        (
            mutator("m", &[], |d| d.command = vec!["rm".into()]),
            "command",
        ),
        (
            mutator("m", &["env"], |d| d.image = "evil.example/app".into()),
            "image",
        ),
        (mutator("m", &["user"], |d| d.virtualization = None), ""),
    ];
    for (policy, field) in cases {
        let decision = decide(vec![policy], vec![]);
        if field.is_empty() {
            assert!(
                matches!(decision.outcome, Outcome::Admitted(_)),
                "the default is no change"
            );
            continue;
        }
        assert_eq!(
            refusals(&decision),
            [("m", "mutation-not-permitted", field, true)]
        );
        assert!(decision.changes.is_empty() && decision.is_policy_error());
    }
}

#[test]
fn an_invalid_result_refuses_field_by_field() {
    let bad = mutator("m", &["vcpus", "memory_mib"], |d| {
        (d.vcpus, d.memory_mib) = (999, 1);
    });
    let decision = decide(vec![bad], vec![]);
    let expected = [
        ("m", "bad-output", "vcpus", true),
        ("m", "bad-output", "memory_mib", true),
    ];
    assert_eq!(refusals(&decision), expected);
}

#[test]
fn a_chain_that_does_not_settle_refuses() {
    let grows = mutator("grows", &["vcpus"], |d| d.vcpus += 1);
    let decision = decide(vec![grows], vec![]);
    assert_eq!(
        refusals(&decision),
        [("grows", "non-idempotent", "vcpus", true)]
    );
    // Each is idempotent alone, and together they never rest.
    let two = vec![
        mutator("two", &["vcpus"], |d| d.vcpus = 2),
        mutator("four", &["vcpus"], |d| d.vcpus = 4),
    ];
    assert_eq!(
        refusals(&decide(two, vec![])),
        [("two", "non-idempotent", "vcpus", true)]
    );
}

#[test]
fn a_mutator_may_refuse_and_its_fault_refuses() {
    let deny = FnMutator::new("deny", &[], |_| {
        Ok(Mutation::Deny {
            violations: vec![],
            report: Report::default(),
        })
    });
    let never = || validator("never", Verdict::Deny(vec![violation("late", "")]));
    let decision = decide(vec![Box::new(deny)], vec![never()]);
    assert_eq!(refusals(&decision), [("deny", "denied", "", false)]);
    let trap = FnMutator::new("trap", &["env"], |_| {
        Err(PolicyFault {
            kind: FaultKind::Fuel,
            message: "out of fuel".to_owned(),
        })
    });
    let decision = decide(vec![Box::new(trap)], vec![never()]);
    assert_eq!(refusals(&decision), [("trap", "fuel", "", true)]);
    let record = decision.audit_record(&submission("web"), None).unwrap();
    assert_eq!(
        (record.verdict, record.judged),
        (AuditVerdict::PolicyError, None)
    );
    assert_eq!(record.notes[0].text, "out of fuel");
}

#[test]
fn every_validator_is_heard() {
    let decision = decide(
        vec![],
        vec![
            validator(
                "sizes",
                Verdict::Deny(vec![violation("cpu", "a"), violation("mem", "b")]),
            ),
            faulty(FaultKind::Deadline),
            validator("fine", Verdict::Allow),
            validator("mute", Verdict::Deny(vec![])),
            validator("kernels", Verdict::Deny(vec![violation("kernel", "c")])),
        ],
    );
    let expected = [
        ("sizes", "cpu", "vcpus", false),
        ("sizes", "mem", "vcpus", false),
        ("faulty", "deadline", "", true),
        ("mute", "denied", "", false),
        ("kernels", "kernel", "vcpus", false),
    ];
    assert_eq!(refusals(&decision), expected);
    assert!(decision.is_policy_error());
    assert_eq!(decision.notes[0].text, "wasm trap[2J at 0x12");
    assert!(
        decision.draft.image.contains("@sha256:"),
        "a refused spec shows what was judged"
    );
}

#[test]
fn what_policies_say_is_cleaned_and_bounded() {
    let loud = Violation {
        rule: "r\n".repeat(1000),
        field: "\x1b]0;title\x07".to_owned(),
        message: "\u{202E}é".repeat(10_000),
    };
    let decision = decide(
        vec![],
        vec![validator("loud", Verdict::Deny(vec![loud; 1000]))],
    );
    let Outcome::Refused(all) = &decision.outcome else {
        panic!("{decision:?}")
    };
    assert_eq!(all.len(), MAX_VIOLATIONS);
    let Refusal {
        rule,
        field,
        reason,
        ..
    } = &all[0];
    assert!(
        reason.len() <= MAX_TEXT && reason.ends_with("é…"),
        "{reason}"
    );
    assert!(rule.len() <= 128 && field == "]0;title");
}

#[test]
fn nothing_is_fetched_or_judged_for_a_bad_draft() {
    let images = MemoryImages::default();
    images.faults.script([Some(ErrorKind::Permanent)]);
    let chain = PolicyChain::new(vec![mutator("m", &[], |_| panic!("ran"))], vec![], 1);
    let mut bad = submission("web");
    bad.draft.vcpus = 129;
    let decision = chain.decide(&bad, &images);
    assert!(matches!(&decision.outcome, Outcome::Invalid(e) if e.as_slice()[0].field == "vcpus"));
    assert_eq!(decision.draft, bad.draft);
    assert_eq!(decision.audit_record(&bad, None), None);
}

#[test]
fn an_image_that_cannot_be_pinned_is_not_judged() {
    let chain = PolicyChain::new(vec![], vec![faulty(FaultKind::Trap)], 1);
    let mut missing = submission("web");
    missing.draft.kernel = "registry.example/missing".to_owned();
    let decision = chain.decide(&missing, &MemoryImages::default());
    let Outcome::Unpinned { field, error } = &decision.outcome else {
        panic!("{decision:?}")
    };
    assert_eq!((*field, error.kind), ("kernel", ErrorKind::NotFound));
    let record = decision.audit_record(&missing, None).unwrap();
    assert_eq!(
        (record.verdict, record.judged),
        (AuditVerdict::Unpinned, None)
    );
}

/// A registry that answers with these facts, whatever it is asked.
struct Answers(ImageFacts);

impl Images for Answers {
    fn facts(&self, _: &ImageReference) -> Result<ImageFacts, PortError> {
        Ok(self.0.clone())
    }

    fn boot_defaults(&self) -> crate::facts::BootDefaults {
        crate::fake::boot_defaults()
    }
}

#[test]
fn a_registry_cannot_answer_with_another_image() {
    let evil = Answers(image_facts(&"registry.example/evil".parse().unwrap()));
    let chain = PolicyChain::new(vec![], vec![], 1);
    let decision = chain.decide(&submission("web"), &evil);
    assert!(matches!(
        decision.outcome,
        Outcome::Unpinned { field: "image", .. }
    ));
}

#[test]
fn an_image_that_names_no_program_is_invalid() {
    let mut facts = image_facts(&submission("web").draft.image.parse().unwrap());
    facts.config.entrypoint.clear();
    facts.config.cmd.clear();
    let chain = PolicyChain::new(vec![], vec![], 1);
    let mut asked = submission("web");
    let decision = chain.decide(&asked, &Answers(facts.clone()));
    assert!(matches!(&decision.outcome, Outcome::Invalid(e) if e.as_slice()[0].field == "command"));
    asked.draft.command = vec!["/bin/true".to_owned()];
    let decision = chain.decide(&asked, &Answers(facts));
    assert!(matches!(decision.outcome, Outcome::Admitted(_)));
}

#[test]
fn the_same_submission_gets_the_same_decision() {
    let chain = PolicyChain::new(
        vec![mutator("m", &["env"], |d| set_env(d, "A", "1"))],
        vec![validator("v", Verdict::Deny(vec![violation("r", "m")]))],
        1,
    );
    let asked = submission("web");
    let decide = || {
        chain
            .decide(&asked, &MemoryImages::default())
            .audit_record(&asked, None)
    };
    assert_eq!(decide(), decide());
}
