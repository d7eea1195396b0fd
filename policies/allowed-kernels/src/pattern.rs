//! Patterns for images: `registry/repository`. Tags and digests are no part of them.

use serde::Deserialize;

/// A registry as it is written, and a repository with `*` and a last `**`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    registry: String,
    parts: Vec<String>,
    /// Whether any number of parts, at least one, may follow.
    deep: bool,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("images: {text:?} {why}"));
        let Some((registry, repository)) = text.split_once('/') else {
            return wrong("is not registry/repository");
        };
        if registry.is_empty() || registry.contains('*') {
            return wrong("must begin with a registry, without *");
        }
        if repository.contains([':', '@']) {
            return wrong("must not have a tag or digest; list digests in `digests`");
        }
        let mut parts: Vec<String> = repository.split('/').map(str::to_owned).collect();
        let deep = parts.last().is_some_and(|part| part == "**");
        if deep {
            parts.pop();
        }
        if parts.iter().any(String::is_empty) {
            return wrong("has an empty part in its repository");
        }
        if parts.iter().any(|part| part.contains("**")) {
            return wrong("has ** in another place than as its last part");
        }
        Ok(Self {
            registry: registry.to_owned(),
            parts,
            deep,
        })
    }
}

impl Pattern {
    pub(crate) fn matches(&self, registry: &str, repository: &str) -> bool {
        let parts: Vec<&str> = repository.split('/').collect();
        let length = if self.deep {
            parts.len() > self.parts.len()
        } else {
            parts.len() == self.parts.len()
        };
        registry == self.registry
            && length
            && self
                .parts
                .iter()
                .zip(&parts)
                .all(|(pattern, part)| glob(pattern, part))
    }
}

/// Whether `text` is `pattern`, where each `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    // The leftmost place for each piece leaves the most for those after it.
    for piece in pieces {
        let Some(at) = rest.find(piece) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests;
