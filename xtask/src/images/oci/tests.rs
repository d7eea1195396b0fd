//! The documents and archives, read back by other code.

use std::io::Read as _;

use serde_json::Value;

use super::{Image, Launch, LayerWriter, digest};

#[test]
fn the_manifest_describes_the_blobs() {
    let mut writer = LayerWriter::new();
    let layer = writer
        .directory("a")
        .unwrap()
        .file("a/b", 0o600, b"bytes")
        .unwrap()
        .finish()
        .unwrap();
    let image = Image::new(
        vec![layer],
        &Launch {
            cmd: &["/a/b"],
            user: "1000",
            ..Launch::default()
        },
    );

    let manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    assert_eq!(manifest["config"]["digest"], digest(&image.config()));
    assert_eq!(manifest["config"]["size"], image.config().len());
    assert_eq!(manifest["layers"][0]["digest"], image.layers()[0].digest());
    let config: Value = serde_json::from_slice(&image.config()).unwrap();
    assert_eq!(config["config"]["Cmd"][0], "/a/b");
    assert_eq!(config["config"]["User"], "1000");
    assert!(config["config"].get("Entrypoint").is_none());

    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(image.layers()[0].blob())
        .read_to_end(&mut tar)
        .unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], digest(&tar));
}

#[test]
fn hostile_names_are_written_as_they_are() {
    let mut writer = LayerWriter::new();
    writer
        .file("../../etc/x", 0o644, b"1")
        .unwrap()
        .file("/etc/x", 0o644, b"2")
        .unwrap();
    let layer = writer
        .whiteout("d", "gone")
        .unwrap()
        .opaque("d")
        .unwrap()
        .finish()
        .unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.blob()));
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| String::from_utf8(entry.unwrap().path_bytes().to_vec()).unwrap())
        .collect();
    assert_eq!(
        names,
        ["../../etc/x", "/etc/x", "d/.wh.gone", "d/.wh..wh..opq"]
    );
}

#[test]
fn a_name_that_does_not_fit_is_an_error() {
    let long = "x".repeat(100);
    assert!(LayerWriter::new().file(&long, 0o644, b"").is_err());
}
