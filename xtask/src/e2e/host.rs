//! Checks that run a program in dom0 rather than call the daemon over TCP: the
//! contract of `crates/xen`, and the Unix socket.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::World;
use crate::site;

/// The suite boots a dozen guests.
const SUITE: Duration = Duration::from_mins(15);
const SHORT: Duration = Duration::from_mins(2);

/// `crates/xen/examples/dom0_contract`: PV and PVH guests without the daemon.
pub(super) fn toolstack_contract(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    // Leaves the packed image in the daemon's cache.
    world
        .alice()
        .call(&["run", "--rm", &image, "--", "/bin/true"])?
        .expect(0)?;
    push(world, "/usr/bin/dom0_contract", "examples/dom0_contract")?;
    let output = world.bed.exec(
        "dom0_contract --kernel /usr/lib/xenios/vmlinuz --initrd /usr/lib/xenios/initrd \
         --rootfs $(ls /var/lib/xenios/cache/rootfs/*.squashfs | head -n 1) 2>&1",
        SUITE,
    )?;
    let said = String::from_utf8_lossy(&output.stdout);
    for line in said.lines() {
        let clean: String = line.chars().filter(|c| !c.is_control()).collect();
        println!("        {clean}");
    }
    ensure!(
        output.code == 0 && said.contains(" 0 failed"),
        "exit code {}",
        output.code
    );
    Ok(())
}

/// Who calls over the Unix socket is told by the kernel: root is another tenant.
pub(super) fn unix_socket(world: &mut World) -> Result<()> {
    let image = world.image("demo/busybox:1");
    push(world, "/usr/bin/xenios", "xenios")?;
    let created = ["create", &image, "--name", "hidden", "--", "/bin/true"];
    world.alice().call(&created)?.expect(0)?;
    let local = "XENIOS_ENDPOINT=unix:///run/xenios/xeniosd.sock xenios";
    let output = world.bed.exec(&format!("{local} get hidden"), SHORT)?;
    ensure!(
        i32::from(output.code) == super::checks::NOT_FOUND,
        "root sees alice's guest, exit code {}",
        output.code
    );
    let output = world.bed.exec(
        &format!("{local} run --rm {image} -- /bin/sh -c 'echo local; exit 3'"),
        SHORT,
    )?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.code == 3 && said.contains("local"),
        "exit code {}: {said}{}",
        output.code,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn push(world: &mut World, path: &str, binary: &str) -> Result<()> {
    let file = site::stripped(&world.layout, binary)?;
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    world.bed.push(path, 0o755, &bytes)
}
