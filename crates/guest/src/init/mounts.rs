//! The kernel's own filesystems: `/dev`, `/proc`, `/sys` and what lies in them.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::console::Console;
use super::error::InitError;

/// One `mount` call.
struct Filesystem {
    kind: &'static str,
    path: &'static str,
    flags: MountFlags,
    options: Option<&'static std::ffi::CStr>,
}

const NOSUID: MountFlags = MountFlags::NOSUID;
const STRICT: MountFlags = NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Without these nothing works.
const NEEDED: [Filesystem; 3] = [
    filesystem(
        "devtmpfs",
        "/dev",
        NOSUID.union(MountFlags::NOEXEC),
        Some(c"mode=755"),
    ),
    filesystem("proc", "/proc", STRICT, None),
    filesystem("sysfs", "/sys", STRICT, None),
];

/// What the OCI runtime specification mounts besides; a kernel may lack them.
/// Group 5 is `tty` in every distribution.
const WANTED: [Filesystem; 4] = [
    filesystem(
        "devpts",
        "/dev/pts",
        NOSUID.union(MountFlags::NOEXEC),
        Some(c"gid=5,mode=620,ptmxmode=666"),
    ),
    filesystem("tmpfs", "/dev/shm", STRICT, Some(c"mode=1777")),
    filesystem("mqueue", "/dev/mqueue", STRICT, None),
    filesystem("cgroup2", "/sys/fs/cgroup", STRICT, None),
];

/// The links that programs expect in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

const fn filesystem(
    kind: &'static str,
    path: &'static str,
    flags: MountFlags,
    options: Option<&'static std::ffi::CStr>,
) -> Filesystem {
    Filesystem {
        kind,
        path,
        flags,
        options,
    }
}

/// Mounts `/dev`, `/proc` and `/sys` in the initramfs.
pub(crate) fn kernel_filesystems() -> Result<(), InitError> {
    NEEDED.iter().try_for_each(mount_one)
}

/// Mounts what lies inside them, once the guest's modules are loaded. A missing
/// one is said on the console.
pub(crate) fn inner_filesystems(console: &Console) {
    for filesystem in &WANTED {
        if let Err(error) = mount_one(filesystem) {
            console.say(&super::chain(&error));
        }
    }
    for (target, link) in LINKS {
        // The kernel makes some of them itself.
        let _ = symlink(target, link);
    }
}

fn mount_one(filesystem: &Filesystem) -> Result<(), InitError> {
    let Filesystem {
        kind,
        path,
        flags,
        options,
    } = *filesystem;
    directory(Path::new(path), 0o755)?;
    mount(kind, path, kind, flags, options).map_err(InitError::at("mount", path))
}

/// Makes a directory unless one is there.
pub(crate) fn directory(path: &Path, mode: u32) -> Result<(), InitError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if path.is_dir() {
                return Ok(());
            }
            Err(InitError::NoDirectory {
                path: path.display().to_string(),
            })
        }
        Err(error) => Err(InitError::io("create", &path.display().to_string())(error)),
    }
}
