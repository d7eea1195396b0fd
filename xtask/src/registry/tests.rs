//! Against the real registry.

use super::Registry;
use crate::http;
use crate::images::oci::{Image, Launch, LayerWriter, MANIFEST};
use crate::layout::Layout;

#[test]
fn a_pushed_image_is_served_and_a_tampered_blob_too() {
    let registry = Registry::start(&Layout::find()).unwrap();
    let layer = LayerWriter::new()
        .file("f", 0o644, b"content")
        .unwrap()
        .finish()
        .unwrap();
    let image = Image::new(vec![layer], &Launch::default());
    let digest = registry.push("some/where", "1", &image).unwrap();
    // Once more: every blob is there already.
    assert_eq!(registry.push("some/where", "2", &image).unwrap(), digest);

    let get = |path: &str| http::request(registry.port(), "GET", path, MANIFEST, b"").unwrap();
    let manifest = get(&format!("/v2/some/where/manifests/{digest}"));
    assert_eq!((manifest.status, manifest.body), (200, image.manifest()));
    let blob = format!("/v2/some/where/blobs/{}", image.layers()[0].digest());
    assert_eq!(get(&blob).body, image.layers()[0].blob());
    registry.tamper(&image.layers()[0].digest()).unwrap();
    let tampered = get(&blob).body;
    assert_eq!(tampered.len(), image.layers()[0].blob().len());
    assert_ne!(tampered, image.layers()[0].blob());
}
