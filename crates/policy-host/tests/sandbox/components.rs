//! Engines and components for the tests.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use xenios_policy_host::{EngineConfig, LoadError, Policy, PolicyEngine, PolicySource};

/// Budgets that nothing but an endless loop uses up, on however busy a machine.
pub(crate) fn generous() -> EngineConfig {
    EngineConfig {
        slots: 4,
        slot_wait: Duration::from_mins(1),
        deadline: Duration::from_mins(1),
        fuel: 1 << 40,
        ..EngineConfig::default()
    }
}

/// One engine for all tests that do not need their own.
pub(crate) static ENGINE: LazyLock<PolicyEngine> = LazyLock::new(|| engine(&generous()));

pub(crate) fn engine(config: &EngineConfig) -> PolicyEngine {
    PolicyEngine::new(config).expect("an engine")
}

/// A component that `cargo xtask policies` built.
pub(crate) fn built(file: &str) -> Vec<u8> {
    let folder = std::env::var_os("XENIOS_POLICIES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies"),
        PathBuf::from,
    );
    let path = folder.join(file);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}; run `cargo xtask policies` first, or set \
             XENIOS_POLICIES to the folder that it wrote",
            path.display()
        )
    })
}

pub(crate) fn load(
    engine: &PolicyEngine,
    component: &[u8],
    settings: &str,
) -> Result<Policy, LoadError> {
    let source = PolicySource {
        name: "test",
        component,
        settings,
    };
    Policy::load(engine, &source, None)
}

/// The message of an error and of everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
