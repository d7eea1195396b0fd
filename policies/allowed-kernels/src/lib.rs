//! Lets only listed kernels boot.
//!
//! | setting | allows |
//! |---|---|
//! | `host_default` (required) | the host's own kernel, whatever its digest is |
//! | `digests` | kernels with these digests: of the host's file, or of the image's manifest |
//! | `images` | kernels from these images: `registry/repository`, where `*` stands for any characters within one part of the repository, and a last part `**` for any number of parts |
//!
//! The registry is compared as it is written, port included. What is in the kernel's
//! image is not looked at: whoever may push to an allowed repository chooses the
//! kernel. The initrd is not judged.
//!
//! ```json
//! { "host_default": true, "images": ["registry.example.com/kernels/**"] }
//! ```

mod pattern;

use serde::Deserialize;
use xenios_policy_sdk::{BootFile, Notes, Request, Settings, Violation, violation};

use crate::pattern::Pattern;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    host_default: bool,
    #[serde(default)]
    digests: Vec<String>,
    #[serde(default)]
    images: Vec<Pattern>,
}

impl Settings for Allowed {
    fn problems(&self) -> Vec<String> {
        if !self.host_default && self.digests.is_empty() && self.images.is_empty() {
            return vec![
                "no kernel is allowed: set host_default, or give digests or images".to_owned(),
            ];
        }
        self.digests
            .iter()
            .filter(|digest| !is_digest(digest))
            .map(|digest| {
                format!("digests: {digest:?} is not sha256: and 64 lower-case hexadecimal digits")
            })
            .collect()
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A violation when the kernel is not allowed.
pub fn judge(request: &Request, allowed: &Allowed, _notes: &mut Notes) -> Vec<Violation> {
    let refused = |message: String| vec![violation("kernel-not-allowed", "kernel", message)];
    let Some(pinned) = &request.pinned else {
        return refused("it is not known which kernel would boot".to_owned());
    };
    match &pinned.kernel {
        BootFile::HostDefault(file) => {
            if allowed.host_default || allowed.digests.contains(&file.digest) {
                return Vec::new();
            }
            refused(format!(
                "the host's own kernel ({}, {}) is not allowed; name a kernel that is",
                file.name, file.digest
            ))
        }
        BootFile::Image(facts) => {
            let image = &facts.reference;
            let listed = allowed
                .images
                .iter()
                .any(|pattern| pattern.matches(&image.registry, &image.repository));
            if listed || allowed.digests.contains(&image.digest) {
                return Vec::new();
            }
            refused(format!(
                "kernels from {}/{}@{} are not allowed",
                image.registry, image.repository, image.digest
            ))
        }
    }
}

xenios_policy_sdk::validator!(Allowed, judge);

#[cfg(test)]
mod tests;
