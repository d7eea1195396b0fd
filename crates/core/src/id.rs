//! Names and numbers that identify: guests, tenants, domains, generations.
//!
//! Each is parsed once, where it enters, and is valid from then on. What the
//! names belong to is not known here.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// Longest guest name and tenant name, in bytes: a DNS label (RFC 1035 §2.3.4),
/// because the guest's name becomes its hostname.
pub const MAX_NAME: usize = 63;

/// First domain id that Xen keeps for itself (`DOMID_FIRST_RESERVED` in
/// `xen/include/public/xen.h`).
const FIRST_RESERVED_DOMID: u16 = 0x7FF0;

/// A guest's identity for its whole life, and the handle (our mark) of each
/// domain that is built for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(Uuid);

impl GuestId {
    /// A new random id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// 64 bits of the id, to spread retries of many guests over time.
    #[must_use]
    pub fn seed(self) -> u64 {
        let (high, low) = self.0.as_u64_pair();
        high ^ low
    }
}

impl From<Uuid> for GuestId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for GuestId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("is empty; use 1 to 63 of a-z, 0-9 and '-'")]
    Empty,
    /// Longer than [`MAX_NAME`].
    #[error("is longer than 63 characters, and a hostname cannot be; shorten it")]
    TooLong,
    /// A character outside `[a-z0-9-]`.
    #[error("may hold only a-z, 0-9 and '-', because it becomes a hostname; replace the others")]
    BadCharacter,
    /// A `-` at either end.
    #[error("must begin and end with a letter or digit; remove the '-'")]
    Edge,
    /// A guest name that could be taken for a guest id.
    #[error("looks like a guest id, and calls accept either; choose another name")]
    LooksLikeId,
}

fn check_label(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !text.bytes().all(allowed) {
        return Err(NameError::BadCharacter);
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::Edge);
    }
    Ok(())
}

/// A guest's name: 1 to 63 of `[a-z0-9-]`, unique among the tenant's guests,
/// never of the form of a [`GuestId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestName(String);

impl GuestName {
    /// The name of a guest that was given none: `guest-` and 12 hex digits of
    /// its id.
    #[must_use]
    pub fn generated(id: GuestId) -> Self {
        let hex = id.uuid().simple().to_string();
        Self(format!("guest-{}", &hex[..12]))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GuestName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_label(text)?;
        if Uuid::parse_str(text).is_ok() {
            return Err(NameError::LooksLikeId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who owns a guest: 1 to 63 of `[a-z0-9-]`. It comes from the caller's
/// credentials, never from a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

impl TenantId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check_label(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of one of Xen's running incarnations of a guest. Never dom0 and
/// never one of Xen's reserved ids, so no mistake with it can reach the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(NonZeroU16);

impl DomId {
    /// The domain id `raw`; nothing for 0 (dom0) and for Xen's reserved ids.
    #[must_use]
    pub const fn new(raw: u16) -> Option<Self> {
        match NonZeroU16::new(raw) {
            Some(id) if raw < FIRST_RESERVED_DOMID => Some(Self(id)),
            _ => None,
        }
    }

    /// The number as Xen knows it.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the changes of what is desired of a guest, from 1. A status that was
/// worked out for an older generation is not written over a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The generation of a new guest.
    pub const FIRST: Self = Self(1);

    /// The generation `raw`, as a record holds it.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
