//! Settings of a policy: a JSON object, read strictly.

use serde::de::DeserializeOwned;

/// The settings of a policy. Derive `Deserialize` with `deny_unknown_fields`, so that a
/// misspelt name is an error and not a rule that never applies.
pub trait Settings: DeserializeOwned {
    /// Everything that is wrong with values that the type itself cannot rule out.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Settings from JSON, or everything that is wrong with them.
pub fn parse<S: Settings>(json: &str) -> Result<S, Vec<String>> {
    let settings: S = serde_json::from_str(json).map_err(|error| vec![error.to_string()])?;
    let problems = settings.problems();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems)
    }
}
