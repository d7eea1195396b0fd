//! Page tokens: opaque to clients, a position in the store to us.
//!
//! A token holds no tenant: the position is looked up among the caller's guests only.

use tonic::Status;
use uuid::Uuid;
use xenios_core::port::Cursor;

use super::error::bad_field;

#[cfg(test)]
mod tests;

/// Guests on a page when the client does not say.
const DEFAULT_SIZE: usize = 100;
/// The most on a page.
const MAX_SIZE: usize = 1000;
/// Names the format, so that a token of another version is refused, not misread.
const VERSION: u8 = 1;
/// Version, milliseconds, id.
const LENGTH: usize = 1 + 8 + 16;

/// How many guests a page shall have.
pub(super) fn size(requested: i32) -> Result<usize, Status> {
    match usize::try_from(requested) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
        Err(_) => Err(bad_field("page_size", "must not be negative")),
    }
}

/// The token for the page that begins after `cursor`.
pub(super) fn token(cursor: Cursor) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&cursor.created_ms.to_be_bytes());
    bytes.extend_from_slice(cursor.id.uuid().as_bytes());
    hex::encode(bytes)
}

/// The position in a token; `None` for the first page.
pub(super) fn cursor(token: &str) -> Result<Option<Cursor>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    parse(token).map(Some).ok_or_else(|| {
        bad_field(
            "page_token",
            "is not one that ListGuests gave; list again without a token",
        )
    })
}

fn parse(token: &str) -> Option<Cursor> {
    let mut bytes = [0; LENGTH];
    hex::decode_to_slice(token, &mut bytes).ok()?;
    let [VERSION, rest @ ..] = bytes else {
        return None;
    };
    let (created_ms, id) = rest.split_first_chunk::<8>()?;
    Some(Cursor {
        created_ms: u64::from_be_bytes(*created_ms),
        id: Uuid::from_slice(id).ok()?.into(),
    })
}
