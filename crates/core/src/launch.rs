//! What runs inside the guest: the image's config with the spec laid over it.

use std::fmt;

use crate::facts::PinnedSpec;
use crate::spec::FieldErrors;

/// The program of a guest, its arguments and surroundings.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments; the first is never empty.
    pub argv: Vec<String>,
    /// The image's env in its order, then the spec's by name; names are unique.
    pub env: Vec<(String, String)>,
    /// Absolute.
    pub working_dir: String,
    /// `user[:group]`; empty: root.
    pub user: String,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("argv", &self.argv)
            .field(
                "env",
                &self.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .finish()
    }
}

impl PinnedSpec {
    /// What the guest runs. As with every container runtime, an entrypoint in
    /// the spec also sets aside the image's cmd, which was written for another
    /// program. An error when neither image nor spec names a program.
    pub fn launch(&self) -> Result<Launch, FieldErrors> {
        let (spec, config) = (&self.spec, &self.image.config);
        let entrypoint = or(spec.entrypoint(), &config.entrypoint);
        let command = if spec.entrypoint().is_empty() {
            or(spec.command(), &config.cmd)
        } else {
            spec.command()
        };
        let argv: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
        if argv.first().is_none_or(String::is_empty) {
            let message = "the image names no program to run; give a command";
            return Err(FieldErrors::one("command", message));
        }
        let working_dir = match spec.working_dir() {
            Some(path) => path,
            None if config.working_dir.starts_with('/') => &config.working_dir,
            None => "/",
        };
        Ok(Launch {
            argv,
            env: self.merged_env(),
            working_dir: working_dir.to_owned(),
            user: spec.user().unwrap_or(&config.user).to_owned(),
        })
    }

    fn merged_env(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = Vec::new();
        for (name, value) in self
            .image
            .config
            .env
            .iter()
            .filter_map(|e| e.split_once('='))
        {
            // An entry without a name or `=` means nothing to a program.
            if name.is_empty() || self.spec.env().contains_key(name) {
                continue;
            }
            env.retain(|(earlier, _)| earlier != name);
            env.push((name.to_owned(), value.to_owned()));
        }
        env.extend(
            self.spec
                .env()
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        env
    }
}

fn or<'a>(spec: &'a [String], image: &'a [String]) -> &'a [String] {
    if spec.is_empty() { image } else { spec }
}

#[cfg(test)]
mod tests;
