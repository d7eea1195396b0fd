//! The cache's promises: one owner, complete files, work done once.

use std::io::Write;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    assert!(matches!(
        Cache::open(directory.path()),
        Err(ConfigError::CacheInUse)
    ));
    drop(cache);
    assert!(Cache::open(directory.path()).is_ok());
}

#[test]
fn a_file_is_there_complete_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let digest = Digest::of(b"whole");
    let path = cache.blob(&digest);
    let mut staged = cache.stage().unwrap();
    staged.file.write_all(b"who").unwrap();
    drop(staged);
    assert!(!path.exists());
    let mut staged = cache.stage().unwrap();
    staged.file.write_all(b"whole").unwrap();
    staged.commit(&path).unwrap();
    assert_eq!(cache.document(&digest, 5).unwrap(), b"whole");
    assert_eq!(cache.document(&digest, 4), None);
    assert_eq!(
        fs::read_dir(directory.path().join("tmp")).unwrap().count(),
        0
    );
    // A damaged document counts as absent.
    fs::write(&path, b"whore").unwrap();
    assert_eq!(cache.document(&digest, 5), None);
}

#[test]
fn what_a_crash_left_is_removed_and_what_is_complete_stays() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let digest = Digest::of(b"");
    cache.stage().unwrap().commit(&cache.blob(&digest)).unwrap();
    // A crash runs no destructor.
    std::mem::forget(cache.stage().unwrap());
    let left = cache.stage_directory().unwrap();
    left.file("kernel").unwrap();
    std::mem::forget(left);
    let tmp = directory.path().join("tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 2);
    drop(cache);
    let cache = Cache::open(directory.path()).unwrap();
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
    assert!(cache.blob(&digest).is_file());
}

#[test]
fn names_have_digest_and_format() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let digest = Digest::of(b"");
    let name = cache.rootfs(&digest).file_name().unwrap().to_owned();
    assert_eq!(
        name.to_str().unwrap(),
        format!("sha256-{}.v1.squashfs", digest.hex())
    );
}

#[test]
fn work_of_one_key_never_overlaps() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let inside = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                cache.alone("key", || {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                });
            });
        }
    });
    assert_eq!(done.into_inner(), 8);
    assert!(cache.busy.lock().unwrap().is_empty());
}
