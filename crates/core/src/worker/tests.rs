//! The worker: the whole path, what fails, and what comes between two steps.
//! Crashes at every moment are simulated in `tests/simulation.rs`.

use std::collections::BTreeSet;

use super::*;
use crate::fake::{Faults, MemoryHypervisor, MemoryRootfses, MemoryStore, audit_record, guest};
use crate::guest::{Exit, Phase};
use crate::port::{GuestCatalog, ObservedDomain, ShutdownReason};

struct World {
    id: GuestId,
    faults: Faults,
    store: MemoryStore,
    hypervisor: MemoryHypervisor,
    worker: Worker,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::default();
        let guest = guest("a", "web", 1);
        store
            .insert(&guest, &audit_record("web", Some(guest.id)))
            .unwrap();
        let faults = Faults::default();
        let hypervisor = MemoryHypervisor::with_faults(faults.clone());
        let ports = Ports {
            store: Arc::new(store.clone()),
            rootfses: Arc::new(MemoryRootfses {
                faults: faults.clone(),
            }),
            hypervisor: Arc::new(hypervisor.clone()),
        };
        Self {
            id: guest.id,
            faults,
            store,
            hypervisor,
            worker: Worker::new(guest.id, ports),
        }
    }

    fn restart(&mut self) {
        self.worker = Worker::new(self.id, self.worker.ports.clone());
    }

    fn status(&self) -> Status {
        self.store.peek(self.id).unwrap().status
    }

    fn phase(&self) -> Phase {
        self.store.peek(self.id).unwrap().phase()
    }

    fn delete(&self) {
        let guest = self.store.peek(self.id).unwrap();
        self.store.delete(&guest.tenant, guest.id).unwrap();
    }

    /// Steps until there is nothing to do at once.
    fn settle(&mut self) -> Next {
        for _ in 0..50 {
            match self.worker.step() {
                Next::Again => {}
                next => return next,
            }
        }
        panic!("never settles: {:?}", self.status());
    }

    fn run(&mut self) {
        assert!(matches!(self.settle(), Next::LookAgain(_)));
        self.hypervisor.boot(self.id);
        assert!(matches!(self.settle(), Next::WaitForEvent));
        assert_eq!(self.phase(), Phase::Running);
    }
}

#[test]
fn a_guest_runs_exits_and_is_deleted() {
    let mut world = World::new();
    assert!(matches!(world.settle(), Next::LookAgain(_)));
    assert_eq!(
        world.phase(),
        Phase::Starting,
        "not running before its init says so"
    );
    world.run();
    let stages: Vec<_> = world
        .status()
        .stages
        .iter()
        .map(|(stage, _)| stage)
        .collect();
    assert_eq!(stages, Stage::ALL);
    assert_eq!(
        world.status().domid(),
        world.hypervisor.domains_of(world.id).first().copied()
    );
    world
        .hypervisor
        .stop(world.id, ShutdownReason::Poweroff, Some(Exit::Code(3)));
    assert!(matches!(world.settle(), Next::WaitForEvent));
    assert_eq!(
        world.status().state,
        State::Exited {
            exit: Exit::Code(3)
        }
    );
    assert!(
        world.hypervisor.is_clean(world.id),
        "an exited guest keeps only its record"
    );
    assert_eq!(world.status().domid(), None);
    world.delete();
    assert_eq!(world.phase(), Phase::Deleting);
    assert!(matches!(world.settle(), Next::Done));
    assert_eq!(world.store.peek(world.id), None);
    assert!(matches!(world.worker.step(), Next::Done));
}

#[test]
fn a_restart_does_not_disturb_a_running_guest() {
    let mut world = World::new();
    world.run();
    let before = (world.status(), world.hypervisor.domains());
    world.restart();
    assert!(matches!(world.settle(), Next::WaitForEvent));
    assert_eq!((world.status(), world.hypervisor.domains()), before);
    assert_eq!(world.hypervisor.starts(world.id), 1);
}

#[test]
fn a_guest_that_ends_before_it_starts_has_exited() {
    let mut world = World::new();
    let _ = world.settle();
    world.hypervisor.stop(world.id, ShutdownReason::Crash, None);
    let _ = world.settle();
    let State::Exited {
        exit: Exit::Lost(why),
    } = world.status().state
    else {
        panic!()
    };
    assert!(why.contains("crashed"), "{why}");
    assert!(world.hypervisor.is_clean(world.id));
}

#[test]
fn a_lost_domain_fails_the_guest_and_its_traces_go() {
    let mut world = World::new();
    world.run();
    world.hypervisor.lose(world.id);
    let _ = world.settle();
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.status().error().unwrap().contains("disappeared"));
    assert!(world.hypervisor.is_clean(world.id));
    assert_eq!(
        world.hypervisor.starts(world.id),
        1,
        "it is not started again"
    );
}

#[test]
fn a_passing_error_is_retried_in_view_of_the_tenant() {
    let mut world = World::new();
    // Each step observes first.
    for kind in [ErrorKind::Transient, ErrorKind::Exhausted] {
        world.faults.script([None, Some(kind)]);
        assert!(matches!(world.worker.step(), Next::RetryAfter { .. }));
        assert_eq!(world.phase(), Phase::Preparing);
        assert!(world.status().error().unwrap().starts_with("scripted"));
    }
    world.run();
    assert_eq!(
        world.status().error(),
        None,
        "what has passed is no longer shown"
    );
}

#[test]
fn retries_slow_down_and_recover() {
    let mut world = World::new();
    let mut delays = Vec::new();
    for _ in 0..20 {
        world.faults.script([None, Some(ErrorKind::Transient)]);
        let Next::RetryAfter { delay, .. } = world.worker.step() else {
            panic!()
        };
        delays.push(delay);
    }
    assert!(delays[0] <= backoff::FIRST && delays[19] >= backoff::LONGEST / 2);
    assert!(delays.iter().all(|delay| *delay <= backoff::LONGEST));
    assert!(matches!(world.worker.step(), Next::Again));
    world.faults.script([None, Some(ErrorKind::Transient)]);
    let Next::RetryAfter { delay, .. } = world.worker.step() else {
        panic!()
    };
    assert!(delay <= backoff::FIRST, "a success begins anew");
}

#[test]
fn a_lasting_error_fails_the_guest_and_leaves_nothing() {
    for (steps_before, kind) in [
        (0, ErrorKind::Permanent),
        (0, ErrorKind::NotFound),
        (1, ErrorKind::Permanent),
        (2, ErrorKind::Permanent),
    ] {
        let mut world = World::new();
        for _ in 0..steps_before {
            assert!(matches!(world.worker.step(), Next::Again));
        }
        world.faults.script([None, Some(kind)]);
        assert!(matches!(world.settle(), Next::WaitForEvent));
        assert_eq!(world.phase(), Phase::Failed, "after {steps_before} steps");
        assert_eq!(
            world.status().error(),
            Some(format!("scripted: {kind:?}").as_str())
        );
        assert!(world.hypervisor.is_clean(world.id));
        world.delete();
        assert!(matches!(world.settle(), Next::Done));
    }
}

#[test]
fn a_teardown_is_never_given_up() {
    let mut world = World::new();
    world.run();
    world.delete();
    assert!(
        matches!(world.worker.step(), Next::Again),
        "the deletion begins"
    );
    for kind in [
        ErrorKind::Permanent,
        ErrorKind::NotFound,
        ErrorKind::Transient,
    ] {
        world.faults.script([None, Some(kind)]);
        assert!(matches!(world.worker.step(), Next::RetryAfter { .. }));
        assert_eq!(world.phase(), Phase::Deleting);
    }
    assert!(matches!(world.settle(), Next::Done));
    assert!(world.hypervisor.is_clean(world.id));
}

#[test]
fn nothing_is_done_blindly() {
    let mut world = World::new();
    world.run();
    world.faults.script([Some(ErrorKind::Permanent)]);
    assert!(matches!(world.worker.step(), Next::RetryAfter { .. }));
    assert_eq!(
        world.phase(),
        Phase::Running,
        "an unseen domain is not a lost one"
    );
    world.store.faults.script([Some(ErrorKind::Permanent)]);
    assert!(matches!(world.worker.step(), Next::RetryAfter { .. }));
    assert!(matches!(world.worker.step(), Next::WaitForEvent));
    assert_eq!(world.hypervisor.starts(world.id), 1);
}

#[test]
fn a_deletion_takes_effect_between_any_two_steps() {
    for steps_before in 0..6 {
        let mut world = World::new();
        for _ in 0..steps_before {
            let _ = world.worker.step();
        }
        let built = world.hypervisor.domains_of(world.id).len();
        world.delete();
        let mut domains = BTreeSet::new();
        while !matches!(world.worker.step(), Next::Done) {
            domains.insert(world.hypervisor.domains_of(world.id).len());
        }
        assert!(
            domains.into_iter().all(|count| count <= built),
            "nothing more is built"
        );
        assert!(world.hypervisor.is_clean(world.id));
    }
}

#[test]
fn what_is_condemned_is_recorded_with_the_end() {
    // The domain is destroyed by somebody else before we come to it; only the
    // record leads to its traces.
    let mut world = World::new();
    world.run();
    world
        .hypervisor
        .stop(world.id, ShutdownReason::Poweroff, Some(Exit::Code(0)));
    assert!(
        matches!(world.worker.step(), Next::Again),
        "the exit is recorded"
    );
    world.hypervisor.lose(world.id);
    let _ = world.settle();
    assert!(world.hypervisor.is_clean(world.id), "after an exit");

    let mut world = World::new();
    assert!(matches!(world.worker.step(), Next::Again), "packed");
    assert!(matches!(world.worker.step(), Next::Again), "built");
    world.faults.script([None, Some(ErrorKind::Permanent)]);
    assert!(
        matches!(world.worker.step(), Next::Again),
        "the failure is recorded"
    );
    world.hypervisor.lose(world.id);
    let _ = world.settle();
    assert!(world.hypervisor.is_clean(world.id), "after a failure");
}

/// Counts how often a root filesystem is asked for.
#[derive(Default)]
struct Counted(std::sync::atomic::AtomicU32);

impl Rootfses for Counted {
    fn pack(&self, spec: &crate::facts::PinnedSpec) -> Result<Rootfs, PortError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        MemoryRootfses::default().pack(spec)
    }
}

#[test]
fn after_a_failed_build_the_root_filesystem_is_looked_up_anew() {
    let mut world = World::new();
    let counted = Arc::new(Counted::default());
    world.worker.ports.rootfses = Arc::clone(&counted) as Arc<dyn Rootfses>;
    assert!(matches!(world.worker.step(), Next::Again), "packed");
    world.faults.script([None, Some(ErrorKind::Exhausted)]);
    assert!(matches!(world.worker.step(), Next::RetryAfter { .. }));
    world.run();
    assert_eq!(counted.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}

/// A host on which the guest is deleted while its domain is built.
struct DeletedMeanwhile(MemoryStore, MemoryHypervisor);

impl Hypervisor for DeletedMeanwhile {
    fn observe(&self, id: GuestId) -> Result<ObservedDomain, PortError> {
        self.1.observe(id)
    }

    fn create_paused(&self, order: &DomainOrder<'_>) -> Result<DomId, PortError> {
        self.0.delete(&crate::fake::tenant("a"), order.id).unwrap();
        self.1.create_paused(order)
    }

    fn unpause(&self, _: GuestId, _: DomId) -> Result<(), PortError> {
        panic!("a guest that is to be deleted is not started");
    }

    fn destroy(&self, id: GuestId, domid: DomId) -> Result<(), PortError> {
        self.1.destroy(id, domid)
    }
}

#[test]
fn a_deletion_during_a_build_is_not_overwritten() {
    let mut world = World::new();
    let host = DeletedMeanwhile(world.store.clone(), world.hypervisor.clone());
    world.worker.ports.hypervisor = Arc::new(host);
    assert!(matches!(world.settle(), Next::Done));
    assert!(world.hypervisor.is_clean(world.id));
    assert_eq!(world.store.peek(world.id), None);
}

#[test]
fn without_room_for_a_long_step_nothing_is_begun_and_a_deletion_goes_on() {
    let mut world = World::new();
    for _ in 0..2 {
        assert!(matches!(world.worker.step_at(Pace::Quick), Next::Slow));
        assert_eq!(world.phase(), Phase::Preparing);
    }
    assert!(matches!(world.worker.step(), Next::Again), "packed");
    assert!(matches!(world.worker.step_at(Pace::Quick), Next::Slow));
    assert_eq!(world.hypervisor.starts(world.id), 0);
    assert!(world.hypervisor.is_clean(world.id), "nothing was built");
    world.delete();
    while !matches!(world.worker.step_at(Pace::Quick), Next::Done) {}
    assert_eq!(world.store.peek(world.id), None);
}

#[test]
fn a_guest_that_never_says_that_it_started_is_looked_at_less_and_less() {
    let mut world = World::new();
    let mut last = BOOT_POLL;
    assert!(matches!(world.settle(), Next::LookAgain(BOOT_POLL)));
    let mut total = Duration::ZERO;
    let mut looks = 0;
    while total < Duration::from_hours(1) {
        let Next::LookAgain(delay) = world.worker.step() else {
            panic!("not booting");
        };
        assert!(delay >= last && delay <= LONGEST_POLL, "{delay:?}");
        (last, total, looks) = (delay, total + delay, looks + 1);
    }
    assert_eq!(last, LONGEST_POLL);
    assert!(looks < 1000, "{looks} looks in an hour");
    world.hypervisor.boot(world.id);
    assert!(matches!(world.settle(), Next::WaitForEvent));
    assert_eq!(world.phase(), Phase::Running);
}
