//! The initial RAM filesystem of dom0, from Debian's packages: busybox, Xen's
//! tools with their libraries, and the kernel modules of a Xen host. It is the
//! same for every boot and cached; what a bed adds is a second archive.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::closure::{LOADER, libraries, loader};
use crate::cpio::{Archive, Source};
use crate::debs::{self, DebTree, Selection};
use crate::kernel::{self, Kernel};
use crate::process::{command, text};
use crate::stage::note;

/// Xen, its tools, and the programs that its tools call.
const TOOLS: Selection = Selection {
    name: "dom0",
    roots: &[
        "xen-system-amd64",
        "xenstore-utils",
        "busybox-static",
        "bash",
        "coreutils",
        "mount",
        "util-linux",
    ],
    follow: &["xen-hypervisor-", "xen-utils-", "lib"],
};

/// Programs of Xen's private folder.
const XEN_PROGRAMS: &[&str] = &[
    "xl",
    "xenstored",
    "xenconsoled",
    "xen-init-dom0",
    "xenconsole",
    "libxl-save-helper",
    "xenctx",
    "xen-diag",
    "lsevtchn",
];

/// Programs beside busybox. `xl`'s hotplug scripts want bash, flock and the
/// full stat; `losetup` is the independent witness of the end-to-end tests.
const PROGRAMS: &[&str] = &[
    "bin/bash",
    "usr/bin/stat",
    "bin/date",
    "usr/bin/flock",
    "sbin/losetup",
];

/// In this order, each after its dependencies.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "virtio_net",
    "ext4",
    "xen-privcmd",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xenfs",
    "xen-blkback",
    "loop",
    "squashfs",
    "erofs",
    "overlay",
];

const INIT: &str = include_str!("init.sh");
const AGENT: &str = include_str!("agent.sh");

/// What QEMU boots.
#[derive(Debug, Clone)]
pub(crate) struct Dom0 {
    /// Xen itself, uncompressed: QEMU loads it by multiboot.
    pub(crate) xen: PathBuf,
    /// dom0's kernel.
    pub(crate) kernel: PathBuf,
    /// The archive, ready to be followed by another.
    pub(crate) initrd: PathBuf,
}

/// Downloads and builds, or finds it in the cache.
pub(crate) fn build(cache: &Path) -> Result<Dom0> {
    let tools = debs::tree(cache, &TOOLS)?;
    let kernel_tree = debs::tree(cache, &kernel::DOM0)?;
    let kernel = Kernel::open(&kernel_tree)?;

    let mut hash = Sha256::new();
    for part in [
        tools.key(),
        kernel_tree.key(),
        INIT,
        AGENT,
        &MODULES.join(" "),
        &XEN_PROGRAMS.join(" "),
        &PROGRAMS.join(" "),
        RECIPE,
    ] {
        hash.update(part);
        hash.update([0]);
    }
    let folder = cache.join(format!("dom0-image-{}", hex::encode(&hash.finalize()[..8])));
    let dom0 = Dom0 {
        xen: folder.join("xen"),
        kernel: folder.join("vmlinuz"),
        initrd: folder.join("initrd"),
    };
    if !folder.exists() {
        let partial = cache.join(format!("partial-{}", std::process::id()));
        fs::create_dir_all(&partial)?;
        inflate(&tools.only("boot", "xen-", ".gz")?, &partial.join("xen"))?;
        fs::copy(kernel.image(), partial.join("vmlinuz")).context("cannot copy the kernel")?;
        let size = write_archive(&archive(&tools, &kernel)?, &partial.join("initrd"))?;
        note(&format!("dom0's initrd: {} MiB", size >> 20));
        fs::rename(&partial, &folder).context("cannot move dom0's image into the cache")?;
    }
    Ok(dom0)
}

/// Changed by hand when this file builds another image from the same packages.
const RECIPE: &str = "1";

fn archive(tools: &DebTree, kernel: &Kernel) -> Result<Archive> {
    let mut archive = Archive::new();
    for folder in [
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "mnt",
        "var/lib/xen",
        "var/log/xen",
        "var/lib/xenstored",
    ] {
        archive.directory(folder);
    }
    archive.symlink("var/run", "../run");
    archive.symlink("var/lock", "../run/lock");
    archive.text("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    archive.text("etc/group", 0o644, "root:x:0:\n");
    archive.text("etc/hostname", 0o644, "bed\n");
    archive.text("init", 0o755, INIT);
    archive.text("sbin/agent", 0o755, AGENT);
    add_busybox(&mut archive, tools)?;
    add_programs(&mut archive, tools)?;
    add_scripts(&mut archive, tools)?;
    let checksum = [kernel::CHECKSUM]
        .into_iter()
        .filter(|name| kernel.has(name));
    let modules: Vec<&str> = checksum.chain(MODULES.iter().copied()).collect();
    let mut order = String::new();
    for module in kernel.modules(&modules)? {
        order.push_str(&module.file);
        order.push('\n');
        archive.file(
            &format!("lib/modules/{}", module.file),
            0o644,
            Source::Bytes(module.bytes),
        );
    }
    archive.text("lib/modules/order", 0o644, &order);
    Ok(archive)
}

fn add_busybox(archive: &mut Archive, tools: &DebTree) -> Result<()> {
    let busybox = tools.find(&["usr/bin/busybox", "bin/busybox"])?;
    for applet in text(command(&busybox).arg("--list"))?.lines() {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    archive.host_file("bin/busybox", &busybox)
}

fn add_programs(archive: &mut Archive, tools: &DebTree) -> Result<()> {
    let private = tools.only("usr/lib", "xen-4", "")?.join("bin");
    let mut programs = Vec::new();
    for name in XEN_PROGRAMS {
        let file = private.join(name);
        // libxl looks for its helpers where the package has them.
        let path = file
            .strip_prefix(tools.root())
            .context("a program is outside its tree")?;
        let path = path.to_string_lossy().into_owned();
        archive.host_file(&path, &file)?;
        archive.symlink(&format!("usr/sbin/{name}"), &format!("/{path}"));
        programs.push(file);
    }
    for path in PROGRAMS {
        let file = tools.find(&[path, &format!("usr/{path}")])?;
        archive.host_file(path, &file)?;
        programs.push(file);
    }
    // One program under many names.
    let xenstore = tools.find(&["usr/bin/xenstore"])?;
    for name in [
        "chmod", "exists", "list", "ls", "read", "rm", "watch", "write",
    ] {
        archive.symlink(&format!("usr/bin/xenstore-{name}"), "xenstore");
    }
    archive.host_file("usr/bin/xenstore", &xenstore)?;
    programs.push(xenstore);

    let mut needed: BTreeSet<PathBuf> = libraries(tools, &programs)?;
    // Loaded at run time by pthread_cancel, which xl uses.
    needed.insert(tools.find(&[
        "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
    ])?);
    for library in needed {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        // The loader looks here without an ld.so.cache.
        archive.host_file(&format!("usr/lib/{name}"), &library)?;
    }
    archive.host_file(LOADER, &loader(tools)?)
}

/// `xl`'s own hotplug scripts: the baseline that our toolstack is held against.
fn add_scripts(archive: &mut Archive, tools: &DebTree) -> Result<()> {
    let folder = tools.find(&["etc/xen/scripts"])?;
    for entry in fs::read_dir(&folder).context("cannot read Xen's scripts")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        archive.host_file(&format!("etc/xen/scripts/{name}"), &entry.path())?;
    }
    archive.host_file("etc/xen/xl.conf", &tools.find(&["etc/xen/xl.conf"])?)
}

fn inflate(from: &Path, to: &Path) -> Result<()> {
    let reading = || format!("cannot inflate {}", from.display());
    let mut input = flate2::read::GzDecoder::new(File::open(from).with_context(reading)?);
    std::io::copy(&mut input, &mut File::create(to)?).with_context(reading)?;
    Ok(())
}

/// Not compressed: to inflate it under emulation takes longer than to load it.
fn write_archive(archive: &Archive, path: &Path) -> Result<u64> {
    let mut out = BufWriter::new(
        File::create(path).with_context(|| format!("cannot create {}", path.display()))?,
    );
    archive.write(&mut out)?;
    out.flush()?;
    Ok(out.get_ref().metadata()?.len())
}
