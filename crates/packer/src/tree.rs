//! The merged filesystem of an image, in memory.
//!
//! Layers are applied lowest first. A whiteout or opaque mark acts on lower layers
//! alone, so a layer's marks are applied before its entries, wherever they stand in
//! the archive. File bodies are not here: a [`Body`] says where they are.
//!
//! Symbolic links are followed inside the tree only. Nodes are never freed, so the
//! limits bound what a hostile image can make this hold.

mod walk;

use std::collections::BTreeMap;

use crate::error::{Error, NodeFault};
use crate::limits::Limits;
use crate::path::ImagePath;

/// Most symbolic links followed on one path (Linux, `MAXSYMLINKS`).
const MAX_HOPS: u32 = 40;
/// Most symbolic links followed while all layers of an image are merged: keeps the
/// time bounded when every entry goes through links.
const MAX_TOTAL_HOPS: u32 = 1_000_000;
/// Mode of a directory that a layer's entries imply.
const IMPLIED_MODE: u16 = 0o755;

/// A node of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

/// The root directory.
pub(crate) const ROOT: NodeId = NodeId(0);

/// What every kind of node has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970; squashfs has 32 bits.
    pub(crate) mtime: u32,
    /// Extended attributes of the `user.` and `security.` namespaces.
    pub(crate) xattrs: Vec<Xattr>,
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Xattr {
    /// With its namespace.
    pub(crate) name: Box<[u8]>,
    pub(crate) value: Box<[u8]>,
}

/// Where the content of a regular file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    /// The layer whose decompressed archive holds it, from 0.
    pub(crate) layer: usize,
    /// Offset in that archive, in bytes.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) len: u64,
}

/// Device numbers within Linux's 12 and 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory(BTreeMap<Box<[u8]>, Dirent>),
    File(Body),
    Symlink(Box<[u8]>),
    Char(Device),
    Block(Device),
    Fifo,
}

/// A name in a directory. Several may name one node: hard links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirent {
    pub(crate) node: NodeId,
    /// The layer that wrote this name last.
    layer: usize,
}

/// A file, directory, link or device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) meta: Meta,
    pub(crate) kind: Kind,
}

/// Why an entry was not taken.
#[derive(Debug)]
pub(crate) enum TreeFault {
    /// The entry is at fault.
    Node(NodeFault),
    /// The image is beyond a limit.
    Limit { what: &'static str, limit: u64 },
}

impl From<NodeFault> for TreeFault {
    fn from(fault: NodeFault) -> Self {
        Self::Node(fault)
    }
}

impl TreeFault {
    /// With `name`, which tells the entry, for a node's own fault.
    pub(crate) fn into_error(self, name: impl FnOnce(NodeFault) -> Error) -> Error {
        match self {
            Self::Node(fault) => name(fault),
            Self::Limit { what, limit } => Error::LimitExceeded { what, limit },
        }
    }
}

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    max_nodes: usize,
    max_depth: usize,
    max_metadata: u64,
    metadata: u64,
    hops: u32,
}

impl Tree {
    /// An empty root directory.
    pub(crate) fn new(limits: &Limits) -> Self {
        let root = Node {
            meta: Meta {
                mode: IMPLIED_MODE,
                ..Meta::default()
            },
            kind: Kind::Directory(BTreeMap::new()),
        };
        Self {
            nodes: vec![root],
            max_nodes: limits.entries,
            max_depth: limits.depth,
            max_metadata: limits.metadata_bytes,
            metadata: 0,
            hops: 0,
        }
    }

    /// The node of an id that this tree gave.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Hides what lower layers have at `path`. What is not there stays so.
    pub(crate) fn whiteout(&mut self, path: &ImagePath) {
        if let Some((parent, name)) = path.split_last()
            && let Some(dir) = self.plain_directory(&parent)
        {
            self.entries_mut(dir).remove(name);
        }
    }

    /// Hides everything that lower layers have in the directory `path`, the root
    /// included.
    pub(crate) fn opaque(&mut self, path: &ImagePath) {
        if let Some(dir) = self.plain_directory(path) {
            self.entries_mut(dir).clear();
        }
    }

    /// Puts a node of `layer` at `path`. A directory over a directory keeps the
    /// entries; everything else replaces what was there, also within one layer:
    /// the last entry of a name wins, as where a layer is really unpacked.
    pub(crate) fn put(
        &mut self,
        path: &ImagePath,
        layer: usize,
        meta: Meta,
        kind: Kind,
    ) -> Result<(), TreeFault> {
        let Some((parent, name)) = path.split_last() else {
            if !matches!(kind, Kind::Directory(_)) {
                return Err(NodeFault::Root.into());
            }
            self.nodes[ROOT.0].meta = meta;
            return Ok(());
        };
        let dir = self.make_directory(&parent, layer)?;
        if let Some(old) = self.child(dir, name)
            && matches!(kind, Kind::Directory(_))
            && matches!(self.node(old.node).kind, Kind::Directory(_))
        {
            self.nodes[old.node.0].meta = meta;
            self.link(dir, name, old.node, layer)?;
            return Ok(());
        }
        let node = self.allocate(meta, kind)?;
        self.link(dir, name, node, layer)
    }

    /// Makes `path` one more name of what is at `target`.
    pub(crate) fn hard_link(
        &mut self,
        path: &ImagePath,
        layer: usize,
        target: &ImagePath,
    ) -> Result<(), TreeFault> {
        let (parent, name) = path.split_last().ok_or(NodeFault::Root)?;
        let node = self
            .find_counted(target)?
            .ok_or(NodeFault::HardLinkMissing)?;
        if matches!(self.node(node).kind, Kind::Directory(_)) || path == target {
            return Err(NodeFault::HardLinkTarget.into());
        }
        let dir = self.make_directory(&parent, layer)?;
        self.link(dir, name, node, layer)
    }

    /// Every name below the root, parents first, siblings in the order of their
    /// bytes: the order does not depend on how the layers were written.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries {
            tree: self,
            path: Vec::new(),
            open: vec![self.children(ROOT).iter()],
            ends: vec![0],
        }
    }

    fn children(&self, id: NodeId) -> &BTreeMap<Box<[u8]>, Dirent> {
        static EMPTY: BTreeMap<Box<[u8]>, Dirent> = BTreeMap::new();
        match &self.node(id).kind {
            Kind::Directory(entries) => entries,
            _ => &EMPTY,
        }
    }

    fn child(&self, dir: NodeId, name: &[u8]) -> Option<Dirent> {
        self.children(dir).get(name).copied()
    }

    fn entries_mut(&mut self, dir: NodeId) -> &mut BTreeMap<Box<[u8]>, Dirent> {
        match &mut self.nodes[dir.0].kind {
            Kind::Directory(entries) => entries,
            _ => unreachable!("callers hold a directory's id, and no node changes its kind"),
        }
    }

    fn link(
        &mut self,
        dir: NodeId,
        name: &[u8],
        node: NodeId,
        layer: usize,
    ) -> Result<(), TreeFault> {
        self.charge(name.len())?;
        self.entries_mut(dir)
            .insert(name.into(), Dirent { node, layer });
        Ok(())
    }

    fn allocate(&mut self, meta: Meta, kind: Kind) -> Result<NodeId, TreeFault> {
        if self.nodes.len() >= self.max_nodes {
            return Err(TreeFault::Limit {
                what: "files and directories",
                limit: self.max_nodes as u64,
            });
        }
        if let Kind::Symlink(target) = &kind {
            self.charge(target.len())?;
        }
        for Xattr { name, value } in &meta.xattrs {
            self.charge(name.len() + value.len())?;
        }
        self.nodes.push(Node { meta, kind });
        Ok(NodeId(self.nodes.len() - 1))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), TreeFault> {
        self.metadata += bytes as u64;
        if self.metadata > self.max_metadata {
            return Err(TreeFault::Limit {
                what: "bytes of names, links and attributes",
                limit: self.max_metadata,
            });
        }
        Ok(())
    }
}

/// An open directory of an [`Entries`] walk.
type Siblings<'a> = std::collections::btree_map::Iter<'a, Box<[u8]>, Dirent>;

/// See [`Tree::entries`]. The stack is on the heap: a deep tree costs no stack.
pub(crate) struct Entries<'a> {
    tree: &'a Tree,
    path: Vec<u8>,
    open: Vec<Siblings<'a>>,
    /// Length of `path` for each open directory.
    ends: Vec<usize>,
}

impl<'a> Iterator for Entries<'a> {
    /// The path without a leading slash, and the node.
    type Item = (Vec<u8>, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let siblings = self.open.last_mut()?;
            let Some((name, dirent)) = siblings.next() else {
                self.open.pop();
                self.ends.pop();
                continue;
            };
            self.path.truncate(*self.ends.last()?);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            let node = self.tree.node(dirent.node);
            if let Kind::Directory(entries) = &node.kind {
                self.open.push(entries.iter());
                self.ends.push(self.path.len());
            }
            return Some((self.path.clone(), node));
        }
    }
}
