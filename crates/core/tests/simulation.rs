//! A guest's life in a world where anything may happen at any moment: the daemon
//! is killed between any two effects, ports fail, the guest stops, its domain
//! vanishes, the host restarts, strangers appear, the tenant deletes. Whatever
//! the order, the promises hold and in the end the guest settles.

use std::sync::Arc;

use proptest::prelude::*;
use xenios_core::fake::{
    Faults, MemoryHypervisor, MemoryRootfses, MemoryStore, audit_record, guest,
};
use xenios_core::port::{GuestCatalog, ShutdownReason};
use xenios_core::{Desired, ErrorKind, Exit, GuestId, Next, Phase, Ports, Worker};

#[derive(Clone, Debug)]
enum Event {
    Step,
    /// The daemon is killed during one of the next steps.
    DieAfter(u32),
    Fail(Vec<Option<ErrorKind>>),
    Boot,
    Stop(ShutdownReason, Option<Exit>),
    Lose,
    RebootHost,
    /// A domain of somebody else appears.
    Stranger,
    /// A domain that carries the guest's mark appears, and we did not build it.
    Double,
    Delete,
}

struct Simulation {
    id: GuestId,
    faults: Faults,
    store: MemoryStore,
    hypervisor: MemoryHypervisor,
    ports: Ports,
    worker: Worker,
    strangers: usize,
    shows_traces: bool,
    /// Whether all of the guest's domains were built by us.
    undoubled: bool,
    last: Option<Next>,
}

impl Simulation {
    fn new(shows_traces: bool) -> Self {
        let faults = Faults::default();
        let store = MemoryStore::with_faults(faults.clone());
        let hypervisor = MemoryHypervisor::with_faults(faults.clone());
        if shows_traces {
            hypervisor.show_traces();
        }
        let ports = Ports {
            store: Arc::new(store.clone()),
            rootfses: Arc::new(MemoryRootfses {
                faults: faults.clone(),
            }),
            hypervisor: Arc::new(hypervisor.clone()),
        };
        let guest = guest("a", "web", 1);
        store
            .insert(&guest, &audit_record("web", Some(guest.id)))
            .expect("an empty store");
        let worker = Worker::new(guest.id, ports.clone());
        Self {
            id: guest.id,
            faults,
            store,
            hypervisor,
            ports,
            worker,
            strangers: 0,
            shows_traces,
            undoubled: true,
            last: None,
        }
    }

    fn step(&mut self) {
        self.last = Some(self.worker.step());
        if self.faults.dead() {
            // A new process knows only the record and the world.
            self.faults.clear();
            self.worker = Worker::new(self.id, self.ports.clone());
            self.last = None;
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Step => self.step(),
            Event::DieAfter(ticks) => self.faults.die_after(*ticks + 1),
            Event::Fail(errors) => self.faults.script(errors.iter().copied()),
            Event::Boot => self.hypervisor.boot(self.id),
            Event::Stop(reason, exit) => self.hypervisor.stop(self.id, *reason, exit.clone()),
            // See `Hypervisor::observe`: half a domain that somebody else destroys is
            // known only by its traces.
            Event::Lose if self.shows_traces || self.is_recorded() => {
                self.hypervisor.lose(self.id);
            }
            Event::Lose => {}
            Event::RebootHost => {
                self.hypervisor.reboot();
                self.strangers = 0;
            }
            Event::Stranger => {
                let _ = self.hypervisor.intrude(GuestId::random());
                self.strangers += 1;
            }
            Event::Double => {
                let _ = self.hypervisor.intrude(self.id);
                self.undoubled = false;
            }
            Event::Delete => self.delete(),
        }
    }

    fn is_recorded(&self) -> bool {
        self.store
            .peek(self.id)
            .is_some_and(|guest| guest.status.domid().is_some())
    }

    fn delete(&self) {
        if let Some(guest) = self.store.peek(self.id) {
            // The caller of a dying daemon gets an error and may not have been heard.
            let _ = self.store.delete(&guest.tenant, guest.id);
        }
    }

    fn check(&self) {
        let own = self.hypervisor.domains_of(self.id).len();
        assert!(
            own <= 1 || !self.undoubled,
            "a guest has one domain at most"
        );
        let all = self.hypervisor.domains().len();
        assert_eq!(
            all - own,
            self.strangers,
            "what is not the guest's is left alone"
        );
        assert!(
            self.hypervisor.starts(self.id) <= 1,
            "a command starts once at most"
        );
        if self.store.peek(self.id).is_none() {
            assert!(
                self.hypervisor.is_clean(self.id) || !self.undoubled,
                "forgotten too early"
            );
        }
    }

    /// From here on nothing goes wrong. What ended a guest stays, so it settles
    /// within a bounded number of steps.
    fn settle(&mut self) {
        self.faults.clear();
        for _ in 0..40 {
            self.step();
            self.check();
            match self.last {
                Some(Next::Again) => {}
                Some(Next::LookAgain(_)) => self.hypervisor.boot(self.id),
                Some(Next::WaitForEvent | Next::Done) => return,
                ref next => panic!("nothing goes wrong, and yet {next:?}"),
            }
        }
        panic!("never settles: {:?}", self.store.peek(self.id));
    }

    fn check_settled(&self) {
        let Some(guest) = self.store.peek(self.id) else {
            assert!(self.hypervisor.is_clean(self.id) || !self.undoubled);
            return;
        };
        assert_eq!(
            guest.desired,
            Desired::Present,
            "a deleted guest is forgotten"
        );
        assert_eq!(
            (guest.status.condemned, &guest.status.trouble),
            (None, &None)
        );
        match guest.phase() {
            Phase::Running => {
                let domid = guest.status.domid().expect("a running guest has a domain");
                assert!(self.hypervisor.domains_of(self.id).contains(&domid));
            }
            Phase::Exited | Phase::Failed => assert!(self.hypervisor.is_clean(self.id)),
            phase => panic!("settled while {phase:?}"),
        }
    }
}

fn kinds() -> impl Strategy<Value = Option<ErrorKind>> {
    prop_oneof![
        4 => Just(None),
        2 => Just(Some(ErrorKind::Transient)),
        1 => Just(Some(ErrorKind::Exhausted)),
        1 => Just(Some(ErrorKind::Permanent)),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let reason = prop_oneof![
        Just(ShutdownReason::Poweroff),
        Just(ShutdownReason::Reboot),
        Just(ShutdownReason::Crash),
    ];
    let exit = prop_oneof![
        Just(None),
        any::<u8>().prop_map(|code| Some(Exit::Code(code)))
    ];
    prop_oneof![
        20 => Just(Event::Step),
        6 => (0_u32..9).prop_map(Event::DieAfter),
        3 => prop::collection::vec(kinds(), 1..6).prop_map(Event::Fail),
        4 => Just(Event::Boot),
        2 => (reason, exit).prop_map(|(reason, exit)| Event::Stop(reason, exit)),
        1 => Just(Event::Lose),
        1 => Just(Event::RebootHost),
        1 => Just(Event::Stranger),
        1 => Just(Event::Double),
        1 => Just(Event::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_the_guest_settles(
        events in prop::collection::vec(events(), 0..60),
        shows_traces in prop::bool::ANY,
    ) {
        let mut simulation = Simulation::new(shows_traces);
        for event in &events {
            simulation.happen(event);
            simulation.check();
        }
        simulation.settle();
        simulation.check_settled();
        simulation.delete();
        simulation.settle();
        simulation.check_settled();
        prop_assert!(simulation.store.peek(simulation.id).is_none(), "deleted guests are gone");
    }
}

/// Kills the daemon at each moment of a whole life, in turn.
#[test]
fn a_kill_at_any_single_moment_changes_nothing() {
    for ticks in 1..80 {
        let mut simulation = Simulation::new(false);
        simulation.faults.die_after(ticks);
        for _ in 0..30 {
            simulation.step();
            simulation.check();
            simulation.hypervisor.boot(simulation.id);
        }
        let guest = simulation
            .store
            .peek(simulation.id)
            .expect("nobody deleted it");
        assert_eq!(guest.phase(), Phase::Running, "killed after {ticks}");
        let domain = simulation.hypervisor.domains_of(simulation.id);
        simulation
            .hypervisor
            .stop(simulation.id, ShutdownReason::Poweroff, Some(Exit::Code(3)));
        assert_eq!(domain.len(), 1);
        simulation.faults.die_after(ticks);
        for _ in 0..30 {
            simulation.step();
            simulation.check();
        }
        let guest = simulation
            .store
            .peek(simulation.id)
            .expect("nobody deleted it");
        assert_eq!(guest.phase(), Phase::Exited, "killed after {ticks}");
        simulation.faults.clear();
        simulation.delete();
        simulation.faults.die_after(ticks);
        for _ in 0..30 {
            simulation.step();
            simulation.check();
        }
        assert_eq!(
            simulation.store.peek(simulation.id),
            None,
            "killed after {ticks}"
        );
        assert!(simulation.hypervisor.is_clean(simulation.id));
    }
}
