//! A policy that is ready to answer: compiled, linked, and with settings that it
//! accepts.

use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};

use crate::artifact::{Artifacts, Prepared};
use crate::bindings::mutating::{Mutating, MutatingIndices};
use crate::bindings::validating::{Validating, ValidatingIndices};
use crate::call::{self, Failure};
use crate::contract;
use crate::convert;
use crate::engine::PolicyEngine;
use crate::error::{Fault, FaultKind, LoadError};
use crate::limits::{CallState, Phase, clean};
use crate::request::Request;
use crate::verdict::{Judgement, Mutated, Verdict};

/// Largest component. `StarlingMonkey` makes 12 MB, componentize-py 19 MB.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;

/// Largest settings: they are copied into the policy on every call.
pub const MAX_SETTINGS_BYTES: usize = 64 << 10;

/// Problems with settings that are shown.
const MAX_PROBLEMS: usize = 64;

/// What a policy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It changes specs.
    Mutating,
    /// It says yes or no.
    Validating,
}

/// What a policy is made of.
#[derive(Clone, Copy, Debug)]
pub struct PolicySource<'a> {
    /// Names it in the log.
    pub name: &'a str,
    /// A WebAssembly component.
    pub component: &'a [u8],
    /// A JSON object.
    pub settings: &'a str,
}

enum Exports {
    Validating(ValidatingIndices),
    Mutating(MutatingIndices),
}

/// A policy that is ready to answer. Calls may come from many threads; each gets an
/// instance of its own.
pub struct Policy {
    engine: PolicyEngine,
    name: String,
    settings: String,
    digest: String,
    settings_digest: String,
    prepared: Prepared,
    instance: InstancePre<CallState>,
    exports: Exports,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// Compiles a policy, or finds its code in `artifacts`, links it, and lets it check
    /// its settings.
    pub fn load(
        engine: &PolicyEngine,
        source: &PolicySource<'_>,
        artifacts: Option<&Artifacts>,
    ) -> Result<Self, LoadError> {
        if source.component.len() > MAX_COMPONENT_BYTES {
            return Err(LoadError::TooLarge {
                found: source.component.len(),
                most: MAX_COMPONENT_BYTES,
            });
        }
        check_shape(source.settings)?;
        let (component, prepared) = match artifacts {
            Some(artifacts) => artifacts.load(engine, source.component)?,
            None => compile(engine, source.component)?,
        };
        let (instance, exports) = link(engine, &component)?;
        let policy = Self {
            engine: engine.clone(),
            name: source.name.to_owned(),
            settings: source.settings.to_owned(),
            digest: hex::encode(Sha256::digest(source.component)),
            settings_digest: hex::encode(Sha256::digest(source.settings)),
            prepared,
            instance,
            exports,
        };
        policy.check_settings()?;
        Ok(policy)
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.exports {
            Exports::Validating(_) => Kind::Validating,
            Exports::Mutating(_) => Kind::Mutating,
        }
    }

    /// What it is called in the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the component, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// SHA-256 of the settings as they were given, in hexadecimal.
    #[must_use]
    pub fn settings_digest(&self) -> &str {
        &self.settings_digest
    }

    /// Whether it had to be compiled.
    #[must_use]
    pub fn prepared(&self) -> Prepared {
        self.prepared
    }

    /// Asks a validating policy about a spec.
    pub fn validate(&self, request: &Request) -> Result<Judgement, Fault> {
        let Exports::Validating(exports) = &self.exports else {
            return Err(wrong_kind("a mutator cannot validate"));
        };
        let request = request.into();
        let ((result, report), fuel) = call::run(&self.engine, &self.name, |store| {
            let policy = self.bind(store, |store, instance| exports.load(store, instance))?;
            policy
                .xenios_policy_validator()
                .call_validate(store, &request, &self.settings)
        })?;
        Ok(Judgement {
            verdict: match result {
                Ok(()) => Verdict::Allow,
                Err(reasons) => Verdict::Deny(convert::violations(reasons)),
            },
            report: report.into(),
            fuel,
        })
    }

    /// Asks a mutating policy about a spec.
    pub fn mutate(&self, request: &Request) -> Result<Mutated, Fault> {
        let Exports::Mutating(exports) = &self.exports else {
            return Err(wrong_kind("a validator cannot mutate"));
        };
        let request = request.into();
        let ((mutation, report), fuel) = call::run(&self.engine, &self.name, |store| {
            let policy = self.bind(store, |store, instance| exports.load(store, instance))?;
            policy
                .xenios_policy_mutator()
                .call_mutate(store, &request, &self.settings)
        })?;
        Ok(Mutated {
            mutation: mutation.into(),
            report: report.into(),
            fuel,
        })
    }

    fn check_settings(&self) -> Result<(), LoadError> {
        let checked = call::run(&self.engine, &self.name, |store| match &self.exports {
            Exports::Validating(exports) => {
                let policy = self.bind(store, |store, instance| exports.load(store, instance))?;
                validate_settings(&policy, store, &self.settings)
            }
            Exports::Mutating(exports) => {
                let policy = self.bind(store, |store, instance| exports.load(store, instance))?;
                change_settings(&policy, store, &self.settings)
            }
        });
        match checked {
            Ok((Ok(()), _)) => Ok(()),
            Ok((Err(problems), _)) => Err(LoadError::Settings(
                problems
                    .iter()
                    .take(MAX_PROBLEMS)
                    .map(|problem| clean(problem))
                    .collect(),
            )),
            Err(Failure::Mismatch(source)) => Err(LoadError::Mismatch {
                what: "exports",
                source,
            }),
            Err(Failure::Fault(fault)) => Err(LoadError::Check(fault)),
        }
    }

    /// A fresh instance, and its exports with their types checked.
    fn bind<T>(
        &self,
        store: &mut Store<CallState>,
        load: impl FnOnce(&mut Store<CallState>, &Instance) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let instance = self.instance.instantiate(&mut *store)?;
        store.data_mut().phase = Phase::Binding;
        let exports = load(store, &instance)?;
        store.data_mut().phase = Phase::Answering;
        Ok(exports)
    }
}

type SettingsResult = wasmtime::Result<Result<(), Vec<String>>>;

fn validate_settings(
    policy: &Validating,
    store: &mut Store<CallState>,
    settings: &str,
) -> SettingsResult {
    policy
        .xenios_policy_settings()
        .call_validate_settings(store, settings)
}

fn change_settings(
    policy: &Mutating,
    store: &mut Store<CallState>,
    settings: &str,
) -> SettingsResult {
    policy
        .xenios_policy_settings()
        .call_validate_settings(store, settings)
}

fn check_shape(settings: &str) -> Result<(), LoadError> {
    let wrong = |what: String| Err(LoadError::SettingsShape(what));
    if settings.len() > MAX_SETTINGS_BYTES {
        return wrong(format!(
            "have {} bytes; at most {MAX_SETTINGS_BYTES} are allowed",
            settings.len()
        ));
    }
    match serde_json::from_str::<serde_json::Value>(settings) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => wrong("are not a JSON object".to_owned()),
        Err(error) => wrong(format!("are not JSON: {error}")),
    }
}

fn compile(engine: &PolicyEngine, component: &[u8]) -> Result<(Component, Prepared), LoadError> {
    let code = engine.compile(component)?;
    let component = code
        .load(engine)
        .map_err(|e| LoadError::Invalid(e.into()))?;
    Ok((component, Prepared::Compiled))
}

fn link(
    engine: &PolicyEngine,
    component: &Component,
) -> Result<(InstancePre<CallState>, Exports), LoadError> {
    let kind = contract::kind(engine.wasmtime(), component)?;
    let mismatch = |what| {
        move |source: wasmtime::Error| LoadError::Mismatch {
            what,
            source: source.into(),
        }
    };
    let instance = engine
        .linker()
        .instantiate_pre(component)
        .map_err(mismatch("imports"))?;
    let exports = match kind {
        Kind::Validating => ValidatingIndices::new(&instance).map(Exports::Validating),
        Kind::Mutating => MutatingIndices::new(&instance).map(Exports::Mutating),
    }
    .map_err(mismatch("exports"))?;
    Ok((instance, exports))
}

fn wrong_kind(message: &str) -> Fault {
    Fault::new(FaultKind::WrongKind, message)
}
