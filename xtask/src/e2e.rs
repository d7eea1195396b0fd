//! The end-to-end checks on real Xen: one bed, one registry, and a list of
//! functions. A check leaves nothing behind; what it leaves is a failure of its
//! own, found by Xen's own tools.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::bed::Bed;
use crate::client::Client;
use crate::emulation;
use crate::images::{self, Pushed};
use crate::layout::Layout;
use crate::leftovers;
use crate::registry::Registry;
use crate::site::{Config, LOG, Policies, Site};
use crate::stage::{note, seconds, stage};

mod checks;
mod crash;
mod host;
mod soak;

/// What a check works with.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) layout: Layout,
    pub(crate) bed: Bed,
    pub(crate) registry: Registry,
    pub(crate) site: Site,
    pub(crate) pushed: Pushed,
}

impl World {
    fn build(layout: &Layout) -> Result<Self> {
        let registry = stage("start a registry", || Registry::start(layout))?;
        let site = Site::build(layout, &registry.authority_in_bed(), Policies::WithHostile)?;
        let pushed = stage("build and push images", || {
            images::push_all(&layout.cache(), &registry, site.kernel())
        })?;
        let mut bed = site.boot(layout)?;
        stage("start xeniosd in dom0", || {
            site.start_daemon(&mut bed, Config::Product)
        })?;
        Ok(Self {
            layout: layout.clone(),
            bed,
            registry,
            site,
            pushed,
        })
    }

    /// The client as alice of the tenant acme.
    pub(crate) fn alice(&self) -> Client {
        self.site.alice(&self.bed)
    }

    /// The client as bob of another tenant.
    pub(crate) fn bob(&self) -> Client {
        self.site.bob(&self.bed)
    }

    /// The reference of an image that was pushed, `demo/busybox:1`.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.authority_in_bed())
    }
}

/// A check's name and what it does.
pub(crate) type Check = (&'static str, fn(&mut World) -> Result<()>);

/// How many checks passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// Runs the checks whose names contain `filter`, in one boot; `long` adds those
/// that take too long for every change.
pub(crate) fn run(layout: &Layout, filter: &str, long: bool) -> Result<Tally> {
    let more = if long { checks::LONG } else { &[] };
    let checks: Vec<Check> = checks::ALL
        .iter()
        .chain(more)
        .copied()
        .filter(|(name, _)| name.contains(filter))
        .collect();
    ensure!(!checks.is_empty(), "no check's name contains {filter:?}");
    let mut world = World::build(layout)?;
    let mut tally = Tally::default();
    for (name, check) in checks {
        let start = Instant::now();
        match attempt(&mut world, check) {
            Ok(()) => {
                println!("ok      {name} ({})", seconds(start.elapsed()));
                tally.passed += 1;
            }
            Err(error) => {
                println!("FAILED  {name} ({}): {error:#}", seconds(start.elapsed()));
                tally.failed += 1;
            }
        }
    }
    if tally.failed > 0 {
        show_log(&mut world);
    }
    Ok(tally)
}

/// Runs a check; whatever it does, dom0 is looked at and cleaned afterwards.
/// One that the emulator disturbed is run again.
fn attempt(world: &mut World, check: fn(&mut World) -> Result<()>) -> Result<()> {
    emulation::struck(&mut world.bed)?;
    let mut tries = 1;
    loop {
        let result = catch_unwind(AssertUnwindSafe(|| check(world)))
            .unwrap_or_else(|_| Err(anyhow!("the check panicked")));
        let cleaned = clean(world);
        let result = result.and(cleaned);
        if result.is_ok() || tries == emulation::TRIES || !emulation::struck(&mut world.bed)? {
            return result;
        }
        note(emulation::AGAIN);
        tries += 1;
    }
}

/// Deletes every guest of both tenants and looks for what is left.
fn clean(world: &mut World) -> Result<()> {
    for client in [world.alice(), world.bob()] {
        let listed = client.call(&["ls", "-o", "json"])?.expect(0)?.json()?;
        let guests = listed
            .as_array()
            .or_else(|| listed["guests"].as_array())
            .context("`ls` printed no list")?;
        for guest in guests {
            let id = guest["id"].as_str().context("a guest without an id")?;
            client.call(&["rm", "--wait", id])?.expect(0)?;
        }
    }
    let left = leftovers::look(&mut world.bed)?;
    ensure!(left.is_empty(), "something is left in dom0:\n{left}");
    Ok(())
}

fn show_log(world: &mut World) {
    let script = format!("tail -n 40 {LOG}");
    if let Ok(log) = world.bed.sh(&script, Duration::from_mins(1)) {
        println!("the end of xeniosd's log:\n{log}");
    }
}
