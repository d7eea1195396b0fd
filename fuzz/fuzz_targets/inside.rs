// The packer's parsers of layers and manifests are private to it. Here they are built
// once more as modules of a fuzz target: `include!` this and `use packer::*`, and
// their `crate::` paths lead to one another again.

#[allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "a target uses only a part of these modules"
)]
#[path = "../../crates/packer/src"]
mod packer {
    pub(crate) mod cache;
    pub(crate) mod digest;
    pub(crate) mod error;
    pub(crate) mod image;
    pub(crate) mod layer;
    pub(crate) mod limits;
    pub(crate) mod manifest;
    pub(crate) mod path;
    pub(crate) mod reference;
    pub(crate) mod spool;
    pub(crate) mod tar;
    pub(crate) mod text;
    pub(crate) mod tree;
}
#[allow(unused_imports, reason = "the modules find one another by this")]
use packer::*;
