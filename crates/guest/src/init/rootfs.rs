//! The guest's root filesystem: the packed image, read only, below a writable
//! layer in memory.
//!
//! The image's mount takes no `nodev` and no `nosuid`: it is the guest's own
//! root, where root may make devices anyway, and images bring set-user-id
//! programs that must work. What protects the host is the domain.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, statfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use xenios_guest::LaunchConfig;

use super::console::Console;
use super::error::InitError;
use super::mounts::{directory, inner_filesystems};
use super::sys;

/// Everything lies below here until the root is entered, and the layers stay
/// here, out of the guest's sight.
const BASE: &str = "/.root";
const LOWER: &str = "/.root/image";
const WRITABLE: &str = "/.root/rw";
const UPPER: &str = "/.root/rw/upper";
const WORK: &str = "/.root/rw/work";
const MERGED: &str = "/.root/merged";

/// A device that a backend still connects appears within this, even emulated.
const DEVICE_DEADLINE: Duration = Duration::from_mins(1);
const DEVICE_POLL: Duration = Duration::from_millis(10);

/// `RAMFS_MAGIC` and `TMPFS_MAGIC` (`linux/magic.h`): what an initramfs is.
const MEMORY_FILESYSTEMS: [i64; 2] = [0x8584_58f6, 0x0102_1994];

/// Mounts the image and the writable layer over it at [`MERGED`].
pub(crate) fn assemble(config: &LaunchConfig) -> Result<(), InitError> {
    let device = Path::new(&config.rootfs_device);
    wait_for(device)?;
    for path in [BASE, LOWER, WRITABLE, MERGED] {
        directory(Path::new(path), 0o755)?;
    }
    let kind = config.rootfs_type.as_str();
    mount(device, LOWER, kind, MountFlags::RDONLY, None)
        .map_err(InitError::at("mount", &config.rootfs_device))?;
    mount(
        "tmpfs",
        WRITABLE,
        "tmpfs",
        MountFlags::empty(),
        Some(c"mode=755"),
    )
    .map_err(InitError::at("mount", WRITABLE))?;
    directory(Path::new(UPPER), 0o755)?;
    directory(Path::new(WORK), 0o755)?;
    copy_root_owner()?;
    let options = CString::new(format!("lowerdir={LOWER},upperdir={UPPER},workdir={WORK}"))
        .expect("constants hold no NUL");
    mount(
        "overlay",
        MERGED,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .map_err(InitError::at("mount", MERGED))
}

/// The root directory of an overlay is that of its upper layer.
fn copy_root_owner() -> Result<(), InitError> {
    let root = fs::metadata(LOWER).map_err(InitError::io("read", LOWER))?;
    chown(UPPER, Some(root.uid()), Some(root.gid()))
        .and_then(|()| fs::set_permissions(UPPER, Permissions::from_mode(root.mode() & 0o7777)))
        .map_err(InitError::io("prepare", UPPER))
}

fn wait_for(device: &Path) -> Result<(), InitError> {
    let started = Instant::now();
    while !device.exists() {
        if started.elapsed() > DEVICE_DEADLINE {
            return Err(InitError::NoDevice {
                device: device.display().to_string(),
                seconds: DEVICE_DEADLINE.as_secs(),
            });
        }
        thread::sleep(DEVICE_POLL);
    }
    Ok(())
}

/// Makes [`MERGED`] the root and takes `/dev`, `/proc` and `/sys` along.
pub(crate) fn enter(console: &Console) -> Result<(), InitError> {
    for path in ["/dev", "/proc", "/sys"] {
        let target = format!("{MERGED}{path}");
        directory(Path::new(&target), 0o755)?;
        mount_move(path, target.as_str()).map_err(InitError::at("move", path))?;
    }
    leave_initramfs(console)?;
    chdir(MERGED).map_err(InitError::at("enter", MERGED))?;
    mount_move(".", "/").map_err(InitError::at("move the root to", "/"))?;
    chroot(".").map_err(InitError::at("change the root to", MERGED))?;
    chdir("/").map_err(InitError::at("enter", "/"))
}

/// Frees the memory of the initramfs, and leaves only what the kernel calls.
///
/// The kernel's threads share the root directory of the first process until it
/// is unshared. After that, `/sbin/poweroff`, which the kernel runs when the
/// host writes `control/shutdown`, is this program and never the image's.
fn leave_initramfs(console: &Console) -> Result<(), InitError> {
    sys::unshare_root().map_err(InitError::io("unshare", "/"))?;
    let root = statfs("/").map_err(InitError::at("look at", "/"))?;
    if !MEMORY_FILESYSTEMS.contains(&root.f_type) {
        return Ok(());
    }
    let kept = ["init", ".root", "dev", "proc", "sys"];
    for entry in fs::read_dir("/")
        .map_err(InitError::io("list", "/"))?
        .flatten()
    {
        if kept.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
        if let Err(error) = removed {
            console.say(&format!("cannot free {}: {error}", entry.path().display()));
        }
    }
    if let Err(error) = keep_stop_program() {
        console.say(&super::chain(&error));
    }
    Ok(())
}

/// Lets the kernel find this program as `/sbin/poweroff` and `/sbin/reboot`. It
/// starts them without any descriptor, and a Rust program then needs a
/// `/dev/null`.
fn keep_stop_program() -> Result<(), InitError> {
    directory(Path::new("/sbin"), 0o755)?;
    for name in ["/sbin/poweroff", "/sbin/reboot"] {
        symlink("/init", name).map_err(InitError::io("create", name))?;
    }
    let mode = Mode::from_raw_mode(0o666);
    match mknodat(
        CWD,
        "/dev/null",
        FileType::CharacterDevice,
        mode,
        makedev(1, 3),
    ) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(InitError::at("create", "/dev/null")(errno)),
    }
}

/// Adds what an image may lack and programs expect, inside the new root.
/// `/run` and `/tmp` need no mount: the writable layer is in memory.
pub(crate) fn complete(hostname: &str, console: &Console) {
    inner_filesystems(console);
    for (path, mode) in [("/run", 0o755), ("/tmp", 0o1777), ("/etc", 0o755)] {
        let path = Path::new(path);
        let missing = !path.exists();
        let made = directory(path, mode).and_then(|()| {
            if missing {
                // The mode of `mkdir` is cut by the umask.
                fs::set_permissions(path, Permissions::from_mode(mode))
                    .map_err(InitError::io("prepare", &path.display().to_string()))?;
            }
            Ok(())
        });
        if let Err(error) = made {
            console.say(&super::chain(&error));
        }
    }
    let hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{hostname}\n");
    for (path, content) in [
        ("/etc/hostname", format!("{hostname}\n")),
        ("/etc/hosts", hosts),
    ] {
        let has_content = fs::metadata(path).is_ok_and(|found| found.len() > 0);
        if !has_content && let Err(error) = fs::write(path, content) {
            console.say(&format!("cannot write {path}: {error}"));
        }
    }
}

/// Enters the working directory, which is created when it is missing.
pub(crate) fn enter_working_dir(path: &str) -> Result<(), InitError> {
    let path = if path.is_empty() { "/" } else { path };
    match fs::create_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(InitError::io("create the working directory", path)(error));
        }
        _ => {}
    }
    chdir(path).map_err(InitError::at("enter the working directory", path))
}
