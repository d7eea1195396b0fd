//! `cargo xtask demo`: the main job on real Xen, from a call over mTLS to a
//! guest's console, and the proof that nothing is left. It stops at the first
//! thing that is not as it should be.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bed::Bed;
use crate::client::Client;
use crate::emulation;
use crate::images;
use crate::layout::Layout;
use crate::leftovers;
use crate::registry::Registry;
use crate::site::{Config, FORCED_ENV, MAX_MEMORY_MIB, MAX_VCPUS, Policies, Site};
use crate::stage::stage;

/// The stages of a guest in their order (proto `StageTime`).
const STAGES: [&str; 5] = ["policy", "pull", "pack", "build", "boot"];
/// A guest's life under emulation, on a busy machine.
const GUEST: Duration = Duration::from_mins(5);
/// What the first guest's command ends with.
const EXIT_CODE: i32 = 7;

/// Everything, from an empty cache to the closing table.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    let registry = stage("start a registry", || Registry::start(layout))?;
    let site = Site::build(layout, &registry.authority_in_bed(), Policies::Product)?;
    stage("build and push images", || {
        images::push_all(&layout.cache(), &registry, site.kernel())
    })?;
    let mut bed = site.boot(layout)?;
    stage("start xeniosd in dom0", || {
        site.start_daemon(&mut bed, Config::Product)
    })?;

    let client = site.alice(&bed);
    let images = registry.authority_in_bed();
    let mut guests = vec![rewritten(&client, &images)?];
    guests.push(layered(&client, &images)?);
    guests.push(hardware_virtualised(&client, &mut bed, &images)?);
    refused(&client, &images)?;
    planned(&client, &images)?;
    deleted(&client, &mut bed)?;
    println!("{}", times(&guests));
    Ok(())
}

fn heading(text: &str) {
    println!("\n=== {text}\n");
}

/// A policy rewrites the env; the guest's own console shows what it saw.
fn rewritten(client: &Client, images: &str) -> Result<Value> {
    heading("A guest whose env a policy rewrites: its console and its exit code");
    let (name, forced) = FORCED_ENV;
    let script = format!("echo \"this guest sees {name}=${name}\"; exit {EXIT_CODE}");
    let image = format!("{images}/demo/busybox:1");
    let answer = client.show(&[
        "run",
        &image,
        "--name",
        "rewritten",
        "-e",
        &format!("{name}=trace"),
        "--",
        "/bin/sh",
        "-c",
        &script,
    ])?;
    let seen = format!("this guest sees {name}={forced}");
    ensure!(
        answer.stdout.contains(&seen),
        "the console does not say {seen:?}"
    );
    answer.expect(EXIT_CODE)?;
    client.show(&["get", "rewritten"])?;
    client.guest("rewritten")
}

/// A real program over several layers, some of which delete what others have.
fn layered(client: &Client, images: &str) -> Result<Value> {
    heading("An image of several layers, with whiteouts: sqlite");
    let image = format!("{images}/demo/sqlite:1");
    let sql = "select 'sqlite ' || sqlite_version(), \
               'kept: ' || (readfile('/srv/kept') is not null), \
               'deleted: ' || (readfile('/srv/obsolete') is null), \
               'hidden: ' || (readfile('/srv/cache/old') is null), \
               'new: ' || (readfile('/srv/cache/new') is not null);";
    let answer = client
        .show(&["run", &image, "--name", "layered", "--", ":memory:", sql])?
        .expect(0)?;
    for fact in ["kept: 1", "deleted: 1", "hidden: 1", "new: 1"] {
        ensure!(
            answer.stdout.contains(fact),
            "the console does not say {fact:?}"
        );
    }
    client.guest("layered")
}

/// The same seam, the other kind of domain.
fn hardware_virtualised(client: &Client, bed: &mut Bed, images: &str) -> Result<Value> {
    heading("The same as a PVH guest, with a kernel from an image");
    let image = format!("{images}/demo/busybox:1");
    let kernel = format!("{images}/kernels/debian-cloud:1");
    let script = "echo \"$(id -un) on Linux $(uname -r)\"";
    let call = [
        "run",
        &image,
        "--name",
        "pvh",
        "--virtualization",
        "pvh",
        "--kernel",
        &kernel,
        "--user",
        "app",
        "--",
        "/bin/sh",
        "-c",
        script,
    ];
    let answer = emulation::undisturbed(bed, 0, || {
        // Only another try finds one.
        client.call(&["rm", "--wait", "pvh"])?;
        client.show(&call)
    })?;
    let answer = answer.expect(0)?;
    ensure!(
        answer.stdout.contains("app on Linux"),
        "the guest did not run as its user"
    );
    client.guest("pvh")
}

fn refused(client: &Client, images: &str) -> Result<()> {
    heading("A guest that two policies refuse at once");
    let image = format!("{images}/demo/busybox:1");
    let kernel = format!("{images}/kernels/unlisted:1");
    let (vcpus, memory) = (
        (MAX_VCPUS * 2).to_string(),
        (MAX_MEMORY_MIB * 4).to_string(),
    );
    let answer = client
        .show(&[
            "create", &image, "--name", "greedy", "--vcpus", &vcpus, "--memory", &memory,
            "--kernel", &kernel,
        ])?
        .expect(6)?;
    for policy in ["size-limits", "allowed-kernels"] {
        let said = format!("{}{}", answer.stdout, answer.stderr);
        ensure!(said.contains(policy), "{policy} is not among the reasons");
    }
    Ok(())
}

fn planned(client: &Client, images: &str) -> Result<()> {
    heading("A plan: what each policy changes, field by field");
    let image = format!("{images}/demo/busybox:1");
    let (name, forced) = FORCED_ENV;
    let answer = client
        .show(&[
            "plan",
            &image,
            "-e",
            &format!("{name}=trace"),
            "-e",
            "COLOUR=blue",
        ])?
        .expect(0)?;
    for part in ["env-rewrite", name, "trace", forced] {
        ensure!(
            answer.stdout.contains(part),
            "the plan does not show {part:?}"
        );
    }
    Ok(())
}

fn deleted(client: &Client, bed: &mut Bed) -> Result<()> {
    heading("A running guest; then all are deleted, and dom0 itself says what is left");
    let image = client.guest("rewritten")?["spec"]["image"]
        .as_str()
        .context("no image")?
        .to_owned();
    client
        .show(&[
            "create",
            &image,
            "--name",
            "idle",
            "--",
            "/bin/sleep",
            "100000",
        ])?
        .expect(0)?;
    client.wait_for_phase("idle", &["running"], GUEST)?;
    client.show(&["ls"])?.expect(0)?;
    let before = leftovers::look(bed)?;
    ensure!(
        before.domains.len() == 1,
        "a running guest is no domain of Xen: {before}"
    );
    println!("dom0 while it runs:\n{before}");
    client
        .show(&["rm", "--wait", "idle", "pvh", "layered", "rewritten"])?
        .expect(0)?;
    let listed = client.show(&["ls"])?.expect(0)?;
    ensure!(
        !listed.stdout.contains("running"),
        "a record still says running"
    );
    let after = leftovers::look(bed)?;
    println!("dom0 afterwards (xl list, losetup -a, xenstore-ls):\n{after}");
    ensure!(after.is_empty(), "something is left in dom0");
    Ok(())
}

/// Milliseconds by guest and stage, as the daemon counted them.
fn times(guests: &[Value]) -> String {
    let row = |name: &str, cells: [String; STAGES.len()]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>10}")).collect();
        format!("{name:<12}{}\n", cells.concat())
    };
    let mut table = row("ms", STAGES.map(str::to_owned));
    for guest in guests {
        let name = guest["spec"]["name"].as_str().unwrap_or("?");
        table.push_str(&row(name, STAGES.map(|stage| time_of(guest, stage))));
    }
    table + "Under emulation, which keeps no true time: compare the columns, not machines."
}

/// Milliseconds with one decimal, or a dash for a stage that did not happen.
fn time_of(guest: &Value, stage: &str) -> String {
    let times = guest["status"]["stages"].as_array();
    let time = times
        .into_iter()
        .flatten()
        .find(|time| time["stage"] == stage);
    time.and_then(|time| time["micros"].as_u64()).map_or_else(
        || "-".to_owned(),
        |micros| format!("{}.{}", micros / 1000, micros % 1000 / 100),
    )
}

#[cfg(test)]
mod tests;
