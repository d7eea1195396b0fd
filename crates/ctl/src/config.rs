//! Where the daemon is: flags and environment win over the file, the file over
//! the default.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::Deserialize;

use crate::cli::Connection;
use crate::failure::Failure;

/// Where xeniosd listens on its own host.
const DEFAULT_ENDPOINT: &str = "unix:///run/xenios/xeniosd.sock";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    endpoint: Option<String>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    ca: Option<PathBuf>,
    server_name: Option<String>,
}

/// Everything that is needed to connect, as text and paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) endpoint: String,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
}

impl Settings {
    /// A missing file is an error only when it was asked for.
    pub(crate) fn load(flags: &Connection) -> Result<Self, Failure> {
        let file = match (&flags.config, default_path()) {
            (Some(path), _) => read(path)?.ok_or_else(|| {
                Failure::usage(
                    format!("there is no configuration file {}", path.display()),
                    "check --config and XENIOS_CONFIG",
                )
            })?,
            (None, Some(path)) => read(&path)?.unwrap_or_default(),
            (None, None) => ConfigFile::default(),
        };
        Ok(Self::merge(flags, file))
    }

    fn merge(flags: &Connection, file: ConfigFile) -> Self {
        let flags = flags.clone();
        Self {
            endpoint: flags
                .endpoint
                .or(file.endpoint)
                .unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
            cert: flags.cert.or(file.cert),
            key: flags.key.or(file.key),
            ca: flags.ca.or(file.ca),
            server_name: flags.server_name.or(file.server_name),
        }
    }
}

fn default_path() -> Option<PathBuf> {
    let base = env::var_os("XDG_CONFIG_HOME")
        .filter(|base| !base.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")))?;
    Some(base.join("xenios/config.toml"))
}

fn read(path: &Path) -> Result<Option<ConfigFile>, Failure> {
    let next = "correct it, or name another one with --config";
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            return Err(Failure::usage(what, next));
        }
    };
    toml::from_str(&text).map(Some).map_err(|error| {
        let what = format!("{} is malformed: {}", path.display(), error.message());
        Failure::usage(what, next)
    })
}

#[cfg(test)]
mod tests {
    //! What wins, and what is an error.

    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, "endpoint = 'https://a:1'\nca = '/ca.pem'\n").unwrap();
        let mut flags = Connection {
            config: Some(path.clone()),
            ..Connection::default()
        };
        let settings = Settings::load(&flags).unwrap();
        assert_eq!(settings.endpoint, "https://a:1");
        assert_eq!(settings.ca, Some("/ca.pem".into()));
        flags.endpoint = Some("unix:///x".into());
        assert_eq!(Settings::load(&flags).unwrap().endpoint, "unix:///x");
        let nothing = Settings::merge(&Connection::default(), ConfigFile::default());
        assert_eq!(nothing.endpoint, DEFAULT_ENDPOINT);

        fs::write(&path, "endpiont = 'x'\n").unwrap();
        let error = Settings::load(&flags).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("endpiont"), "{error}");
        fs::remove_file(&path).unwrap();
        assert!(Settings::load(&flags).is_err());
    }
}
