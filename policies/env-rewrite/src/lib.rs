//! Sets, defaults and removes env entries.
//!
//! | setting | does |
//! |---|---|
//! | `remove` | removes entries with these names |
//! | `remove_prefix` | removes entries whose names begin so |
//! | `set` | sets these entries, whatever the tenant wrote |
//! | `default` | sets these entries unless the tenant wrote them |
//!
//! At least one must be given, and no name may come under two of them. All of it is
//! about the spec's env alone: what the image itself brings is not known yet, and an
//! entry that is set, by default too, replaces the image's.
//!
//! ```json
//! { "set": { "LOG_LEVEL": "info" }, "default": { "TZ": "UTC" }, "remove_prefix": ["AWS_"] }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use xenios_policy_sdk::{Mutation, Notes, Pair, Request, Settings};

/// The settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrites {
    #[serde(default)]
    remove: BTreeSet<String>,
    #[serde(default)]
    remove_prefix: BTreeSet<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    default: BTreeMap<String, String>,
}

impl Settings for Rewrites {
    fn problems(&self) -> Vec<String> {
        let names = || {
            let set = self.set.keys().map(|name| ("set", name));
            set.chain(self.default.keys().map(|name| ("default", name)))
        };
        if names().next().is_none() && self.remove.is_empty() && self.remove_prefix.is_empty() {
            return vec!["nothing to do: give remove, remove_prefix, set or default".to_owned()];
        }
        let removed = self.remove.iter().map(|name| ("remove", name));
        let prefixes = self
            .remove_prefix
            .iter()
            .map(|name| ("remove_prefix", name));
        let bad_names = names()
            .chain(removed)
            .chain(prefixes)
            .filter(|(_, name)| !is_name(name))
            .map(|(list, name)| format!("{list}: {name:?} is not the name of an env entry"));
        // Such settings would undo themselves, or depend on an order that nobody wrote.
        let undone = names()
            .filter(|(_, name)| self.removes(name))
            .map(|(list, name)| format!("{list}: {name:?} is removed as well"));
        let twice = self
            .set
            .keys()
            .filter(|name| self.default.contains_key(*name))
            .map(|name| format!("default: {name:?} is set as well"));
        bad_names.chain(undone).chain(twice).collect()
    }
}

impl Rewrites {
    fn removes(&self, name: &str) -> bool {
        let by_prefix = || {
            self.remove_prefix
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
        };
        self.remove.contains(name) || by_prefix()
    }
}

/// As far as the environment of a process goes: no `=`, no NUL, not empty. Control
/// characters are nobody's intention.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_control())
}

/// The spec with its env rewritten.
pub fn rewrite(request: &Request, rewrites: &Rewrites, notes: &mut Notes) -> Mutation {
    let before = &request.spec.env;
    let mut env: BTreeMap<&str, &str> = BTreeMap::new();
    for Pair { name, value } in before {
        if rewrites.removes(name) {
            notes.warn(format!("env[{name}] was removed"));
        } else {
            env.insert(name, value);
        }
    }
    for (name, value) in &rewrites.set {
        if env.insert(name, value).is_some_and(|old| old != value) {
            notes.warn(format!("env[{name}] was replaced"));
        }
    }
    for (name, value) in &rewrites.default {
        env.entry(name).or_insert(value);
    }
    let unchanged = before.len() == env.len()
        && before
            .iter()
            .all(|pair| env.get(pair.name.as_str()) == Some(&pair.value.as_str()));
    if unchanged {
        return Mutation::Unchanged;
    }
    let mut spec = Box::new(request.spec.clone());
    spec.env = env
        .into_iter()
        .map(|(name, value)| Pair {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    Mutation::Replace(spec)
}

xenios_policy_sdk::mutator!(Rewrites, rewrite);

#[cfg(test)]
mod tests;
