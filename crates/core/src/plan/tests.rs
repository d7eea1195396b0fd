//! The planner: a table of every state against every kind of world, and rules
//! that hold in all combinations.

use super::*;
use crate::id::DomId;

fn domid(n: u16) -> DomId {
    DomId::new(n).unwrap()
}

/// The recorded domain, and another that carries the guest's mark.
fn own_and_other() -> (DomId, DomId) {
    (domid(5), domid(6))
}

fn states() -> Vec<State> {
    let domid = own_and_other().0;
    vec![
        State::Preparing,
        State::Building,
        State::Booting { domid },
        State::Running { domid },
        State::Exited {
            exit: Exit::Code(0),
        },
        State::Failed {
            error: "x".to_owned(),
        },
        State::Deleting,
    ]
}

fn domain_states() -> Vec<DomainState> {
    let reasons = [
        ShutdownReason::Poweroff,
        ShutdownReason::Reboot,
        ShutdownReason::Crash,
        ShutdownReason::Other(9),
    ];
    let exits = [
        None,
        Some(Exit::Code(3)),
        Some(Exit::Signal(9)),
        Some(Exit::Lost("l".into())),
    ];
    let shutdowns = reasons.into_iter().flat_map(|reason| {
        exits
            .clone()
            .into_iter()
            .map(move |exit| DomainState::Shutdown { reason, exit })
    });
    let mut all = vec![
        DomainState::Paused,
        DomainState::Running { started: false },
        DomainState::Running { started: true },
        DomainState::Dying,
    ];
    all.extend(shutdowns);
    all
}

fn worlds() -> Vec<ObservedDomain> {
    let (own, other) = own_and_other();
    let mut all = vec![ObservedDomain::Absent];
    for domid in [own, other] {
        all.extend(
            domain_states()
                .into_iter()
                .map(|state| ObservedDomain::Present { domid, state }),
        );
    }
    all
}

/// A step in a word, with `!` for the recorded domain and `?` for the other.
fn word(step: &Step) -> String {
    let mark = |d: &DomId| if *d == own_and_other().0 { '!' } else { '?' };
    match step {
        Step::PackRootfs => "pack".into(),
        Step::CreateDomain => "create".into(),
        Step::Unpause(d) => format!("unpause{}", mark(d)),
        Step::AwaitStart => "await".into(),
        Step::RecordRunning(d) => format!("running{}", mark(d)),
        Step::RecordExit { domid, .. } => format!("exit{}", mark(domid)),
        Step::RecordLost(d) => format!("lost{}", mark(d)),
        Step::Condemn(d) => format!("condemn{}", mark(d)),
        Step::Destroy(d) => format!("destroy{}", mark(d)),
        Step::BeginDeletion(None) => "delete".into(),
        Step::BeginDeletion(Some(d)) => format!("delete{}", mark(d)),
        Step::Forget => "forget".into(),
        Step::Wait => "wait".into(),
    }
}

/// Rows: [`states`]. Columns: [`columns`].
const PRESENT: &str = "
    create  condemn! condemn! condemn! condemn! condemn! condemn?
    create  condemn! condemn! condemn! condemn! condemn! condemn?
    lost!   unpause! await    running! exit!    lost!    lost!
    lost!   wait     wait     wait     exit!    lost!    lost!
    wait    condemn! condemn! condemn! condemn! condemn! condemn?
    wait    condemn! condemn! condemn! condemn! condemn! condemn?
    wait    condemn! condemn! condemn! condemn! condemn! condemn?";

const DELETED: &str = "
    delete  delete!  delete!  delete!  delete!  delete!  delete?
    delete  delete!  delete!  delete!  delete!  delete!  delete?
    delete! delete!  delete!  delete!  delete!  delete!  delete!
    delete! delete!  delete!  delete!  delete!  delete!  delete!
    delete  delete!  delete!  delete!  delete!  delete!  delete?
    delete  delete!  delete!  delete!  delete!  delete!  delete?
    forget  condemn! condemn! condemn! condemn! condemn! condemn?";

/// Absent; our own domain paused, booting, running, stopped and dying; another one
/// with the guest's mark.
fn columns() -> [ObservedDomain; 7] {
    let (own, other) = own_and_other();
    let present = |domid, state| ObservedDomain::Present { domid, state };
    let stopped = DomainState::Shutdown {
        reason: ShutdownReason::Poweroff,
        exit: None,
    };
    [
        ObservedDomain::Absent,
        present(own, DomainState::Paused),
        present(own, DomainState::Running { started: false }),
        present(own, DomainState::Running { started: true }),
        present(own, stopped),
        present(own, DomainState::Dying),
        present(other, DomainState::Running { started: true }),
    ]
}

#[test]
fn every_state_meets_every_world() {
    for (desired, table) in [(Desired::Present, PRESENT), (Desired::Deleted, DELETED)] {
        let rows: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), states().len());
        for (state, row) in states().into_iter().zip(rows) {
            let status = Status {
                state,
                ..Status::default()
            };
            let steps =
                columns().map(|observed| word(&next_step(desired, &status, &observed, true)));
            let expected: Vec<_> = row.split_whitespace().collect();
            assert_eq!(steps.as_slice(), expected, "{desired:?} {:?}", status.state);
        }
    }
}

#[test]
fn rules_hold_in_every_combination() {
    let (own, other) = own_and_other();
    let mut combinations = 0;
    for desired in [Desired::Present, Desired::Deleted] {
        for state in states() {
            for condemned in [None, Some(own), Some(other)] {
                for observed in worlds() {
                    for ready in [false, true] {
                        let status = Status {
                            state: state.clone(),
                            condemned,
                            ..Status::default()
                        };
                        let step = next_step(desired, &status, &observed, ready);
                        check(desired, &status, &observed, ready, &step);
                        combinations += 1;
                    }
                }
            }
        }
    }
    assert_eq!(combinations, 2 * 7 * 3 * 41 * 2);
}

fn check(desired: Desired, status: &Status, observed: &ObservedDomain, ready: bool, step: &Step) {
    let context = format!("{desired:?} {status:?} {observed:?} {ready} -> {step:?}");
    if let Some(condemned) = status.condemned {
        assert_eq!(*step, Step::Destroy(condemned), "first of all: {context}");
        return;
    }
    let (known, seen) = (status.state.domid(), present(observed));
    let wanted = desired == Desired::Present;
    let unbuilt = matches!(status.state, State::Preparing | State::Building);
    let deleting = status.state == State::Deleting;
    let holds = match step {
        // Only the condemned are destroyed.
        Step::Destroy(_) => false,
        Step::PackRootfs => wanted && unbuilt && seen.is_none() && !ready,
        Step::CreateDomain => wanted && unbuilt && seen.is_none() && ready,
        Step::Unpause(domid) | Step::RecordRunning(domid) => {
            let state = State::Booting { domid: *domid };
            wanted && status.state == state && seen == Some(*domid)
        }
        Step::RecordExit { domid, exit } => {
            wanted && known == Some(*domid) && is_exit(observed, *domid, exit)
        }
        Step::RecordLost(domid) => wanted && known == Some(*domid),
        Step::Condemn(domid) => known.is_none() && seen == Some(*domid),
        // Whatever is left is condemned.
        Step::BeginDeletion(domid) => !wanted && !deleting && *domid == known.or(seen),
        Step::Forget => !wanted && deleting && seen.is_none(),
        Step::Wait | Step::AwaitStart => wanted,
    };
    assert!(holds, "{context}");
}

/// Whether `exit` is what the guest reported, or says that it reported nothing.
fn is_exit(observed: &ObservedDomain, domid: DomId, exit: &Exit) -> bool {
    match observed {
        ObservedDomain::Present {
            domid: seen,
            state: DomainState::Shutdown { exit: said, .. },
        } => {
            *seen == domid
                && said
                    .as_ref()
                    .map_or(matches!(exit, Exit::Lost(_)), |s| s == exit)
        }
        _ => false,
    }
}
