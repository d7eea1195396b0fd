//! A newc archive of one executable file, to lay over another initrd.

/// The kernel looks for archives at multiples of four bytes.
pub(crate) const ALIGN: usize = 4;

/// `name` with `content`, mode 0755, and the trailer.
pub(crate) fn archive(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = Vec::with_capacity(content.len() + 512);
    entry(&mut archive, name, 0o100_755, content);
    entry(&mut archive, "TRAILER!!!", 0, &[]);
    archive
}

/// `Documentation/driver-api/early-userspace/buffer-format.rst`: magic, then ino,
/// mode, uid, gid, nlink, mtime, filesize, four device numbers, namesize, check.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let (size, name_size) = (content.len(), name.len() + 1);
    let header = format!(
        "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
        1, 0, 0, 1, 0, 0, 0, 0, 0, 0
    );
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(ALIGN), 0);
}
