//! Debian's kernels: where the image is, and which modules in which order a
//! wanted module needs. The packages carry no `modules.dep`, so dependencies
//! are read from the modules themselves (`depends=` in `.modinfo`).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::debs::{DebTree, Selection};
use crate::process::{command, output};

/// The kernel of dom0: Debian's standard one has what a dom0 needs.
pub(crate) const DOM0: Selection = Selection {
    name: "kernel-dom0",
    roots: &["linux-image-amd64"],
    follow: &["linux-image-", "linux-modules-"],
};

/// The kernel of guests: Debian's cloud kernel is smaller and boots PV and PVH.
pub(crate) const GUEST: Selection = Selection {
    name: "kernel-guest",
    roots: &["linux-image-cloud-amd64"],
    follow: &["linux-image-", "linux-modules-"],
};

/// libcrc32c asks for this one by algorithm, not by symbol, so that no
/// dependency names it. Kernels from 6.16 on have no such file.
pub(crate) const CHECKSUM: &str = "crc32c_generic";

/// One unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    image: PathBuf,
    modules: Modules,
}

/// A module: its name, and its bytes as `insmod` takes them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The file's name, `xen-blkfront.ko`.
    pub(crate) file: String,
    /// Uncompressed.
    pub(crate) bytes: Vec<u8>,
}

impl Kernel {
    /// Looks at the tree of a kernel package.
    pub(crate) fn open(tree: &DebTree) -> Result<Self> {
        let image = tree.only("boot", "vmlinuz-", "")?;
        let folder = tree.find(&["usr/lib/modules", "lib/modules"])?;
        Ok(Self {
            image,
            modules: Modules::scan(&folder)?,
        })
    }

    /// The compressed kernel image.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// Whether the kernel has this module as a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.modules.files.contains_key(&name.replace('-', "_"))
    }

    /// The modules, each after those that it needs. A name that is built into
    /// the kernel needs no file and is left out.
    pub(crate) fn modules(&self, names: &[&str]) -> Result<Vec<Module>> {
        self.modules.ordered(names)
    }
}

#[derive(Debug, Default)]
struct Modules {
    /// By name, with `_` for `-`: the kernel does not tell them apart.
    files: BTreeMap<String, PathBuf>,
    builtin: Vec<String>,
}

impl Modules {
    fn scan(folder: &Path) -> Result<Self> {
        let mut modules = Self::default();
        modules.walk(folder)?;
        Ok(modules)
    }

    fn walk(&mut self, folder: &Path) -> Result<()> {
        for entry in
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let entry = entry?;
            let (path, name) = (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            );
            if entry.file_type()?.is_dir() {
                self.walk(&path)?;
            } else if name == "modules.builtin" {
                let text = fs::read_to_string(&path)?;
                self.builtin.extend(text.lines().filter_map(module_name));
            } else if let Some(module) = module_name(&name) {
                self.files.insert(module, path);
            }
        }
        Ok(())
    }

    fn ordered(&self, names: &[&str]) -> Result<Vec<Module>> {
        let mut placed = Vec::new();
        let mut ordered = Vec::new();
        for name in names {
            self.place(&name.replace('-', "_"), &mut placed, &mut ordered)?;
        }
        Ok(ordered)
    }

    /// Adds a module after its dependencies, once.
    fn place(&self, name: &str, placed: &mut Vec<String>, ordered: &mut Vec<Module>) -> Result<()> {
        if placed.iter().any(|other| other == name) {
            return Ok(());
        }
        placed.push(name.to_owned());
        let Some(path) = self.files.get(name) else {
            if self.builtin.iter().any(|other| other == name) {
                return Ok(());
            }
            bail!("this kernel has no module {name}");
        };
        let bytes = read_module(path)?;
        for needed in dependencies(&bytes) {
            self.place(&needed, placed, ordered)?;
        }
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        ordered.push(Module {
            file: file.trim_end_matches(".xz").to_owned(),
            bytes,
        });
        Ok(())
    }
}

/// `kernel/drivers/block/xen-blkfront.ko.xz` is `xen_blkfront`.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let stem = file
        .strip_suffix(".ko")
        .or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(stem.replace('-', "_"))
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        return output(command("xz").args(["--decompress", "--stdout"]).arg(path));
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The names after `depends=`: `.modinfo` is a row of `key=value` strings, each
/// ended by a zero byte (`include/linux/moduleparam.h`).
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(at) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = &module[at + key.len()..];
    let end = value
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}
