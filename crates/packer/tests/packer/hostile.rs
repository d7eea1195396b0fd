//! Registries and images that mean harm. Each gets one clear error, and leaves no
//! byte where it does not belong.

use serde_json::json;
use xenios_packer::{Digest, Error, ErrorKind, ImageFault, Limits, NameFault, Part, Registry};

use crate::archive::Archive;
use crate::image::{
    Bench, Image, REPOSITORY, blob_path, entry, gzip, limits, push_manifest, reference,
};
use crate::registry::{FakeRegistry, Reply};

fn image() -> Image {
    Image::of(vec![Archive::of(&["a=1"]), Archive::of(&["b=2"])])
}

/// Packs what `registry` has, expects it to fail, and checks that nothing is left.
fn fails(registry: &FakeRegistry) -> Error {
    let bench = Bench::new(registry);
    let error = bench.pack(&reference(registry, ":1")).unwrap_err();
    bench.assert_clean();
    let text = error.to_string();
    assert!(
        !text.contains("own words") && !text.contains("/tmp"),
        "{text}"
    );
    error
}

#[test]
fn a_changed_layer_is_refused() {
    let registry = FakeRegistry::start();
    let image = image();
    image.push(&registry, "1");
    // The same size, one bit off.
    let mut changed = image.layers[1].clone();
    changed[20] ^= 1;
    registry.put(&blob_path(&image.layers[1]), Reply::ok(changed));
    let error = fails(&registry);
    assert!(
        matches!(
            error,
            Error::DigestMismatch {
                what: Part::Layer(1)
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.kind(), ErrorKind::Tampered);
    assert!(
        error
            .to_string()
            .starts_with("layer 2 of the image is not what its digest says")
    );
}

#[test]
fn a_changed_manifest_is_refused() {
    let registry = FakeRegistry::start();
    let mut image = image();
    let digest = image.push(&registry, "1");
    image.manifest["annotations"] = json!({"other": "1"});
    let path = format!("/v2/{REPOSITORY}/manifests/{digest}");
    registry.put(&path, Reply::ok(image.manifest.to_string()));
    let bench = Bench::new(&registry);
    let by_digest = reference(&registry, &format!("@{digest}"));
    let error = bench.packer.facts(&by_digest).unwrap_err();
    assert!(matches!(
        error,
        Error::DigestMismatch {
            what: Part::Manifest
        }
    ));
    bench.assert_clean();
}

#[test]
fn a_changed_config_is_refused() {
    let registry = FakeRegistry::start();
    let image = image();
    image.push(&registry, "1");
    let config = image.config.to_string();
    registry.put(
        &blob_path(config.as_bytes()),
        Reply::ok(config.replace("/init", "/evil")),
    );
    assert!(matches!(
        fails(&registry),
        Error::DigestMismatch { what: Part::Config }
    ));
}

#[test]
fn a_layer_that_the_config_does_not_describe_is_refused() {
    let registry = FakeRegistry::start();
    let archives = [Archive::of(&["a=1"]).finish()];
    let other = Archive::of(&["a=evil"]).finish();
    Image::of_blobs(
        &archives,
        vec![gzip(&other)],
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )
    .push(&registry, "1");
    assert!(matches!(
        fails(&registry),
        Error::DigestMismatch {
            what: Part::Layer(0)
        }
    ));
}

#[test]
fn a_layer_of_another_size_is_refused() {
    let whole = image().layers[0].clone();
    let longer = [&whole[..], b"more"].concat();
    for reply in [
        // It says so.
        Reply::ok(whole[..9].to_vec()),
        Reply::ok(longer.clone()),
        // It does not say, and ends too early or goes on.
        Reply {
            declared: None,
            ..Reply::ok(whole[..9].to_vec())
        },
        Reply {
            declared: None,
            ..Reply::ok(longer)
        },
    ] {
        let registry = FakeRegistry::start();
        image().push(&registry, "1");
        registry.put(&blob_path(&whole), reply);
        let error = fails(&registry);
        assert!(
            matches!(
                error,
                Error::SizeMismatch {
                    what: Part::Layer(0)
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn a_layer_that_breaks_off_may_be_tried_later() {
    let registry = FakeRegistry::start();
    let image = image();
    image.push(&registry, "1");
    let whole = image.layers[0].clone();
    registry.put(
        &blob_path(&whole),
        Reply {
            body: whole[..9].to_vec(),
            ..Reply::ok(whole.clone())
        },
    );
    assert_eq!(fails(&registry).kind(), ErrorKind::Transient);
    assert_eq!(
        registry.count(&blob_path(&whole)),
        limits().attempts as usize
    );
}

#[test]
fn too_much_is_refused_before_it_is_stored() {
    let manifest = format!("/v2/{REPOSITORY}/manifests/1");
    let big = vec![b' '; 5 << 20];
    for declared in [Some(big.len()), None] {
        let registry = FakeRegistry::start();
        registry.put(
            &manifest,
            Reply {
                declared,
                ..Reply::ok(big.clone())
            },
        );
        assert_eq!(fails(&registry).kind(), ErrorKind::LimitExceeded);
    }
    let registry = FakeRegistry::start();
    image().push(&registry, "1");
    for (what, limits) in [
        (
            "layers",
            Limits {
                layers: 1,
                ..limits()
            },
        ),
        (
            "bytes of compressed layers",
            Limits {
                compressed_bytes: 100,
                ..limits()
            },
        ),
        (
            "bytes of config",
            Limits {
                config_bytes: 10,
                ..limits()
            },
        ),
        (
            "bytes of decompressed layers",
            Limits {
                expanded_bytes: 3000,
                ..limits()
            },
        ),
    ] {
        let bench = Bench::with(vec![entry(&registry.authority())], limits);
        match bench.pack(&reference(&registry, ":1")) {
            Err(Error::LimitExceeded { what: got, .. }) => assert_eq!(got, what),
            other => panic!("{what}: {other:?}"),
        }
        bench.assert_clean();
    }
}

#[test]
fn names_that_lead_out_of_the_image_are_refused() {
    for (name, wanted) in [
        ("../escaped", NameFault::Parent),
        ("a/../../../../../../etc/escaped", NameFault::Parent),
        ("/etc/escaped", NameFault::Absolute),
    ] {
        let registry = FakeRegistry::start();
        Image::of(vec![Archive::new().file(name, b"x")]).push(&registry, "1");
        match fails(&registry) {
            Error::Image(ImageFault::Name {
                layer: 0, fault, ..
            }) => assert_eq!(fault, wanted),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_header_chooses_no_file_name() {
    let registry = FakeRegistry::start();
    let image = image();
    let digest = image.push(&registry, "1");
    let path = format!("/v2/{REPOSITORY}/manifests/1");
    registry.put(
        &path,
        Reply::ok(image.manifest.to_string()).header("Docker-Content-Digest", "../../../escaped"),
    );
    let bench = Bench::new(&registry);
    let packed = bench.pack(&reference(&registry, ":1")).unwrap();
    assert_eq!(packed.digest, digest);
    assert!(
        packed
            .path
            .ends_with(format!("cache/rootfs/sha256-{}.v1.squashfs", digest.hex()))
    );
}

#[test]
fn a_digest_is_no_path() {
    let registry = FakeRegistry::start();
    for evil in ["/etc/passwd", "sha256:../../../../etc/passwd", "../escaped"] {
        let mut image = image();
        image.manifest["layers"][0]["digest"] = json!(evil);
        push_manifest(&registry, "1", &image.manifest);
        assert_eq!(fails(&registry).kind(), ErrorKind::Invalid);
    }
    assert_eq!(registry.count("/blobs/"), 0);
}

#[test]
fn only_listed_registries_are_contacted() {
    let registry = FakeRegistry::start();
    image().push(&registry, "1");
    let bench = Bench::with(vec![entry("127.0.0.1:1")], limits());
    let error = bench.packer.facts(&reference(&registry, ":1")).unwrap_err();
    assert!(matches!(error, Error::RegistryNotAllowed { .. }));
    assert_eq!(error.kind(), ErrorKind::Refused);
    // A pin is no way around the list either.
    let pin = reference(&registry, ":1").pin(Digest::of(b""));
    assert_eq!(
        bench.packer.rootfs(&pin).unwrap_err().kind(),
        ErrorKind::Refused
    );
    assert_eq!(
        bench.packer.boot_files(&pin).unwrap_err().kind(),
        ErrorKind::Refused
    );
    assert!(registry.seen().is_empty());
}

#[test]
fn private_addresses_need_the_operators_word() {
    let registry = FakeRegistry::start();
    image().push(&registry, "1");
    // As a literal, in another spelling of it, and behind a name.
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "localhost",
    ] {
        let authority = format!("{host}:{}", registry.port());
        let closed = Registry {
            allow_private: false,
            ..entry(&authority)
        };
        let bench = Bench::with(vec![closed], limits());
        let reference = format!("{authority}/{REPOSITORY}:1").parse().unwrap();
        let error = bench.packer.facts(&reference).unwrap_err();
        assert!(
            matches!(error, Error::AddressRefused { .. }),
            "{host}: {error:?}"
        );
    }
    assert!(registry.seen().is_empty());
}

#[test]
fn redirects_lead_to_no_private_address() {
    let inside = FakeRegistry::start();
    for to in [
        // No entry: https at public addresses alone.
        format!("http://{}/secret", inside.authority()),
        format!("https://{}/secret", inside.authority()),
        format!("https://localhost:{}/secret", inside.port()),
        format!("https://[::ffff:127.0.0.1]:{}/secret", inside.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://public.example/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "https://user:password@public.example/".to_owned(),
    ] {
        let registry = FakeRegistry::start();
        let image = image();
        image.push(&registry, "1");
        registry.put(&blob_path(&image.layers[0]), Reply::redirect(to.clone()));
        let error = fails(&registry);
        assert!(
            matches!(error, Error::AddressRefused { .. }),
            "{to}: {error:?}"
        );
        assert!(!error.to_string().contains("169.254") && !error.to_string().contains("secret"));
    }
    assert!(inside.seen().is_empty());
}

#[test]
fn redirects_end() {
    let registry = FakeRegistry::start();
    let to = format!("http://{}/v2/", registry.authority());
    registry.answer(move |_| Some(Reply::redirect(to.clone())));
    let error = fails(&registry);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(registry.seen().len(), 6);
}

#[test]
fn a_token_service_is_held_to_the_same_rules() {
    let inside = FakeRegistry::start();
    for realm in [
        format!("http://{}/token", inside.authority()),
        "http://169.254.169.254/token".to_owned(),
        "not a url".to_owned(),
    ] {
        let registry = FakeRegistry::start();
        let challenge = format!("Bearer realm=\"{realm}\"");
        registry.answer(move |_| {
            Some(Reply::status(401).header("WWW-Authenticate", challenge.clone()))
        });
        let kind = fails(&registry).kind();
        assert!(
            matches!(kind, ErrorKind::Refused | ErrorKind::Invalid),
            "{realm}: {kind:?}"
        );
    }
    assert!(inside.seen().is_empty());
}

#[test]
fn urls_of_a_descriptor_are_ignored() {
    let registry = FakeRegistry::start();
    let inside = FakeRegistry::start();
    let mut image = image();
    image.manifest["layers"][0]["urls"] = json!([format!("http://{}/", inside.authority())]);
    image.push(&registry, "1");
    // The registry does not have the layer; the address in the manifest would.
    registry.put(&blob_path(&image.layers[0]), Reply::status(404));
    assert_eq!(fails(&registry).kind(), ErrorKind::NotFound);
    assert!(inside.seen().is_empty());
}

#[test]
fn an_image_that_is_not_there_is_not_found() {
    let registry = FakeRegistry::start();
    let error = fails(&registry);
    assert!(matches!(
        error,
        Error::NotFound {
            what: Part::Manifest,
            ..
        }
    ));
    assert_eq!(registry.seen().len(), 1, "it is not tried again");
}
