//! Archives for initial RAM filesystems, in the "newc" format that the kernel
//! documents in `Documentation/driver-api/early-userspace/buffer-format.rst`.
//! Only writing, and only what such an archive needs: no hard links, one time
//! for everything, so that the same content gives the same bytes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// "newc", without checksums (buffer-format.rst).
const MAGIC: &str = "070701";
/// The name that ends an archive (buffer-format.rst).
const TRAILER: &str = "TRAILER!!!";
/// File type bits of a mode (`linux/stat.h`).
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In memory.
    Bytes(Vec<u8>),
    /// A file of the host, read when the archive is written; links are followed.
    Path(PathBuf),
}

#[derive(Debug, Clone)]
enum Node {
    Directory,
    File { source: Source, mode: u32 },
    Symlink { target: String },
}

/// What an archive will hold: a tree of names below `/`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive {
    /// Sorted, so that a directory precedes what is in it.
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// An archive without entries.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a directory and those above it.
    pub(crate) fn directory(&mut self, path: &str) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            if end > 0 {
                self.nodes
                    .entry(path[..end].to_owned())
                    .or_insert(Node::Directory);
            }
        }
    }

    /// Adds a file; an entry of that name is replaced.
    pub(crate) fn file(&mut self, path: &str, mode: u32, source: Source) {
        self.insert(path, Node::File { source, mode });
    }

    /// Adds a file that holds `text`.
    pub(crate) fn text(&mut self, path: &str, mode: u32, text: &str) {
        self.file(path, mode, Source::Bytes(text.as_bytes().to_vec()));
    }

    /// Adds a symbolic link; an entry of that name is replaced.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.insert(
            path,
            Node::Symlink {
                target: target.to_owned(),
            },
        );
    }

    /// Adds a file of the host, executable when it is there.
    pub(crate) fn host_file(&mut self, path: &str, host: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = host
            .metadata()
            .with_context(|| format!("cannot read {}", host.display()))?;
        let mode = if metadata.permissions().mode() & 0o111 == 0 {
            0o644
        } else {
            0o755
        };
        self.file(path, mode, Source::Path(host.to_path_buf()));
        Ok(())
    }

    fn insert(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Writes the archive, padded to 4 bytes so that another may follow.
    pub(crate) fn write(&self, out: &mut dyn Write) -> Result<()> {
        for (inode, (name, node)) in (1..).zip(&self.nodes) {
            let head = |mode, size| Head::new(inode, mode, name, size);
            match node {
                Node::Directory => head(S_IFDIR | 0o755, 0)?.write(out, &mut io::empty())?,
                Node::Symlink { target } => {
                    head(S_IFLNK | 0o777, target.len() as u64)?
                        .write(out, &mut target.as_bytes())?;
                }
                Node::File {
                    source: Source::Bytes(bytes),
                    mode,
                } => {
                    head(S_IFREG | mode, bytes.len() as u64)?.write(out, &mut bytes.as_slice())?;
                }
                Node::File {
                    source: Source::Path(path),
                    mode,
                } => {
                    let read = || format!("cannot read {}", path.display());
                    let mut file = File::open(path).with_context(read)?;
                    let size = file.metadata().with_context(read)?.len();
                    head(S_IFREG | mode, size)?.write(out, &mut file)?;
                }
            }
        }
        Head::new(0, 0, TRAILER, 0)?.write(out, &mut io::empty())
    }
}

/// What precedes an entry's data. Owner, group, time and devices are zero.
struct Head<'a> {
    inode: u32,
    mode: u32,
    name: &'a str,
    size: u32,
}

impl<'a> Head<'a> {
    fn new(inode: u32, mode: u32, name: &'a str, size: u64) -> Result<Self> {
        let size = u32::try_from(size)
            .with_context(|| format!("{name} is too long for a cpio archive"))?;
        Ok(Self {
            inode,
            mode,
            name,
            size,
        })
    }

    fn write(&self, out: &mut dyn Write, data: &mut dyn Read) -> Result<()> {
        let Self {
            inode,
            mode,
            name,
            size,
        } = self;
        let links = if mode & S_IFDIR == S_IFDIR { 2 } else { 1 };
        let (zero, name_size) = (0, name.len() + 1);
        let mut head = format!(
            "{MAGIC}{inode:08X}{mode:08X}{zero:08X}{zero:08X}{links:08X}{zero:08X}{size:08X}"
        );
        write!(
            head,
            "{zero:08X}{zero:08X}{zero:08X}{zero:08X}{name_size:08X}{zero:08X}{name}\0"
        )?;
        out.write_all(head.as_bytes())?;
        pad(out, head.len())?;
        let copied = io::copy(&mut data.take(u64::from(*size)), out)?;
        if copied != u64::from(*size) {
            bail!("{name} became shorter while it was archived");
        }
        pad(
            out,
            usize::try_from(*size).context("a file fits into memory")?,
        )
    }
}

fn pad(out: &mut dyn Write, written: usize) -> Result<()> {
    let missing = written.next_multiple_of(4) - written;
    out.write_all(&[0; 3][..missing])?;
    Ok(())
}
