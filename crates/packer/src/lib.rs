//! An OCI image reference in, a bootable filesystem out.
//!
//! [`Packer`] pulls images from the registries that its configuration allows,
//! checks every digest, merges the layers in memory and writes one squashfs
//! image. Nothing of an image is ever unpacked onto the host's filesystem under
//! a name that the image chose. What it promises of layers is in `docs/images.md`.
//!
//! It does not build images, push them, run them, or know what a guest is.
//!
//! The interface is synchronous: calls belong on threads that may block.

#![warn(missing_docs)]
#![cfg_attr(
    test,
    expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")
)]

#[cfg(test)]
#[path = "../tests/packer/archive.rs"]
mod archive;
mod boot;
mod cache;
mod digest;
mod error;
mod image;
mod layer;
mod limits;
mod manifest;
mod packer;
mod path;
mod reference;
mod registry;
mod spool;
mod squashfs;
mod tar;
mod text;
mod tree;

pub use crate::boot::BootFiles;
pub use crate::digest::{Digest, DigestError};
pub use crate::error::{
    ConfigError, Error, ErrorKind, ImageFault, NameFault, NodeFault, Part, RegistryFault,
};
pub use crate::image::{ImageConfig, ImageFacts, LayerFacts};
pub use crate::limits::Limits;
pub use crate::packer::{PackedRootfs, Packer, PackerConfig};
pub use crate::reference::{
    DEFAULT_TAG, MAX_REFERENCE, PinnedReference, Reference, ReferenceError,
};
pub use crate::registry::{Credentials, Registry};
pub use crate::text::Printable;
