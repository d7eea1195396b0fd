//! Refuses guests and images that are too large.
//!
//! | setting | refuses |
//! |---|---|
//! | `max_vcpus` | guests with more vCPUs |
//! | `max_memory_mib` | guests with more memory |
//! | `max_image_mib` | images whose layers, compressed, are larger in sum |
//!
//! At least one must be set. Limits are for each guest alone; what a tenant may have
//! in sum is a quota, and not judged here.
//!
//! ```json
//! { "max_vcpus": 4, "max_memory_mib": 1024, "max_image_mib": 500 }
//! ```

use serde::Deserialize;
use xenios_policy_sdk::{Notes, Pinned, Request, Settings, Violation, violation};

const MIB: u64 = 1 << 20;

/// The settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "they are the names of the settings"
)]
pub struct Limits {
    max_vcpus: Option<u32>,
    max_memory_mib: Option<u64>,
    max_image_mib: Option<u64>,
}

impl Settings for Limits {
    fn problems(&self) -> Vec<String> {
        let limits = [
            ("max_vcpus", self.max_vcpus.map(u64::from)),
            ("max_memory_mib", self.max_memory_mib),
            ("max_image_mib", self.max_image_mib),
        ];
        if limits.iter().all(|(_, limit)| limit.is_none()) {
            return vec![
                "no limit is set: give max_vcpus, max_memory_mib or max_image_mib".to_owned(),
            ];
        }
        limits
            .iter()
            .filter(|(_, limit)| *limit == Some(0))
            .map(|(name, _)| format!("{name} is 0, which would refuse every guest"))
            .collect()
    }
}

/// Every limit that the spec exceeds.
pub fn judge(request: &Request, limits: &Limits, _notes: &mut Notes) -> Vec<Violation> {
    let spec = &request.spec;
    let vcpus = limits
        .max_vcpus
        .filter(|most| spec.vcpus > *most)
        .map(|most| {
            let message = format!("{} vCPUs asked for, at most {most} allowed", spec.vcpus);
            violation("max-vcpus", "vcpus", message)
        });
    let memory = limits
        .max_memory_mib
        .filter(|most| spec.memory_mib > *most)
        .map(|most| {
            let message = format!("{} MiB asked for, at most {most} allowed", spec.memory_mib);
            violation("max-memory", "memory_mib", message)
        });
    let image = limits
        .max_image_mib
        .and_then(|most| judge_image(request.pinned.as_ref(), most));
    [vcpus, memory, image].into_iter().flatten().collect()
}

fn judge_image(pinned: Option<&Pinned>, most_mib: u64) -> Option<Violation> {
    let Some(pinned) = pinned else {
        let message = "the image's size is not known, so that its limit cannot be kept";
        return Some(violation("max-image-size", "image", message));
    };
    // Sizes are the manifest's words; absurd ones must not wrap around.
    let bytes = pinned
        .image
        .layers
        .iter()
        .fold(0_u64, |sum, layer| sum.saturating_add(layer.size_bytes));
    if bytes <= most_mib.saturating_mul(MIB) {
        return None;
    }
    let mib = bytes.div_ceil(MIB);
    let message = format!("the image's layers have {mib} MiB, at most {most_mib} allowed");
    Some(violation("max-image-size", "image", message))
}

xenios_policy_sdk::validator!(Limits, judge);

#[cfg(test)]
mod tests;
