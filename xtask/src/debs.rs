//! Debian packages as trees of files: downloaded with apt and unpacked into
//! the cache, never installed. No name here carries a version: apt resolves
//! them, and the cache's key is what it resolved them to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::packages;
use crate::process::{command, output, text};
use crate::stage::note;

/// Packages unpacked over one another.
#[derive(Debug, Clone)]
pub(crate) struct DebTree {
    root: PathBuf,
    key: String,
}

impl DebTree {
    /// The folder that stands for `/`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Changes whenever a package in the tree changes.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// A file of the tree under one of several names: Debian moves things.
    pub(crate) fn find(&self, candidates: &[&str]) -> Result<PathBuf> {
        candidates
            .iter()
            .map(|path| self.root.join(path.trim_start_matches('/')))
            .find(|path| path.symlink_metadata().is_ok())
            .with_context(|| format!("the downloaded packages hold none of {candidates:?}"))
    }

    /// The only file of a folder whose name begins and ends like this.
    pub(crate) fn only(&self, folder: &str, prefix: &str, suffix: &str) -> Result<PathBuf> {
        let folder = self.root.join(folder);
        let mut found = Vec::new();
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) && name.ends_with(suffix) {
                found.push(entry.path());
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            _ => bail!(
                "expected one {prefix}*{suffix} in {}, found {}",
                folder.display(),
                found.len()
            ),
        }
    }
}

/// What to download: some packages, and which of their dependencies with them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection {
    /// Names the tree in messages and in the cache.
    pub(crate) name: &'static str,
    /// The packages themselves.
    pub(crate) roots: &'static [&'static str],
    /// A dependency is followed when its name begins with one of these.
    pub(crate) follow: &'static [&'static str],
}

/// One file that apt would download.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deb {
    /// As apt names it: package, version and architecture.
    file: String,
    /// What the package lists promise of it.
    hash: String,
}

/// Downloads and unpacks, or finds it in the cache.
pub(crate) fn tree(cache: &Path, selection: &Selection) -> Result<DebTree> {
    match resolve_and_unpack(cache, selection) {
        Err(first) if packages::is_root() => {
            // Missing or old package lists are the usual reason.
            note(&format!(
                "{first:#}; fetching the package lists and trying again"
            ));
            packages::refresh()?;
            resolve_and_unpack(cache, selection)
        }
        other => other.context("if the package lists are missing or old, run: sudo apt-get update"),
    }
}

fn resolve_and_unpack(cache: &Path, selection: &Selection) -> Result<DebTree> {
    let state = lists_state(selection);
    let known = cache.join(format!("{}.resolved", selection.name));
    if let Some(key) = fs::read_to_string(&known)
        .ok()
        .and_then(|text| text.strip_prefix(&state).map(str::to_owned))
    {
        let root = cache.join(format!("{}-{key}", selection.name));
        if root.exists() {
            return Ok(DebTree { root, key });
        }
    }
    let tree = resolve_with_apt(cache, selection)?;
    fs::write(&known, format!("{state}{}", tree.key))
        .with_context(|| format!("cannot write {}", known.display()))?;
    Ok(tree)
}

/// Changes when apt might resolve the selection to other packages. To ask apt
/// itself takes seconds.
fn lists_state(selection: &Selection) -> String {
    let changed = |path: &str| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
            .map(|time| format!("{time:?}"))
    };
    let lists = changed("/var/lib/apt/lists");
    let sources = changed("/etc/apt/sources.list.d");
    format!(
        "{lists:?} {sources:?} {:?} {:?}\n",
        selection.roots, selection.follow
    )
}

fn resolve_with_apt(cache: &Path, selection: &Selection) -> Result<DebTree> {
    let names = closure(selection)?;
    let debs = candidates(&names)?;
    let mut hash = Sha256::new();
    for deb in &debs {
        hash.update(format!("{} {}\n", deb.file, deb.hash));
    }
    let key = hex::encode(&hash.finalize()[..8]);
    let root = cache.join(format!("{}-{key}", selection.name));
    if !root.exists() {
        note(&format!(
            "downloading for {}: {}",
            selection.name,
            names.iter().cloned().collect::<Vec<_>>().join(" ")
        ));
        let folder = cache.join("debs");
        download(&folder, &debs, &names)?;
        unpack(&folder, &debs, &root)?;
    }
    Ok(DebTree { root, key })
}

/// The roots and the dependencies to follow, transitively.
fn closure(selection: &Selection) -> Result<BTreeSet<String>> {
    let mut all: BTreeSet<String> = selection
        .roots
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    let mut fresh: Vec<String> = all.iter().cloned().collect();
    while !fresh.is_empty() {
        let printed = text(
            command("apt-cache")
                .args(["depends", "--important"])
                .args(&fresh),
        )?;
        fresh = dependencies(&printed)
            .filter(|name| {
                selection
                    .follow
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .filter(|&name| all.insert(name.to_owned()))
            .map(str::to_owned)
            .collect();
    }
    // A package that only names others has no files of its own.
    Ok(all)
}

/// Real packages that `apt-cache depends` prints as dependencies.
fn dependencies(printed: &str) -> impl Iterator<Item = &str> {
    printed.lines().filter_map(|line| {
        let line = line.trim_start().trim_start_matches('|');
        let name = line
            .strip_prefix("Depends: ")
            .or_else(|| line.strip_prefix("PreDepends: "))?;
        (!name.starts_with('<')).then(|| name.split(':').next().unwrap_or(name))
    })
}

/// What apt would download for these packages, sorted.
fn candidates(names: &BTreeSet<String>) -> Result<Vec<Deb>> {
    let printed = text(
        command("apt-get")
            .args(["download", "--print-uris", "-qq"])
            .args(names),
    )?;
    let mut debs = printed.lines().map(candidate).collect::<Result<Vec<_>>>()?;
    debs.sort();
    if debs.len() != names.len() {
        bail!(
            "apt knows {} of these {} packages: {names:?}",
            debs.len(),
            names.len()
        );
    }
    Ok(debs)
}

/// A line of `--print-uris`: 'URI' file size hash.
fn candidate(line: &str) -> Result<Deb> {
    let mut words = line.split(' ').skip(1);
    let (Some(file), Some(_size), Some(hash)) = (words.next(), words.next(), words.next()) else {
        bail!("apt-get download --print-uris printed {line:?}");
    };
    if file.contains('/')
        || Path::new(file)
            .extension()
            .is_none_or(|extension| extension != "deb")
    {
        bail!("apt-get download --print-uris named a file {file:?}");
    }
    Ok(Deb {
        file: file.to_owned(),
        hash: hash.to_owned(),
    })
}

fn download(folder: &Path, debs: &[Deb], names: &BTreeSet<String>) -> Result<()> {
    fs::create_dir_all(folder)?;
    if debs.iter().all(|deb| folder.join(&deb.file).exists()) {
        return Ok(());
    }
    // apt writes into a folder of its own first: a download that is cut short
    // must not look like a package.
    let fresh = tempfile_folder(folder)?;
    // As root apt would use another user, who may not write here.
    let result = output(
        command("apt-get")
            .args(["download", "-qq", "-o", "APT::Sandbox::User=root"])
            .args(names)
            .current_dir(&fresh),
    );
    if result.is_ok() {
        for deb in debs {
            fs::rename(fresh.join(&deb.file), folder.join(&deb.file))
                .with_context(|| format!("apt-get download did not bring {}", deb.file))?;
        }
    }
    fs::remove_dir_all(&fresh)?;
    result.map(drop)
}

fn unpack(folder: &Path, debs: &[Deb], root: &Path) -> Result<()> {
    let parent = root.parent().expect("a tree is below the cache");
    let fresh = tempfile_folder(parent)?;
    for deb in debs {
        output(
            command("dpkg-deb")
                .arg("--extract")
                .arg(folder.join(&deb.file))
                .arg(&fresh),
        )?;
    }
    fs::rename(&fresh, root).with_context(|| format!("cannot create {}", root.display()))
}

/// A new folder; one that an interrupted run left is replaced.
fn tempfile_folder(parent: &Path) -> Result<PathBuf> {
    let folder = parent.join(format!("partial-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
