//! Images on which the system that this one follows was measured to fail: each is
//! packed right, or refused.

use tar::EntryType;

use crate::archive::Archive;
use crate::image::{Bench, Image, listing, reference};
use crate::registry::FakeRegistry;

fn packed(layers: Vec<Archive>) -> Vec<String> {
    let registry = FakeRegistry::start();
    Image::of(layers).push(&registry, "1");
    let bench = Bench::new(&registry);
    let packed = bench.pack(&reference(&registry, ":1")).unwrap();
    listing(&packed.path)
}

#[test]
fn blank_device_numbers_are_read() {
    let archive = Archive::new().entry(EntryType::Regular, b"a", b"1", |header| {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.dev_major = [0; 8];
        gnu.dev_minor = [0; 8];
    });
    assert_eq!(packed(vec![archive]), ["a=1"]);
}

#[test]
fn prefixes_and_missing_parents_are_read() {
    assert_eq!(
        packed(vec![Archive::of(&["./", "./a/b=1"])]),
        ["a/", "a/b=1"]
    );
}

#[test]
fn long_names_and_targets_are_kept() {
    let name = format!("{}/{}", "n".repeat(150), "m".repeat(200));
    let target = "t".repeat(255);
    let archive = Archive::new()
        .file(&name, b"1")
        .symlink("link", &target)
        .hard_link("hard", &name);
    assert_eq!(
        packed(vec![archive]),
        [
            "hard=1".to_owned(),
            format!("link->{target}"),
            format!("{}/", "n".repeat(150)),
            format!("{name}=1"),
        ]
    );
}

#[test]
fn a_hard_link_may_be_above_its_target() {
    assert_eq!(
        packed(vec![Archive::of(&["d/a=1", "h=>d/a"])]),
        ["d/", "d/a=1", "h=1"]
    );
}

#[test]
fn a_file_may_become_a_directory() {
    assert_eq!(
        packed(vec![Archive::of(&["a=1"]), Archive::of(&["a/", "a/b=2"])]),
        ["a/", "a/b=2"]
    );
}

#[test]
fn an_opaque_mark_spares_its_own_layer() {
    let upper = Archive::of(&["d/", "d/b=2", "d/.wh..wh..opq"]);
    assert_eq!(
        packed(vec![Archive::of(&["d/a=1"]), upper]),
        ["d/", "d/b=2"]
    );
}

#[test]
fn a_hard_link_survives_a_whiteout_of_its_target() {
    let layers = vec![Archive::of(&["a=data", "h=>a"]), Archive::of(&[".wh.a"])];
    assert_eq!(packed(layers), ["h=data"]);
}

#[test]
fn the_root_is_not_writable_for_all() {
    use std::io::BufReader;

    let registry = FakeRegistry::start();
    Image::of(vec![Archive::of(&["a=1"])]).push(&registry, "1");
    let bench = Bench::new(&registry);
    let packed = bench.pack(&reference(&registry, ":1")).unwrap();
    let file = BufReader::new(std::fs::File::open(packed.path).unwrap());
    let reader = backhand::FilesystemReader::from_reader(file).unwrap();
    assert_eq!(reader.files().next().unwrap().header.permissions, 0o755);
}
