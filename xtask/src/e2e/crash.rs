//! What dies beside a guest: the daemon by `kill -9` while guests are at different
//! steps of their lives, and dom0. Whatever it interrupts, a restart goes on with
//! each guest where it was.
//!
//! Which step each guest has reached depends on the machine; every outcome that
//! is checked must hold at any of them.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::World;
use super::checks::GUEST;
use crate::bed::Restart;
use crate::site::{Config, Site};

/// What the guests' command ends with.
const CODE: i64 = 9;
/// How long guests that were started together live before the kill: from before
/// the first hypercall, over the build of the domain, to the guest's own boot.
const AGES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(700),
    Duration::from_millis(1800),
    Duration::from_secs(4),
];

/// One guest runs, one is deleted, and one was just created when the daemon dies.
pub(super) fn killed_at_every_step(world: &mut World) -> Result<()> {
    let survivor = create(world, "survivor", "sleep 100000")?;
    let before = world
        .alice()
        .wait_for_phase(&survivor, &["running"], GUEST)?;
    for (round, age) in AGES.into_iter().enumerate() {
        let doomed = create(world, &format!("doomed-{round}"), "sleep 100000")?;
        let young = create(world, &format!("young-{round}"), "sleep 1")?;
        sleep(age);
        world.alice().call(&["rm", &doomed])?.expect(0)?;
        Site::kill_daemon(&mut world.bed)?;
        world.site.start_daemon(&mut world.bed, Config::Product)?;

        let exited = world
            .alice()
            .wait_for_phase(&young, &["exited", "failed"], GUEST)?;
        ensure!(
            exited["status"]["exit"]["code"] == CODE,
            "killed at {age:?}: the command's exit is lost: {}",
            exited["status"]
        );
        world.alice().call(&["rm", "--wait", &young])?.expect(0)?;
        let gone = world.alice().call(&["rm", "--wait", &doomed])?;
        ensure!(
            [0, super::checks::NOT_FOUND].contains(&gone.code),
            "killed at {age:?}: the deletion was forgotten: {}",
            gone.stderr
        );
        let domains = world.bed.sh("xl list | tail -n +3 | wc -l", SHORT)?;
        ensure!(
            domains.trim() == "1",
            "killed at {age:?}: {} domains beside dom0, not the survivor's alone",
            domains.trim()
        );
    }
    let after = world.alice().guest(&survivor)?;
    ensure!(
        after["status"]["phase"] == "running"
            && before["status"]["domid"] == after["status"]["domid"],
        "the running guest was disturbed: {}",
        after["status"]
    );
    Ok(())
}

/// A command that should answer at once, on a machine that is busy.
const SHORT: Duration = Duration::from_mins(1);

fn create(world: &World, name: &str, script: &str) -> Result<String> {
    let image = world.image("demo/busybox:1");
    let script = format!("{script}; exit {CODE}");
    world
        .alice()
        .call(&[
            "create", &image, "--name", name, "--", "/bin/sh", "-c", &script,
        ])?
        .expect(0)?;
    Ok(name.to_owned())
}

/// Only the disk is left: no domain, no loop device, no xenstore.
pub(super) fn restarts_of_dom0(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    for (name, how) in [
        ("shut-down", Restart::Clean),
        ("cut-off", Restart::PowerCut),
    ] {
        let call = [
            "create",
            &image,
            "--name",
            name,
            "--",
            "/bin/sleep",
            "100000",
        ];
        world.alice().call(&call)?.expect(0)?;
        world.alice().wait_for_phase(name, &["running"], GUEST)?;
        world.bed.restart(how)?;
        world.site.start_daemon(&mut world.bed, Config::Product)?;
        let guest = world
            .alice()
            .wait_for_phase(name, &["exited", "failed"], GUEST)?;
        ensure!(
            guest["status"]["domid"].is_null(),
            "a domain is recorded: {}",
            guest["status"]
        );
    }
    Ok(())
}
