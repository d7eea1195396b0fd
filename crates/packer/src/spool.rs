//! Decompressed layers on the disk, without a name, and the file bodies in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::Error;
use crate::tree::Body;

/// A decompressed layer. Its file has no name on the host.
#[derive(Debug)]
pub(crate) struct Spool {
    pub(crate) file: File,
    pub(crate) len: u64,
}

impl Spool {
    /// Fills `buffer` with what is at `position`.
    pub(crate) fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.file
            .read_exact_at(buffer, position)
            .map_err(Error::host("read a layer"))
    }

    /// The content of `body`, which lies in this spool.
    pub(crate) fn read(&self, body: Body) -> SpoolRead<'_> {
        SpoolRead {
            file: &self.file,
            position: body.offset,
            left: body.len,
        }
    }
}

/// See [`Spool::read`].
pub(crate) struct SpoolRead<'a> {
    file: &'a File,
    position: u64,
    left: u64,
}

impl io::Read for SpoolRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..wanted], self.position)?;
        if read == 0 {
            // A short file must not pass for a complete one.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
