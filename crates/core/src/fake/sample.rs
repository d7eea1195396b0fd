//! Values to test with: every optional part is filled somewhere, so that what a
//! store loses shows.

use std::time::Duration;

use crate::admitted::Admitted;
use crate::audit::AuditRecord;
use crate::digest::Digest;
use crate::facts::{BootDefaults, BootFile, ImageConfig, ImageFacts, LayerFacts, PinnedSpec};
use crate::guest::Guest;
use crate::id::{GuestId, GuestName, TenantId};
use crate::policy::Operation;
use crate::policy::chain::PolicyChain;
use crate::policy::decision::{Submission, Usage};
use crate::reference::ImageReference;
use crate::spec::{Defaults, GuestSpec, SpecDraft, Virtualization};

/// A digest of 64 times the hex digit of `n`.
///
/// # Panics
/// When `n` is above 15.
#[must_use]
pub fn digest(n: u8) -> Digest {
    let digit = char::from_digit(u32::from(n), 16).expect("a hex digit");
    let text = format!("sha256:{}", digit.to_string().repeat(64));
    text.parse().expect("64 hex digits are a digest")
}

/// The tenant of that name.
///
/// # Panics
/// When it is no name.
#[must_use]
pub fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's name")
}

/// What a registry says of that image.
#[must_use]
pub fn image_facts(reference: &ImageReference) -> ImageFacts {
    let pinned = reference.digest().cloned().unwrap_or_else(|| digest(1));
    ImageFacts {
        reference: reference.pin(pinned),
        platform: "linux/amd64".to_owned(),
        layers: vec![
            LayerFacts {
                digest: digest(2),
                size_bytes: 1 << 20,
            },
            LayerFacts {
                digest: digest(3),
                size_bytes: 0,
            },
        ],
        config: ImageConfig {
            entrypoint: vec!["/entry".to_owned()],
            cmd: vec!["serve".to_owned()],
            env: vec!["PATH=/bin".to_owned(), "LOG_LEVEL=image".to_owned()],
            working_dir: "/srv".to_owned(),
            user: "nobody".to_owned(),
        },
        annotations: vec![("org.example.made-by".to_owned(), "hand".to_owned())],
    }
}

/// The host's kernel and initrd.
#[must_use]
pub fn boot_defaults() -> BootDefaults {
    let file = |name: &str, n| BootFile::HostDefault {
        name: name.to_owned(),
        digest: digest(n),
    };
    BootDefaults {
        kernel: file("vmlinuz", 14),
        initrd: file("initrd", 15),
    }
}

fn defaults() -> Defaults {
    let name = GuestName::generated(GuestId::from(uuid::Uuid::nil()));
    Defaults::new(Virtualization::Pvh, name)
}

/// A small request for a guest of that name, by the tenant `a`.
#[must_use]
pub fn submission(name: &str) -> Submission {
    Submission {
        tenant: tenant("a"),
        user: "someone".to_owned(),
        operation: Operation::Create,
        dry_run: false,
        now_ms: 1_700_000_000_000,
        usage: Usage::default(),
        draft: SpecDraft {
            name: name.to_owned(),
            image: "registry.example:5000/app:1".to_owned(),
            ..SpecDraft::default()
        },
        defaults: defaults(),
    }
}

/// A pinned spec with every field set.
///
/// # Panics
/// When `name` is no guest's name.
#[must_use]
pub fn pinned_spec(name: &str) -> PinnedSpec {
    let text = |parts: &[&str]| parts.iter().map(ToString::to_string).collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let draft = SpecDraft {
        name: name.to_owned(),
        image: "registry.example:5000/app:1".to_owned(),
        kernel: "registry.example:5000/kernel:6".to_owned(),
        initrd: String::new(),
        vcpus: 2,
        memory_mib: 256,
        env: vec![
            pair("LOG_LEVEL", "debug \u{1F680}\nsecond line"),
            pair("EMPTY", ""),
        ],
        entrypoint: text(&["/bin/sh", "-c"]),
        command: text(&["echo \"$0\"", ""]),
        working_dir: "/tmp".to_owned(),
        user: "1000:users".to_owned(),
        labels: vec![pair("team", "blue")],
        virtualization: Some(Virtualization::Pv),
    };
    let spec = GuestSpec::parse(draft, &defaults()).expect("the sample is a spec");
    let kernel = spec.kernel().expect("the sample names a kernel");
    PinnedSpec {
        image: image_facts(spec.image()),
        kernel: BootFile::Image(Box::new(image_facts(kernel))),
        initrd: boot_defaults().initrd,
        spec,
    }
}

/// A new guest of that tenant and name. Nothing judged it.
///
/// # Panics
/// When one of them is no name.
#[must_use]
pub fn guest(owner: &str, name: &str, created_ms: u64) -> Guest {
    let spec = Admitted::from_record(pinned_spec(name));
    let policy = Duration::from_micros(1500);
    Guest::new(GuestId::random(), tenant(owner), spec, created_ms, policy)
}

/// The record of the decision that an empty chain takes on [`submission`].
///
/// # Panics
/// When `name` is no guest's name.
#[must_use]
pub fn audit_record(name: &str, guest: Option<GuestId>) -> AuditRecord {
    let chain = PolicyChain::new(Vec::new(), Vec::new(), 1);
    let submission = submission(name);
    let decision = chain.decide(&submission, &super::MemoryImages::default());
    decision
        .audit_record(&submission, guest)
        .expect("the sample can be parsed")
}
