//! Many guests, one after the other: what the daemon, Xen and dom0 hold at the
//! end is what they held at the beginning.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::World;
use crate::emulation;

const GUESTS: usize = 30;
/// What a guest leaves in caches and allocators once is no leak: the first ones
/// are not counted.
const WARM_UP: usize = 3;
const SHORT: Duration = Duration::from_mins(1);
/// Xen's heap is handed out in pages; fragmentation may keep some of a guest.
const XEN_SLACK_MIB: u64 = 8;

/// What must not grow.
#[derive(Debug)]
struct Held {
    free_mib: u64,
    event_channels: u64,
    descriptors: u64,
    threads: u64,
}

/// Runs guests of both kinds in turn.
pub(super) fn nothing_grows(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    let mut before = None;
    for round in 0..WARM_UP + GUESTS {
        if round == WARM_UP {
            before = Some(look(world)?);
        }
        let kind = if round % 5 == 4 { "pvh" } else { "pv" };
        let call = [
            "run",
            "--rm",
            &image,
            "--virtualization",
            kind,
            "--",
            "/bin/sh",
            "-c",
            "exit 5",
        ];
        let alice = world.alice();
        // Thirty boots meet the emulator's fault sooner or later; the soak goes on.
        emulation::undisturbed(&mut world.bed, 5, || alice.call(&call))?.expect(5)?;
    }
    let before = before.context("there are more guests than the warm-up has")?;
    let after = look(world)?;
    println!("        before {before:?}\n        after  {after:?}");
    ensure!(
        after.free_mib + XEN_SLACK_MIB >= before.free_mib,
        "Xen lost memory"
    );
    ensure!(
        after.event_channels <= before.event_channels,
        "event channels are left"
    );
    ensure!(
        after.descriptors <= before.descriptors && after.threads <= before.threads + 2,
        "the daemon grows"
    );
    Ok(())
}

fn look(world: &mut World) -> Result<Held> {
    let script = "xl info free_memory; lsevtchn 0 | wc -l; \
                  ls /proc/$(cat /run/xeniosd.pid)/fd | wc -l; \
                  ls /proc/$(cat /run/xeniosd.pid)/task | wc -l";
    let said = world.bed.sh(script, SHORT)?;
    let numbers: Vec<u64> = said
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("not numbers: {said}"))?;
    let [free_mib, event_channels, descriptors, threads] = numbers[..] else {
        anyhow::bail!("not four numbers: {said}");
    };
    Ok(Held {
        free_mib,
        event_channels,
        descriptors,
        threads,
    })
}
