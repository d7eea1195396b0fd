//! Reaches the daemon: mutual TLS over TCP, or a Unix socket.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tower::service_fn;
use xenios_api::v1::guests_client::GuestsClient;

use crate::config::Settings;
use crate::failure::Failure;

pub(crate) type Client = GuestsClient<Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a silent connection is probed, so that a lost one is noticed.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// The largest answer: a page of guests with full environments.
const MAX_ANSWER: usize = 64 << 20;

/// An endpoint as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    /// `https://host:port`, and the host alone.
    Tcp {
        uri: Uri,
        host: String,
    },
}

impl Address {
    fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            Failure::usage(
                format!("the endpoint {text:?} cannot be used: {why}"),
                "write https://host:port, or unix:///path/of/the/socket",
            )
        };
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(bad("the path of the socket is not absolute"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let uri: Uri = text.parse().map_err(|_| bad("it is no URL"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(bad("xeniosd serves TCP with TLS only")),
            _ => return Err(bad("it is neither https nor unix")),
        }
        if uri.port_u16().is_none() {
            return Err(bad("the port is missing"));
        }
        let host = uri.host().ok_or_else(|| bad("the host is missing"))?;
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self::Tcp { uri, host })
    }
}

/// Connects, once; a call on a connection that was lost fails.
pub(crate) async fn connect(settings: &Settings) -> Result<Client, Failure> {
    let address = Address::parse(&settings.endpoint)?;
    let connected = match &address {
        Address::Unix(path) => {
            let path = path.clone();
            let connector = service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // The connector ignores the URI; HTTP wants one all the same.
            let endpoint = Endpoint::from_static("http://xeniosd").connect_timeout(CONNECT_TIMEOUT);
            endpoint.connect_with_connector(connector).await
        }
        Address::Tcp { uri, host } => {
            let tls = tls(settings, host)?;
            let endpoint = Endpoint::from(uri.clone())
                .connect_timeout(CONNECT_TIMEOUT)
                .http2_keep_alive_interval(KEEPALIVE)
                .keep_alive_while_idle(true)
                .tls_config(tls)
                .map_err(|error| {
                    Failure::usage(
                        format!("the certificates cannot be used: {}", chain(&error)),
                        "check --cert, --key and --ca: PEM files, and the key belongs to the certificate",
                    )
                })?;
            endpoint.connect().await
        }
    };
    let channel = connected.map_err(|error| {
        let what = format!(
            "cannot reach xeniosd at {}: {}",
            settings.endpoint,
            chain(&error)
        );
        Failure::unavailable(what, next_step(&address))
    })?;
    Ok(GuestsClient::new(channel).max_decoding_message_size(MAX_ANSWER))
}

fn next_step(address: &Address) -> &'static str {
    match address {
        Address::Unix(_) => {
            "check that xeniosd runs on this host and that you may open the socket, or give --endpoint"
        }
        Address::Tcp { .. } => {
            "check the endpoint, that xeniosd runs there, and that --cert and --ca are its tenants' \
             (a name other than the host needs --server-name)"
        }
    }
}

fn tls(settings: &Settings, host: &str) -> Result<ClientTlsConfig, Failure> {
    let cert = pem(settings.cert.as_deref(), "--cert")?;
    let key = pem(settings.key.as_deref(), "--key")?;
    let ca = pem(settings.ca.as_deref(), "--ca")?;
    let name = settings.server_name.as_deref().unwrap_or(host);
    Ok(ClientTlsConfig::new()
        .domain_name(name)
        .ca_certificate(Certificate::from_pem(ca))
        .identity(Identity::from_pem(cert, key)))
}

fn pem(path: Option<&Path>, flag: &str) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else {
        return Err(Failure::usage(
            format!("an https endpoint needs {flag}"),
            "give --cert, --key and --ca (or XENIOS_CERT, XENIOS_KEY and XENIOS_CA)",
        ));
    };
    fs::read(path).map_err(|error| {
        Failure::usage(
            format!("cannot read {} ({flag}): {error}", path.display()),
            "name a PEM file that you may read",
        )
    })
}

/// The causes of an error; the outermost message of the transport says nothing.
fn chain(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    if causes.is_empty() {
        causes.push(error.to_string());
    }
    causes.join(": ")
}

#[cfg(test)]
mod tests;
