//! Core's policy traits over the sandbox of `xenios_policy_host`.
//!
//! Which policies are bound, and with what settings, is the configuration's; what
//! their answers lead to is the chain's.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use xenios_core::PolicyChain;
use xenios_core::policy::{
    FaultKind, Judgement, MutatingPolicy, Mutation, PolicyFault, PolicyRequest, Report,
    ValidatingPolicy, Verdict, Violation,
};
use xenios_policy_host as host;

use crate::config;

mod convert;
#[cfg(test)]
mod tests;

/// The policies of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The sandbox itself.
    #[error("the policy sandbox cannot be set up")]
    Engine(#[source] host::EngineError),
    /// The directory of compiled policies.
    #[error("the directory of compiled policies, policy.artifacts, cannot be used")]
    Artifacts(#[source] host::ArtifactError),
    /// A policy's file.
    #[error("policy `{name}`: cannot read {path}", path = path.display())]
    Read {
        /// The binding.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A policy cannot be loaded.
    #[error("policy `{name}` ({path}) cannot be loaded", path = path.display())]
    Load {
        /// The binding.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<host::LoadError>,
    },
    /// A validating policy with a list of fields to change.
    #[error("policy `{name}` validates and changes nothing; remove `may_change` from its binding")]
    MayChange {
        /// The binding.
        name: String,
    },
}

/// Loads every bound policy: an unreadable one stops the daemon, it is never left out.
pub fn load_chain(policy: &config::Policy) -> Result<PolicyChain, ChainError> {
    let engine = engine(policy)?;
    let artifacts = host::Artifacts::open(&policy.artifacts).map_err(ChainError::Artifacts)?;
    let mut mutating: Vec<Box<dyn MutatingPolicy>> = Vec::new();
    let mut validating: Vec<Box<dyn ValidatingPolicy>> = Vec::new();
    let mut generation = Sha256::new();
    for binding in &policy.bindings {
        let bound = load(&engine, &artifacts, binding)?;
        for part in [&bound.name, &bound.version, &bound.may_change.join(",")] {
            generation.update(part.as_bytes());
            generation.update([0]);
        }
        match bound.policy.kind() {
            host::Kind::Mutating => mutating.push(Box::new(bound)),
            host::Kind::Validating if bound.may_change.is_empty() => {
                validating.push(Box::new(bound));
            }
            host::Kind::Validating => return Err(ChainError::MayChange { name: bound.name }),
        }
    }
    // The same policies and settings are the same generation, on every host.
    let [first, ..] = *generation.finalize().as_chunks::<8>().0 else {
        unreachable!("SHA-256 has 32 bytes");
    };
    Ok(PolicyChain::new(
        mutating,
        validating,
        u64::from_be_bytes(first),
    ))
}

/// Compiles every bound policy into a directory; one line about each.
pub fn compile_all(policy: &config::Policy, into: &Path) -> Result<Vec<String>, ChainError> {
    let engine = engine(policy)?;
    let artifacts = host::Artifacts::open(into).map_err(ChainError::Artifacts)?;
    let mut lines = Vec::new();
    for binding in &policy.bindings {
        let component = read(binding)?;
        // Unlike `load`, this fails when the artifact cannot be written.
        let prepared = artifacts
            .prepare(&engine, &component)
            .map_err(|source| not_loaded(binding, source))?;
        let bound = load(&engine, &artifacts, binding)?;
        let how = match prepared {
            host::Prepared::Found => "was there",
            host::Prepared::Compiled => "compiled",
        };
        lines.push(format!("{}: {how} ({})", bound.name, bound.version));
    }
    Ok(lines)
}

fn engine(policy: &config::Policy) -> Result<host::PolicyEngine, ChainError> {
    let config = host::EngineConfig {
        slots: policy.slots,
        deadline: policy.deadline,
        ..host::EngineConfig::default()
    };
    host::PolicyEngine::new(&config).map_err(ChainError::Engine)
}

fn load(
    engine: &host::PolicyEngine,
    artifacts: &host::Artifacts,
    binding: &config::Binding,
) -> Result<Bound, ChainError> {
    let component = read(binding)?;
    let source = host::PolicySource {
        name: &binding.name,
        component: &component,
        settings: &binding.settings,
    };
    let policy = host::Policy::load(engine, &source, Some(artifacts))
        .map_err(|source| not_loaded(binding, source))?;
    Ok(Bound {
        name: binding.name.clone(),
        // With these a recorded decision can be replayed.
        version: format!(
            "sha256:{} settings sha256:{}",
            policy.digest(),
            policy.settings_digest()
        ),
        may_change: binding.may_change.clone(),
        policy,
    })
}

fn read(binding: &config::Binding) -> Result<Vec<u8>, ChainError> {
    std::fs::read(&binding.file).map_err(|source| ChainError::Read {
        name: binding.name.clone(),
        path: binding.file.clone(),
        source,
    })
}

fn not_loaded(binding: &config::Binding, source: host::LoadError) -> ChainError {
    ChainError::Load {
        name: binding.name.clone(),
        path: binding.file.clone(),
        source: Box::new(source),
    }
}

/// One loaded policy under its binding's name.
struct Bound {
    name: String,
    version: String,
    may_change: Vec<String>,
    policy: host::Policy,
}

impl MutatingPolicy for Bound {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn may_change(&self) -> &[String] {
        &self.may_change
    }

    fn mutate(&self, request: &PolicyRequest<'_>) -> Result<Mutation, PolicyFault> {
        let answer = self
            .policy
            .mutate(&convert::request(request))
            .map_err(|fault| self.fault(fault))?;
        let report = report(answer.report);
        Ok(match answer.mutation {
            host::Mutation::Unchanged => Mutation::Unchanged { report },
            host::Mutation::Replace(spec) => Mutation::Replace {
                draft: Box::new(convert::draft(*spec)),
                report,
            },
            host::Mutation::Deny(violations) => Mutation::Deny {
                violations: violations.into_iter().map(violation).collect(),
                report,
            },
        })
    }
}

impl ValidatingPolicy for Bound {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn validate(&self, request: &PolicyRequest<'_>) -> Result<Judgement, PolicyFault> {
        let answer = self
            .policy
            .validate(&convert::request(request))
            .map_err(|fault| self.fault(fault))?;
        Ok(Judgement {
            verdict: match answer.verdict {
                host::Verdict::Allow => Verdict::Allow,
                host::Verdict::Deny(violations) => {
                    Verdict::Deny(violations.into_iter().map(violation).collect())
                }
            },
            report: report(answer.report),
        })
    }
}

impl Bound {
    fn fault(&self, fault: host::Fault) -> PolicyFault {
        tracing::error!(policy = %self.name, kind = fault.kind.name(), %fault,
            "a policy could not answer, so it refused");
        PolicyFault {
            kind: match fault.kind {
                host::FaultKind::Trap => FaultKind::Trap,
                host::FaultKind::Deadline => FaultKind::Deadline,
                host::FaultKind::Fuel => FaultKind::Fuel,
                host::FaultKind::Memory => FaultKind::Memory,
                host::FaultKind::LogFlood | host::FaultKind::BadOutput => FaultKind::BadOutput,
                host::FaultKind::Unavailable | host::FaultKind::WrongKind => FaultKind::Load,
            },
            message: fault.message,
        }
    }
}

fn report(report: host::Report) -> Report {
    Report {
        warnings: report.warnings,
        audit: report.audit,
    }
}

fn violation(violation: host::Violation) -> Violation {
    Violation {
        rule: violation.rule,
        field: violation.field,
        message: violation.message,
    }
}
