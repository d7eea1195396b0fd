//! How paths are resolved in a [`Tree`].

use std::collections::BTreeMap;

use super::{
    Dirent, IMPLIED_MODE, Kind, MAX_HOPS, MAX_TOTAL_HOPS, Meta, NodeId, ROOT, Tree, TreeFault,
};
use crate::error::NodeFault;
use crate::path::ImagePath;

/// A path on its way: directories passed, components to come (the next one last),
/// and links followed.
struct Walk {
    passed: Vec<NodeId>,
    todo: Vec<Box<[u8]>>,
    hops: u32,
}

impl Walk {
    fn new(path: &ImagePath) -> Self {
        let mut todo: Vec<Box<[u8]>> = path.components().map(Into::into).collect();
        todo.reverse();
        Self {
            passed: vec![ROOT],
            todo,
            hops: 0,
        }
    }

    fn here(&self) -> NodeId {
        *self.passed.last().unwrap_or(&ROOT)
    }

    /// The next component that is a name; `.` and `..` are walked here. Above the
    /// root is the root.
    fn next_name(&mut self) -> Option<Box<[u8]>> {
        while let Some(name) = self.todo.pop() {
            match &*name {
                b"" | b"." => {}
                b".." => {
                    if self.passed.len() > 1 {
                        self.passed.pop();
                    }
                }
                _ => return Some(name),
            }
        }
        None
    }

    /// Goes on with a link's target. False when that is one link too many, or when
    /// the target has far more components than a path may have: each entry below it
    /// would cost as much.
    fn follow(&mut self, target: &[u8], max_depth: usize) -> bool {
        self.hops += 1;
        if target.split(|&b| b == b'/').count() > 2 * max_depth {
            return false;
        }
        if target.first() == Some(&b'/') {
            self.passed.truncate(1);
        }
        self.todo
            .extend(target.rsplit(|&b| b == b'/').map(Into::into));
        self.hops <= MAX_HOPS
    }
}

impl Tree {
    /// The directory at `path`, without following any link.
    pub(super) fn plain_directory(&self, path: &ImagePath) -> Option<NodeId> {
        let mut here = ROOT;
        for name in path.components() {
            here = self.child(here, name)?.node;
        }
        matches!(self.node(here).kind, Kind::Directory(_)).then_some(here)
    }

    /// The node at `path`, through links of any layer, as a process whose root this
    /// is would see it. With `follow_last`, through a link at its end too.
    pub(crate) fn find(&self, path: &ImagePath, follow_last: bool) -> Option<NodeId> {
        self.resolve(&mut Walk::new(path), follow_last)
    }

    /// [`Self::find`] without following the last link, for a hard link: the links on
    /// the way count towards what an image may make us follow.
    pub(super) fn find_counted(&mut self, path: &ImagePath) -> Result<Option<NodeId>, NodeFault> {
        let mut walk = Walk::new(path);
        let found = self.resolve(&mut walk, false);
        self.count_hops(walk.hops)?;
        Ok(found)
    }

    fn resolve(&self, walk: &mut Walk, follow_last: bool) -> Option<NodeId> {
        while let Some(name) = walk.next_name() {
            let node = self.child(walk.here(), &name)?.node;
            match &self.node(node).kind {
                Kind::Directory(_) => walk.passed.push(node),
                Kind::Symlink(target) if follow_last || !walk.todo.is_empty() => {
                    if !walk.follow(target, self.max_depth) {
                        return None;
                    }
                }
                // A file above the end of the path leads nowhere.
                _ => return walk.todo.is_empty().then_some(node),
            }
        }
        Some(walk.here())
    }

    fn count_hops(&mut self, hops: u32) -> Result<(), NodeFault> {
        self.hops = self.hops.saturating_add(hops);
        if self.hops > MAX_TOTAL_HOPS {
            return Err(NodeFault::LinkLoop);
        }
        Ok(())
    }

    /// The directory at `path` for an entry of `layer`; missing ones are made. As
    /// where layers are unpacked each on its own and then stacked: a link of the
    /// same layer is followed, and a lower layer's link or file gives way to a
    /// directory.
    pub(super) fn make_directory(
        &mut self,
        path: &ImagePath,
        layer: usize,
    ) -> Result<NodeId, TreeFault> {
        let mut walk = Walk::new(path);
        while let Some(name) = walk.next_name() {
            let here = walk.here();
            let found = self.child(here, &name);
            let next = match found {
                Some(Dirent { node, .. }) if self.is_directory(node) => node,
                Some(Dirent { node, layer: made }) if made == layer => {
                    self.follow_same_layer(&mut walk, node)?;
                    continue;
                }
                _ => self.imply_directory(here, &name, layer)?,
            };
            walk.passed.push(next);
            // The root is not counted, and the entry itself comes on top.
            if walk.passed.len() > self.max_depth {
                return Err(TreeFault::Limit {
                    what: "directories above one another",
                    limit: self.max_depth as u64,
                });
            }
        }
        Ok(walk.here())
    }

    fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.node(node).kind, Kind::Directory(_))
    }

    fn follow_same_layer(&mut self, walk: &mut Walk, node: NodeId) -> Result<(), NodeFault> {
        let Kind::Symlink(target) = &self.nodes[node.0].kind else {
            return Err(NodeFault::NotADirectory);
        };
        if !walk.follow(target, self.max_depth) {
            return Err(NodeFault::LinkLoop);
        }
        self.count_hops(1)
    }

    fn imply_directory(
        &mut self,
        parent: NodeId,
        name: &[u8],
        layer: usize,
    ) -> Result<NodeId, TreeFault> {
        let meta = Meta {
            mode: IMPLIED_MODE,
            ..Meta::default()
        };
        let node = self.allocate(meta, Kind::Directory(BTreeMap::new()))?;
        self.link(parent, name, node, layer)?;
        Ok(node)
    }
}
