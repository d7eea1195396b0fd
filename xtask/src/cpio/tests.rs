//! The bytes are checked against the format's own description, by a reader
//! that knows nothing of the writer.

use super::{Archive, Source};

/// Name, mode and data of every entry before the trailer.
fn entries(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let field = |index: usize| {
            let from = at + 6 + index * 8;
            u32::from_str_radix(std::str::from_utf8(&bytes[from..from + 8]).unwrap(), 16).unwrap()
                as usize
        };
        assert_eq!(&bytes[at..at + 6], b"070701");
        let (mode, size, name_size) = (field(1), field(6), field(11));
        let name_end = at + 110 + name_size;
        let name = String::from_utf8(bytes[at + 110..name_end - 1].to_vec()).unwrap();
        let data = name_end.next_multiple_of(4);
        at = (data + size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert_eq!(at, bytes.len());
            return found;
        }
        found.push((
            name,
            u32::try_from(mode).unwrap(),
            bytes[data..data + size].to_vec(),
        ));
    }
}

#[test]
fn directories_come_before_what_they_hold() {
    let mut archive = Archive::new();
    archive.text("/etc/a-b", 0o644, "x");
    archive.text("/etc/a/b/file", 0o755, "hello");
    archive.symlink("etc/a/link", "b/file");
    archive.directory("proc");
    let mut bytes = Vec::new();
    archive.write(&mut bytes).unwrap();

    let names: Vec<_> = entries(&bytes)
        .into_iter()
        .map(|(name, mode, _)| (name, mode))
        .collect();
    assert_eq!(
        names,
        [
            ("etc".into(), 0o040_755),
            ("etc/a".into(), 0o040_755),
            ("etc/a-b".into(), 0o100_644),
            ("etc/a/b".into(), 0o040_755),
            ("etc/a/b/file".into(), 0o100_755),
            ("etc/a/link".into(), 0o120_777),
            ("proc".into(), 0o040_755),
        ]
    );
}

#[test]
fn data_of_every_length_is_padded_and_kept() {
    for length in 0..9 {
        let mut archive = Archive::new();
        archive.file("f", 0o600, Source::Bytes(vec![b'x'; length]));
        archive.text("g", 0o600, "after");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let found = entries(&bytes);
        assert_eq!(found[0].2, vec![b'x'; length]);
        assert_eq!(found[1].2, b"after");
    }
}

#[test]
fn a_missing_host_file_is_named() {
    let mut archive = Archive::new();
    archive.file("f", 0o600, Source::Path("/nonexistent/file".into()));
    let error = archive.write(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/file"));
}
