//! What works: pulls, formats, indexes, authentication, retries, the cache.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use xenios_packer::{
    Credentials, Digest, Error, ErrorKind, Limits, Part, Reference, Registry, RegistryFault,
};

use crate::archive::Archive;
use crate::image::{
    Bench, Image, descriptor, entry, limits, listing, pinned, push_manifest, reference,
};
use crate::registry::{FakeRegistry, Reply};

fn two_layers() -> Image {
    Image::of(vec![
        Archive::of(&["bin/", "bin/sh=shell", "etc/a=1", "etc/b=2"]),
        Archive::of(&["etc/.wh.a", "etc/c=3", "l->bin/sh"]),
    ])
}

const TWO_LAYERS: [&str; 6] = [
    "bin/",
    "bin/sh=shell",
    "etc/",
    "etc/b=2",
    "etc/c=3",
    "l->bin/sh",
];

#[test]
fn a_tag_becomes_facts_and_a_filesystem() {
    let registry = FakeRegistry::start();
    let image = two_layers();
    let digest = image.push(&registry, "1");
    let bench = Bench::new(&registry);

    let facts = bench.packer.facts(&reference(&registry, ":1")).unwrap();
    assert_eq!(facts.reference, pinned(&registry, digest));
    assert_eq!(facts.manifest, digest);
    assert_eq!(facts.platform, "linux/amd64");
    assert_eq!(facts.config.entrypoint, ["/init"]);
    assert_eq!(facts.config.user, "7");
    assert_eq!(facts.annotations.len(), 1);
    let sizes: Vec<_> = facts.layers.iter().map(|l| l.size_bytes).collect();
    assert_eq!(
        sizes,
        image
            .layers
            .iter()
            .map(|l| l.len() as u64)
            .collect::<Vec<_>>()
    );
    // Facts are had without a layer.
    assert_eq!(registry.count("/blobs/"), 1);

    let packed = bench.packer.rootfs(&facts.reference).unwrap();
    assert!(!packed.cached);
    assert_eq!(listing(&packed.path), TWO_LAYERS);

    let seen = registry.seen().len();
    let again = bench.packer.rootfs(&facts.reference).unwrap();
    assert!(again.cached);
    assert_eq!(again.path, packed.path);
    assert_eq!(
        registry.seen().len(),
        seen,
        "a packed image needs no registry"
    );
}

#[test]
fn the_same_image_gives_the_same_bytes_in_every_cache() {
    let registry = FakeRegistry::start();
    two_layers().push(&registry, "1");
    let bytes = || {
        let bench = Bench::new(&registry);
        let packed = bench.pack(&reference(&registry, ":1")).unwrap();
        std::fs::read(packed.path).unwrap()
    };
    assert!(bytes() == bytes());
}

#[test]
fn every_compression_of_both_families_packs() {
    let archive = Archive::of(&["a=1"]).finish();
    let zstd = zstd::encode_all(&archive[..], 3).unwrap();
    for (blob, media_type) in [
        (archive.clone(), "application/vnd.oci.image.layer.v1.tar"),
        (
            crate::image::gzip(&archive),
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        ),
        (zstd, "application/vnd.oci.image.layer.v1.tar+zstd"),
        // The media type lies; the data does not.
        (
            crate::image::gzip(&archive),
            "application/vnd.oci.image.layer.v1.tar",
        ),
    ] {
        let registry = FakeRegistry::start();
        let mut image = Image::of_blobs(std::slice::from_ref(&archive), vec![blob], media_type);
        if media_type.contains("docker") {
            image.manifest["mediaType"] =
                json!("application/vnd.docker.distribution.manifest.v2+json");
            image.manifest["config"]["mediaType"] =
                json!("application/vnd.docker.container.image.v1+json");
        }
        image.push(&registry, "1");
        let packed = Bench::new(&registry).pack(&reference(&registry, ":1"));
        assert!(packed.is_ok(), "{media_type}: {packed:?}");
    }
}

#[test]
fn an_index_leads_to_our_platform() {
    let registry = FakeRegistry::start();
    let image = two_layers();
    let manifest = image.push(&registry, "only-the-manifest");
    let mut ours = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        image.manifest.to_string().as_bytes(),
    );
    ours["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let mut other = descriptor("application/vnd.oci.image.manifest.v1+json", b"other");
    other["platform"] = json!({"os": "linux", "architecture": "arm64"});
    let index = push_manifest(
        &registry,
        "1",
        &json!({"schemaVersion": 2, "manifests": [other, ours]}),
    );
    let bench = Bench::new(&registry);
    // By tag, the manifest is what is pinned.
    let facts = bench.packer.facts(&reference(&registry, ":1")).unwrap();
    assert_eq!(facts.reference, pinned(&registry, manifest));
    // By the index's digest, that is kept: it is what was asked for.
    let facts = bench
        .packer
        .facts(&reference(&registry, &format!("@{index}")))
        .unwrap();
    assert_eq!(*facts.reference.digest(), index);
    assert_eq!(facts.manifest, manifest);
    let packed = bench.packer.rootfs(&facts.reference).unwrap();
    assert_eq!(packed.digest, manifest);
    assert_eq!(listing(&packed.path), TWO_LAYERS);
}

#[test]
fn a_name_vouches_only_for_what_its_repository_holds() {
    let registry = FakeRegistry::start();
    let digest = two_layers().push(&registry, "1");
    let bench = Bench::new(&registry);
    bench.pack(&reference(&registry, ":1")).unwrap();
    // Everything is in the cache, but not in that repository.
    let other = format!("{}/trusted/app@{digest}", registry.authority());
    let error = bench.packer.facts(&other.parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A registry does not look for layers that are declared not to be distributed, so a
/// tenant may push a manifest that names a layer of somebody else's.
#[test]
fn the_cache_gives_no_layer_to_a_repository_that_lacks_it() {
    let registry = FakeRegistry::start();
    let private = two_layers();
    private.push(&registry, "1");
    let bench = Bench::new(&registry);
    bench.pack(&reference(&registry, ":1")).unwrap();

    let other = Reference::from_str(&format!("{}/evil/app:1", registry.authority())).unwrap();
    let path = |kind: &str, name: &str| format!("/v2/evil/app/{kind}/{name}");
    let config = private.config.to_string();
    let config_path = path("blobs", &Digest::of(config.as_bytes()).to_string());
    registry.put(
        &path("manifests", "1"),
        Reply::ok(private.manifest.to_string()),
    );
    let error = bench.packer.facts(&other).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFound {
                what: Part::Config,
                ..
            }
        ),
        "{error}"
    );
    registry.put(&config_path, Reply::ok(config));
    let error = bench.packer.facts(&other).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFound {
                what: Part::Layer(0),
                ..
            }
        ),
        "{error}"
    );

    // With its own copies it may have them, and is asked once.
    for layer in &private.layers {
        let name = Digest::of(layer).to_string();
        registry.put(&path("blobs", &name), Reply::ok(layer.clone()));
    }
    let heads = || {
        registry
            .seen()
            .iter()
            .filter(|r| r.method == "HEAD")
            .count()
    };
    bench.packer.facts(&other).unwrap();
    let before = heads();
    bench.packer.facts(&other).unwrap();
    assert_eq!(heads(), before);
}

#[test]
fn what_may_pass_is_tried_again() {
    let registry = FakeRegistry::start();
    let image = two_layers();
    image.push(&registry, "1");
    let requests = Arc::new(AtomicUsize::new(0));
    // Busy, then busy in another way, and later a layer that breaks off once.
    registry.answer(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
        0 => Some(Reply::status(503)),
        1 => Some(Reply::status(429)),
        _ => None,
    });
    let cut = Arc::new(AtomicUsize::new(0));
    let layer = image.layers[0].clone();
    let path = crate::image::blob_path(&layer);
    registry.answer(move |request| {
        let first = request.target == path && cut.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Reply {
            body: layer[..layer.len() / 2].to_vec(),
            ..Reply::ok(layer.clone())
        })
    });
    let packed = Bench::new(&registry)
        .pack(&reference(&registry, ":1"))
        .unwrap();
    assert!(!packed.cached);
    assert_eq!(registry.count("/manifests/1"), 3);
}

#[test]
fn what_does_not_pass_is_reported_after_a_few_tries() {
    let registry = FakeRegistry::start();
    registry.answer(|_| Some(Reply::status(500)));
    let error = Bench::new(&registry)
        .pack(&reference(&registry, ":1"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert_eq!(registry.seen().len(), limits().attempts as usize);
    assert!(!error.to_string().contains("own words"), "{error}");
    // Nobody listens there.
    let authority = registry.authority();
    drop(registry);
    let bench = Bench::with(vec![entry(&authority)], limits());
    let error = bench
        .pack(&format!("{authority}/a:1").parse().unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
}

#[test]
fn a_registry_that_sends_nothing_is_given_up() {
    let registry = FakeRegistry::start();
    registry.answer(|_| {
        thread::sleep(Duration::from_secs(3));
        None
    });
    let soon = Duration::from_millis(50);
    for limits in [
        Limits {
            idle_timeout: soon,
            attempts: 1,
            ..limits()
        },
        Limits {
            pull_deadline: soon,
            ..limits()
        },
    ] {
        let bench = Bench::with(vec![entry(&registry.authority())], limits);
        let error = bench.pack(&reference(&registry, ":1")).unwrap_err();
        assert!(matches!(
            error,
            Error::Registry {
                fault: RegistryFault::TooSlow,
                ..
            }
        ));
        assert_eq!(error.kind(), ErrorKind::Transient);
    }
}

fn with_credentials(registry: &FakeRegistry) -> Registry {
    Registry {
        credentials: Some(Credentials {
            username: "robot".to_owned(),
            password: "secret".to_owned(),
        }),
        ..entry(&registry.authority())
    }
}

/// Base64 of `robot:secret`.
const BASIC: &str = "Basic cm9ib3Q6c2VjcmV0";

#[test]
fn a_token_is_fetched_once_and_used() {
    let registry = FakeRegistry::start();
    two_layers().push(&registry, "1");
    let authority = registry.authority();
    registry.answer(move |request| {
        if request.target.starts_with("/token") {
            return Some(Reply::ok(r#"{"token":"t0ken","expires_in":300}"#));
        }
        (request.headers.get("authorization").map(String::as_str) != Some("Bearer t0ken")).then(
            || {
                Reply::status(401).header(
                    "WWW-Authenticate",
                    format!(
                        "Bearer realm=\"http://{authority}/token\",service=\"reg\",scope=\"*\""
                    ),
                )
            },
        )
    });
    let bench = Bench::with(vec![with_credentials(&registry)], limits());
    bench.pack(&reference(&registry, ":1")).unwrap();
    let tokens: Vec<_> = registry
        .seen()
        .into_iter()
        .filter(|r| r.target.starts_with("/token"))
        .collect();
    assert_eq!(tokens.len(), 1);
    // No more than is needed, whatever the challenge says.
    assert_eq!(
        tokens[0].target,
        "/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull"
    );
    assert_eq!(tokens[0].headers["authorization"], BASIC);
}

#[test]
fn a_token_works_anonymously_too() {
    let registry = FakeRegistry::start();
    two_layers().push(&registry, "1");
    let authority = registry.authority();
    registry.answer(move |request| {
        if request.target.starts_with("/token") {
            assert!(!request.headers.contains_key("authorization"));
            return Some(Reply::ok(r#"{"access_token":"anon"}"#));
        }
        (!request.headers.contains_key("authorization")).then(|| {
            Reply::status(401).header(
                "WWW-Authenticate",
                format!("Bearer realm=\"http://{authority}/token\""),
            )
        })
    });
    assert!(
        Bench::new(&registry)
            .pack(&reference(&registry, ":1"))
            .is_ok()
    );
}

#[test]
fn a_password_is_sent_only_where_it_belongs() {
    let registry = FakeRegistry::start();
    let image = two_layers();
    image.push(&registry, "1");
    let store = FakeRegistry::start();
    for blob in &image.layers {
        store.put("/store", Reply::ok(blob.clone()));
    }
    let layer = image.layers[1].clone();
    let (path, to) = (
        crate::image::blob_path(&layer),
        format!("http://{}/store", store.authority()),
    );
    registry.answer(move |request| {
        if request.headers.get("authorization").map(String::as_str) != Some(BASIC) {
            return Some(Reply::status(401).header("WWW-Authenticate", "Basic realm=\"r\""));
        }
        (request.target == path).then(|| Reply::redirect(to.clone()))
    });
    let entries = vec![with_credentials(&registry), entry(&store.authority())];
    Bench::with(entries, limits())
        .pack(&reference(&registry, ":1"))
        .unwrap();
    assert_eq!(store.count("/store"), 1);
    let seen = store.seen();
    assert!(
        seen.iter()
            .all(|r| !r.headers.contains_key("authorization"))
    );
    // Without credentials the answer says so, and no more.
    let error = Bench::new(&registry)
        .pack(&reference(&registry, ":1"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_challenge_from_elsewhere_is_not_answered() {
    let registry = FakeRegistry::start();
    two_layers().push(&registry, "1");
    let store = FakeRegistry::start();
    let realm = format!("Bearer realm=\"http://{}/token\"", store.authority());
    store.answer(move |request| {
        let asked = request.target != "/token";
        asked.then(|| Reply::status(401).header("WWW-Authenticate", realm.clone()))
    });
    let to = format!("http://{}/store", store.authority());
    registry.answer(move |request| {
        let blob = request.target.contains("/blobs/");
        blob.then(|| Reply::redirect(to.clone()))
    });
    let entries = vec![with_credentials(&registry), entry(&store.authority())];
    let error = Bench::with(entries, limits())
        .pack(&reference(&registry, ":1"))
        .unwrap_err();
    assert!(matches!(error, Error::AccessDenied { .. }), "{error}");
    assert_eq!(store.count("/token"), 0);
}

#[test]
fn an_image_is_packed_once_for_all_who_ask() {
    let registry = FakeRegistry::start();
    let digest = two_layers().push(&registry, "1");
    let bench = Bench::new(&registry);
    let pin = pinned(&registry, digest);
    let cached: Vec<bool> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| bench.packer.rootfs(&pin).unwrap().cached))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(cached.iter().filter(|cached| !**cached).count(), 1);
}

#[test]
fn tls_trusts_the_authorities_that_an_entry_names_and_no_others() {
    let (registry, ca_pem) = FakeRegistry::start_tls();
    two_layers().push(&registry, "1");
    let tls = |ca_pem| Registry {
        plain_http: false,
        ca_pem,
        ..entry(&registry.authority())
    };
    let (_, other) = FakeRegistry::start_tls();
    for (ca_pem, works) in [(Some(ca_pem), true), (Some(other), false), (None, false)] {
        let bench = Bench::with(vec![tls(ca_pem)], limits());
        let packed = bench.pack(&reference(&registry, ":1"));
        assert_eq!(packed.is_ok(), works, "{packed:?}");
    }
}

#[test]
fn an_image_that_lies_about_a_layer_does_not_take_it_from_others() {
    let registry = FakeRegistry::start();
    let honest = two_layers();
    honest.push(&registry, "1");
    let bench = Bench::new(&registry);
    bench.pack(&reference(&registry, ":1")).unwrap();

    let mut archives = [Archive::new().finish(), Archive::new().finish()];
    archives[0].push(0);
    Image::of_blobs(
        &archives,
        honest.layers.clone(),
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )
    .push(&registry, "lie");
    let error = bench.pack(&reference(&registry, ":lie")).unwrap_err();
    assert!(
        matches!(
            error,
            Error::DigestMismatch {
                what: Part::Layer(0)
            }
        ),
        "{error}"
    );
    for layer in &honest.layers {
        assert_eq!(registry.count(&crate::image::blob_path(layer)), 1);
        let name = Digest::of(layer).to_string().replace(':', "-");
        assert!(bench.cache.path().join("cache/blobs").join(name).is_file());
    }
}

#[test]
fn a_layer_that_the_disk_damaged_is_fetched_again() {
    let registry = FakeRegistry::start();
    let image = two_layers();
    image.push(&registry, "1");
    let bench = Bench::new(&registry);
    let packed = bench.pack(&reference(&registry, ":1")).unwrap();
    let layer = &image.layers[0];
    let name = Digest::of(layer).to_string().replace(':', "-");
    let mut damaged = layer.clone();
    damaged[30] ^= 1;
    std::fs::write(bench.cache.path().join("cache/blobs").join(name), damaged).unwrap();
    std::fs::remove_file(&packed.path).unwrap();
    let again = bench.pack(&reference(&registry, ":1")).unwrap();
    assert_eq!(listing(&again.path), TWO_LAYERS);
    assert_eq!(registry.count(&crate::image::blob_path(layer)), 2);
}
