//! The daemon's configuration: one TOML file, checked as a whole before anything starts.
//!
//! It opens no file but the configuration itself: certificates, kernels and policies
//! are read by whoever uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xenios_core::{GuestSpec, TenantId, Virtualization};

pub use self::error::{ConfigError, Problems};

mod error;
mod raw;
#[cfg(test)]
mod tests;

/// Where `xeniosd` looks when `--config` is not given.
pub const DEFAULT_PATH: &str = "/etc/xenios/xeniosd.toml";

/// A policy call is refused after this long, unless the configuration says otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_millis(50);
/// The longest deadline that is accepted: a create must stay within its own deadline.
const MAX_DEADLINE: Duration = Duration::from_secs(30);
/// Policy evaluations that may run at the same time.
const DEFAULT_SLOTS: u32 = 8;
const MAX_SLOTS: u32 = 1024;
/// Linux' `COMMAND_LINE_SIZE` on x86 is 2048; our own arguments follow, so stay below.
const MAX_CMDLINE: usize = 1024;

/// Everything that the operator decides about one daemon.
#[derive(Debug)]
pub struct Config {
    /// The host's name, as tenants see it in a guest's status.
    pub host: String,
    /// Holds the store, the image cache, policy artifacts and console logs.
    pub state_dir: PathBuf,
    /// TCP with mutual TLS.
    pub tcp: Option<TcpListen>,
    /// Unix socket with peer credentials.
    pub unix: Option<UnixListen>,
    /// What guests boot with unless their spec names an image.
    pub boot: Boot,
    /// The registries that may be contacted; no other is.
    pub registries: Vec<Registry>,
    /// The policy chain.
    pub policy: Policy,
}

/// The TCP listener and the files of its TLS identity (PEM).
#[derive(Debug, Clone)]
pub struct TcpListen {
    /// Address to bind.
    pub address: SocketAddr,
    /// The server's certificate chain.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// Certificate authorities that clients' certificates must chain to.
    pub client_ca: PathBuf,
}

/// The Unix socket and who may use it.
#[derive(Debug, Clone)]
pub struct UnixListen {
    /// Path of the socket.
    pub path: PathBuf,
    /// Tenant by user id of the peer; others are refused.
    pub tenants: BTreeMap<u32, TenantId>,
}

/// The host's default kernel and initrd.
#[derive(Debug, Clone)]
pub struct Boot {
    /// A raw ELF or bzImage kernel.
    pub kernel: PathBuf,
    /// The initrd that holds `xenios-init` as `/init`.
    pub initrd: PathBuf,
    /// Kernel command line.
    pub cmdline: String,
    /// How guests run whose spec does not say.
    pub virtualization: Virtualization,
}

/// One registry that may be contacted.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `host` or `host:port`, exactly as references spell it.
    pub authority: String,
    /// Speak http instead of https.
    pub plain_http: bool,
    /// The name may resolve to a private or loopback address.
    pub allow_private: bool,
    /// Additional certificate authorities (PEM).
    pub ca: Option<PathBuf>,
    /// User name and the file that holds the password.
    pub credentials: Option<(String, PathBuf)>,
}

/// The policy chain's limits and members.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Where compiled policies are kept.
    pub artifacts: PathBuf,
    /// Wall clock that one evaluation may take.
    pub deadline: Duration,
    /// Evaluations at the same time.
    pub slots: u32,
    /// In the order in which they run: by priority, then as written.
    pub bindings: Vec<Binding>,
}

/// One policy in the chain.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Unique; refusals and changes name it.
    pub name: String,
    /// The WebAssembly component.
    pub file: PathBuf,
    /// JSON, handed to the policy when it is loaded.
    pub settings: String,
    /// Fields of the spec that a mutating policy may change.
    pub may_change: Vec<String>,
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks a configuration's text; `path` is only for errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file: raw::File = toml::from_str(text).map_err(|source| ConfigError::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mut problems = Problems::default();
        if file.host.is_empty() || file.host.len() > 253 {
            problems.push("host", "must be 1 to 253 bytes: the name that tenants see");
        }
        problems.absolute("state_dir", &file.state_dir);
        let tcp = tcp(&file, &mut problems);
        let unix = unix(&file, &mut problems);
        if file.listen.tcp.is_none() && file.listen.unix.is_none() {
            problems.push("listen", "nothing to listen on: set `tcp`, `unix` or both");
        }
        let boot = boot(&file.boot, &mut problems);
        let registries = registries(file.registries, &mut problems);
        let policy = policy(file.policy, &file.state_dir, &mut problems);
        match boot {
            Some(boot) if problems.0.is_empty() => Ok(Self {
                host: file.host,
                state_dir: file.state_dir,
                tcp,
                unix,
                boot,
                registries,
                policy,
            }),
            _ => Err(ConfigError::Invalid {
                path: path.to_owned(),
                problems,
            }),
        }
    }
}

fn tcp(file: &raw::File, problems: &mut Problems) -> Option<TcpListen> {
    let listen = file.listen.tcp.as_ref()?;
    let Some(tls) = &file.tls else {
        problems.push(
            "tls",
            "is missing: `listen.tcp` needs `certificate`, `key` and `client_ca`",
        );
        return None;
    };
    for (key, path) in [
        ("tls.certificate", &tls.certificate),
        ("tls.key", &tls.key),
        ("tls.client_ca", &tls.client_ca),
    ] {
        problems.absolute(key, path);
    }
    let Ok(address) = listen.parse() else {
        let problem = format!("`{listen}` is not ADDRESS:PORT, for example 0.0.0.0:7443");
        problems.push("listen.tcp", problem);
        return None;
    };
    Some(TcpListen {
        address,
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    })
}

fn unix(file: &raw::File, problems: &mut Problems) -> Option<UnixListen> {
    let mut tenants = BTreeMap::new();
    for (index, entry) in file.unix_tenants.iter().enumerate() {
        let key = format!("unix_tenants[{index}]");
        match entry.tenant.parse::<TenantId>() {
            Ok(tenant) => {
                if tenants.insert(entry.uid, tenant).is_some() {
                    problems.push(key, format!("uid {} has a tenant already", entry.uid));
                }
            }
            Err(error) => problems.push(format!("{key}.tenant"), error.to_string()),
        }
    }
    let Some(path) = &file.listen.unix else {
        if !file.unix_tenants.is_empty() {
            problems.push("unix_tenants", "has no effect: set `listen.unix` too");
        }
        return None;
    };
    problems.absolute("listen.unix", path);
    if file.unix_tenants.is_empty() {
        problems.push(
            "unix_tenants",
            "is empty: nobody could use `listen.unix`; add `[[unix_tenants]]` with uid and tenant",
        );
    }
    Some(UnixListen {
        path: path.clone(),
        tenants,
    })
}

fn boot(raw: &raw::Boot, problems: &mut Problems) -> Option<Boot> {
    problems.absolute("boot.kernel", &raw.kernel);
    problems.absolute("boot.initrd", &raw.initrd);
    if raw.cmdline.len() > MAX_CMDLINE || raw.cmdline.chars().any(char::is_control) {
        problems.push(
            "boot.cmdline",
            format!("must be at most {MAX_CMDLINE} bytes without control characters"),
        );
    }
    let virtualization = match raw.virtualization.as_str() {
        "pvh" => Virtualization::Pvh,
        "pv" => Virtualization::Pv,
        other => {
            problems.push(
                "boot.virtualization",
                format!("`{other}` is neither `pvh` nor `pv`"),
            );
            return None;
        }
    };
    Some(Boot {
        kernel: raw.kernel.clone(),
        initrd: raw.initrd.clone(),
        cmdline: raw.cmdline.clone(),
        virtualization,
    })
}

fn registries(raw: Vec<raw::Registry>, problems: &mut Problems) -> Vec<Registry> {
    let mut seen = BTreeSet::new();
    let mut registries = Vec::with_capacity(raw.len());
    for (index, entry) in raw.into_iter().enumerate() {
        let key = format!("registries[{index}]");
        if entry.authority.is_empty() || entry.authority.contains(['/', '@', ' ']) {
            problems.push(
                format!("{key}.authority"),
                format!("`{}` is not HOST or HOST:PORT", entry.authority),
            );
        }
        if !seen.insert(entry.authority.clone()) {
            problems.push(
                format!("{key}.authority"),
                format!("`{}` is listed twice", entry.authority),
            );
        }
        if let Some(ca) = &entry.ca {
            problems.absolute(&format!("{key}.ca"), ca);
        }
        let credentials = match (entry.username, entry.password_file) {
            (Some(name), Some(file)) => {
                problems.absolute(&format!("{key}.password_file"), &file);
                Some((name, file))
            }
            (None, None) => None,
            _ => {
                problems.push(key, "`username` and `password_file` belong together");
                None
            }
        };
        registries.push(Registry {
            authority: entry.authority,
            plain_http: entry.plain_http,
            allow_private: entry.allow_private,
            ca: entry.ca,
            credentials,
        });
    }
    registries
}

fn policy(raw: raw::Policy, state_dir: &Path, problems: &mut Problems) -> Policy {
    let deadline = raw
        .deadline_ms
        .map_or(DEFAULT_DEADLINE, Duration::from_millis);
    if deadline.is_zero() || deadline > MAX_DEADLINE {
        let max = MAX_DEADLINE.as_millis();
        problems.push("policy.deadline_ms", format!("must be 1 to {max}"));
    }
    let slots = raw.slots.unwrap_or(DEFAULT_SLOTS);
    if slots == 0 || slots > MAX_SLOTS {
        problems.push("policy.slots", format!("must be 1 to {MAX_SLOTS}"));
    }
    let artifacts = raw.artifacts.unwrap_or_else(|| state_dir.join("artifacts"));
    problems.absolute("policy.artifacts", &artifacts);
    Policy {
        artifacts,
        deadline,
        slots,
        bindings: bindings(raw.bindings, problems),
    }
}

fn bindings(mut raw: Vec<raw::Binding>, problems: &mut Problems) -> Vec<Binding> {
    // Stable: bindings of one priority keep the order of the file.
    raw.sort_by_key(|binding| binding.priority);
    let mut seen = BTreeSet::new();
    let mut bindings = Vec::with_capacity(raw.len());
    for binding in raw {
        let key = format!("policy.bindings `{}`", binding.name.escape_debug());
        if binding.name.is_empty() || binding.name.chars().any(char::is_control) {
            problems.push(&key, "`name` must not be empty or hold control characters");
        }
        if !seen.insert(binding.name.clone()) {
            problems.push(&key, "is listed twice; names are unique");
        }
        problems.absolute(&format!("{key}.file"), &binding.file);
        for field in &binding.may_change {
            if let Some(problem) = unchangeable(field) {
                problems.push(format!("{key}.may_change"), problem);
            }
        }
        let settings = serde_json::to_string(&binding.settings).unwrap_or_else(|error| {
            problems.push(format!("{key}.settings"), error.to_string());
            String::new()
        });
        bindings.push(Binding {
            name: binding.name,
            file: binding.file,
            settings,
            may_change: binding.may_change,
        });
    }
    bindings
}

/// Why no policy can be let change a field. A misspelt one would refuse every spec.
fn unchangeable(field: &str) -> Option<String> {
    let root = field.split('[').next().unwrap_or(field);
    let shown = field.escape_debug();
    if root == "name" {
        return Some("`name` is the guest's identity; no policy may change it".to_owned());
    }
    (!GuestSpec::FIELDS.contains(&root)).then(|| {
        let known = GuestSpec::FIELDS[1..].join(", ");
        format!("`{shown}` is no field of a spec; use one of {known}, or env[NAME]")
    })
}
