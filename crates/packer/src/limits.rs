//! How much of a host one image may take.

use std::time::Duration;

/// Bounds on what is accepted from a registry and an image. An image beyond one
/// of them is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a manifest or an index. Registries keep to 4 MiB (OCI
    /// distribution spec, "Pushing Manifests").
    pub manifest_bytes: u64,
    /// Bytes of an image config.
    pub config_bytes: u64,
    /// Layers of an image. Docker builds at most 127.
    pub layers: usize,
    /// Compressed bytes of all layers together.
    pub compressed_bytes: u64,
    /// Decompressed bytes of all layers together.
    pub expanded_bytes: u64,
    /// Bytes of all files of the packed filesystem. Hard links count each time,
    /// as long as the writer copies them.
    pub file_bytes: u64,
    /// Files, directories and links that the layers make, replaced ones included.
    pub entries: usize,
    /// Bytes of names, link targets and extended attributes together, which the merged
    /// tree holds in memory; and bytes of all paths, which the writer does.
    pub metadata_bytes: u64,
    /// Directories above a file. The squashfs writer takes cubic time in it.
    pub depth: usize,
    /// Bytes of a kernel or an initrd taken out of an image; other files of that
    /// image do not count.
    pub boot_file_bytes: u64,
    /// Time to connect to a registry.
    pub connect_timeout: Duration,
    /// Time for which a registry may send nothing.
    pub idle_timeout: Duration,
    /// Time for everything that one call fetches.
    pub pull_deadline: Duration,
    /// How often one request is tried before a transient fault is reported.
    pub attempts: u32,
    /// Wait before the second try. It doubles with each further one.
    pub first_backoff: Duration,
}

/// One mebibyte.
const MIB: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 * MIB,
            config_bytes: 8 * MIB,
            layers: 128,
            compressed_bytes: 8 * 1024 * MIB,
            expanded_bytes: 16 * 1024 * MIB,
            file_bytes: 16 * 1024 * MIB,
            entries: 2_000_000,
            metadata_bytes: 256 * MIB,
            depth: 128,
            boot_file_bytes: 100 * MIB,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            pull_deadline: Duration::from_mins(15),
            attempts: 4,
            first_backoff: Duration::from_millis(250),
        }
    }
}
