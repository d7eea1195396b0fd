//! The configuration file as it is written: TOML, unknown keys refused.
//!
//! Nothing here is checked beyond its TOML type; `super::Config` is the checked form.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) host: String,
    pub(super) state_dir: PathBuf,
    pub(super) listen: Listen,
    pub(super) tls: Option<Tls>,
    #[serde(default)]
    pub(super) unix_tenants: Vec<UnixTenant>,
    pub(super) boot: Boot,
    #[serde(default)]
    pub(super) registries: Vec<Registry>,
    #[serde(default)]
    pub(super) policy: Policy,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    pub(super) tcp: Option<String>,
    pub(super) unix: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnixTenant {
    pub(super) uid: u32,
    pub(super) tenant: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Boot {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    #[serde(default = "default_cmdline")]
    pub(super) cmdline: String,
    #[serde(default = "default_virtualization")]
    pub(super) virtualization: String,
}

fn default_cmdline() -> String {
    "console=hvc0 quiet".to_owned()
}

fn default_virtualization() -> String {
    "pvh".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registry {
    pub(super) authority: String,
    #[serde(default)]
    pub(super) plain_http: bool,
    #[serde(default)]
    pub(super) allow_private: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) artifacts: Option<PathBuf>,
    pub(super) deadline_ms: Option<u64>,
    pub(super) slots: Option<u32>,
    #[serde(default)]
    pub(super) bindings: Vec<Binding>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) file: PathBuf,
    #[serde(default)]
    pub(super) settings: toml::Table,
    #[serde(default)]
    pub(super) priority: i32,
    #[serde(default)]
    pub(super) may_change: Vec<String>,
}
