//! A host with domains, in memory. It keeps apart a domain and its traces (loop
//! devices, xenstore nodes), and can die in the middle of a build or a teardown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Faults, locked};
use crate::guest::Exit;
use crate::id::{DomId, GuestId};
use crate::port::{
    DomainOrder, DomainState, ErrorKind, Hypervisor, ObservedDomain, PortError, ShutdownReason,
};

/// A host that a restart of the process does not change.
#[derive(Clone, Debug, Default)]
pub struct MemoryHypervisor {
    /// What goes wrong.
    pub faults: Faults,
    host: Arc<Mutex<Host>>,
}

#[derive(Debug, Default)]
struct Host {
    domains: BTreeMap<DomId, Domain>,
    /// What is outside a domain and must go with it.
    traces: BTreeSet<(DomId, GuestId)>,
    last: u16,
    starts: BTreeMap<GuestId, u32>,
    shows_traces: bool,
}

#[derive(Clone, Debug)]
struct Domain {
    mark: GuestId,
    complete: bool,
    state: DomainState,
}

impl Host {
    fn next_domid(&mut self) -> DomId {
        loop {
            self.last = self.last.wrapping_add(1);
            match DomId::new(self.last) {
                Some(domid) if !self.domains.contains_key(&domid) => return domid,
                _ => {}
            }
        }
    }

    fn of(&mut self, id: GuestId) -> Option<&mut Domain> {
        self.domains.values_mut().find(|domain| domain.mark == id)
    }
}

impl MemoryHypervisor {
    /// A host without guests, in a world where `faults` go wrong.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    /// From here on, traces without a domain can be observed.
    pub fn show_traces(&self) {
        self.host().shows_traces = true;
    }

    /// Every domain with its mark.
    #[must_use]
    pub fn domains(&self) -> Vec<(DomId, GuestId)> {
        self.host()
            .domains
            .iter()
            .map(|(domid, domain)| (*domid, domain.mark))
            .collect()
    }

    /// The domains of that guest.
    #[must_use]
    pub fn domains_of(&self, id: GuestId) -> Vec<DomId> {
        self.domains()
            .into_iter()
            .filter(|(_, mark)| *mark == id)
            .map(|(d, _)| d)
            .collect()
    }

    /// Whether neither a domain nor a trace of that guest is left.
    #[must_use]
    pub fn is_clean(&self, id: GuestId) -> bool {
        self.domains_of(id).is_empty() && !self.host().traces.iter().any(|(_, mark)| *mark == id)
    }

    /// How often a domain of that guest was set running.
    #[must_use]
    pub fn starts(&self, id: GuestId) -> u32 {
        self.host().starts.get(&id).copied().unwrap_or(0)
    }

    /// Puts a running domain there that this code did not build.
    #[must_use]
    pub fn intrude(&self, mark: GuestId) -> DomId {
        let mut host = self.host();
        let domid = host.next_domid();
        let state = DomainState::Running { started: true };
        host.domains.insert(
            domid,
            Domain {
                mark,
                complete: true,
                state,
            },
        );
        domid
    }

    /// The guest's init starts.
    pub fn boot(&self, id: GuestId) {
        if let Some(domain) = self.host().of(id)
            && let DomainState::Running { started } = &mut domain.state
        {
            *started = true;
        }
    }

    /// The guest stops by itself, if it runs.
    pub fn stop(&self, id: GuestId, reason: ShutdownReason, exit: Option<Exit>) {
        if let Some(domain) = self.host().of(id)
            && matches!(domain.state, DomainState::Running { .. })
        {
            domain.state = DomainState::Shutdown { reason, exit };
        }
    }

    /// Somebody else destroys the guest's domain; its traces stay.
    pub fn lose(&self, id: GuestId) {
        self.host().domains.retain(|_, domain| domain.mark != id);
    }

    /// The host restarts: domains and traces are gone, domids begin anew.
    pub fn reboot(&self) {
        let mut host = self.host();
        host.domains.clear();
        host.traces.clear();
        host.last = 0;
    }

    fn host(&self) -> MutexGuard<'_, Host> {
        locked(&self.host)
    }
}

impl Hypervisor for MemoryHypervisor {
    fn observe(&self, id: GuestId) -> Result<ObservedDomain, PortError> {
        self.faults.begin()?;
        let host = self.host();
        if let Some((domid, domain)) = host.domains.iter().find(|(_, domain)| domain.mark == id) {
            return Ok(ObservedDomain::Present {
                domid: *domid,
                state: domain.state.clone(),
            });
        }
        let trace = host
            .traces
            .iter()
            .find(|(_, mark)| host.shows_traces && *mark == id);
        Ok(trace.map_or(ObservedDomain::Absent, |(domid, _)| {
            ObservedDomain::Present {
                domid: *domid,
                state: DomainState::Dying,
            }
        }))
    }

    fn create_paused(&self, order: &DomainOrder<'_>) -> Result<DomId, PortError> {
        self.faults.begin()?;
        let mut host = self.host();
        let domid = host.next_domid();
        let domain = Domain {
            mark: order.id,
            complete: false,
            state: DomainState::Paused,
        };
        host.domains.insert(domid, domain);
        self.faults.tick()?;
        host.traces.insert((domid, order.id));
        self.faults.tick()?;
        if let Some(domain) = host.domains.get_mut(&domid) {
            domain.complete = true;
        }
        self.faults.tick()?;
        Ok(domid)
    }

    fn unpause(&self, id: GuestId, domid: DomId) -> Result<(), PortError> {
        self.faults.begin()?;
        let mut host = self.host();
        let domain = host
            .domains
            .get_mut(&domid)
            .filter(|domain| domain.mark == id);
        let domain = domain
            .ok_or_else(|| PortError::new(ErrorKind::Permanent, "the domain is not the guest's"))?;
        assert!(domain.complete, "a half-built domain was set running");
        if domain.state == DomainState::Paused {
            domain.state = DomainState::Running { started: false };
            *host.starts.entry(id).or_default() += 1;
        }
        self.faults.tick()
    }

    fn destroy(&self, id: GuestId, domid: DomId) -> Result<(), PortError> {
        self.faults.begin()?;
        let mut host = self.host();
        if host
            .domains
            .get(&domid)
            .is_some_and(|domain| domain.mark == id)
        {
            host.domains.remove(&domid);
        }
        self.faults.tick()?;
        host.traces.remove(&(domid, id));
        self.faults.tick()
    }
}
