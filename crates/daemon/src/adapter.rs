//! Core's ports over the libraries: one file a library, and no library's type beyond
//! it.

pub mod boot;
pub mod packer;
pub mod policy;
pub mod xen;
