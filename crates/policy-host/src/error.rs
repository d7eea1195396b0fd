//! What goes wrong: while an engine is made, while a policy is loaded (the
//! operator's to mend), and while it answers.
//!
//! No message here holds text that a policy or a tenant made, except the problems
//! of [`LoadError::Settings`], which are cut and cleaned.

use std::fmt;
use std::path::PathBuf;

/// Hides wasmtime's error type: nothing of the runtime is in this crate's API.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The sandbox cannot be set up on this machine or with this config.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A value of the config is out of range.
    #[error("policy engine config: {0}")]
    Config(&'static str),
    /// The runtime refused its config or could not reserve its memory.
    #[error("the WebAssembly runtime cannot start")]
    Runtime(#[source] Cause),
    /// The thread that keeps the deadlines could not be started.
    #[error("the thread that keeps the deadlines of policies cannot start")]
    Ticker(#[source] std::io::Error),
}

/// The directory of compiled policies cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It, or a file in it, cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Others could put machine code into it.
    #[error(
        "the artifacts directory {} {why}; machine code is loaded from it, so it must \
         belong to this process's user alone (chmod 700)", path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A policy that cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// More than [`MAX_COMPONENT_BYTES`](crate::MAX_COMPONENT_BYTES).
    #[error("the component has {found} bytes; at most {most} are allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        most: usize,
    },
    /// A core module, where a component is needed.
    #[error(
        "this is a core module, not a component; make one of it with \
         `wasm-tools component new` (`cargo xtask policies` does)"
    )]
    CoreModule,
    /// Not WebAssembly, or beyond what the sandbox allows (memories, tables, proposals
    /// that are switched off).
    #[error("the component is not valid here")]
    Invalid(#[source] Cause),
    /// The compiler itself failed.
    #[error("the compiler crashed on this component")]
    CompilerPanic,
    /// It wants something that policies do not get.
    #[error(
        "it imports `{import}`; a policy may import nothing but `{allowed}` (is it built \
         for wasm32-unknown-unknown, without WASI?)"
    )]
    ForbiddenImport {
        /// The import's name.
        import: String,
        /// What it may import.
        allowed: &'static str,
    },
    /// An interface is missing.
    #[error("it does not export `{export}`{}", found_instead(found.as_ref()))]
    MissingExport {
        /// The export's name.
        export: String,
        /// A related export that it has, such as another version.
        found: Option<String>,
    },
    /// It exports both `validator` and `mutator`.
    #[error("it exports both a validator and a mutator; a policy is one of them")]
    BothKinds,
    /// An import or export has the right name and another type.
    #[error("its {what} do not have the types of the contract xenios:policy@1.0.0")]
    Mismatch {
        /// Imports or exports.
        what: &'static str,
        /// In the runtime's words.
        #[source]
        source: Cause,
    },
    /// The settings are not a JSON object of at most
    /// [`MAX_SETTINGS_BYTES`](crate::MAX_SETTINGS_BYTES).
    #[error("its settings {0}")]
    SettingsShape(String),
    /// The policy itself refused the settings.
    #[error("it refuses its settings: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The policy could not answer whether the settings are good.
    #[error("it failed while it checked its settings")]
    Check(#[source] Fault),
    /// The directory of compiled policies cannot be used.
    #[error("its compiled form cannot be kept")]
    Artifacts(#[source] ArtifactError),
}

fn found_instead(found: Option<&String>) -> String {
    found
        .map(|name| format!(" (it has `{name}`)"))
        .unwrap_or_default()
}

/// How a policy failed to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It crashed: a panic, an arithmetic error, a stack that ran full.
    Trap,
    /// It took longer than [`deadline`](crate::EngineConfig::deadline).
    Deadline,
    /// It used up its [`fuel`](crate::EngineConfig::fuel).
    Fuel,
    /// It failed after it was refused memory.
    Memory,
    /// It wrote more log than it may.
    LogFlood,
    /// It gave something that is not an answer: text that is not UTF-8, pointers out of
    /// its memory, more than [`output_bytes`](crate::EngineConfig::output_bytes).
    BadOutput,
    /// The host had no room to run it.
    Unavailable,
    /// It was asked what it does not do: a validator to mutate, or the reverse.
    WrongKind,
}

impl FaultKind {
    /// A short name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::LogFlood => "log-flood",
            Self::BadOutput => "bad-output",
            Self::Unavailable => "unavailable",
            Self::WrongKind => "wrong-kind",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A policy that could not answer: never a verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// How it failed.
    pub kind: FaultKind,
    /// What happened, for the operator. Holds no text of the policy or the tenant.
    pub message: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}
