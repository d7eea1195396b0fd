//! Devices: what the two ends of a device are told in xenstore.

pub(crate) mod vbd;
