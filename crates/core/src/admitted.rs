//! The proof that the policy chain said yes.

use std::ops::Deref;

/// A value that the policy chain admitted. What was judged is what runs: only
/// the chain makes one, it cannot be changed, and the reconciler accepts nothing
/// else (invariant 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T>(T);

impl<T> Admitted<T> {
    /// For the policy chain alone.
    pub(crate) const fn by_the_chain(value: T) -> Self {
        Self(value)
    }

    /// For a [store](crate::port::GuestStore) alone, reading back a row that was
    /// written from an `Admitted` value. Anything else is a way around policy.
    #[must_use]
    pub const fn from_record(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Admitted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
