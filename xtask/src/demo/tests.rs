//! The closing table.

use serde_json::json;

use super::times;

#[test]
fn a_stage_that_did_not_happen_is_a_dash() {
    let guest = json!({
        "spec": { "name": "web" },
        "status": { "stages": [{ "stage": "pull", "micros": 120_500 }, { "stage": "boot", "micros": 3 }] },
    });
    let table = times(&[guest]);
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["ms", "policy", "pull", "pack", "build", "boot"]
    );
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["web", "-", "120.5", "-", "-", "0.0"]
    );
}
