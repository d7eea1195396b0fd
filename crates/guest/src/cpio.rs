//! Writes an initramfs archive in the `newc` format of cpio (kernel
//! documentation: `driver-api/early-userspace/buffer-format.rst`).
//!
//! Only what the launch config needs: directories and small files owned by
//! root, with no times, so that the same input gives the same bytes.

/// Magic of a header without checksums.
const MAGIC: &str = "070701";
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// Headers with their names, and file contents, are padded to this.
const ALIGN: usize = 4;
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;

/// An archive that is being written.
pub(crate) struct Cpio {
    bytes: Vec<u8>,
    next_inode: u32,
}

impl Cpio {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            next_inode: 1,
        }
    }

    /// Adds a directory; `path` is relative and its parent was added before.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.entry(path, DIRECTORY | mode, 2, &[]);
    }

    /// Adds a file; `path` is relative and its parent was added before.
    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, REGULAR | mode, 1, content);
    }

    /// Ends the archive. Its length is a multiple of four, so that another
    /// archive may follow.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.next_inode = 0;
        self.entry(TRAILER, 0, 1, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, links: u32, content: &[u8]) {
        let size = u32::try_from(content.len()).expect("a launch config is far below 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("paths are short constants");
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor,
        // rdevmajor, rdevminor, namesize, check.
        let fields = [
            self.next_inode,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.next_inode += 1;
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let padded = self.bytes.len().next_multiple_of(ALIGN);
        self.bytes.resize(padded, 0);
    }
}

#[cfg(test)]
mod tests;
