//! Archives of other tools, and archives that no tool would write.

use std::io::{Read, Write};

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;
use crate::archive::Archive;

fn members(bytes: &[u8]) -> Result<Vec<Member>, Error> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let spool = Spool {
        file,
        len: bytes.len() as u64,
    };
    let limits = Limits::default();
    let mut reader = Members::new(&spool, 0, &limits);
    let mut found = Vec::new();
    while let Some(member) = reader.next()? {
        if let Member::Node {
            kind: Kind::File(body),
            ..
        } = &member
        {
            // A body always lies in the archive.
            let mut content = Vec::new();
            spool.read(*body).read_to_end(&mut content).unwrap();
            assert_eq!(content.len() as u64, body.len);
        }
        found.push(member);
    }
    Ok(found)
}

fn one(archive: Archive) -> (String, Meta, Kind) {
    let mut members = members(&archive.finish()).unwrap();
    assert_eq!(members.len(), 1);
    match members.remove(0) {
        Member::Node { path, meta, kind } => {
            (path.as_bytes().escape_ascii().to_string(), meta, kind)
        }
        other => panic!("{other:?}"),
    }
}

fn node_fault(archive: Archive) -> NodeFault {
    match members(&archive.finish()) {
        Err(Error::Image(ImageFault::Node { fault, .. })) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn long_names_and_targets_are_kept_whole() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let (path, ..) = one(Archive::new().file(&long, b"1"));
    assert_eq!(path, long);
    let (path, ..) = one(Archive::new()
        .pax(&[("path", long.as_bytes())])
        .file("short", b"1"));
    assert_eq!(path, long);
    let (.., kind) = one(Archive::new().symlink("l", &long));
    assert_eq!(kind, Kind::Symlink(long.as_bytes().into()));
    let archive = Archive::new()
        .file(&long, b"1")
        .hard_link("h", &long)
        .finish();
    assert!(matches!(
        &members(&archive).unwrap()[1],
        Member::HardLink { target, .. } if target.as_bytes() == long.as_bytes()
    ));
}

#[test]
fn ustar_prefixes_and_old_headers_are_read() {
    let mut header = Header::new_ustar();
    header
        .set_path(format!("{}/{}", "p".repeat(120), "n".repeat(90)))
        .unwrap();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    let (path, ..) = one(Archive::new().raw(header.as_bytes()));
    assert_eq!(path.len(), 211);
    // A directory of an archive from before there was a type for it.
    let mut header = Header::new_old();
    header.set_path("old/").unwrap();
    header.set_size(0);
    header.as_old_mut().linkflag = [0];
    header.set_cksum();
    let (path, _, kind) = one(Archive::new().raw(header.as_bytes()));
    assert_eq!(
        (path.as_str(), kind),
        ("old", Kind::Directory(BTreeMap::new()))
    );
}

#[test]
fn metadata_is_kept_as_far_as_the_format_goes() {
    let archive = Archive::new()
        .pax(&[
            ("uid", b"70000"),
            ("mtime", b"1700000000.25"),
            ("SCHILY.xattr.user.note", b"x\0y"),
            ("SCHILY.xattr.security.capability", b"cap"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.system.posix_acl_access", b"acl"),
        ])
        .entry(EntryType::Regular, b"a", b"", |h| {
            h.set_mode(0o104_755);
        });
    let (_, meta, _) = one(archive);
    assert_eq!(meta.mode, 0o4755);
    assert_eq!((meta.uid, meta.gid, meta.mtime), (70_000, 0, 1_700_000_000));
    let names: Vec<_> = meta.xattrs.iter().map(|xattr| &*xattr.name).collect();
    assert_eq!(names, [&b"user.note"[..], b"security.capability"]);
    let (_, meta, _) = one(Archive::new().symlink("l", "t"));
    assert_eq!(meta.mode, 0o777);
    let far = Archive::new().entry(EntryType::Regular, b"a", b"", |h| h.set_mtime(1 << 33));
    assert_eq!(one(far).1.mtime, u32::MAX);
}

#[test]
fn devices_are_read_and_bounded() {
    let device = |major: u32, minor: u32| {
        Archive::new().entry(EntryType::Char, b"d", b"", move |h| {
            h.set_device_major(major).unwrap();
            h.set_device_minor(minor).unwrap();
        })
    };
    assert_eq!(
        one(device(5, 1)).2,
        Kind::Char(Device { major: 5, minor: 1 })
    );
    // 0:0 is overlayfs's whiteout, and the guest has an overlay.
    for (major, minor) in [(0, 0), (4096, 0), (1, 1 << 20)] {
        assert_eq!(node_fault(device(major, minor)), NodeFault::Device);
    }
    // Blank numbers, as Python and Bazel write them for ordinary files.
    let blank = Archive::new().entry(EntryType::Regular, b"a", b"x", |h| {
        h.as_gnu_mut().unwrap().dev_major = [0; 8];
        h.as_gnu_mut().unwrap().dev_minor = *b"       \0";
    });
    assert!(matches!(one(blank).2, Kind::File(_)));
}

#[test]
fn what_readers_disagree_on_is_refused() {
    use NodeFault as F;
    let typed = |kind: u8| Archive::new().entry(EntryType::new(kind), b"a", b"", |_| {});
    for kind in *b"VMNAD\xff" {
        assert_eq!(node_fault(typed(kind)), F::Type, "{kind}");
    }
    let sized = |kind, content: &[u8]| {
        Archive::new().entry(kind, b"a", content, |h| h.as_old_mut().linkname[0] = b't')
    };
    for kind in [
        EntryType::Directory,
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Fifo,
    ] {
        assert_eq!(node_fault(sized(kind, b"x")), F::UnexpectedData, "{kind:?}");
    }
    assert_eq!(node_fault(Archive::new().file("a/", b"")), F::Type);
    let sparse = Archive::new()
        .pax(&[("GNU.sparse.realsize", b"9")])
        .file("a", b"1");
    assert_eq!(node_fault(sparse), F::Sparse);
    let sparse = Archive::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"0"),
        ])
        .file("a", &[&b"0\n"[..], &[0; 510]].concat());
    assert_eq!(node_fault(sparse), F::Sparse);
    assert_eq!(node_fault(typed(b'S')), F::Sparse);
    let owner = Archive::new().pax(&[("uid", b"4294967296")]).file("a", b"");
    assert_eq!(node_fault(owner), F::Owner);
    let nul = Archive::new()
        .pax(&[("linkpath", b"a\0b")])
        .symlink("l", "t");
    assert_eq!(node_fault(nul), F::Target);
    let name = Archive::new()
        .pax(&[("path", b"a\0b")])
        .file("a", b"")
        .finish();
    assert!(matches!(
        members(&name),
        Err(Error::Image(ImageFault::Name {
            fault: NameFault::Nul,
            ..
        }))
    ));
}

/// The size that counts is the extension's: a reader that takes the header's sees
/// an entry that others do not (CVE-2025-62518).
#[test]
fn an_entry_cannot_be_smuggled_past_a_size() {
    let inner = Archive::new().file("smuggled", b"").open_ended();
    let archive = Archive::new()
        .pax(&[("size", inner.len().to_string().as_bytes())])
        .entry(EntryType::Regular, b"outer", b"", |h| h.set_size(0))
        .raw(&inner)
        .file("after", b"");
    let found = members(&archive.finish()).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|member| match member {
            Member::Node { path, .. } => path.as_bytes().escape_ascii().to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["outer", "after"]);
}

#[test]
fn ends_are_exact() {
    let whole = Archive::of(&["a=1"]);
    let open = whole.clone().open_ended();
    for end in [0, 512, 1024, 10_240] {
        let mut bytes = open.clone();
        bytes.resize(open.len() + end, 0);
        assert_eq!(members(&bytes).unwrap().len(), 1, "{end} zeros");
    }
    // The padding of the last file may be missing, its content may not.
    assert_eq!(members(&open[..513]).unwrap().len(), 1);
    for (bytes, wanted) in [
        (open[..512].to_vec(), "the archive ends within it"),
        (open[..300].to_vec(), "it ends within a header"),
        (
            [whole.finish(), b"more".to_vec()].concat(),
            "data follows its end marker",
        ),
        (
            b"not a tar archive".repeat(100),
            "is not a valid tar archive",
        ),
    ] {
        let error = members(&bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(members(b"").unwrap().is_empty());
}

#[test]
fn extension_headers_are_bounded() {
    // A reader that takes it whole would need the memory that the header asks for.
    let huge = Archive::new().entry(EntryType::GNULongName, b"x", b"", |h| {
        h.set_size(1 << 40);
    });
    assert!(matches!(
        members(&huge.finish()),
        Err(Error::Image(ImageFault::Tar { .. }))
    ));
    let global = |key: &str| {
        let inner = Archive::new().pax(&[(key, b"x")]).open_ended();
        let mut header = Header::from_byte_slice(&inner[..512]).clone();
        header.set_entry_type(EntryType::XGlobalHeader);
        header.set_cksum();
        Archive::new()
            .raw(header.as_bytes())
            .raw(&inner[512..])
            .file("a", b"")
            .finish()
    };
    assert_eq!(members(&global("comment")).unwrap().len(), 1);
    for key in ["path", "linkpath", "size", "GNU.sparse.name"] {
        assert!(members(&global(key)).is_err(), "{key}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop::collection::vec(any::<u8>(), 0..2048),
        changes in prop::collection::vec((0_usize..4096, any::<u8>()), 0..8),
    ) {
        let _ = members(&start);
        // Checksums keep random bytes out, so most changes are to a good archive and
        // leave its checksums right.
        let mut bytes = Archive::new()
            .pax(&[("path", b"p/q"), ("size", b"3")])
            .file("a", b"123")
            .symlink("l", "t")
            .finish();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
            let block = at / 512 * 512;
            let mut header = Header::from_byte_slice(&bytes[block..block + 512]).clone();
            header.set_cksum();
            bytes[block..block + 512].copy_from_slice(header.as_bytes());
        }
        let _ = members(&bytes);
    }
}
