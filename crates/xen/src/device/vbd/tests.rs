//! Names and numbers of disks. Their nodes are in the toolstack's golden tree.

use super::*;

#[test]
fn disks_have_their_numbers() {
    // docs/man/xen-vbd-interface.7
    let table = [
        ("xvda", 51712),
        ("xvdb", 51728),
        ("xvdp", 51952),
        ("xvdq", 268_439_552),
        ("xvdz", 268_441_856),
    ];
    for (name, device) in table {
        assert_eq!(
            DiskName::parse(name).map(DiskName::device),
            Ok(device),
            "{name}"
        );
    }
    for name in ["", "xvd", "xvdA", "xvdaa", "sda", "xvda1", "xvd/", "xvdä"] {
        assert_eq!(DiskName::parse(name), Err(DiskNameError(name.to_owned())));
    }
}
