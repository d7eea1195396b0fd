//! A file that keeps the last bytes of an endless stream, and the stream's offsets.
//!
//! Layout: 8 bytes magic, 8 bytes little-endian count of all bytes ever written, then
//! the data, byte `n` of the stream at `n % slots`. There is room for one write more
//! than is promised, so that a process killed between writing data and count has
//! overwritten nothing that readers are still shown.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::Chunk;

/// First bytes of the file: the format and its version.
const MAGIC: [u8; 8] = *b"xenioslg";
/// Magic and count.
const HEADER: u64 = 16;
/// The most that is written before the count is.
const MAX_WRITE: u64 = 16 * 1024;
/// Console output may hold what tenants consider private.
const FILE_MODE: u32 = 0o600;

#[derive(Debug)]
pub(super) struct Ring {
    file: File,
    kept: u64,
    written: u64,
}

impl Ring {
    /// Opens or creates the file; `kept` is how many bytes stay readable.
    pub(super) fn open(path: &Path, kept: u64) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        let mut ring = Self {
            file,
            kept,
            written: 0,
        };
        match ring.file.metadata()?.len() {
            // Fresh, or killed before its header was complete: nothing was shown yet.
            0..HEADER => ring.write_header()?,
            _ => ring.written = ring.read_header(path)?,
        }
        Ok(ring)
    }

    fn read_header(&self, path: &Path) -> io::Result<u64> {
        let mut magic = [0; 8];
        let mut count = [0; 8];
        self.file.read_exact_at(&mut magic, 0)?;
        self.file.read_exact_at(&mut count, 8)?;
        if magic != MAGIC {
            let text = format!("{} is not a console log", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(u64::from_le_bytes(count))
    }

    fn write_header(&mut self) -> io::Result<()> {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&MAGIC);
        header[8..].copy_from_slice(&self.written.to_le_bytes());
        self.file.write_all_at(&header, 0)
    }

    /// Bytes ever written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(usize::try_from(MAX_WRITE).unwrap_or(usize::MAX)) {
            let mut at = self.written;
            for part in self.parts(at, piece.len() as u64) {
                let length = usize::try_from(part.length).unwrap_or(0);
                let start = usize::try_from(at - self.written).unwrap_or(0);
                self.file
                    .write_all_at(&piece[start..start + length], part.position)?;
                at += part.length;
            }
            self.written = at;
            self.write_header()?;
        }
        Ok(())
    }

    pub(super) fn read(&self, offset: u64, max: usize) -> io::Result<Chunk> {
        let first = self.written.saturating_sub(self.kept);
        let offset = offset.clamp(first, self.written);
        let length = (self.written - offset).min(max as u64);
        let mut data = Vec::new();
        for part in self.parts(offset, length) {
            let mut buffer = vec![0; usize::try_from(part.length).unwrap_or(0)];
            self.file.read_exact_at(&mut buffer, part.position)?;
            data.append(&mut buffer);
        }
        Ok(Chunk { offset, data })
    }

    /// The one or two places in the file that hold `length` bytes from `offset` on.
    fn parts(&self, offset: u64, length: u64) -> impl Iterator<Item = Part> + use<> {
        let slots = self.kept + MAX_WRITE;
        let start = offset % slots;
        let first = length.min(slots - start);
        [
            Part {
                position: HEADER + start,
                length: first,
            },
            Part {
                position: HEADER,
                length: length - first,
            },
        ]
        .into_iter()
        .filter(|part| part.length > 0)
    }
}

/// A contiguous piece of the file.
struct Part {
    position: u64,
    length: u64,
}
