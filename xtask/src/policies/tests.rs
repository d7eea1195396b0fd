//! The parts that need no compiler.

use super::*;

#[test]
fn flags_of_the_host_do_not_reach_the_policies() {
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        "CARGO_PROFILE_RELEASE_LTO",
    ] {
        assert!(is_foreign(name), "{name}");
    }
    for name in [
        "CARGO_HOME",
        "CARGO_NET_OFFLINE",
        "CARGO_HTTP_PROXY",
        "PATH",
        "RUSTUP_TOOLCHAIN",
    ] {
        assert!(!is_foreign(name), "{name}");
    }
}

#[test]
fn only_what_is_kept_stays() {
    let folder = std::env::temp_dir().join(format!("xenios-policies-{}", std::process::id()));
    let file = |name: &str| folder.join(name);
    write_if_changed(&file("old.wasm"), b"old").expect("it writes");
    write_if_changed(&file("new.wasm"), b"new").expect("it writes");
    fs::write(file("note.txt"), b"not ours").expect("it writes");
    remove_others(&folder, &[file("new.wasm")]).expect("it removes");
    let mut left: Vec<_> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["new.wasm", "note.txt"]);
    fs::remove_dir_all(&folder).expect("it goes");
}

#[test]
fn the_newest_linker_is_taken() {
    let folder = std::env::temp_dir().join(format!("xenios-linkers-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    assert_eq!(newest_wasm_ld(&folder), None);
    for name in ["wasm-ld-9", "wasm-ld-19", "wasm-ld-x", "ld"] {
        fs::write(folder.join(name), b"").expect("it writes");
    }
    assert_eq!(newest_wasm_ld(&folder), Some(folder.join("wasm-ld-19")));
    fs::remove_dir_all(&folder).expect("it goes");
}
