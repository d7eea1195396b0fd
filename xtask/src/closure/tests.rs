//! The lines that the loader prints.

use std::path::{Path, PathBuf};

use super::library;

#[test]
fn lines_of_the_loader() {
    let parse = |line| library(line, Path::new("/bin/x"));
    assert_eq!(
        parse("\tlibc.so.6 => /t/lib/libc.so.6 (0x00007f)").unwrap(),
        Some(PathBuf::from("/t/lib/libc.so.6"))
    );
    assert_eq!(parse("\tlinux-vdso.so.1 (0x00007ffd)").unwrap(), None);
    assert_eq!(
        parse("\t/lib64/ld-linux-x86-64.so.2 => /t/ld.so (0x7f)").unwrap(),
        None
    );
    assert!(
        parse("\tlibx.so => not found")
            .unwrap_err()
            .to_string()
            .contains("libx.so")
    );
}
