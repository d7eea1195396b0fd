//! Kernels and initrds out of images.

use std::path::PathBuf;

use xenios_packer::{BootFiles, Error, ErrorKind, Limits};

use crate::archive::Archive;
use crate::image::{Bench, Image, entry, limits, pinned, reference};
use crate::registry::FakeRegistry;

fn extract(layers: &[&[&str]], limits: Limits) -> (Result<BootFiles, Error>, Bench) {
    let registry = FakeRegistry::start();
    let layers = layers.iter().map(|layer| Archive::of(layer)).collect();
    Image::of(layers).push(&registry, "1");
    let bench = Bench::with(vec![entry(&registry.authority())], limits);
    let facts = bench.packer.facts(&reference(&registry, ":1")).unwrap();
    (bench.packer.boot_files(&facts.reference), bench)
}

fn text(file: Option<&PathBuf>) -> Option<String> {
    file.map(|path| std::fs::read_to_string(path).unwrap())
}

#[test]
fn kernel_and_initrd_are_found_as_images_have_them() {
    // Layers, lowest first, separated by `|`; then the kernel and the initrd.
    for (case, kernel, initrd) in [
        ("kernel/image=K krata/initrd=I", Some("K"), Some("I")),
        ("./kernel/ ./kernel/image=K", Some("K"), None),
        ("krata/initrd=krata xenios/initrd=ours", None, Some("ours")),
        (
            "boot/k-6=K kernel/image->/boot/k boot/k->k-6",
            Some("K"),
            None,
        ),
        ("boot/k=K kernel/image=>boot/k", Some("K"), None),
        ("kernel->../../k k/image=K", Some("K"), None),
        ("kernel/image=old | kernel/image=new", Some("new"), None),
        (
            "kernel/image=K xenios/initrd=I | kernel/.wh.image",
            None,
            Some("I"),
        ),
        ("other=1", None, None),
    ] {
        let words = |layer: &'static str| layer.split_whitespace().collect::<Vec<_>>();
        let layers: Vec<_> = case.split('|').map(words).collect();
        let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
        let (files, _bench) = extract(&layers, limits());
        let files = files.unwrap();
        assert_eq!(text(files.kernel.as_ref()).as_deref(), kernel, "{case}");
        assert_eq!(text(files.initrd.as_ref()).as_deref(), initrd, "{case}");
    }
}

#[test]
fn what_is_no_file_is_named() {
    for (layer, wanted) in [
        (
            &["kernel/image/"][..],
            "kernel/image in the image is not a regular file",
        ),
        (&["kernel/image"], "kernel/image in the image is empty"),
        (
            &["kernel/image->gone"],
            "kernel/image in the image is a symbolic link that leads nowhere",
        ),
        (
            &["kernel/image->image"],
            "kernel/image in the image is a symbolic link that leads nowhere",
        ),
        (
            &["krata/initrd/"],
            "krata/initrd in the image is not a regular file",
        ),
    ] {
        let (files, bench) = extract(&[layer], limits());
        let error = files.unwrap_err();
        assert_eq!(error.to_string(), wanted);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        bench.assert_clean();
    }
}

#[test]
fn the_limit_holds_for_the_wanted_file_alone() {
    let small = || Limits {
        boot_file_bytes: 5,
        ..limits()
    };
    let (files, _bench) = extract(&[&["a=much too long", "kernel/image=five5"]], small());
    assert_eq!(
        text(files.unwrap().kernel.as_ref()).as_deref(),
        Some("five5")
    );
    let (files, bench) = extract(&[&["kernel/image=five5", "krata/initrd=sixsix"]], small());
    let error = files.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("krata/initrd in the image has more than 5 bytes")
    );
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    bench.assert_clean();
}

#[test]
fn they_are_made_once() {
    let registry = FakeRegistry::start();
    let digest = Image::of(vec![Archive::of(&["kernel/image=K"])]).push(&registry, "1");
    let bench = Bench::new(&registry);
    let pin = pinned(&registry, digest);
    let first = bench.packer.boot_files(&pin).unwrap();
    let seen = registry.seen().len();
    assert_eq!(bench.packer.boot_files(&pin).unwrap(), first);
    assert_eq!(registry.seen().len(), seen);
}
