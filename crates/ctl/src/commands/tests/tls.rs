//! Mutual TLS over TCP, to an address without a name.

use std::net::SocketAddr;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::Fake;
use crate::calls::Daemon;
use crate::config::Settings;
use crate::connect::connect;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

async fn serve(authority: &Authority, name: &str) -> SocketAddr {
    let (certificate, key) = authority.issue(name);
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.0.pem()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Server::builder()
        .tls_config(tls)
        .unwrap()
        .add_service(Fake::default().service());
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn settings(dir: &Path, address: SocketAddr, client: &Authority, ca: &Authority) -> Settings {
    let (certificate, key) = client.issue("client");
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    Settings {
        endpoint: format!("https://{address}"),
        cert: write("cert.pem", &certificate),
        key: write("key.pem", &key),
        ca: write("ca.pem", &ca.0.pem()),
        server_name: None,
    }
}

#[tokio::test]
async fn an_address_and_a_server_name_both_work() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    let address = serve(&authority, "127.0.0.1").await;
    let settings = settings(dir.path(), address, &authority, &authority);
    let daemon = Daemon::new(connect(&settings).await.unwrap());
    assert_eq!(daemon.list().await.unwrap(), []);

    let named = serve(&authority, "bed.example").await;
    let mut settings = Settings {
        endpoint: format!("https://{named}"),
        ..settings
    };
    let refused = connect(&settings).await.unwrap_err();
    assert_eq!(refused.exit_code(), 5);
    assert!(refused.to_string().contains("--server-name"), "{refused}");
    settings.server_name = Some("bed.example".into());
    let daemon = Daemon::new(connect(&settings).await.unwrap());
    assert_eq!(daemon.list().await.unwrap(), []);
}

#[tokio::test]
async fn strangers_are_told_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().unwrap();
    let address = serve(&authority, "127.0.0.1").await;
    let wrong_ca = settings(dir.path(), address, &authority, &other);
    let refused = connect(&wrong_ca).await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");

    // With TLS 1.3 the daemon's refusal comes after the handshake.
    let stranger = settings(dir.path(), address, &other, &authority);
    let refused = match connect(&stranger).await {
        Ok(client) => Daemon::new(client).list().await.unwrap_err(),
        Err(failure) => failure,
    };
    assert_eq!(refused.exit_code(), 5, "{refused}");
}
