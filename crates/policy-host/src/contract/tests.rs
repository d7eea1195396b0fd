//! Names alone; components with these names are in `tests/sandbox`.

use super::*;

const TYPES_OF_1_2: &str = "xenios:policy/types@1.2.0";

#[test]
fn the_kind_follows_from_the_exports() {
    let kind = check(&[LOG, TYPES], &[SETTINGS, VALIDATOR]).expect("a validator");
    assert_eq!(kind, Kind::Validating);
    let kind = check(&[], &[SETTINGS, MUTATOR]).expect("a mutator");
    assert_eq!(kind, Kind::Mutating);
    let minor = ["xenios:policy/validator@1.2.0", SETTINGS];
    let kind = check(&[TYPES_OF_1_2], &minor).expect("a later minor version");
    assert_eq!(kind, Kind::Validating);
}

#[test]
fn wrong_names_are_named() {
    let cases: [(&[&str], &[&str], &str); 7] = [
        (
            &["wasi:clocks/wall-clock@0.2.0"],
            &[SETTINGS, VALIDATOR],
            "imports `wasi:clocks/wall-clock@0.2.0`",
        ),
        (
            &["xenios:policy/log@2.0.0"],
            &[SETTINGS, VALIDATOR],
            "imports `xenios:policy/log@2.0.0`",
        ),
        (
            &["xenios:policy/logger@1.0.0"],
            &[SETTINGS, VALIDATOR],
            "imports `xenios:policy/logger@1.0.0`",
        ),
        (&[], &[SETTINGS], "does not export `xenios:policy/validator"),
        (
            &[],
            &[SETTINGS, "xenios:policy/mutator@2.0.0"],
            "(it has `xenios:policy/mutator@2.0.0`)",
        ),
        (
            &[],
            &[VALIDATOR],
            "does not export `xenios:policy/settings@1.0.0`",
        ),
        (&[], &[SETTINGS, VALIDATOR, MUTATOR], "both"),
    ];
    for (imports, exports, expected) in cases {
        let error = check(imports, exports).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}
