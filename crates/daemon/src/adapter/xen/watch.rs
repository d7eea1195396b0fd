//! Notices domains that stop or disappear, so that nobody has to look all the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use xenios_core::GuestId;
use xenios_xen::{DomId, DomainEvents, DomainState, Toolstack};

use crate::stop::Stop;

/// How often the thread looks whether it shall end.
const SLICE: Duration = Duration::from_secs(1);

/// What was last seen of every domain.
type Seen = HashMap<(Uuid, DomId), DomainState>;

/// Calls `notify` for each guest whose domain changed, until `stop` is given. Runs on
/// a thread of its own.
pub fn watch_domains(
    toolstack: Arc<Toolstack>,
    stop: Stop,
    notify: impl Fn(GuestId) + Send + 'static,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("domain-events".to_owned())
        .spawn(move || {
            let mut seen = Seen::new();
            while !stop.is_given() {
                if let Err(error) = subscribe(&toolstack, &stop, &mut seen, &notify) {
                    // Guests are looked at regularly, so nothing is lost but time.
                    tracing::warn!("domain events cannot be had: {error:#}");
                    std::thread::sleep(SLICE);
                }
            }
        })
        .map(drop)
}

fn subscribe(
    toolstack: &Toolstack,
    stop: &Stop,
    seen: &mut Seen,
    notify: &impl Fn(GuestId),
) -> anyhow::Result<()> {
    let mut events: DomainEvents = toolstack.events()?;
    // What happened before the subscription is found by looking once.
    compare(toolstack, seen, notify)?;
    while !stop.is_given() {
        if events.recv_timeout(SLICE)?.is_some() {
            compare(toolstack, seen, notify)?;
        }
    }
    Ok(())
}

fn compare(
    toolstack: &Toolstack,
    seen: &mut Seen,
    notify: &impl Fn(GuestId),
) -> anyhow::Result<()> {
    let now: Seen = toolstack
        .domains()?
        .into_iter()
        .map(|domain| ((domain.uuid, domain.domid), domain.state))
        .collect();
    for guest in changed(seen, &now) {
        notify(guest);
    }
    *seen = now;
    Ok(())
}

/// The guests whose domains differ.
pub(super) fn changed(before: &Seen, now: &Seen) -> Vec<GuestId> {
    let appeared = now
        .iter()
        .filter(|(key, state)| before.get(key) != Some(state));
    let vanished = before.iter().filter(|(key, _)| !now.contains_key(key));
    appeared
        .chain(vanished)
        .map(|((uuid, _), _)| GuestId::from(*uuid))
        .collect()
}
