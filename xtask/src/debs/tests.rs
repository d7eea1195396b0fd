//! The formats that apt prints.

use super::{Deb, candidate, dependencies};

#[test]
fn real_dependencies_are_found_and_virtual_ones_are_not() {
    let printed = "xen-utils-4.17\n  Depends: libc6\n  PreDepends: libx\n |Depends: <python3:any>\n    python3\n  \
                   Depends: python3:any\n  Suggests: grub\n";
    assert_eq!(
        dependencies(printed).collect::<Vec<_>>(),
        ["libc6", "libx", "python3"]
    );
}

#[test]
fn a_download_line_gives_file_and_hash() {
    let line =
        "'http://deb.debian.org/x/xen_4.17.7%2b13_amd64.deb' xen_4.17.7+13_amd64.deb 123 SHA256:ab";
    assert_eq!(
        candidate(line).unwrap(),
        Deb {
            file: "xen_4.17.7+13_amd64.deb".into(),
            hash: "SHA256:ab".into()
        }
    );
}

#[test]
fn a_line_of_another_shape_is_refused() {
    for line in [
        "",
        "'x'",
        "'x' ../evil.deb 1 SHA256:ab",
        "'x' file.txt 1 SHA256:ab",
    ] {
        assert!(candidate(line).is_err(), "{line:?}");
    }
}
