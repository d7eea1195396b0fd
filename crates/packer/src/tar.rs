//! A layer's tar archive as a list of what it says about the tree.
//!
//! Only headers are read here; a file's content is a range of the archive. The
//! parser is `tar-core`, which bounds every extension header. What this adds is the
//! meaning that OCI gives to names (whiteouts), and refusals: nothing is guessed
//! where tar readers are known to disagree.

use std::collections::BTreeMap;

use tar_core::parse::{Limits as TarLimits, ParseEvent, ParsedEntry, Parser};
use tar_core::{EntryType, HEADER_SIZE, PaxExtensions};

use crate::error::{Error, ImageFault, NameFault, NodeFault};
use crate::limits::Limits;
use crate::path::ImagePath;
use crate::spool::Spool;
use crate::text::Printable;
use crate::tree::{Body, Device, Kind, Meta, Xattr};

/// Prefix of a whiteout's name (OCI image spec, layer.md §whiteouts).
const WHITEOUT: &[u8] = b".wh.";
/// Name that makes its directory opaque (OCI image spec, layer.md §opaque-whiteout).
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of the names that AUFS kept for itself; they are no part of the image.
const AUFS: &[u8] = b".wh..wh.";
/// Longest target of a symbolic link, in bytes (Linux, `PATH_MAX` with its NUL).
const MAX_TARGET: usize = 4095;
/// Longest value of an extended attribute, in bytes (Linux, `XATTR_SIZE_MAX`).
const MAX_XATTR: usize = 65_536;
/// Where a zero-filled tail is looked at, in bytes.
const TAIL_BLOCK: usize = 64 * 1024;

/// What one entry of a layer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Member {
    /// Something is at `path`.
    Node {
        path: ImagePath,
        meta: Meta,
        kind: Kind,
    },
    /// `path` is one more name of `target`.
    HardLink { path: ImagePath, target: ImagePath },
    /// What lower layers have at the path is hidden.
    Whiteout(ImagePath),
    /// What lower layers have in the directory is hidden.
    Opaque(ImagePath),
}

/// Reads the members of `spool`, layer number `layer`, one after the other.
pub(crate) struct Members<'a> {
    spool: &'a Spool,
    layer: usize,
    limits: &'a Limits,
    parser: Parser,
    position: u64,
    seen: usize,
    buffer: Vec<u8>,
}

/// What parsing one header gave.
enum Step {
    /// More bytes are needed.
    Need(usize),
    /// So many bytes are done with; a member unless the entry means nothing.
    Took(u64, Option<Member>),
    /// The end marker.
    End,
}

impl<'a> Members<'a> {
    pub(crate) fn new(spool: &'a Spool, layer: usize, limits: &'a Limits) -> Self {
        Self {
            spool,
            layer,
            limits,
            parser: Parser::new(TarLimits::default()),
            position: 0,
            seen: 0,
            buffer: Vec::new(),
        }
    }

    /// The next member, or `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        // Two blocks: a header and what tells the end marker.
        let mut wanted = 2 * HEADER_SIZE;
        loop {
            let left = self.spool.len - self.position;
            if left == 0 {
                // No end marker: common, and harmless, since the length is checked.
                return Ok(None);
            }
            let available = usize::try_from(left).unwrap_or(usize::MAX).min(wanted);
            self.buffer.resize(available, 0);
            self.spool.read_at(self.position, &mut self.buffer)?;
            match self.step()? {
                Step::Need(_) if available < wanted => return self.end_of_data(),
                Step::Need(bytes) => wanted = bytes.max(wanted + HEADER_SIZE),
                Step::End => {
                    self.position += 2 * HEADER_SIZE as u64;
                    self.check_tail()?;
                    return Ok(None);
                }
                Step::Took(bytes, member) => {
                    self.position += bytes;
                    self.count()?;
                    if member.is_some() {
                        return Ok(member);
                    }
                    wanted = 2 * HEADER_SIZE;
                }
            }
        }
    }

    /// The archive ended where the parser wants more.
    fn end_of_data(&self) -> Result<Option<Member>, Error> {
        // Half an end marker is taken as one.
        if self.buffer.len() == HEADER_SIZE && self.buffer.iter().all(|&b| b == 0) {
            return Ok(None);
        }
        Err(self.malformed(b"it ends within a header"))
    }

    /// After the end marker only padding may follow: another reader could go on.
    fn check_tail(&self) -> Result<(), Error> {
        let mut block = vec![0; TAIL_BLOCK];
        let mut position = self.position;
        while position < self.spool.len {
            let left = usize::try_from(self.spool.len - position).unwrap_or(usize::MAX);
            let part = &mut block[..left.min(TAIL_BLOCK)];
            self.spool.read_at(position, part)?;
            if part.iter().any(|&b| b != 0) {
                return Err(self.malformed(b"data follows its end marker"));
            }
            position += part.len() as u64;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Error> {
        let event = match self.parser.parse(&self.buffer) {
            Ok(event) => event,
            Err(fault) => return Err(self.malformed(fault.to_string().as_bytes())),
        };
        match event {
            ParseEvent::NeedData { min_bytes } => Ok(Step::Need(min_bytes)),
            ParseEvent::End { .. } => Ok(Step::End),
            ParseEvent::GlobalExtensions { consumed, pax_data } => {
                // Container engines ignore global headers, tar itself does not: those
                // that would change what an entry is are refused.
                if has_pax_key(pax_data, |key| {
                    matches!(key, b"path" | b"linkpath" | b"size") || is_sparse_key(key)
                }) {
                    return Err(self.malformed(b"a global header names a path or a size"));
                }
                Ok(Step::Took(consumed as u64, None))
            }
            ParseEvent::SparseEntry { entry, .. } => {
                Err(self.node_fault(&entry.path, NodeFault::Sparse))
            }
            ParseEvent::Entry { consumed, entry } => {
                let start = self.position + consumed as u64;
                let member = self.member(&entry, start)?;
                let end = entry
                    .size
                    .checked_next_multiple_of(HEADER_SIZE as u64)
                    .and_then(|padded| start.checked_add(padded))
                    // The last entry's padding may be missing.
                    .map(|end| end.min(self.spool.len))
                    .filter(|end| {
                        start
                            .checked_add(entry.size)
                            .is_some_and(|last| last <= *end)
                    })
                    .ok_or_else(|| self.node_fault(&entry.path, NodeFault::Truncated))?;
                Ok(Step::Took(end - self.position, member))
            }
        }
    }

    fn count(&mut self) -> Result<(), Error> {
        self.seen += 1;
        if self.seen > self.limits.entries {
            return Err(Error::LimitExceeded {
                what: "entries in a layer",
                limit: self.limits.entries as u64,
            });
        }
        Ok(())
    }

    /// What `entry`, whose content starts at `start`, says.
    fn member(&self, entry: &ParsedEntry<'_>, start: u64) -> Result<Option<Member>, Error> {
        let path = self.path(&entry.path)?;
        if path
            .components()
            .any(|c| c.starts_with(AUFS) && c != OPAQUE)
        {
            return Ok(None);
        }
        if let Some(marker) = self.marker(&path, &entry.path)? {
            return Ok(Some(marker));
        }
        let fault = |fault| self.node_fault(&entry.path, fault);
        if entry.pax.is_some_and(|pax| has_pax_key(pax, is_sparse_key)) {
            return Err(fault(NodeFault::Sparse));
        }
        if entry.entry_type == EntryType::Link {
            let target = self.path(self.target(entry)?)?;
            return match entry.size {
                0 => Ok(Some(Member::HardLink { path, target })),
                _ => Err(fault(NodeFault::UnexpectedData)),
            };
        }
        let kind = self.kind(entry, start)?;
        if entry.size != 0 && !matches!(kind, Kind::File(_)) {
            return Err(fault(NodeFault::UnexpectedData));
        }
        let mut meta = meta(entry).map_err(fault)?;
        if matches!(kind, Kind::Symlink(_)) {
            // Linux shows every link so, and archives disagree.
            meta.mode = 0o777;
        }
        Ok(Some(Member::Node { path, meta, kind }))
    }

    /// The whiteout or opaque mark that `path` is, if it is one.
    fn marker(&self, path: &ImagePath, written: &[u8]) -> Result<Option<Member>, Error> {
        let Some((parent, name)) = path.split_last() else {
            return Ok(None);
        };
        let refused = || self.name_fault(written, NameFault::Whiteout);
        if parent.components().any(|c| c.starts_with(WHITEOUT)) {
            return Err(refused());
        }
        if name == OPAQUE {
            return Ok(Some(Member::Opaque(parent)));
        }
        match name.strip_prefix(WHITEOUT) {
            None => Ok(None),
            Some(b"" | b"." | b"..") => Err(refused()),
            Some(hidden) => {
                let mut hidden_path = parent.as_bytes().to_vec();
                hidden_path.push(b'/');
                hidden_path.extend_from_slice(hidden);
                // At the root the slash leads.
                let hidden_path = hidden_path.strip_prefix(b"/").unwrap_or(&hidden_path);
                self.path(hidden_path)
                    .map(|path| Some(Member::Whiteout(path)))
            }
        }
    }

    fn kind(&self, entry: &ParsedEntry<'_>, start: u64) -> Result<Kind, Error> {
        let fault = |fault| self.node_fault(&entry.path, fault);
        Ok(match entry.entry_type {
            EntryType::Regular | EntryType::Continuous if !entry.path.ends_with(b"/") => {
                Kind::File(Body {
                    layer: self.layer,
                    offset: start,
                    len: entry.size,
                })
            }
            // Archives older than ustar have no type for directories.
            EntryType::Regular if entry.header.as_old().linkflag == [0] => {
                Kind::Directory(BTreeMap::new())
            }
            EntryType::Directory => Kind::Directory(BTreeMap::new()),
            EntryType::Symlink => {
                let target = self.target(entry)?;
                if target.len() > MAX_TARGET || target.contains(&0) {
                    return Err(fault(NodeFault::Target));
                }
                Kind::Symlink(target.into())
            }
            EntryType::Char => Kind::Char(device(entry).map_err(fault)?),
            EntryType::Block => Kind::Block(device(entry).map_err(fault)?),
            EntryType::Fifo => Kind::Fifo,
            _ => return Err(fault(NodeFault::Type)),
        })
    }

    fn target<'e>(&self, entry: &'e ParsedEntry<'_>) -> Result<&'e [u8], Error> {
        entry
            .link_target
            .as_deref()
            .filter(|target| !target.is_empty())
            .ok_or_else(|| self.node_fault(&entry.path, NodeFault::Target))
    }

    fn path(&self, name: &[u8]) -> Result<ImagePath, Error> {
        ImagePath::parse(name, self.limits.depth).map_err(|fault| self.name_fault(name, fault))
    }

    fn name_fault(&self, name: &[u8], fault: NameFault) -> Error {
        Error::Image(ImageFault::Name {
            layer: self.layer,
            name: Printable::new(name),
            fault,
        })
    }

    fn node_fault(&self, name: &[u8], fault: NodeFault) -> Error {
        Error::Image(ImageFault::Node {
            layer: self.layer,
            name: Printable::new(name),
            fault,
        })
    }

    fn malformed(&self, reason: &[u8]) -> Error {
        Error::Image(ImageFault::Tar {
            layer: self.layer,
            reason: Printable::new(reason),
        })
    }
}

fn meta(entry: &ParsedEntry<'_>) -> Result<Meta, NodeFault> {
    // `trusted.` is how overlayfs, which the guest uses, marks its own files, and
    // squashfs keeps no `system.` ones.
    let kept = |name: &[u8]| name.starts_with(b"user.") || name.starts_with(b"security.");
    Ok(Meta {
        // The mask leaves 12 bits.
        mode: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
        uid: u32::try_from(entry.uid).map_err(|_| NodeFault::Owner)?,
        gid: u32::try_from(entry.gid).map_err(|_| NodeFault::Owner)?,
        // Later than 2106 is as late as squashfs can say.
        mtime: u32::try_from(entry.mtime).unwrap_or(u32::MAX),
        xattrs: entry
            .xattrs
            .iter()
            .filter(|(name, value)| kept(name) && value.len() <= MAX_XATTR)
            .map(|(name, value)| Xattr {
                name: name.as_ref().into(),
                value: value.as_ref().into(),
            })
            .collect(),
    })
}

fn device(entry: &ParsedEntry<'_>) -> Result<Device, NodeFault> {
    let major = entry.dev_major.unwrap_or_default();
    let minor = entry.dev_minor.unwrap_or_default();
    if major > 0xfff || minor > 0xf_ffff || (major, minor) == (0, 0) {
        return Err(NodeFault::Device);
    }
    Ok(Device { major, minor })
}

fn is_sparse_key(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.")
}

fn has_pax_key(pax: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
    // A record that does not parse counts as wanted: nothing is guessed.
    PaxExtensions::new(pax).any(|record| record.map_or(true, |record| wanted(record.key_bytes())))
}

#[cfg(test)]
mod tests;
