//! The image read back by `backhand`'s reader, and by `unsquashfs` where it is.

use std::io::{BufReader, Read, Write};
use std::process::Command;

use backhand::{FilesystemReader, InnerNode};
use tar::EntryType;

use super::*;
use crate::archive::Archive;
use crate::layer;
use crate::spool::Spool;
use crate::tree::Tree;

fn merge(layers: &[Archive]) -> Merged {
    let limits = Limits::default();
    let mut tree = Tree::new(&limits);
    let mut spools = Vec::new();
    for (number, archive) in layers.iter().enumerate() {
        let bytes = archive.clone().finish();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let spool = Spool {
            file,
            len: bytes.len() as u64,
        };
        layer::apply(&mut tree, &spool, number, &limits).unwrap();
        spools.push(spool);
    }
    Merged { tree, spools }
}

/// Files of every kind and around the block size (128 KiB), owners, times, modes.
fn sample() -> Vec<Archive> {
    let noise: Vec<u8> = (0..100_000_u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let lower = Archive::new()
        .entry(EntryType::Directory, b"./", b"", |h| {
            h.set_mode(0o711);
            h.set_uid(1234);
        })
        .directory("bin/", 0o755)
        .entry(EntryType::Regular, b"bin/su", b"#!", |h| {
            h.set_mode(0o4755);
            h.set_gid(70_000);
            h.set_mtime(1_700_000_000);
        })
        .hard_link("bin/su2", "bin/su")
        .symlink("sh", &format!("/{}", "long/".repeat(40)))
        .file("empty", b"")
        .file("block", &noise[..131_072])
        .file("more", &noise[..131_073])
        .file("noise", &noise)
        .file("zeros", &vec![0; 300_000])
        .file(b"\xff\xfe", b"not UTF-8");
    let upper = Archive::new()
        .entry(EntryType::Char, b"dev/console", b"", |h| {
            h.set_device_major(5).unwrap();
            h.set_device_minor(0x12_345).unwrap();
        })
        .entry(EntryType::Fifo, b"dev/fifo", b"", |_| {})
        .file(".wh.more", b"");
    vec![lower, upper]
}

fn written(merged: &Merged) -> File {
    let file = tempfile::tempfile().unwrap();
    write(merged, &Limits::default(), &file).unwrap();
    file
}

fn bytes(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    file.rewind().unwrap();
    bytes
}

#[test]
fn another_reader_sees_the_same_tree() {
    let merged = merge(&sample());
    let reader = FilesystemReader::from_reader(BufReader::new(written(&merged))).unwrap();
    let mut nodes = reader.files();
    let root = nodes.next().unwrap();
    assert_eq!((root.header.permissions, root.header.uid), (0o711, 1234));
    let mut seen = 0;
    for (node, (path, expected)) in nodes.zip(merged.tree.entries()) {
        seen += 1;
        assert_eq!(node.fullpath.as_os_str().as_bytes()[1..], path);
        assert_eq!(node.header, header(&expected.meta), "{path:?}");
        match (&node.inner, &expected.kind) {
            (InnerNode::File(file), Kind::File(body)) => {
                let (mut got, mut want) = (Vec::new(), Vec::new());
                reader.file(file).reader().read_to_end(&mut got).unwrap();
                merged.spools[body.layer]
                    .read(*body)
                    .read_to_end(&mut want)
                    .unwrap();
                assert!(got == want, "content of {}", path.escape_ascii());
            }
            (InnerNode::Symlink(link), Kind::Symlink(target)) => {
                assert_eq!(link.link.as_os_str().as_bytes(), &**target);
            }
            (InnerNode::CharacterDevice(device), Kind::Char(expected)) => {
                assert_eq!(device.device_number, encode(*expected));
            }
            (InnerNode::Dir(_), Kind::Directory(_)) | (InnerNode::NamedPipe, Kind::Fifo) => {}
            other => panic!("{}: {other:?}", path.escape_ascii()),
        }
    }
    assert_eq!(seen, merged.tree.entries().count());
}

#[test]
fn the_same_image_gives_the_same_bytes() {
    let first = bytes(&written(&merge(&sample())));
    // The order within an archive is no part of the tree.
    let swapped: Vec<Archive> = vec![sample().remove(0), {
        Archive::new()
            .file(".wh.more", b"")
            .entry(EntryType::Fifo, b"dev/fifo", b"", |_| {})
            .entry(EntryType::Char, b"dev/console", b"", |h| {
                h.set_device_major(5).unwrap();
                h.set_device_minor(0x12_345).unwrap();
            })
    }];
    assert!(first == bytes(&written(&merge(&sample()))));
    assert!(first == bytes(&written(&merge(&swapped))));
}

#[test]
fn an_empty_image_and_an_own_root_are_written() {
    for layers in [
        vec![],
        // An owner that only the root has.
        vec![Archive::new().entry(EntryType::Directory, b"./", b"", |h| h.set_uid(99))],
    ] {
        let file = written(&merge(&layers));
        assert!(FilesystemReader::from_reader(BufReader::new(file)).is_ok());
    }
}

#[test]
fn what_would_not_fit_is_refused_before_anything_is_written() {
    let file = tempfile::tempfile().unwrap();
    let limits = Limits {
        file_bytes: 2500,
        ..Limits::default()
    };
    // Each hard link is a copy, and counts as one.
    let links = Archive::new()
        .file("a", &[1; 1000])
        .hard_link("b", "a")
        .hard_link("c", "a");
    assert!(matches!(
        write(&merge(&[links]), &limits, &file),
        Err(Error::LimitExceeded {
            what: "bytes of files",
            ..
        })
    ));
    // A few bytes of name in a deep place are a long path each.
    let limits = Limits {
        metadata_bytes: 10_000,
        ..Limits::default()
    };
    let deep = "directory/".repeat(100);
    let paths = (0..10).fold(Archive::new(), |archive, name| {
        archive.file(format!("{deep}{name}"), b"")
    });
    assert!(matches!(
        write(&merge(&[paths]), &limits, &file),
        Err(Error::LimitExceeded {
            what: "bytes of paths",
            ..
        })
    ));
    let owners = (0..5000_u32).fold(Archive::new(), |archive, owner| {
        archive.entry(EntryType::Regular, owner.to_string().as_bytes(), b"", |h| {
            h.set_uid(owner.into());
        })
    });
    assert!(matches!(
        write(&merge(&[owners]), &Limits::default(), &file),
        Err(Error::LimitExceeded {
            what: "users and groups",
            ..
        })
    ));
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[test]
fn links_are_as_long_as_the_writer_bears() {
    let file = tempfile::tempfile().unwrap();
    let target = |length| Archive::new().symlink("l", &"t".repeat(length));
    assert!(
        write(
            &merge(&[target(255)]),
            &Limits::default(),
            &tempfile::tempfile().unwrap()
        )
        .is_ok()
    );
    assert!(matches!(
        write(&merge(&[target(256)]), &Limits::default(), &file),
        Err(Error::LimitExceeded { .. })
    ));
}

#[test]
fn the_deepest_tree_that_is_allowed_is_written() {
    let deep = "d/".repeat(Limits::default().depth - 1) + "f";
    let file = written(&merge(&[Archive::new().file(&deep, b"1")]));
    let reader = FilesystemReader::from_reader(BufReader::new(file)).unwrap();
    assert_eq!(reader.files().count(), Limits::default().depth + 1);
}

#[test]
fn unsquashfs_lists_and_checks_it() {
    if Command::new("unsquashfs").arg("-version").output().is_err() {
        eprintln!("SKIPPED: unsquashfs is not on this machine (package squashfs-tools)");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    std::fs::write(&image, bytes(&written(&merge(&sample())))).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("unsquashfs").args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let image = image.to_str().unwrap();
    let listing = run(&["-lln", "-d", "", image]);
    let listing = String::from_utf8_lossy(&listing).into_owned();
    for wanted in [
        "-rwsr-xr-x 0/70000",
        "crw-r--r-- 0/0",
        "prw-r--r--",
        "drwx--x--x 1234/0",
        "/bin/su2",
    ] {
        assert!(listing.contains(wanted), "{wanted} in\n{listing}");
    }
    assert!(!listing.contains("/more"));
    assert_eq!(run(&["-cat", image, "bin/su2"]), b"#!");
    assert_eq!(run(&["-cat", image, "zeros"]), vec![0; 300_000]);
}
