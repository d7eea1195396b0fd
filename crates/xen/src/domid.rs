//! The numbers by which Xen names things, each as a type of its own.

use std::fmt;

/// `DOMID_FIRST_RESERVED` of Xen's `xen.h`: identifiers from here on are not
/// domains but words such as "myself".
const FIRST_RESERVED: u16 = 0x7FF0;

/// A running incarnation of a guest. Xen reuses these numbers: whoever keeps one
/// must keep the UUID beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(u16);

impl DomId {
    /// The control domain, in which this crate runs.
    pub const ZERO: Self = Self(0);

    /// A domain's number, unless it is one of the reserved words.
    #[must_use]
    pub fn new(raw: u16) -> Option<Self> {
        (raw < FIRST_RESERVED).then_some(Self(raw))
    }

    /// The number as Xen writes it.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One end of an event channel, as its own domain numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Port(pub(crate) u32);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
