//! `xeniosd serve`: builds the host from its configuration, serves, and stops.
//!
//! Stopping ends calls and steps; guests keep running, and the next start takes up
//! where this one was.

use std::collections::HashSet;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use xenios_core::Ports;
use xenios_core::port::GuestStore;
use xenios_xen::Toolstack;

use crate::adapter::boot::BootFiles;
use crate::adapter::packer::{PackerPort, RegistryImages};
use crate::adapter::policy;
use crate::adapter::xen::{XenHypervisor, watch_domains};
use crate::config::Config;
use crate::console::Consoles;
use crate::host::{Host, Parts, supervise};
use crate::identity::Identities;
use crate::listen;
use crate::server::Api;
use crate::stop::Stopper;
use crate::store::SqliteStore;
use crate::supervisor::DEFAULT_CONCURRENCY;

/// Calls and steps that have not ended by then are cut off: both can be repeated.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the daemon until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    // Fails only when a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Arc::new(config);
    let building = Arc::clone(&config);
    let built = tokio::task::spawn_blocking(move || build(&building)).await??;
    let stopper = Stopper::default();
    let mut servers = listen(&config, &built.host, &stopper).await?;
    let supervisor = built.host.supervisor.clone();
    watch_domains(built.toolstack, stopper.watch(), {
        let supervisor = supervisor.clone();
        move |guest| supervisor.notify(guest)
    })
    .context("cannot start the thread that watches domains")?;
    let resumed = built.host.resume()?;
    tracing::info!(host = %config.host, guests = resumed, "ready");
    let outcome = tokio::select! {
        signal = asked_to_stop() => signal,
        Some(ended) = servers.join_next() => {
            ended.context("a server panicked").and_then(|result| result)
        }
    };
    tracing::info!("stopping; guests keep running");
    stopper.stop();
    let ended = tokio::time::timeout(GRACE, async {
        while servers.join_next().await.is_some() {}
        supervisor.stop().await;
    });
    if ended.await.is_err() {
        tracing::warn!("calls or steps were cut off; they are taken up at the next start");
    }
    if let Some(unix) = &config.unix {
        let _ = std::fs::remove_file(&unix.path);
    }
    outcome
}

async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// A host, ready to serve.
struct Built {
    host: Arc<Host>,
    toolstack: Arc<Toolstack>,
}

/// Reads and opens everything that the configuration names. Blocks.
fn build(config: &Config) -> anyhow::Result<Built> {
    make_private(&config.state_dir)?;
    lock(&config.state_dir)?;
    let store = Arc::new(SqliteStore::open(&config.state_dir.join("state.db"))?);
    let consoles = Consoles::open(&config.state_dir.join("console"))
        .context("cannot use the directory of console logs")?;
    let consoles = Arc::new(consoles);
    let chain = policy::load_chain(&config.policy)?;
    if chain.policies().is_empty() {
        tracing::warn!("no policy is bound: every valid spec is admitted");
    }
    let packer = Arc::new(PackerPort::open(
        &config.state_dir.join("cache"),
        &config.registries,
    )?);
    let boot = Arc::new(BootFiles::load(&config.boot, packer.clone())?);
    let images = RegistryImages::new(Arc::clone(&packer), boot.defaults());
    let toolstack = Arc::new(Toolstack::open()?);
    let hypervisor = Arc::new(XenHypervisor::new(
        Arc::clone(&toolstack),
        boot,
        config.boot.cmdline.clone(),
        Arc::clone(&consoles),
    ));
    let known: HashSet<_> = store.ids()?.into_iter().collect();
    consoles
        .retain(&known)
        .context("cannot remove console logs of deleted guests")?;
    hypervisor.report_strangers(&known)?;
    let ports = Ports {
        store: store.clone(),
        rootfses: packer,
        hypervisor,
    };
    let supervisor = supervise(ports, Arc::clone(&consoles), DEFAULT_CONCURRENCY);
    let host = Arc::new(Host::new(Parts {
        name: config.host.clone(),
        virtualization: config.boot.virtualization,
        chain,
        images: Arc::new(images),
        store,
        consoles,
        supervisor,
    }));
    Ok(Built { host, toolstack })
}

/// Console logs and specs are nobody else's business.
fn make_private(dir: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the state directory {}", dir.display()))
}

/// Two daemons on one state would both write each guest. The lock ends with the
/// process.
fn lock(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join("lock");
    let file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!(
            "{} is locked: another xeniosd uses {}; stop it first",
            path.display(),
            dir.display()
        )
    })?;
    // Held until the process ends.
    std::mem::forget(file);
    Ok(())
}

async fn listen(
    config: &Config,
    host: &Arc<Host>,
    stopper: &Stopper,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let tenants = config.unix.as_ref().map(|unix| unix.tenants.clone());
    let identities = Identities::new(tenants.unwrap_or_default());
    let api = Api::new(Arc::clone(host), identities, stopper.watch());
    let mut servers = JoinSet::new();
    if let Some(tcp) = &config.tcp {
        let tls = listen::tls_config(tcp)?;
        let listener = listen::bind_tcp(tcp.address).await?;
        let api = api.clone();
        let address = tcp.address;
        tracing::info!(%address, "listening");
        servers.spawn(async move {
            let served = api.serve_tcp(listener, tls).await;
            served.with_context(|| format!("cannot serve {address}; check the [tls] files"))
        });
    }
    if let Some(unix) = &config.unix {
        let listener = listen::bind_unix(&unix.path).await?;
        tracing::info!(path = %unix.path.display(), "listening");
        servers.spawn(async move { Ok(api.serve_unix(listener).await?) });
    }
    Ok(servers)
}
