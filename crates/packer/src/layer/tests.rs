//! What layers become when they are merged: tables of semantics, formats, limits.

use std::io::{Seek, Write};

use super::*;
use crate::archive::Archive;
use crate::error::NameFault;
use crate::tree::{Device, Kind};

fn spool(bytes: &[u8]) -> Spool {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Spool {
        file,
        len: bytes.len() as u64,
    }
}

fn merged(layers: &[Vec<u8>], limits: &Limits) -> Result<Merged, Error> {
    let mut tree = Tree::new(limits);
    let spools: Vec<Spool> = layers.iter().map(|bytes| spool(bytes)).collect();
    for (layer, spool) in spools.iter().enumerate() {
        apply(&mut tree, spool, layer, limits)?;
    }
    Ok(Merged { tree, spools })
}

/// The tree in the short form that [`Archive::of`] takes; hard links are files.
fn listing(merged: &Merged) -> Vec<String> {
    merged
        .tree
        .entries()
        .map(|(path, node)| {
            let path = path.escape_ascii();
            match &node.kind {
                Kind::Directory(_) => format!("{path}/"),
                Kind::Symlink(target) => format!("{path}->{}", target.escape_ascii()),
                Kind::File(body) => {
                    let mut text = String::new();
                    let mut content = merged.spools[body.layer].read(*body);
                    content.read_to_string(&mut text).unwrap();
                    if text.is_empty() {
                        path.to_string()
                    } else {
                        format!("{path}={text}")
                    }
                }
                Kind::Char(Device { major, minor }) => format!("{path} c{major}:{minor}"),
                Kind::Block(Device { major, minor }) => format!("{path} b{major}:{minor}"),
                Kind::Fifo => format!("{path} p"),
            }
        })
        .collect()
}

fn merge_short(layers: &[&[&str]]) -> Result<Vec<String>, Error> {
    let layers: Vec<_> = layers.iter().map(|l| Archive::of(l).finish()).collect();
    merged(&layers, &Limits::default()).map(|merged| listing(&merged))
}

/// Name: layers, lowest first, separated by `|`, then the tree after `||`; entries as
/// [`Archive::of`] takes them.
const MERGES: &str = "
one layer: a/ a/b=1 || a/ a/b=1
prefixes mean nothing: ./ ./a/ ./a//b=1 || a/ a/b=1
missing parents are made: a/b/c=1 || a/ a/b/ a/b/c=1
an upper file replaces: a=1 | a=2 || a=2
the last entry of a name wins: a=1 a=2 || a=2
directories merge: d/ d/a=1 | d/ d/b=2 || d/ d/a=1 d/b=2
a file becomes a directory: a=1 | a/ a/b=2 || a/ a/b=2
a file becomes a missing parent: a=1 | a/b=2 || a/ a/b=2
a directory becomes a file: a/ a/b=1 | a=2 || a=2
a link is replaced: a->b | a=1 || a=1
a whiteout hides: a=1 b=2 | .wh.a || b=2
a whiteout hides a tree: d/ d/a=1 | .wh.d ||
a whiteout below: d/a=1 d/b=2 | d/.wh.a || d/ d/b=2
a whiteout of nothing: a=1 | .wh.b c/.wh.d || a=1
whiteout then again: a=1 | .wh.a a=2 || a=2
again then whiteout: a=1 | a=2 .wh.a || a=2
a whiteout spares its own layer: a=1 .wh.a || a=1
recreated later: a=1 | .wh.a | a=3 || a=3
opaque first: d/a=1 | d/.wh..wh..opq d/b=2 || d/ d/b=2
opaque last: d/a=1 | d/ d/b=2 d/.wh..wh..opq || d/ d/b=2
opaque hides deep: d/e/a=1 | d/.wh..wh..opq || d/
opaque twice: d/a=1 | d/b=2 d/.wh..wh..opq | d/c=3 d/.wh..wh..opq || d/ d/c=3
whiteout above opaque: d/b=1 | d/.wh..wh..opq d/b=2 | d/.wh.b || d/
opaque at the root: a=1 | b=2 .wh..wh..opq || b=2
AUFS's own names: a=1 | .wh..wh.plnk/ .wh..wh.plnk/1.2=x .wh..wh.aufs || a=1
a link of the same layer is followed: l->d d/ l/a=1 || d/ d/a=1 l->d
a link to the root and above: d/ d/l->/../../e e/ d/l/a=1 || d/ d/l->/../../e e/ e/a=1
a lower link gives way: l->d d/ | l/a=1 || d/ l/ l/a=1
a whiteout does not follow links: d/a=1 l->d | l/.wh.a || d/ d/a=1 l->d
a hard link: d/a=1 h=>d/a || d/ d/a=1 h=1
a hard link to a lower layer: a=1 | h=>./a || a=1 h=1
a link survives its target: a=1 h=>a | .wh.a || h=1
a link survives a new target: a=1 h=>a | a=2 || a=2 h=1
a hard link to a symbolic one: l->nowhere h=>l || h->nowhere l->nowhere
a hard link through a link: d/a=1 l->d h=>l/a || d/ d/a=1 h=1 l->d
";

#[test]
fn layers_merge_as_the_specification_says() {
    let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
    for case in MERGES.trim().lines() {
        let (name, case) = case.split_once(": ").unwrap();
        let (layers, expected) = case.split_once("||").unwrap();
        let layers: Vec<_> = layers.split('|').map(words).collect();
        let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
        let got = merge_short(&layers).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(got, words(expected), "{name}");
    }
}

#[test]
fn names_are_bytes() {
    // A whiteout of a name that is not UTF-8 hides that file and no other.
    let lower = Archive::new()
        .file(b"a\xff", b"1")
        .file(b"a\xfe", b"2")
        .finish();
    let upper = Archive::new().file(b".wh.a\xff", b"").finish();
    let got = merged(&[lower, upper], &Limits::default()).unwrap();
    assert_eq!(listing(&got), [r"a\xfe=2"]);
}

#[test]
fn hard_links_are_one_node() {
    let layer = Archive::of(&["a=1", "b=>a"]).finish();
    let got = merged(&[layer], &Limits::default()).unwrap();
    let nodes: Vec<_> = got
        .tree
        .entries()
        .map(|(_, node)| std::ptr::from_ref(node))
        .collect();
    assert_eq!(nodes.len(), 2);
    assert_eq!(nodes[0], nodes[1]);
}

fn fault(layers: &[&[&str]]) -> ImageFault {
    match merge_short(layers) {
        Err(Error::Image(fault)) => fault,
        other => panic!("{layers:?}: {other:?}"),
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, wanted) in [
        ("../a=1", NameFault::Parent),
        ("a/../../b=1", NameFault::Parent),
        ("..", NameFault::Parent),
        ("/etc/passwd=1", NameFault::Absolute),
        ("/", NameFault::Absolute),
        (".wh.", NameFault::Whiteout),
        (".wh..", NameFault::Whiteout),
        ("a/.wh...", NameFault::Whiteout),
        (".wh.a/b=1", NameFault::Whiteout),
        ("h=>../a", NameFault::Parent),
        ("h=>/etc/passwd", NameFault::Absolute),
        ("../.wh.a", NameFault::Parent),
    ] {
        match fault(&[&["a=0"], &[name]]) {
            ImageFault::Name {
                layer: 1, fault, ..
            } => assert_eq!(fault, wanted, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(
        fault(&[&["../\x1b[2Jx=1"]]).to_string(),
        "layer 1 of the image has an entry named \"../\\x1b[2Jx\", which is refused: it has a `..` component"
    );
}

#[test]
fn entries_that_make_no_sense_are_refused() {
    for (entries, wanted) in [
        (&["a=1", "a/b=2"][..], NodeFault::NotADirectory),
        (&["l->l", "l/a=1"], NodeFault::LinkLoop),
        (&["a->b", "b->a", "a/c=1"], NodeFault::LinkLoop),
        (&["h=>gone"], NodeFault::HardLinkMissing),
        (&["h=>later", "later=1"], NodeFault::HardLinkMissing),
        (&["d/", "h=>d"], NodeFault::HardLinkTarget),
        (&["a=1", "a=>a"], NodeFault::HardLinkTarget),
        (&[".=1"], NodeFault::Root),
        (&[".->a"], NodeFault::Root),
        (&["l->"], NodeFault::Target),
        (&["h=>"], NodeFault::Target),
    ] {
        match fault(&[entries]) {
            ImageFault::Node { fault, .. } => assert_eq!(fault, wanted, "{entries:?}"),
            other => panic!("{entries:?}: {other:?}"),
        }
    }
}

#[test]
fn limits_hold_for_what_a_few_bytes_would_make() {
    let limit = |change: fn(&mut Limits), entries: &[&str]| {
        let mut limits = Limits::default();
        change(&mut limits);
        match merged(&[Archive::of(entries).finish()], &limits) {
            Err(Error::LimitExceeded { what, .. }) => what,
            other => panic!("{entries:?}: {other:?}"),
        }
    };
    // Implied directories count: one entry makes many.
    let deep = "a/".repeat(60) + "b=1";
    assert_eq!(limit(|l| l.entries = 50, &[&deep]), "files and directories");
    assert_eq!(
        limit(|l| l.entries = 2, &[".wh.a", ".wh.a", ".wh.a"]),
        "entries in a layer"
    );
    // A link of the layer makes a path deeper than it is written.
    let nest = ["a/b/c/", "l->a/b/c", "l/d/", "m->l/d", "m/e/"];
    assert_eq!(
        limit(|l| l.depth = 4, &nest),
        "directories above one another"
    );
    assert_eq!(
        limit(
            |l| l.metadata_bytes = 90,
            &[
                "l->aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "m->aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            ]
        ),
        "bytes of names, links and attributes"
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn expanded(blob: &[u8], left: u64) -> Result<(Vec<u8>, Digest), Error> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(blob).unwrap();
    file.rewind().unwrap();
    let (mut spool, digest) = expand(file, tempfile::tempfile().unwrap(), 0, left)
        .map_err(|fault| fault.into_error(&Limits::default()))?;
    let mut bytes = Vec::new();
    spool.file.rewind().unwrap();
    spool.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, spool.len);
    Ok((bytes, digest))
}

#[test]
fn the_data_says_how_it_is_compressed() {
    let plain = Archive::of(&["a=1"]).finish();
    // Many members: eStargz, pigz.
    let members: Vec<u8> = plain.chunks(700).flat_map(gzip).collect();
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for blob in [plain.clone(), gzip(&plain), members, zstd] {
        let (bytes, digest) = expanded(&blob, 1 << 20).unwrap();
        assert_eq!(bytes, plain);
        assert_eq!(digest, Digest::of(&plain));
    }
}

#[test]
fn damaged_and_endless_layers_are_refused() {
    let plain = vec![7; 300_000];
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for whole in [gzip(&plain), zstd] {
        let cut = &whole[..whole.len() - 9];
        assert!(matches!(
            expanded(cut, 1 << 20),
            Err(Error::Image(ImageFault::Compression { layer: 0 }))
        ));
        assert!(matches!(
            expanded(&whole, 299_999),
            Err(Error::LimitExceeded { .. })
        ));
        assert!(expanded(&whole, 300_000).is_ok());
    }
}
