//! Documents of OCI and Docker, and those that are neither.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn manifest_of(config: &str, layer: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "config": {"mediaType": config, "digest": DIGEST, "size": 7},
        "layers": [{
            "mediaType": layer, "digest": DIGEST, "size": 9,
            "urls": ["http://169.254.169.254/latest/meta-data"],
        }],
        "annotations": {"b": "2", "a": "1"},
    })
}

fn entry(media_type: &str, os: &str, architecture: &str, size: u64) -> Value {
    json!({
        "mediaType": media_type, "digest": DIGEST, "size": size,
        "platform": {"os": os, "architecture": architecture},
    })
}

fn parsed(value: &Value) -> Result<Document, ImageFault> {
    parse(value.to_string().as_bytes(), Part::Manifest)
}

fn reason(value: &Value) -> String {
    parsed(value).unwrap_err().to_string()
}

#[test]
fn manifests_of_both_families_are_read() {
    for config in CONFIG_TYPES {
        for layer in LAYER_TYPES {
            let Document::Manifest(manifest) = parsed(&manifest_of(config, layer)).unwrap() else {
                panic!("{config} {layer}")
            };
            assert_eq!((manifest.config.size, manifest.layers[0].size), (7, 9));
            assert_eq!(manifest.annotations.keys().collect::<Vec<_>>(), ["a", "b"]);
        }
    }
    let mut null = manifest_of(CONFIG_TYPES[0], LAYER_TYPES[0]);
    null["annotations"] = Value::Null;
    assert!(parsed(&null).is_ok());
}

#[test]
fn the_baseline_variant_of_our_platform_is_chosen() {
    let mut newer = entry(MANIFEST_TYPES[0], "linux", "amd64", 3);
    newer["platform"]["variant"] = json!("v3");
    let index = |manifests: Value| json!({"schemaVersion": 2, "manifests": manifests});
    let all = index(json!([
        entry(MANIFEST_TYPES[0], "linux", "arm64", 1),
        entry(MANIFEST_TYPES[0], "windows", "amd64", 2),
        entry("application/vnd.in-toto+json", "linux", "amd64", 5),
        newer.clone(),
        entry(MANIFEST_TYPES[1], "linux", "amd64", 4),
    ]));
    assert!(matches!(parsed(&all), Ok(Document::Index(d)) if d.size == 4));
    assert!(matches!(parsed(&index(json!([newer]))), Ok(Document::Index(d)) if d.size == 3));
    for none in [
        json!([]),
        json!([entry(MANIFEST_TYPES[0], "unknown", "unknown", 1)]),
    ] {
        assert_eq!(
            parsed(&index(none)),
            Err(ImageFault::Platform { wanted: PLATFORM })
        );
    }
}

#[test]
fn what_is_not_clearly_one_thing_is_refused() {
    let good = || manifest_of(CONFIG_TYPES[0], LAYER_TYPES[0]);
    let with = |key: &str, value: Value| {
        let mut document = good();
        document[key] = value;
        document
    };
    for (document, wanted) in [
        (json!([]), "not a JSON document"),
        (with("schemaVersion", json!(1)), "schema version"),
        (
            with("manifests", json!([])),
            "either an index or a manifest",
        ),
        (json!({"schemaVersion": 2}), "either an index or a manifest"),
        (with("mediaType", json!(INDEX_TYPES[0])), "does not fit"),
        (with("layers", Value::Null), "no list of layers"),
        (with("config", Value::Null), "no config"),
        (
            manifest_of("application/vnd.cncf.helm.config.v1+json", LAYER_TYPES[0]),
            "not of a container image",
        ),
        (
            manifest_of(
                CONFIG_TYPES[0],
                "application/vnd.oci.image.layer.v1.tar+encrypted",
            ),
            "not a tar archive",
        ),
        (
            with(
                "layers",
                json!([{"mediaType": LAYER_TYPES[0], "digest": "/etc/passwd", "size": 1}]),
            ),
            "a digest",
        ),
        (
            with(
                "layers",
                json!([{"mediaType": LAYER_TYPES[0], "digest": DIGEST, "size": -1}]),
            ),
            "not a JSON document",
        ),
    ] {
        assert!(
            reason(&document).contains(wanted),
            "{wanted}: {}",
            reason(&document)
        );
    }
    // Two values for one key would be two documents with one digest.
    let twice = good()
        .to_string()
        .replacen('{', r#"{"schemaVersion":1,"#, 1);
    assert!(parse(twice.as_bytes(), Part::Manifest).is_err());
}

#[test]
fn configs_say_what_runs() {
    let config = json!({
        "os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
        "config": {"Entrypoint": null, "Cmd": ["sh"], "Env": ["A=1"], "WorkingDir": "/w", "User": "1:2"},
    });
    let parsed = parse_config(config.to_string().as_bytes(), 1).unwrap();
    assert_eq!(parsed.run.cmd, ["sh"]);
    assert_eq!(parsed.run.env, ["A=1"]);
    assert!(parsed.run.entrypoint.is_empty());
    assert!(!format!("{:?}", parsed.run).contains("A=1"));
    assert!(parse_config(config.to_string().as_bytes(), 2).is_err());
    let mut other = config.clone();
    other["architecture"] = json!("arm64");
    assert_eq!(
        parse_config(other.to_string().as_bytes(), 1),
        Err(ImageFault::Platform { wanted: PLATFORM })
    );
    let mut none = config;
    none["config"] = Value::Null;
    assert_eq!(
        parse_config(none.to_string().as_bytes(), 1).unwrap().run,
        ImageConfig::default()
    );
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, Part::Manifest);
        let _ = parse_config(&bytes, 0);
    }
}
