//! Connecting to a Unix socket with a deadline, which std cannot.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait before a full backlog is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Connects; a listener that accepts nobody is an error at the deadline.
pub(crate) fn connect_unix(path: &Path, deadline: Instant) -> io::Result<UnixStream> {
    let flags = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers only.
    let raw = unsafe { libc::socket(libc::AF_UNIX, flags, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let address = address(path)?;
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(libc::socklen_t::MAX);
    loop {
        let pointer = (&raw const address).cast::<libc::sockaddr>();
        // SAFETY: the address is a `sockaddr_un` of that length, and outlives the
        // call.
        if unsafe { libc::connect(socket.as_raw_fd(), pointer, length) } == 0 {
            let stream = UnixStream::from(socket);
            stream.set_nonblocking(false)?;
            return Ok(stream);
        }
        let error = io::Error::last_os_error();
        // The backlog is full: Unix sockets say so at once.
        if error.kind() != ErrorKind::WouldBlock {
            return Err(error);
        }
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        thread::sleep(PAUSE);
    }
}

fn address(path: &Path) -> io::Result<libc::sockaddr_un> {
    // SAFETY: `sockaddr_un` is numbers only, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).unwrap_or_default();
    let bytes = path.as_os_str().as_bytes();
    // The last byte stays zero.
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(ErrorKind::InvalidInput.into());
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    Ok(address)
}
