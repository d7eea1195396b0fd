//! What can go wrong between a reference and a filesystem.
//!
//! Every `Display` here may be shown to a tenant: it holds no path of the host, no
//! address, no credential and no byte that a registry sent. An image's own bytes
//! appear only as [`Printable`]. What only an operator should read is the source.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::text::Printable;

/// What a caller can do about an [error](enum@Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such image, or this host may not read it.
    NotFound,
    /// The operator's configuration does not allow the registry or its address.
    Refused,
    /// Bytes are not what their digest or size says.
    Tampered,
    /// The image or the registry does not keep to the specifications.
    Invalid,
    /// The image is beyond one of the [limits](crate::Limits).
    LimitExceeded,
    /// It may work later, unchanged.
    Transient,
    /// This host has no room for it now.
    Exhausted,
    /// This host is at fault.
    Internal,
}

/// Why an image could not be described or packed.
#[derive(Debug, Error)]
pub enum Error {
    /// The registry is not on the allow-list.
    #[error(
        "the registry {authority} is not one that this host may use; use another, or ask its operator to allow it"
    )]
    RegistryNotAllowed {
        /// As the reference names it.
        authority: String,
    },
    /// The registry, or a host that it sends us to, is at an address that its
    /// entry does not allow, or would be reached without TLS.
    #[error(
        "the registry {authority} is, or sends us to, a private address or a plain http one, which this host does not allow; ask its operator"
    )]
    AddressRefused {
        /// As the reference names it.
        authority: String,
    },
    /// Manifest or blob are not there.
    #[error("{what} was not found at {authority}; check the repository, the tag and the digest")]
    NotFound {
        /// As the reference names it.
        authority: String,
        /// What is missing.
        what: Part,
    },
    /// The registry wants other credentials than this host has.
    #[error(
        "{authority} does not let this host read the repository: it does not exist, or this host lacks credentials for it"
    )]
    AccessDenied {
        /// As the reference names it.
        authority: String,
    },
    /// Bytes do not have the digest under which they were asked for.
    #[error("{what} is not what its digest says: it was changed in the registry or on the way")]
    DigestMismatch {
        /// What was checked.
        what: Part,
    },
    /// Bytes do not have the size that the manifest gives.
    #[error(
        "{what} does not have the size that the manifest gives: the image was changed or is broken"
    )]
    SizeMismatch {
        /// What was checked.
        what: Part,
    },
    /// The image cannot be used as it is.
    #[error(transparent)]
    Image(#[from] ImageFault),
    /// The image is too big in one way.
    #[error(
        "the image has more than {limit} {what}, which this host allows at most; make it smaller"
    )]
    LimitExceeded {
        /// What there is too much of, in the plural.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A kernel or initrd in an image is too big.
    #[error("{path} in the image has more than {limit} bytes, which this host allows at most")]
    BootFileTooBig {
        /// The path that was wanted.
        path: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The registry did not answer as one.
    #[error("the registry {authority} {fault}")]
    Registry {
        /// As the reference names it.
        authority: String,
        /// What it did.
        fault: RegistryFault,
        /// For the operator: addresses and system errors.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// This host's disk or memory failed or is full.
    #[error("this host could not {doing}")]
    Host {
        /// What it was about, as an infinitive.
        doing: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The squashfs writer failed.
    #[error("this host could not write the filesystem image")]
    Writer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An index: one manifest for each platform.
    Index,
    /// The manifest.
    Manifest,
    /// The config.
    Config,
    /// A layer, counted from 0, the lowest.
    Layer(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index => f.write_str("the index of the image"),
            Self::Manifest => f.write_str("the manifest of the image"),
            Self::Config => f.write_str("the config of the image"),
            // People count from one.
            Self::Layer(n) => write!(f, "layer {} of the image", n + 1),
        }
    }
}

/// What a registry did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegistryFault {
    /// No connection, or one that broke.
    #[error("could not be reached or broke off; try again later")]
    Unreachable,
    /// Nothing for too long.
    #[error("is too slow; try again later")]
    TooSlow,
    /// A status that says "later": 408, 429 or 5xx.
    #[error("is busy or broken (HTTP {0}); try again later")]
    Unavailable(u16),
    /// A status that this request should never get.
    #[error("answered a read with HTTP {0}; check that it is a registry")]
    UnexpectedStatus(u16),
    /// Redirects without end, without a target, or where none may be.
    #[error("redirects in a way that is not followed")]
    BadRedirect,
    /// No usable challenge or token.
    #[error("asks for an authentication that this host cannot give")]
    BadChallenge,
}

/// Why an image cannot be used. Layers are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageFault {
    /// Manifest, index or config are not what the specifications describe.
    #[error("{what} is not valid: {reason}")]
    Document {
        /// Which one.
        what: Part,
        /// What is wrong.
        reason: &'static str,
    },
    /// No manifest for the platform that guests have.
    #[error("the image has no variant for {wanted}; build or choose one that has")]
    Platform {
        /// `os/architecture`.
        wanted: &'static str,
    },
    /// Compressed data that does not decompress, or in no known format.
    #[error("{} cannot be decompressed: it is damaged, or not gzip, zstd or plain tar", Part::Layer(*layer))]
    Compression {
        /// Which one.
        layer: usize,
    },
    /// The tar stream is damaged or uses what is not supported.
    #[error("{} is not a valid tar archive: {reason}", Part::Layer(*layer))]
    Tar {
        /// Which one.
        layer: usize,
        /// What is wrong.
        reason: Printable,
    },
    /// An entry whose name may not be used.
    #[error("{} has an entry named {name}, which is refused: {fault}", Part::Layer(*layer))]
    Name {
        /// Which one.
        layer: usize,
        /// The name as written.
        name: Printable,
        /// Why.
        fault: NameFault,
    },
    /// An entry that cannot become a file.
    #[error("{} has an entry {name} that cannot be used: {fault}", Part::Layer(*layer))]
    Node {
        /// Which one.
        layer: usize,
        /// Its name.
        name: Printable,
        /// Why.
        fault: NodeFault,
    },
    /// A kernel or initrd that is not a plain file.
    #[error("{path} in the image {fault}")]
    BootFile {
        /// The path that was wanted.
        path: &'static str,
        /// What it is instead.
        fault: &'static str,
    },
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameFault {
    /// Starts with `/`.
    #[error("it is an absolute path; names in a layer are relative to the root")]
    Absolute,
    /// Has a `..`.
    #[error("it has a `..` component")]
    Parent,
    /// Has a NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// A component beyond 255 bytes (Linux, `NAME_MAX`).
    #[error("a component is longer than 255 bytes")]
    ComponentTooLong,
    /// Beyond 4096 bytes (Linux, `PATH_MAX`).
    #[error("it is longer than 4096 bytes")]
    TooLong,
    /// Too many components.
    #[error("it is nested too deep")]
    TooDeep,
    /// A whiteout of nothing, `.` or `..`, or one that is used as a directory.
    #[error("it is a whiteout that names no file")]
    Whiteout,
}

/// Why an entry cannot become a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NodeFault {
    /// The root as something else than a directory.
    #[error("the root must be a directory")]
    Root,
    /// Something below a file of the same layer.
    #[error("something above it in the same layer is not a directory")]
    NotADirectory,
    /// More links than Linux follows (40), or too many in the whole image.
    #[error("its path goes through too many symbolic links")]
    LinkLoop,
    /// A hard link to what is not there (yet).
    #[error("it is a hard link to a file that is not there")]
    HardLinkMissing,
    /// A hard link to a directory or to itself.
    #[error("it is a hard link to a directory or to itself")]
    HardLinkTarget,
    /// A link without a target, with a NUL, or longer than 4095 bytes.
    #[error("its link target is empty, longer than 4095 bytes or has a NUL byte")]
    Target,
    /// A typeflag that is not supported.
    #[error("its type is not known")]
    Type,
    /// A sparse file.
    #[error("sparse files are not supported; store it in full")]
    Sparse,
    /// Data for an entry that can have none.
    #[error("it has data, which its type cannot have")]
    UnexpectedData,
    /// The archive ends within the file.
    #[error("the archive ends within it")]
    Truncated,
    /// A user or group beyond 32 bits.
    #[error("its owner is out of range")]
    Owner,
    /// Device numbers beyond Linux's 12 and 20 bits, or 0:0, which overlayfs
    /// takes for a whiteout.
    #[error("its device number is out of range, or 0:0")]
    Device,
}

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::RegistryNotAllowed { .. } | Self::AddressRefused { .. } => ErrorKind::Refused,
            Self::NotFound { .. } | Self::AccessDenied { .. } => ErrorKind::NotFound,
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => ErrorKind::Tampered,
            Self::Image(_) => ErrorKind::Invalid,
            Self::LimitExceeded { .. } | Self::BootFileTooBig { .. } => ErrorKind::LimitExceeded,
            Self::Registry { fault, .. } => match fault {
                RegistryFault::Unreachable
                | RegistryFault::TooSlow
                | RegistryFault::Unavailable(_) => ErrorKind::Transient,
                RegistryFault::UnexpectedStatus(_)
                | RegistryFault::BadRedirect
                | RegistryFault::BadChallenge => ErrorKind::Invalid,
            },
            Self::Host { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::OutOfMemory => ErrorKind::Exhausted,
                _ => ErrorKind::Internal,
            },
            Self::Writer(_) => ErrorKind::Internal,
        }
    }

    /// For `map_err` on the host's own files.
    pub(crate) fn host(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { doing, source }
    }
}

/// Why a [`Packer`](crate::Packer) cannot be made. For the operator.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// An authority that is not `host[:port]`.
    #[error("registry {authority:?}: not a host[:port]")]
    Authority {
        /// As configured.
        authority: String,
    },
    /// Two entries for one host and port.
    #[error("registry {authority:?} is listed twice")]
    DuplicateRegistry {
        /// As configured.
        authority: String,
    },
    /// A CA bundle without a usable certificate.
    #[error("registry {authority:?}: its CA certificates are not PEM, or none of them is usable")]
    CaCertificates {
        /// As configured.
        authority: String,
    },
    /// TLS or HTTP could not be set up.
    #[error("the HTTP client for {authority:?} could not be set up")]
    Client {
        /// As configured.
        authority: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has this cache open.
    #[error("the image cache is in use by another process; give each its own")]
    CacheInUse,
    /// The cache directory cannot be used.
    #[error("the image cache cannot be used")]
    Cache(#[source] io::Error),
    /// The runtime for network I/O did not start.
    #[error("the network runtime did not start")]
    Runtime(#[source] io::Error),
}
