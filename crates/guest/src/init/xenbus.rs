//! Writes a node of the guest's own xenstore directory through
//! `/dev/xen/xenbus`. No reads, no watches, no transactions.
//!
//! The format is that of `xen/include/public/io/xs_wire.h`: a header of four
//! 32-bit words in the machine's byte order, then the payload.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use thiserror::Error;

const DEVICE: &str = "/dev/xen/xenbus";

/// `enum xsd_sockmsg_type`.
const XS_WRITE: u32 = 11;
const XS_WATCH_EVENT: u32 = 15;
const XS_ERROR: u32 = 16;
/// `struct xsd_sockmsg`: type, request id, transaction id, length.
const HEADER_BYTES: usize = 16;
/// `XENSTORE_PAYLOAD_MAX`.
const MAX_PAYLOAD: usize = 4096;
/// One request a connection, so any number will do.
const REQUEST_ID: u32 = 1;

#[derive(Debug, Error)]
pub(crate) enum XenbusError {
    #[error("cannot use {DEVICE}")]
    Device(#[from] io::Error),
    #[error("the node is larger than {MAX_PAYLOAD} bytes")]
    TooLong,
    #[error("xenstore did not answer in time")]
    Deadline,
    #[error("xenstore sent what is no answer")]
    Malformed,
    #[error("xenstore refused: {0}")]
    Refused(String),
}

/// Writes `value` to `path`, which is relative to the domain's own directory,
/// and waits for the confirmation.
pub(crate) fn write(path: &str, value: &str, deadline: Duration) -> Result<(), XenbusError> {
    let end = Instant::now() + deadline;
    let request = encode_write(path, value)?;
    let mut device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(DEVICE)?;
    // The device takes a message whole and queues it in the kernel.
    device.write_all(&request)?;
    let mut received = Vec::new();
    loop {
        if let Some(outcome) = decode(&mut received) {
            return outcome;
        }
        wait_readable(&device, end)?;
        let mut chunk = [0; HEADER_BYTES + MAX_PAYLOAD];
        match device.read(&mut chunk) {
            Ok(0) => return Err(XenbusError::Malformed),
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn wait_readable(device: &File, end: Instant) -> Result<(), XenbusError> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(XenbusError::Deadline);
    }
    let timeout = Timespec::try_from(left).expect("a deadline is a few seconds");
    poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&timeout)).map_err(io::Error::from)?;
    Ok(())
}

/// A write outside any transaction: the path, NUL, then the value as it is.
fn encode_write(path: &str, value: &str) -> Result<Vec<u8>, XenbusError> {
    let length = path.len() + 1 + value.len();
    if length > MAX_PAYLOAD {
        return Err(XenbusError::TooLong);
    }
    let length = u32::try_from(length).expect("checked above");
    let mut message = Vec::with_capacity(HEADER_BYTES + MAX_PAYLOAD);
    for word in [XS_WRITE, REQUEST_ID, 0, length] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message.extend_from_slice(path.as_bytes());
    message.push(0);
    message.extend_from_slice(value.as_bytes());
    Ok(message)
}

/// Takes whole messages off `received` until one answers the request. `None`:
/// more bytes are needed.
fn decode(received: &mut Vec<u8>) -> Option<Result<(), XenbusError>> {
    loop {
        let header: &[u8; HEADER_BYTES] = received.first_chunk()?;
        let word = |index: usize| {
            let bytes = header[index * 4..][..4].try_into().expect("four bytes");
            u32::from_ne_bytes(bytes)
        };
        let (kind, request, length) = (word(0), word(1), word(3));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Some(Err(XenbusError::Malformed));
        }
        let payload = received.get(HEADER_BYTES..HEADER_BYTES + length)?;
        match (kind, request) {
            (XS_WRITE, REQUEST_ID) => return Some(Ok(())),
            (XS_ERROR, REQUEST_ID) => {
                let name = String::from_utf8_lossy(payload);
                let name = name.trim_end_matches('\0').escape_default().to_string();
                return Some(Err(XenbusError::Refused(name)));
            }
            (XS_WATCH_EVENT, _) => {
                received.drain(..HEADER_BYTES + length);
            }
            _ => return Some(Err(XenbusError::Malformed)),
        }
    }
}

#[cfg(test)]
mod tests;
