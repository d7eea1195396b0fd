//! The product as it is installed on a bed: binaries, policies, kernels,
//! certificates and configuration, built here and laid out for dom0.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bed::{Bed, BedConfig};
use crate::certs::{Authority, Files};
use crate::client::Client;
use crate::cpio::{Archive, Source};
use crate::debs;
use crate::initrd;
use crate::kernel::{self, Kernel};
use crate::layout::Layout;
use crate::policies;
use crate::process::{command, output, visible};
use crate::scratch;
use crate::stage::stage;

mod config;

pub(crate) use config::{FORCED_ENV, MAX_MEMORY_MIB, MAX_VCPUS};
use config::{HOSTILE, PRODUCT, configuration};

/// Paths in dom0, as the configuration names them.
const CONFIG: &str = "/etc/xenios/xeniosd.toml";
/// The daemon in dom0.
pub(crate) const DAEMON: &str = "/usr/sbin/xeniosd";
const POLICIES: &str = "/usr/lib/xenios/policies";
const ARTIFACTS: &str = "/usr/lib/xenios/artifacts";
const HOSTILE_CONFIG: &str = "/etc/xenios/hostile.toml";
/// What the daemon prints.
pub(crate) const LOG: &str = "/var/log/xeniosd.log";

/// A command that should answer at once, on a machine that is busy.
const SHORT: Duration = Duration::from_mins(1);
/// Until the daemon answers its first call: it loads every policy first.
const DAEMON_START: Duration = Duration::from_mins(2);

/// Which configurations are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policies {
    /// Those of the product.
    Product,
    /// Also one that misbehaves as the guest's name says, in a configuration
    /// of its own: see [`Config::Hostile`].
    WithHostile,
}

/// Which configuration the daemon is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Config {
    /// The product's policies.
    Product,
    /// Only the policy that misbehaves.
    Hostile,
}

/// Everything that a bed needs, ready to boot.
#[derive(Debug)]
pub(crate) struct Site {
    files: Archive,
    xenios: PathBuf,
    kernel: PathBuf,
    authority: PathBuf,
    alice: Files,
    bob: Files,
    _folder: scratch::Folder,
}

impl Site {
    /// Builds the binaries and everything else. `registry` is the authority
    /// that images may come from, as dom0 names it.
    pub(crate) fn build(layout: &Layout, registry: &str, policies: Policies) -> Result<Self> {
        scratch::Folder::sweep(&layout.runs(), "site");
        let scratch = scratch::Folder::below(&layout.runs(), "site")
            .context("cannot create the site's folder")?;
        let folder = scratch.path();
        stage("build the binaries", || build_binaries(layout))?;
        let mut files = Archive::new();
        let kernel = stage("guest kernel and initrd", || {
            add_boot_files(layout, folder, &mut files)
        })?;
        add_policies(layout, folder, (registry, policies), &mut files)?;
        let daemon = initrd::strip(&layout.binary("xeniosd"), &layout.stripped())?;
        files.file(DAEMON, 0o755, Source::Path(daemon));

        let authority = Authority::new()?;
        let server = authority.server()?;
        files.text("etc/xenios/server.pem", 0o644, &server.certificate);
        files.text("etc/xenios/server.key", 0o600, &server.key);
        files.text("etc/xenios/client-ca.pem", 0o644, authority.certificate());
        let authority_file = folder.join("ca.pem");
        fs::write(&authority_file, authority.certificate())?;
        Ok(Self {
            files,
            xenios: layout.binary("xenios"),
            kernel,
            authority: authority_file,
            alice: authority.client("acme", "alice")?.write(folder, "alice")?,
            bob: authority.client("umbrella", "bob")?.write(folder, "bob")?,
            _folder: scratch,
        })
    }

    /// What dom0 needs of it.
    pub(crate) fn bed_config(&self) -> BedConfig {
        BedConfig {
            files: self.files.clone(),
            ..BedConfig::default()
        }
    }

    /// Copies what alice needs to reach the daemon, for a bed that outlives
    /// this process.
    pub(crate) fn keep_identity(&self, folder: &Path) -> Result<()> {
        for file in [&self.authority, &self.alice.certificate, &self.alice.key] {
            let name = file.file_name().unwrap_or_default();
            // The copy has the mode of the original.
            fs::copy(file, folder.join(name))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
        Ok(())
    }

    /// A guest kernel, for images that hold one.
    pub(crate) fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// A bed with the product in it; the daemon is not running yet.
    pub(crate) fn boot(&self, layout: &Layout) -> Result<Bed> {
        Bed::boot(layout, &self.bed_config())
    }

    /// The client as alice of the tenant acme.
    pub(crate) fn alice(&self, bed: &Bed) -> Client {
        self.client(bed, &self.alice)
    }

    /// The client as bob of another tenant, umbrella.
    pub(crate) fn bob(&self, bed: &Bed) -> Client {
        self.client(bed, &self.bob)
    }

    fn client(&self, bed: &Bed, user: &Files) -> Client {
        Client::new(&self.xenios, bed.grpc_port(), user, &self.authority)
    }

    /// Starts the daemon in dom0 and waits for its first answer.
    pub(crate) fn start_daemon(&self, bed: &mut Bed, config: Config) -> Result<()> {
        bed.sh(&start_script(config), SHORT)?;
        let ready = self.alice(bed).wait_until_ready(DAEMON_START);
        ready.with_context(|| {
            let log = bed
                .sh(&format!("tail -n 20 {LOG}"), SHORT)
                .unwrap_or_default();
            format!("xeniosd does not answer; its log ends with:\n{log}")
        })
    }

    /// Kills the daemon as a crash would.
    pub(crate) fn kill_daemon(bed: &mut Bed) -> Result<()> {
        bed.sh("kill -KILL $(cat /run/xeniosd.pid)", SHORT)
            .map(drop)
    }
}

/// Builds what `cargo test --workspace` builds too, examples and all: another
/// selection would unify features otherwise, and build wasmtime a second time.
fn build_binaries(layout: &Layout) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let selection = [
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bins",
        "--examples",
    ];
    visible(command(cargo).args(selection).current_dir(layout.root()))
}

/// A binary of the workspace (`xenios`, `examples/NAME`) without debug sections.
pub(crate) fn stripped(layout: &Layout, binary: &str) -> Result<PathBuf> {
    initrd::strip(&layout.binary(binary), &layout.stripped())
}

/// For dom0's shell: starts the daemon in the background.
pub(crate) fn start_script(config: Config) -> String {
    let file = match config {
        Config::Product => CONFIG,
        Config::Hostile => HOSTILE_CONFIG,
    };
    format!("setsid {DAEMON} --config {file} </dev/null >>{LOG} 2>&1 & echo $! >/run/xeniosd.pid")
}

/// Adds the guest kernel and the initrd that goes with it; where the kernel is
/// on this machine.
fn add_boot_files(layout: &Layout, folder: &Path, files: &mut Archive) -> Result<PathBuf> {
    fs::create_dir_all(layout.cache())?;
    let tree = {
        let _lock = crate::bed::lock(&layout.cache().join("lock"))?;
        debs::tree(&layout.cache(), &kernel::GUEST)?
    };
    let kernel = Kernel::open(&tree)?;
    let init = initrd::strip(&layout.binary("xenios-init"), &layout.stripped())?;
    let out = folder.join("initrd");
    initrd::build(&init, &kernel, &out)?;
    files.file(
        "usr/lib/xenios/vmlinuz",
        0o644,
        Source::Path(kernel.image().to_path_buf()),
    );
    files.file("usr/lib/xenios/initrd", 0o644, Source::Path(out));
    Ok(kernel.image().to_path_buf())
}

/// Adds the policies, their compiled forms, and the configurations.
fn add_policies(
    layout: &Layout,
    folder: &Path,
    (registry, which): (&str, Policies),
    files: &mut Archive,
) -> Result<()> {
    let mut wasm = stage("build the policies", || policies::build(layout.root()))?;
    let here = policies::folder(layout.root());
    let mut configurations = vec![(CONFIG, PRODUCT.as_slice())];
    if which == Policies::WithHostile {
        configurations.push((HOSTILE_CONFIG, HOSTILE.as_slice()));
        wasm.push(here.join(format!("{}.wasm", HOSTILE[0].name)));
    }
    for file in &wasm {
        let path = file
            .strip_prefix(&here)
            .unwrap_or(file)
            .display()
            .to_string();
        files.host_file(&format!("{POLICIES}/{path}"), file)?;
    }
    let artifacts = folder.join("artifacts");
    fs::create_dir_all(&artifacts)?;
    stage("compile the policies", || {
        for (path, bindings) in configurations {
            files.text(
                path,
                0o644,
                &configuration(registry, Path::new(POLICIES), bindings),
            );
            let local = folder.join("compile.toml");
            fs::write(&local, configuration(registry, &here, bindings))?;
            compile(&layout.binary("xeniosd"), &local, &artifacts)?;
        }
        Ok(())
    })?;
    files.directory(ARTIFACTS);
    for entry in fs::read_dir(&artifacts)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.file(
            &format!("{ARTIFACTS}/{name}"),
            0o600,
            Source::Path(entry.path()),
        );
    }
    Ok(())
}

/// Compiles here, not in dom0: a compiler under emulation takes minutes.
fn compile(daemon: &Path, config: &Path, artifacts: &Path) -> Result<()> {
    let mut compile = command(daemon);
    compile
        .arg("--config")
        .arg(config)
        .arg("compile")
        .arg("--artifacts")
        .arg(artifacts);
    output(&mut compile).map(drop)
}

#[cfg(test)]
mod tests;
