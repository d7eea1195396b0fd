//! QEMU's command line for a Xen host without hardware virtualisation, and the
//! files of one machine in one folder. Every path is relative to that folder:
//! QEMU takes commas in its options for separators.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::BedConfig;
use super::dom0::Dom0;
use crate::cpio::Archive;
use crate::leased::Leased;
use crate::process::{command, output};

/// Where dom0's daemon listens. 10.0.2.15 is the guest of QEMU's user network.
const GRPC: &str = "10.0.2.15:7443";
/// The agent's socket in the machine's folder.
pub(crate) const CONTROL: &str = "control.sock";
/// What Xen and dom0 print.
pub(crate) const CONSOLE: &str = "console.log";
/// What QEMU itself says.
pub(crate) const ERRORS: &str = "qemu.log";
const STATE: &str = "state.img";
/// Sparse; the filesystem that outlives dom0.
const STATE_BYTES: u64 = 4 << 30;

/// Lays out the machine's folder: images, the bed's own files, the disk.
pub(crate) fn prepare(folder: &Path, dom0: &Dom0, files: &Archive) -> Result<()> {
    for (name, target) in [("xen", &dom0.xen), ("vmlinuz", &dom0.kernel)] {
        let link = folder.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink(target, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    let path = folder.join("initrd");
    let mut initrd =
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    io::copy(&mut File::open(&dom0.initrd)?, &mut initrd).context("cannot copy dom0's initrd")?;
    let mut initrd = io::BufWriter::new(initrd);
    files.write(&mut initrd)?;
    io::Write::flush(&mut initrd)?;

    let state = folder.join(STATE);
    if !state.exists() {
        File::create(&state)?.set_len(STATE_BYTES)?;
        output(
            command("/usr/sbin/mkfs.ext4")
                .args(["-q", "-F", "-E", "lazy_itable_init=1"])
                .arg(&state),
        )?;
    }
    Ok(())
}

/// A free port of the loopback. Another program may take it before QEMU does:
/// then QEMU says so and the boot fails.
pub(crate) fn free_port() -> Result<u16> {
    let socket = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
    Ok(socket.local_addr()?.port())
}

/// Starts the machine.
pub(crate) fn start(folder: &Path, config: &BedConfig, port: u16) -> Result<Leased> {
    let control = folder.join(CONTROL);
    if control.symlink_metadata().is_ok() {
        fs::remove_file(&control)?;
    }
    let errors = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join(ERRORS))?;
    Leased::start(command_line(config, port).current_dir(folder), |shell| {
        shell.stdout(errors.try_clone()?).stderr(errors);
        Ok(())
    })
}

fn command_line(config: &BedConfig, port: u16) -> Command {
    let mut qemu = command("qemu-system-x86_64");
    // npt: without it Debian's Xen cannot run PVH guests. rdrand: dom0 would
    // wait for entropy.
    qemu.args([
        "-name",
        "xenios-bed",
        "-accel",
        "tcg",
        "-cpu",
        "qemu64,+npt,+vgif,+rdrand",
    ])
    .args([
        "-m",
        &config.memory_mib.to_string(),
        "-smp",
        &config.cpus.to_string(),
    ])
    .args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ])
    .args([
        "-chardev",
        &format!("file,id=console,path={CONSOLE},append=on"),
        "-serial",
        "chardev:console",
    ])
    .args(["-kernel", "xen", "-append"])
    .arg(format!(
        "console=com1 com1=115200,8n1 dom0_mem={}M",
        config.dom0_mib
    ))
    .args(["-initrd", "vmlinuz console=hvc0 panic=1 quiet,initrd"])
    .arg("-netdev")
    .arg(format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-{GRPC}"))
    // Without a ROM it needs no other package.
    .args(["-device", "virtio-net-pci,netdev=net,romfile="])
    .args([
        "-drive",
        &format!("file={STATE},format=raw,if=none,id=state"),
    ])
    .args(["-device", "virtio-blk-pci,drive=state"])
    .args([
        "-chardev",
        &format!("socket,id=control,path={CONTROL},server=on,wait=off"),
    ])
    .args([
        "-device",
        "virtio-serial-pci",
        "-device",
        "virtserialport,chardev=control,name=control",
    ]);
    qemu
}
