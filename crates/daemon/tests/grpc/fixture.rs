//! A whole daemon in this process, but for Xen, registry and packer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use xenios_api::v1;
use xenios_api::v1::guests_client::GuestsClient;
use xenios_core::fake::{MemoryHypervisor, MemoryImages, MemoryRootfses};
use xenios_core::{PolicyChain, Ports, Virtualization};
use xenios_daemon::config::TcpListen;
use xenios_daemon::console::Consoles;
use xenios_daemon::host::{Host, Parts, supervise};
use xenios_daemon::identity::Identities;
use xenios_daemon::listen;
use xenios_daemon::server::Api;
use xenios_daemon::stop::Stopper;
use xenios_daemon::store::SqliteStore;

use crate::pki::Pki;

pub(crate) type Client = GuestsClient<Channel>;

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) pki: Pki,
    pub(crate) hypervisor: MemoryHypervisor,
    pub(crate) host: Arc<Host>,
    pub(crate) api: Api,
    pub(crate) stopper: Stopper,
    address: SocketAddr,
}

impl Fixture {
    /// A daemon without policies.
    pub(crate) async fn open() -> Self {
        Self::with_chain(PolicyChain::new(Vec::new(), Vec::new(), 1)).await
    }

    /// A daemon that listens on a port of this machine.
    pub(crate) async fn with_chain(chain: PolicyChain) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path());
        let hypervisor = MemoryHypervisor::default();
        let host = host(dir.path(), chain, &hypervisor);
        let stopper = Stopper::default();
        let unix = [(rustix_uid(), "operator".parse().unwrap())];
        let identities = Identities::new(unix.into());
        let api = Api::new(Arc::clone(&host), identities, stopper.watch());
        let listener = listen::bind_tcp("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let tls = listen::tls_config(&TcpListen {
            address,
            certificate: dir.path().join("server.pem"),
            key: dir.path().join("server.key"),
            client_ca: dir.path().join("ca.pem"),
        })
        .unwrap();
        tokio::spawn(api.clone().serve_tcp(listener, tls));
        Self {
            dir,
            pki,
            hypervisor,
            host,
            api,
            stopper,
            address,
        }
    }

    /// A client with a certificate of `tenant`.
    pub(crate) async fn client(&self, tenant: &str) -> Client {
        let identity = self.pki.client(tenant);
        Client::new(self.channel(Some(identity)).await.unwrap())
    }

    /// A connection with or without a certificate.
    pub(crate) async fn channel(
        &self,
        identity: Option<Identity>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(self.pki.ca())
            .domain_name("localhost");
        if let Some(identity) = identity {
            tls = tls.identity(identity);
        }
        Endpoint::from_shared(format!("https://{}", self.address))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
    }
}

fn rustix_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// A host over what is in `dir`; a second one there is the daemon restarted.
pub(crate) fn host(dir: &Path, chain: PolicyChain, hypervisor: &MemoryHypervisor) -> Arc<Host> {
    let store = Arc::new(SqliteStore::open(&dir.join("state.db")).unwrap());
    let consoles = Arc::new(Consoles::open(&dir.join("console")).unwrap());
    let ports = Ports {
        store: store.clone(),
        rootfses: Arc::new(MemoryRootfses::default()),
        hypervisor: Arc::new(hypervisor.clone()),
    };
    let supervisor = supervise(ports, Arc::clone(&consoles), 4);
    Arc::new(Host::new(Parts {
        name: "bed".to_owned(),
        virtualization: Virtualization::Pvh,
        chain,
        images: Arc::new(MemoryImages::default()),
        store,
        consoles,
        supervisor,
    }))
}

/// A spec with a name and an image.
pub(crate) fn spec(name: &str) -> v1::GuestSpec {
    v1::GuestSpec {
        name: name.to_owned(),
        image: "registry.example:5000/app:1".to_owned(),
        ..v1::GuestSpec::default()
    }
}

/// The request to create it.
pub(crate) fn create(spec: v1::GuestSpec) -> v1::CreateGuestRequest {
    v1::CreateGuestRequest {
        spec: Some(spec),
        dry_run: false,
    }
}

/// The request to get a guest.
pub(crate) fn get(guest: &str) -> v1::GetGuestRequest {
    v1::GetGuestRequest {
        guest: guest.to_owned(),
    }
}

/// The request to delete a guest.
pub(crate) fn delete(guest: &str) -> v1::DeleteGuestRequest {
    v1::DeleteGuestRequest {
        guest: guest.to_owned(),
    }
}

/// The request to watch one guest, or all.
pub(crate) fn watch(guest: &str) -> v1::WatchGuestsRequest {
    v1::WatchGuestsRequest {
        guest: guest.to_owned(),
    }
}

/// Reads a watch until the guest is in that phase.
pub(crate) async fn until(
    watch: &mut tonic::Streaming<v1::WatchGuestsResponse>,
    phase: v1::Phase,
) -> v1::Guest {
    while let Some(answer) = watch.next().await {
        if let Some(v1::watch_guests_response::Event::Guest(guest)) = answer.unwrap().event
            && guest.status.as_ref().unwrap().phase() == phase
        {
            return guest;
        }
    }
    panic!("the watch ended before {phase:?}");
}
