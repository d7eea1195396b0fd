//! The configurations are TOML, with every policy in them.

use std::path::Path;

use toml::{Table, Value};

use super::config::{HOSTILE, PRODUCT, configuration};

#[test]
fn the_configuration_parses() {
    let table: Table = configuration("10.0.2.2:5000", Path::new("/p"), &PRODUCT)
        .parse()
        .unwrap();
    let bindings = table["policy"]["bindings"].as_array().unwrap();
    let files: Vec<_> = bindings
        .iter()
        .filter_map(|binding| binding["file"].as_str())
        .collect();
    assert_eq!(
        files,
        [
            "/p/env-rewrite.wasm",
            "/p/size-limits.wasm",
            "/p/allowed-kernels.wasm"
        ]
    );
    assert_eq!(bindings[0]["may_change"], Value::from(vec!["env"]));
    assert_eq!(bindings[2]["priority"].as_integer(), Some(30));
    assert_eq!(
        table["registries"][0]["authority"].as_str(),
        Some("10.0.2.2:5000")
    );
}

#[test]
fn the_hostile_policy_is_alone_in_its_configuration() {
    let table: Table = configuration("r:1", Path::new("/p"), &HOSTILE)
        .parse()
        .unwrap();
    let bindings = table["policy"]["bindings"].as_array().unwrap();
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0]["name"].as_str(), Some("tests-hostile"));
    assert_eq!(
        bindings[0]["file"].as_str(),
        Some("/p/tests/tests-hostile.wasm")
    );
}
