//! Sweeping, with a process id that cannot be.

use super::Folder;

#[test]
fn only_folders_of_the_dead_are_swept() {
    let parent = Folder::new("sweep");
    let mine = Folder::below(parent.path(), "bed").unwrap();
    // Above the kernel's limit of process ids, 2^22.
    for name in ["bed-99999999-0", "bed-x-0", "other-99999999-0"] {
        std::fs::create_dir(parent.path().join(name)).unwrap();
    }
    Folder::sweep(parent.path(), "bed");
    let mut left: Vec<_> = std::fs::read_dir(parent.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    left.sort();
    let mut expected = [
        mine.path().to_path_buf(),
        parent.path().join("bed-x-0"),
        parent.path().join("other-99999999-0"),
    ];
    expected.sort();
    assert_eq!(left, expected);
}
