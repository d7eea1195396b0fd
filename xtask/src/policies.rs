//! Builds the policies for wasm32 and makes components of them.
//!
//! They need the compiler's wasm32-unknown-unknown target. rustup has it; where that
//! does not work, the standard library is built from its source on the way. Nothing
//! here loads or runs a policy.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use wit_component::ComponentEncoder;

use crate::packages;
use crate::process::{command, output, text, visible};
use crate::stage::note;

const TARGET: &str = "wasm32-unknown-unknown";

/// Set to build the standard library even where the target is installed.
const FORCE_BUILD_STD: &str = "XENIOS_POLICIES_BUILD_STD";

/// Debian's compiler and the source of its standard library. Debian backports new
/// ones under these names for its browsers.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Where Debian's compiler is.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// Variables that would change what is built. The checkout's own config names a target
/// and flags for the host, and `cargo xtask` may run under others still.
const FOREIGN: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];

/// As [`FOREIGN`], for names that begin so.
const FOREIGN_PREFIXES: [&str; 3] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];

/// Where [`build`] puts the components: `<name>.wasm`, and below `tests` those that
/// only serve tests.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("target/policies")
}

/// Builds every policy. Returns the components that are to be installed.
pub(crate) fn build(root: &Path) -> Result<Vec<PathBuf>> {
    let workspace = root.join("policies");
    let policies = policies(&workspace)?;
    cargo_build(root, &workspace, &policies)?;
    let modules = workspace.join("target").join(TARGET).join("release");
    let mut written = Vec::new();
    for policy in &policies {
        let module = modules.join(policy.module());
        let file = folder(root).join(policy.file());
        let component =
            component(&module).with_context(|| format!("cannot encode {}", policy.name))?;
        write_if_changed(&file, &component)?;
        written.push(file);
    }
    remove_others(&folder(root), &written)?;
    remove_others(&folder(root).join("tests"), &written)?;
    let installed = policies.iter().zip(written);
    Ok(installed
        .filter(|(policy, _)| !policy.test_only)
        .map(|(_, file)| file)
        .collect())
}

/// A crate with a `[package.metadata.policy]` table.
struct Policy {
    name: String,
    test_only: bool,
}

impl Policy {
    fn module(&self) -> String {
        format!("{}.wasm", self.name.replace('-', "_"))
    }

    fn file(&self) -> PathBuf {
        let file = format!("{}.wasm", self.name);
        if self.test_only {
            Path::new("tests").join(file)
        } else {
            PathBuf::from(file)
        }
    }
}

fn policies(workspace: &Path) -> Result<Vec<Policy>> {
    let metadata =
        text(cargo(workspace).args(["metadata", "--locked", "--no-deps", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let policies: Vec<Policy> = metadata["packages"]
        .as_array()
        .context("cargo metadata has no packages")?
        .iter()
        .filter(|package| package["metadata"]["policy"].is_object())
        .map(|package| Policy {
            name: package["name"].as_str().unwrap_or_default().to_owned(),
            test_only: package["metadata"]["policy"]["test-only"] == Value::Bool(true),
        })
        .collect();
    ensure!(
        !policies.is_empty(),
        "there is no policy in {}",
        workspace.display()
    );
    Ok(policies)
}

/// `cargo`, with the policies' workspace around it and nothing else.
fn cargo(workspace: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = command(cargo);
    cargo.current_dir(workspace);
    for (name, _) in std::env::vars_os() {
        if is_foreign(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name)
        || FOREIGN_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Makes a core module of each policy. The crate type is given here and not in the
/// manifests, because a policy is also tested as a plain library.
fn cargo_build(root: &Path, workspace: &Path, policies: &[Policy]) -> Result<()> {
    let toolchain = toolchain(workspace)?;
    for policy in policies {
        let mut build = cargo(workspace);
        build
            .args(["rustc", "--quiet", "--locked", "--release", "--lib"])
            .args(["--crate-type", "cdylib", "--target", TARGET])
            .args(["--package", &policy.name])
            .arg("--target-dir")
            .arg(workspace.join("target"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags(root));
        if let Toolchain::BuildStd { rustc, linker } = &toolchain {
            build
                .arg("-Zbuild-std=std,panic_abort")
                // Building the standard library is unstable, in compiler and cargo
                // alike.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", rustc);
            if let Some(linker) = linker {
                build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            }
        }
        visible(&mut build).with_context(|| format!("cannot build the policy {}", policy.name))?;
    }
    Ok(())
}

/// Panics name source files. Without this the same policy would have other bytes, and
/// another digest, in every checkout.
fn flags(root: &Path) -> OsString {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut flags = OsString::from("--remap-path-prefix=");
    flags.push(home);
    flags.push("=/cargo\u{1f}--remap-path-prefix=");
    flags.push(root);
    flags.push("=/xenios");
    flags
}

/// How the standard library for wasm32 comes to be.
enum Toolchain {
    /// It is installed.
    Target,
    /// It is built from the source beside this compiler.
    BuildStd {
        rustc: PathBuf,
        /// `None`: the compiler brings its own.
        linker: Option<PathBuf>,
    },
}

fn toolchain(workspace: &Path) -> Result<Toolchain> {
    if std::env::var_os(FORCE_BUILD_STD).is_none()
        && (target_installed(workspace) || add_target(workspace))
    {
        return Ok(Toolchain::Target);
    }
    if let Some(toolchain) = build_std(workspace) {
        return Ok(toolchain);
    }
    let [rustc, source] = DEBIAN_PACKAGES;
    if packages::is_root() && Path::new("/usr/bin/apt-get").exists() {
        note(&format!(
            "the compiler has no {TARGET} target: installing Debian packages: {rustc} {source}"
        ));
        packages::refresh()?;
        visible(
            command("apt-get")
                .args([
                    "install",
                    "-y",
                    "-qq",
                    "--no-install-recommends",
                    rustc,
                    source,
                ])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
        if let Some(toolchain) = build_std(workspace) {
            return Ok(toolchain);
        }
    }
    bail!(
        "the policies need the compiler's {TARGET} target, which is not installed and \
         could not be added.\nEither of these helps:\n    \
         rustup target add {TARGET}\n    \
         rustup component add rust-src\n    \
         sudo apt-get install --no-install-recommends {rustc} {source}"
    )
}

fn target_installed(workspace: &Path) -> bool {
    let libraries = text(command("rustc").current_dir(workspace).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]));
    // The folder may be there without a library in it, after an uninstallation.
    libraries.is_ok_and(|folder| {
        fs::read_dir(folder.trim_end()).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
        })
    })
}

fn add_target(workspace: &Path) -> bool {
    let mut rustup = command("rustup");
    rustup
        .current_dir(workspace)
        .args(["target", "add", TARGET]);
    match output(&mut rustup) {
        Ok(_) => {
            note(&format!("rustup added the target {TARGET}"));
            target_installed(workspace)
        }
        Err(error) => {
            note(&format!(
                "rustup could not add the target {TARGET}: {error:#}"
            ));
            false
        }
    }
}

/// The first compiler that has its standard library's source beside it.
fn build_std(workspace: &Path) -> Option<Toolchain> {
    let rustc = ["rustc", DEBIAN_RUSTC].into_iter().find(|rustc| {
        sysroot(workspace, rustc).is_some_and(|sysroot| {
            sysroot
                .join("lib/rustlib/src/rust/library/std/Cargo.toml")
                .exists()
        })
    })?;
    note(&format!(
        "the standard library for {TARGET} is built from the source of {rustc}"
    ));
    Some(Toolchain::BuildStd {
        rustc: rustc.into(),
        linker: linker(workspace, rustc),
    })
}

fn sysroot(workspace: &Path, rustc: &str) -> Option<PathBuf> {
    let sysroot = text(
        command(rustc)
            .current_dir(workspace)
            .args(["--print", "sysroot"]),
    );
    sysroot.ok().map(|path| PathBuf::from(path.trim_end()))
}

/// A linker for wasm, when `rustc` brings none: Debian's does not.
fn linker(workspace: &Path, rustc: &str) -> Option<PathBuf> {
    let host = "lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld";
    let brought = |rustc: &str| {
        sysroot(workspace, rustc)
            .map(|sysroot| sysroot.join(host))
            .filter(|linker| linker.exists())
    };
    if brought(rustc).is_some() {
        return None;
    }
    brought("rustc").or_else(|| newest_wasm_ld(Path::new("/usr/bin")))
}

/// Debian's lld packages install `wasm-ld-<version>`.
fn newest_wasm_ld(folder: &Path) -> Option<PathBuf> {
    let version = |path: &PathBuf| -> Option<u32> {
        path.file_name()?
            .to_str()?
            .strip_prefix("wasm-ld-")?
            .parse()
            .ok()
    };
    fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| version(path).is_some())
        .max_by_key(version)
}

/// A component of a core module that wit-bindgen described.
fn component(module: &Path) -> Result<Vec<u8>> {
    let module = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .encode()
}

/// Leaves the file's time alone when nothing changed, and never a half of it.
fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let context = || format!("cannot write {}", file.display());
    let folder = file.parent().expect("a policy's file is in a folder");
    fs::create_dir_all(folder).with_context(context)?;
    let temporary = file.with_extension("tmp");
    fs::write(&temporary, bytes).with_context(context)?;
    fs::rename(&temporary, file).with_context(context)
}

/// A policy that is no longer in the workspace must not be installed.
fn remove_others(folder: &Path, kept: &[PathBuf]) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let is_wasm = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        if is_wasm && !kept.contains(&path) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
