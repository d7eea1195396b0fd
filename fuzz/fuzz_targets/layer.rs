//! Two layers' archives, merged. The first two bytes say where the second one begins.

#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;

include!("inside.rs");

fuzz_target!(|bytes: &[u8]| {
    let Some((&[low, high], archives)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_le_bytes([low, high])).min(archives.len());
    let limits = limits::Limits {
        entries: 1000,
        metadata_bytes: 1 << 20,
        ..limits::Limits::default()
    };
    let mut tree = tree::Tree::new(&limits);
    let (lower, upper) = archives.split_at(cut);
    let mut lengths = [0_u64; 2];
    for (layer, archive) in [lower, upper].into_iter().enumerate() {
        let mut file = tempfile::tempfile_in("/dev/shm").expect("shared memory has room");
        file.write_all(archive).expect("shared memory has room");
        lengths[layer] = archive.len() as u64;
        let spool = spool::Spool {
            file,
            len: lengths[layer],
        };
        if layer::apply(&mut tree, &spool, layer, &limits).is_err() {
            return;
        }
    }
    for (path, node) in tree.entries() {
        assert!(!path.is_empty() && !path.starts_with(b"/"));
        for name in path.split(|byte| *byte == b'/') {
            assert!(
                !matches!(name, b"" | b"." | b".."),
                "a name that leads elsewhere"
            );
            assert!(!name.starts_with(b".wh."), "a whiteout is no file");
        }
        if let tree::Kind::File(body) = &node.kind {
            let end = body
                .offset
                .checked_add(body.len)
                .expect("bodies end somewhere");
            assert!(
                end <= lengths[body.layer],
                "a body lies outside of its layer"
            );
        }
    }
});
