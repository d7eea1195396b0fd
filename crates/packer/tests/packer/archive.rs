//! Tar archives for tests, hostile ones included: nothing is checked here.

use tar::{EntryType, Header};

/// A tar archive in the making.
#[derive(Clone, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An archive in short: `a/` is a directory, `a/b=text` a file, `l->target` a
    /// symbolic link, `h=>target` a hard link.
    pub(crate) fn of(entries: &[&str]) -> Self {
        entries.iter().fold(Self::new(), |archive, entry| {
            if let Some((name, target)) = entry.split_once("->") {
                archive.symlink(name, target)
            } else if let Some((name, target)) = entry.split_once("=>") {
                archive.hard_link(name, target)
            } else if let Some((name, text)) = entry.split_once('=') {
                archive.file(name, text.as_bytes())
            } else if entry.ends_with('/') {
                archive.directory(entry, 0o755)
            } else {
                archive.file(entry, b"")
            }
        })
    }

    pub(crate) fn directory(self, name: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, name.as_bytes(), b"", |header| {
            header.set_mode(mode);
        })
    }

    pub(crate) fn file(self, name: impl AsRef<[u8]>, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, name.as_ref(), content, |_| {})
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.linked(
            EntryType::Symlink,
            [name.as_bytes(), target.as_bytes()],
            b"",
            &|_| {},
        )
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.linked(
            EntryType::Link,
            [name.as_bytes(), target.as_bytes()],
            b"",
            &|_| {},
        )
    }

    /// A PAX header for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            // The length counts its own digits.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, b"pax", &data, |_| {})
    }

    /// Any entry; `change` may spoil its header.
    pub(crate) fn entry(
        self,
        kind: EntryType,
        name: &[u8],
        content: &[u8],
        change: impl Fn(&mut Header),
    ) -> Self {
        self.linked(kind, [name, b""], content, &change)
    }

    /// Names and targets that do not fit get GNU's long ones.
    fn linked(
        mut self,
        kind: EntryType,
        [name, target]: [&[u8]; 2],
        content: &[u8],
        change: &dyn Fn(&mut Header),
    ) -> Self {
        for (long, kind) in [
            (name, EntryType::GNULongName),
            (target, EntryType::GNULongLink),
        ] {
            if long.len() > 100 {
                let data = [long, b"\0"].concat();
                self = self.bare(kind, [b"././@LongLink", b""], &data, &|_| {});
            }
        }
        self.bare(kind, [name, target], content, change)
    }

    fn bare(
        mut self,
        kind: EntryType,
        [name, target]: [&[u8]; 2],
        content: &[u8],
        change: &dyn Fn(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        let short = |text: &[u8]| text[..text.len().min(100)].to_vec();
        let old = header.as_old_mut();
        old.name[..short(name).len()].copy_from_slice(&short(name));
        old.linkname[..short(target).len()].copy_from_slice(&short(target));
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.raw(content)
    }

    /// Bytes as they are, padded to a block.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The bytes without an end marker.
    pub(crate) fn open_ended(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
