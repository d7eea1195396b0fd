//! The guest's side: an init that says what it found, and obeys its console.
//!
//! It loads the modules that `/xenios/modules` lists, mounts `/dev/xvda`, writes
//! the node [`NODE`], and then does as the lines say that come in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

/// Below the domain's own part of xenstore.
pub(crate) const NODE: &str = "data/contract";
/// What every line of ours begins with.
pub(crate) const PROMPT: &str = "contract:";

/// Never returns: the kernel would panic. (It does, when told to crash.)
pub(crate) fn main() -> ! {
    let found = match set_up() {
        Ok(found) => found,
        Err(error) => format!("failed {error}"),
    };
    println!("{PROMPT} {found}");
    if let Err(error) = write_node(&found) {
        println!("{PROMPT} no xenstore: {error}");
    }
    for line in io::stdin().lock().lines() {
        match line.as_deref().unwrap_or_default().trim() {
            "poweroff" => {
                let _ = reboot(RebootCommand::PowerOff);
            }
            "crash" => std::process::exit(1),
            other => println!("{PROMPT} heard {other}"),
        }
    }
    loop {
        thread::sleep(Duration::from_hours(1));
    }
}

fn set_up() -> io::Result<String> {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        fs::create_dir_all(path)?;
        mount(kind, path, kind, MountFlags::empty(), None)?;
    }
    for module in fs::read_to_string("/xenios/modules")
        .unwrap_or_default()
        .lines()
    {
        if let Err(error) = finit_module(File::open(module)?, c"", 0) {
            println!("{PROMPT} {module}: {error}");
        }
    }
    fs::create_dir_all("/root")?;
    wait_for("/dev/xvda")?;
    mount("/dev/xvda", "/root", "squashfs", MountFlags::RDONLY, None)?;
    let entries = fs::read_dir("/root")?.count();
    let online = fs::read_to_string("/sys/devices/system/cpu/online")?;
    let kind = fs::read_to_string("/sys/hypervisor/guest_type").unwrap_or_default();
    let uuid = fs::read_to_string("/sys/hypervisor/uuid")?;
    Ok(format!(
        "mounted entries={entries} cpus={} kind={} uuid={}",
        online.trim(),
        kind.trim(),
        uuid.trim()
    ))
}

fn wait_for(path: &str) -> io::Result<()> {
    for _ in 0..600 {
        if fs::exists(path)? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(io::Error::other(format!("{path} did not appear")))
}

/// `XS_WRITE` (11) over the kernel's own client.
fn write_node(value: &str) -> io::Result<()> {
    let mut device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/xen/xenbus")?;
    let mut payload = NODE.as_bytes().to_vec();
    payload.push(0);
    payload.extend_from_slice(value.as_bytes());
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut message = Vec::new();
    for word in [11, 1, 0, length] {
        message.extend_from_slice(&word.to_le_bytes());
    }
    message.extend_from_slice(&payload);
    device.write_all(&message)?;
    let mut header = [0; 16];
    device.read_exact(&mut header)?;
    if header[0] == 11 {
        Ok(())
    } else {
        Err(io::Error::other("refused"))
    }
}
