//! Requests to addresses that were checked, redirects included.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, Method, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::address::{AddressRefused, CheckedResolver, is_public};
use super::{Endpoint, Registry};
use crate::error::{ConfigError, Error, RegistryFault};
use crate::limits::Limits;

/// Most redirects of one request. Registries use one, to a store of blobs.
const MAX_REDIRECTS: usize = 5;

/// Where Debian, and most others, keep the authorities that a system trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The clients: one for each registry, whose addresses and authorities are its own,
/// and one for everything else, which is https at public addresses.
#[derive(Debug)]
pub(super) struct Transport {
    entries: BTreeMap<Endpoint, (Registry, Client)>,
    elsewhere: Client,
}

/// One request, without a body.
pub(super) struct Request<'a> {
    /// GET, or HEAD to learn only whether something is there.
    pub(super) method: Method,
    /// The registry on whose behalf it is, for errors.
    pub(super) authority: &'a str,
    pub(super) url: &'a Url,
    pub(super) headers: &'a [(HeaderName, &'a str)],
    /// Sent to the origin of `url` alone.
    pub(super) authorization: Option<HeaderValue>,
    /// Whether redirects are followed; else they are a fault.
    pub(super) follow: bool,
}

impl Transport {
    pub(super) fn new(
        registries: BTreeMap<Endpoint, Registry>,
        limits: &Limits,
    ) -> Result<Self, ConfigError> {
        let system = system_roots();
        let mut entries = BTreeMap::new();
        for (endpoint, registry) in registries {
            let authority = &registry.authority;
            let roots =
                match &registry.ca_pem {
                    None => Arc::clone(&system),
                    Some(pem) => Arc::new(roots(pem.as_bytes()).ok_or_else(|| {
                        ConfigError::CaCertificates {
                            authority: authority.clone(),
                        }
                    })?),
                };
            let client = client(authority, roots, registry.allow_private, limits)?;
            entries.insert(endpoint, (registry, client));
        }
        Ok(Self {
            entries,
            elsewhere: client("elsewhere", system, false, limits)?,
        })
    }

    /// The allow-list's entry for `endpoint`.
    pub(super) fn entry(&self, endpoint: &Endpoint) -> Option<&Registry> {
        self.entries.get(endpoint).map(|(registry, _)| registry)
    }

    /// Sends `request` and follows where it leads, each hop checked.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        let authority = request.authority;
        let mut url = request.url.clone();
        let mut authorization = request.authorization;
        for _ in 0..=MAX_REDIRECTS {
            let client = self.admit(authority, &url)?;
            let mut builder = client.request(request.method.clone(), url.clone());
            for (name, value) in request.headers {
                builder = builder.header(name, *value);
            }
            if let Some(value) = &authorization {
                builder = builder.header(AUTHORIZATION, value);
            }
            let response = builder
                .send()
                .await
                .map_err(|source| send_fault(authority, source))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .and_then(|location| url.join(location).ok())
                .filter(|_| request.follow)
                .ok_or_else(|| fault(authority, RegistryFault::BadRedirect))?;
            if next.origin() != request.url.origin() {
                // Once away, credentials stay away, even on the way back.
                authorization = None;
            }
            url = next;
        }
        Err(fault(authority, RegistryFault::BadRedirect))
    }

    /// The client for `url`, if it may be fetched.
    fn admit(&self, authority: &str, url: &Url) -> Result<&Client, Error> {
        let refused = || Error::AddressRefused {
            authority: authority.to_owned(),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        let endpoint = Endpoint::of(url).ok_or_else(refused)?;
        let (plain_http, allow_private, client) = match self.entries.get(&endpoint) {
            Some((entry, client)) => (entry.plain_http, entry.allow_private, client),
            None => (false, false, &self.elsewhere),
        };
        let wanted = if plain_http { "http" } else { "https" };
        // Addresses behind names are checked by the resolver. Literals never reach
        // it; this is the same parse of them that the connection uses.
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(refused()),
        };
        if url.scheme() != wanted || !(allow_private || literal.is_none_or(is_public)) {
            return Err(refused());
        }
        Ok(client)
    }
}

fn client(
    authority: &str,
    roots: Arc<RootCertStore>,
    allow_private: bool,
    limits: &Limits,
) -> Result<Client, ConfigError> {
    let broken = |source: Box<dyn StdError + Send + Sync>| ConfigError::Client {
        authority: authority.to_owned(),
        source,
    };
    // The provider is passed along: a library does not install a global one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| broken(source.into()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(CheckedResolver { allow_private })
        // Through a proxy the address check would be the proxy's.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .http1_only()
        .connect_timeout(limits.connect_timeout)
        .read_timeout(limits.idle_timeout)
        .user_agent(concat!("xenios-packer/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|source| broken(source.into()))
}

/// The authorities in `pem`, if there is a usable one.
fn roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let (added, _) = roots.add_parsable_certificates(certificates);
    (added > 0).then_some(roots)
}

/// The system's authorities. Without them, https needs a registry's own.
fn system_roots() -> Arc<RootCertStore> {
    let found = std::fs::read(SYSTEM_ROOTS).ok().and_then(|pem| roots(&pem));
    if found.is_none() {
        tracing::warn!(
            file = SYSTEM_ROOTS,
            "no trusted authorities: https works only for registries with their own"
        );
    }
    Arc::new(found.unwrap_or_else(RootCertStore::empty))
}

/// A registry's fault without a cause to show.
pub(super) fn fault(authority: &str, fault: RegistryFault) -> Error {
    Error::Registry {
        authority: authority.to_owned(),
        fault,
        source: None,
    }
}

/// What went wrong on the wire. The source has addresses, so it is for operators;
/// it never has a URL's query, which may be signed.
pub(super) fn send_fault(authority: &str, source: reqwest::Error) -> Error {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&source);
    while let Some(error) = cause {
        if error.is::<AddressRefused>() {
            return Error::AddressRefused {
                authority: authority.to_owned(),
            };
        }
        cause = error.source();
    }
    Error::Registry {
        authority: authority.to_owned(),
        fault: if source.is_timeout() {
            RegistryFault::TooSlow
        } else {
            RegistryFault::Unreachable
        },
        source: Some(Box::new(source.without_url())),
    }
}
