//! Which names a policy's component may import and must export.
//!
//! Only names are compared here, so that the operator reads which one is wrong; the
//! types behind them are checked when the component is linked.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::LoadError;
use crate::policy::Kind;

pub(crate) const LOG: &str = "xenios:policy/log@1.0.0";
pub(crate) const SETTINGS: &str = "xenios:policy/settings@1.0.0";
pub(crate) const VALIDATOR: &str = "xenios:policy/validator@1.0.0";
pub(crate) const MUTATOR: &str = "xenios:policy/mutator@1.0.0";

/// Holds types alone: a component that uses the contract's records imports it, and
/// gets nothing by it.
const TYPES: &str = "xenios:policy/types@1.0.0";

/// What kind of policy the component is, once its imports and exports are right.
pub(crate) fn kind(engine: &Engine, component: &Component) -> Result<Kind, LoadError> {
    let ty = component.component_type();
    let imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    check(&imports, &exports)
}

fn check(imports: &[&str], exports: &[&str]) -> Result<Kind, LoadError> {
    let forbidden = imports
        .iter()
        .find(|name| !compatible(name, LOG) && !compatible(name, TYPES));
    if let Some(import) = forbidden {
        return Err(LoadError::ForbiddenImport {
            import: crate::limits::clean(import),
            allowed: LOG,
        });
    }
    let has = |wanted: &str| exports.iter().any(|name| compatible(name, wanted));
    let kind = match (has(VALIDATOR), has(MUTATOR)) {
        (true, true) => return Err(LoadError::BothKinds),
        (true, false) => Kind::Validating,
        (false, true) => Kind::Mutating,
        (false, false) => {
            return Err(LoadError::MissingExport {
                export: format!("{VALIDATOR}` or `{MUTATOR}"),
                found: other_version(exports, VALIDATOR)
                    .or_else(|| other_version(exports, MUTATOR)),
            });
        }
    };
    if !has(SETTINGS) {
        return Err(LoadError::MissingExport {
            export: SETTINGS.to_owned(),
            found: other_version(exports, SETTINGS),
        });
    }
    Ok(kind)
}

/// Whether `name` is the interface `wanted` in a version of the same major number.
/// wasmtime links by the same rule.
fn compatible(name: &str, wanted: &str) -> bool {
    let Some((interface, version)) = wanted.split_once('@') else {
        return name == wanted;
    };
    let major = version.split('.').next();
    name.split_once('@')
        .is_some_and(|(i, v)| i == interface && v.split('.').next() == major)
}

fn other_version(exports: &[&str], wanted: &str) -> Option<String> {
    let interface = wanted.split('@').next()?;
    exports
        .iter()
        .find(|name| name.split('@').next() == Some(interface))
        .map(|name| crate::limits::clean(name))
}

#[cfg(test)]
mod tests;
