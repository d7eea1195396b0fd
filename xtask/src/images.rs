//! The images of the demo and the end-to-end tests, built from Debian's
//! packages, and the hostile ones. Names and tags are constants here; nothing
//! else pushes to the registry.

pub(crate) mod oci;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::closure::{LOADER, libraries, loader};
use crate::debs::{self, DebTree, Selection};
use crate::process::{command, text};
use crate::registry::Registry;
use oci::{Image, Launch, Layer, LayerWriter};

const BUSYBOX: Selection = Selection {
    name: "busybox",
    roots: &["busybox-static"],
    follow: &[],
};
const SQLITE: Selection = Selection {
    name: "sqlite",
    roots: &["sqlite3"],
    follow: &["lib"],
};

/// What every image's processes find first.
const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";

/// The digests that checks need, of images that were pushed.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    /// Manifest of `kernels/debian-cloud:1`.
    pub(crate) kernel: String,
}

/// Pushes them all. `kernel` is a guest kernel that boots.
pub(crate) fn push_all(cache: &Path, registry: &Registry, kernel: &Path) -> Result<Pushed> {
    registry.push("demo/busybox", "1", &busybox(cache)?)?;
    registry.push("demo/sqlite", "1", &sqlite(cache)?)?;
    let image = fs::read(kernel).with_context(|| format!("cannot read {}", kernel.display()))?;
    let kernel = registry.push(
        "kernels/debian-cloud",
        "1",
        &boot_file("kernel/image", &image)?,
    )?;
    registry.push("kernels/unlisted", "1", &boot_file("kernel/image", &image)?)?;
    registry.push(
        "hostile/kernel-text",
        "1",
        &boot_file("kernel/image", b"#!/bin/sh\necho not a kernel\n")?,
    )?;
    push_hostile(registry)?;
    Ok(Pushed { kernel })
}

fn push_hostile(registry: &Registry) -> Result<()> {
    let tampered = image_of(|layer| layer.file("data", 0o644, &[b'x'; 4096]).map(drop))?;
    registry.push("hostile/tampered", "1", &tampered)?;
    registry.tamper(&tampered.layers()[0].digest())?;

    for (name, path) in [
        ("dotdot", "../../etc/escaped"),
        ("absolute", "/etc/escaped"),
    ] {
        let image = image_of(|layer| layer.file(path, 0o644, b"out").map(drop))?;
        registry.push(&format!("hostile/{name}"), "1", &image)?;
    }
    let link = image_of(|layer| {
        layer.symlink("out", "/etc")?;
        layer.file("out/escaped", 0o644, b"through the link")?;
        layer.hard_link("hard", "../../etc/shadow")?;
        Ok(())
    })?;
    registry.push("hostile/links", "1", &link)?;
    Ok(())
}

/// Busybox alone: one static program and a user that is not root.
pub(crate) fn busybox(cache: &Path) -> Result<Image> {
    let tree = debs::tree(cache, &BUSYBOX)?;
    let busybox = tree.find(&["usr/bin/busybox", "bin/busybox"])?;
    let mut layer = LayerWriter::new();
    for folder in [
        "bin", "dev", "etc", "home", "home/app", "proc", "root", "sys", "tmp", "var",
    ] {
        layer.directory(folder)?;
    }
    layer.file("bin/busybox", 0o755, &read(&busybox)?)?;
    for applet in text(command(&busybox).arg("--list"))?
        .lines()
        .filter(|&applet| applet != "busybox")
    {
        layer.symlink(&format!("bin/{applet}"), "busybox")?;
    }
    layer
        .file(
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
        )?
        .file("etc/group", 0o644, b"root:x:0:\napp:x:1000:\n")?;
    let launch = Launch {
        cmd: &["/bin/sh"],
        env: &[PATH, "LOG_LEVEL=info"],
        ..Launch::default()
    };
    Ok(Image::new(vec![layer.finish()?], &launch))
}

/// A real program over several layers: its libraries and some litter, the
/// program, a layer that deletes one file, and one that empties a folder.
pub(crate) fn sqlite(cache: &Path) -> Result<Image> {
    let tree = debs::tree(cache, &SQLITE)?;
    let mut program = LayerWriter::new();
    let sqlite = tree.find(&["usr/bin/sqlite3"])?;
    program.directory("usr")?.directory("usr/bin")?.file(
        "usr/bin/sqlite3",
        0o755,
        &read(&sqlite)?,
    )?;

    let mut deletes = LayerWriter::new();
    deletes.directory("srv")?.whiteout("srv", "obsolete")?;

    let mut empties = LayerWriter::new();
    empties
        .directory("srv")?
        .directory("srv/cache")?
        .opaque("srv/cache")?;
    empties.file("srv/cache/new", 0o644, b"new\n")?;

    let layers = vec![
        sqlite_libraries(&tree, &sqlite)?,
        program.finish()?,
        deletes.finish()?,
        empties.finish()?,
    ];
    let launch = Launch {
        entrypoint: &["/usr/bin/sqlite3"],
        cmd: &[":memory:", "select 'sqlite ' || sqlite_version();"],
        env: &[PATH],
        working_dir: "/srv",
        user: "",
    };
    Ok(Image::new(layers, &launch))
}

/// The lowest layer, with what the upper ones delete.
fn sqlite_libraries(tree: &DebTree, program: &Path) -> Result<Layer> {
    let mut layer = LayerWriter::new();
    for folder in [
        "dev",
        "etc",
        "lib",
        "lib/x86_64-linux-gnu",
        "lib64",
        "proc",
        "sys",
        "tmp",
        "srv",
        "srv/cache",
    ] {
        layer.directory(folder)?;
    }
    layer.file(LOADER, 0o755, &read(&loader(tree)?)?)?;
    for library in libraries(tree, &[program.to_path_buf()])? {
        let name = library.file_name().unwrap_or_default().to_string_lossy();
        layer.file(
            &format!("lib/x86_64-linux-gnu/{name}"),
            0o644,
            &read(&library)?,
        )?;
    }
    layer
        .file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?
        .file("srv/kept", 0o644, b"kept\n")?
        .hard_link("srv/kept-too", "srv/kept")?
        .file("srv/obsolete", 0o644, b"a layer above deletes this\n")?
        .file("srv/cache/old", 0o644, b"a layer above hides this\n")?;
    layer.finish()
}

/// An image that holds one file for booting.
fn boot_file(path: &str, bytes: &[u8]) -> Result<Image> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    image_of(|layer| layer.directory(folder)?.file(path, 0o644, bytes).map(drop))
}

fn image_of(write: impl FnOnce(&mut LayerWriter) -> Result<()>) -> Result<Image> {
    let mut layer = LayerWriter::new();
    write(&mut layer)?;
    let launch = Launch {
        cmd: &["/data"],
        env: &[PATH],
        ..Launch::default()
    };
    Ok(Image::new(vec![layer.finish()?], &launch))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
