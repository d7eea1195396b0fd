//! What a policy is asked: plain data, the same as the records of
//! `policies/wit/policy.wit`, which says what each field means.
//!
//! Nothing is checked here: the caller parsed the spec before it asks.

use std::fmt;

/// What the tenant wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Create a guest.
    Create,
    /// Change a guest.
    Update,
    /// Start a guest again.
    Restart,
    /// Move a guest to another host.
    Migrate,
    /// Delete a guest.
    Delete,
}

/// How Xen runs a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Virtualization {
    /// Hardware virtualisation without emulated devices.
    Pvh,
    /// Paravirtualised.
    Pv,
}

/// A guest as the tenant wrote it, defaults applied. A mutator answers with one,
/// which is as untrusted as a tenant's.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestSpec {
    /// The guest's name.
    pub name: String,
    /// OCI reference.
    pub image: String,
    /// OCI reference; `None`: the host's own.
    pub kernel: Option<String>,
    /// OCI reference; `None`: the host's own.
    pub initrd: Option<String>,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// In MiB.
    pub memory_mib: u64,
    /// Name and value.
    pub env: Vec<(String, String)>,
    /// Replaces the image's when not empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's cmd when not empty.
    pub command: Vec<String>,
    /// `None`: the image's.
    pub working_dir: Option<String>,
    /// `user[:group]`; `None`: the image's.
    pub user: Option<String>,
    /// Key and value.
    pub labels: Vec<(String, String)>,
    /// How Xen runs it.
    pub virtualization: Virtualization,
}

impl fmt::Debug for GuestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An env value may be a secret, so only its name is shown.
        let env: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("GuestSpec")
            .field("name", &self.name)
            .field("image", &self.image)
            .field("kernel", &self.kernel)
            .field("initrd", &self.initrd)
            .field("vcpus", &self.vcpus)
            .field("memory_mib", &self.memory_mib)
            .field("env", &env)
            .field("entrypoint", &self.entrypoint)
            .field("command", &self.command)
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .field("labels", &self.labels)
            .field("virtualization", &self.virtualization)
            .finish()
    }
}

/// An image by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedReference {
    /// `host[:port]`.
    pub registry: String,
    /// Repository within the registry.
    pub repository: String,
    /// The tag that was asked for, when one was.
    pub tag: Option<String>,
    /// `sha256:<hex>`.
    pub digest: String,
}

/// One layer, as the manifest gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `sha256:<hex>`.
    pub digest: String,
    /// Compressed size in bytes.
    pub size_bytes: u64,
}

/// The parts of an OCI image config that decide what runs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `Env`: `NAME=value` each.
    pub env: Vec<String>,
    /// `WorkingDir`; empty when the image names none.
    pub working_dir: String,
    /// `User`; empty when the image names none.
    pub user: String,
}

impl fmt::Debug for ImageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self
            .env
            .iter()
            .map(|entry| entry.split('=').next().unwrap_or_default())
            .collect();
        f.debug_struct("ImageConfig")
            .field("entrypoint", &self.entrypoint)
            .field("cmd", &self.cmd)
            .field("env", &env)
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .finish()
    }
}

/// What manifest and config say of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image by digest.
    pub reference: PinnedReference,
    /// `os/architecture`.
    pub platform: String,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// What runs in it.
    pub config: ImageConfig,
    /// The manifest's annotations.
    pub annotations: Vec<(String, String)>,
}

/// Where a kernel or an initrd comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a request holds two of them, and both are copied into the policy anyway"
)]
pub enum BootFile {
    /// The host's own file.
    HostDefault {
        /// Its name.
        name: String,
        /// `sha256:<hex>` of its bytes.
        digest: String,
    },
    /// A file inside an image.
    Image(ImageFacts),
}

/// What every reference of a spec was resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The image.
    pub image: ImageFacts,
    /// The kernel.
    pub kernel: BootFile,
    /// The initrd.
    pub initrd: BootFile,
}

/// What the tenant's guests take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of guests.
    pub guests: u32,
    /// Sum of their vCPUs.
    pub vcpus: u32,
    /// Sum of their memory, in MiB.
    pub memory_mib: u64,
}

/// All that a policy sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks: the tenant.
    pub tenant: String,
    /// Who asks: the user within the tenant.
    pub user: String,
    /// What for.
    pub operation: Operation,
    /// Whether it is only a question.
    pub dry_run: bool,
    /// Milliseconds since the Unix epoch: the policy's only time.
    pub now_ms: u64,
    /// What the tenant's guests take now.
    pub usage: Usage,
    /// The spec.
    pub spec: GuestSpec,
    /// The facts about its references; `None` while mutating.
    pub pinned: Option<Pinned>,
    /// Facts that this version of the contract has no field for; usually empty.
    pub extra: Vec<(String, String)>,
}
