//! Modules of a made-up kernel.

use std::fs;

use super::{Modules, dependencies, module_name};

#[test]
fn names_are_the_kernels() {
    assert_eq!(
        module_name("kernel/fs/xen-blkfront.ko.xz").as_deref(),
        Some("xen_blkfront")
    );
    assert_eq!(module_name("overlay.ko").as_deref(), Some("overlay"));
    assert_eq!(module_name("modules.order"), None);
}

#[test]
fn dependencies_are_read_from_modinfo() {
    assert_eq!(
        dependencies(b"ELF\0license=GPL\0depends=a-b,c\0name=x\0"),
        ["a_b", "c"]
    );
    assert!(dependencies(b"ELF\0depends=\0").is_empty());
    assert!(dependencies(b"").is_empty());
}

#[test]
fn a_module_comes_after_what_it_needs_and_once() {
    let folder = crate::scratch::Folder::new("modules");
    let write = |name: &str, depends: &str| {
        fs::write(
            folder.path().join(name),
            format!("ELF\0depends={depends}\0"),
        )
        .unwrap();
    };
    write("top.ko", "mid,base");
    write("mid.ko", "base,in-kernel");
    write("base.ko", "");
    fs::write(
        folder.path().join("modules.builtin"),
        "kernel/lib/in_kernel.ko\n",
    )
    .unwrap();

    let modules = Modules::scan(folder.path()).unwrap();
    let order: Vec<_> = modules
        .ordered(&["top", "base", "in-kernel"])
        .unwrap()
        .into_iter()
        .map(|module| module.file)
        .collect();
    assert_eq!(order, ["base.ko", "mid.ko", "top.ko"]);
    assert!(
        modules
            .ordered(&["absent"])
            .unwrap_err()
            .to_string()
            .contains("absent")
    );
}
