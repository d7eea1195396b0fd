//! Messages of the xenstore protocol (`xs_wire.h`, `docs/misc/xenstore.txt`):
//! a header of four little-endian words, and up to 4096 bytes.

/// `XENSTORE_PAYLOAD_MAX`.
pub(super) const PAYLOAD_MAX: usize = 4096;
/// `struct xsd_sockmsg`: `type`, `req_id`, `tx_id`, `len`.
pub(super) const HEADER_BYTES: usize = 16;

/// `enum xsd_sockmsg_type`, as far as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Directory = 1,
    Read = 2,
    Watch = 4,
    TransactionStart = 6,
    TransactionEnd = 7,
    Introduce = 8,
    Write = 11,
    Remove = 13,
    SetPermissions = 14,
    WatchEvent = 15,
    Error = 16,
    DirectoryPart = 22,
}

impl Kind {
    /// What a refusal says could not be done.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Directory | Self::DirectoryPart => "list",
            Self::Read => "read",
            Self::Watch => "watch",
            Self::TransactionStart => "begin a transaction on",
            Self::TransactionEnd => "commit a transaction on",
            Self::Introduce => "introduce domain",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::SetPermissions => "set the permissions of",
            Self::WatchEvent | Self::Error => "understand",
        }
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u32,
    pub(super) request: u32,
    pub(super) payload: Vec<u8>,
}

/// Puts a message together. The payload was checked to fit.
pub(super) fn encode(kind: u32, request: u32, transaction: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("payloads are at most 4096 bytes");
    let mut message = Vec::with_capacity(HEADER_BYTES + payload.len());
    for word in [kind, request, transaction, length] {
        message.extend_from_slice(&word.to_le_bytes());
    }
    message.extend_from_slice(payload);
    message
}

/// Takes the first whole message off what was received so far.
///
/// `Ok(None)` means that more must come; the error says what is wrong with the
/// bytes, after which no message can be found in them any more.
pub(super) fn decode(received: &mut Vec<u8>) -> Result<Option<Message>, &'static str> {
    let Some(header) = received.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let word = |index: usize| {
        let bytes = [
            header[index],
            header[index + 1],
            header[index + 2],
            header[index + 3],
        ];
        u32::from_le_bytes(bytes)
    };
    let (kind, request, length) = (word(0), word(4), word(12) as usize);
    if length > PAYLOAD_MAX {
        return Err("a message is longer than 4096 bytes");
    }
    let end = HEADER_BYTES + length;
    if received.len() < end {
        return Ok(None);
    }
    let payload = received[HEADER_BYTES..end].to_vec();
    received.drain(..end);
    Ok(Some(Message {
        kind,
        request,
        payload,
    }))
}
