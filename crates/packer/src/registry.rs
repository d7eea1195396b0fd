//! The pull half of the OCI distribution protocol, for untrusted registries.
//!
//! A tenant chooses references, so every address that this could be led to is
//! checked: the registry's own, those behind names (after resolution), each
//! redirect, and the token service. Bodies are read up to their declared or allowed
//! size and no further, and none of their bytes reaches an error. The reasons for a
//! client of our own are in `docs/adr/0001-registry-client.md`.

mod address;
mod auth;
mod shown;
mod transport;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_LENGTH};
use reqwest::{Method, Response, StatusCode};
use url::Url;

pub(crate) use self::shown::Shown;

use self::auth::Tokens;
use self::transport::{Request, Transport};
use crate::cache::Cache;
use crate::digest::Hashing;
use crate::error::{ConfigError, Error, ErrorKind, Part, RegistryFault};
use crate::image::too_big;
use crate::limits::Limits;
use crate::manifest::{ACCEPTED, Descriptor};
use crate::reference::Reference;

/// A registry that may be used, and how.
#[derive(Clone, Debug)]
pub struct Registry {
    /// `host` or `host:port`, as references name it. Without a port it is that of
    /// the scheme.
    pub authority: String,
    /// Speak http instead of https.
    pub plain_http: bool,
    /// Allow addresses that are not public: private, loopback, link-local and the
    /// like.
    pub allow_private: bool,
    /// Certificates of the authorities to trust for it, in PEM, instead of the
    /// system's.
    pub ca_pem: Option<String>,
    /// For a registry that asks for them. Without, it is used anonymously.
    pub credentials: Option<Credentials>,
}

/// A name and a password or access token.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password or access token.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Host and port that a connection goes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    host: String,
    port: u16,
}

/// The allow-list, ready for use.
#[derive(Debug)]
pub(crate) struct Registries {
    transport: Transport,
    tokens: Tokens,
    limits: Limits,
}

impl Registries {
    pub(crate) fn new(registries: &[Registry], limits: &Limits) -> Result<Self, ConfigError> {
        let mut entries = BTreeMap::new();
        for registry in registries {
            let authority = || registry.authority.clone();
            let endpoint = endpoint(&registry.authority, registry.plain_http).ok_or_else(|| {
                ConfigError::Authority {
                    authority: authority(),
                }
            })?;
            if entries.insert(endpoint, registry.clone()).is_some() {
                return Err(ConfigError::DuplicateRegistry {
                    authority: authority(),
                });
            }
        }
        Ok(Self {
            transport: Transport::new(entries, limits)?,
            tokens: Tokens::default(),
            limits: limits.clone(),
        })
    }

    /// The repository of `reference`, if its registry is allowed.
    pub(crate) fn repository(&self, reference: &Reference) -> Result<Repository<'_>, Error> {
        let authority = reference.registry().to_owned();
        let registry = [false, true]
            .into_iter()
            .find_map(|plain| {
                let endpoint = endpoint(&authority, plain)?;
                let registry = self.transport.entry(&endpoint)?;
                (registry.plain_http == plain).then_some(registry)
            })
            .ok_or_else(|| Error::RegistryNotAllowed {
                authority: authority.clone(),
            })?;
        let scheme = if registry.plain_http { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| {
            Error::RegistryNotAllowed {
                authority: authority.clone(),
            }
        })?;
        Ok(Repository {
            registries: self,
            registry,
            authority,
            name: reference.repository().to_owned(),
            base,
        })
    }
}

fn endpoint(authority: &str, plain_http: bool) -> Option<Endpoint> {
    let scheme = if plain_http { "http" } else { "https" };
    let url = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
    // Nothing but host and port may have been in it.
    let bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    if !bare || url.query().is_some() || url.fragment().is_some() || authority.contains('/') {
        return None;
    }
    Endpoint::of(&url)
}

impl Endpoint {
    fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }
}

/// One repository of an allowed registry.
#[derive(Debug)]
pub(crate) struct Repository<'a> {
    registries: &'a Registries,
    registry: &'a Registry,
    /// As the reference names it, for errors.
    authority: String,
    name: String,
    /// The registry's root.
    base: Url,
}

impl Repository<'_> {
    /// The bytes under a tag or digest. Whether they are the right ones is for the
    /// caller to check: a tag has no digest but theirs, whatever a header says.
    pub(crate) async fn manifest(&self, reference: &str, what: Part) -> Result<Vec<u8>, Error> {
        let url = self.url(&format!("manifests/{reference}"));
        let limit = self.registries.limits.manifest_bytes;
        self.retrying(async || {
            let mut response = self.ask(Method::GET, &url, ACCEPTED, what).await?;
            if declared(&response).is_some_and(|length| length > limit) {
                return Err(too_big(what, limit));
            }
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
                if (bytes.len() + chunk.len()) as u64 > limit {
                    return Err(too_big(what, limit));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        })
        .await
    }

    /// Fetches a blob to `path`, where it appears when it is complete and right.
    pub(crate) async fn blob(
        &self,
        blob: Descriptor,
        what: Part,
        cache: &Cache,
        path: &Path,
    ) -> Result<(), Error> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        self.retrying(async || {
            let mut response = self.ask(Method::GET, &url, "*/*", what).await?;
            let wrong_size = || Error::SizeMismatch { what };
            if declared(&response).is_some_and(|length| length != blob.size) {
                return Err(wrong_size());
            }
            let mut staged = cache.stage()?;
            let mut hashing = Hashing::new(&mut staged.file);
            // Without a length, only the end of the body tells that it is short: a
            // body that breaks off is an error below.
            while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(e))? {
                if hashing.len() + chunk.len() as u64 > blob.size {
                    return Err(wrong_size());
                }
                hashing
                    .write_all(&chunk)
                    .map_err(Error::host("store a layer in its image cache"))?;
            }
            let (_, digest, length) = hashing.finish();
            if length != blob.size {
                return Err(wrong_size());
            }
            if digest != blob.digest {
                return Err(Error::DigestMismatch { what });
            }
            staged.commit(path)
        })
        .await
    }

    /// Makes sure that the repository itself has a blob, without fetching it.
    pub(crate) async fn holds(&self, blob: Descriptor, what: Part) -> Result<(), Error> {
        let url = self.url(&format!("blobs/{}", blob.digest));
        self.retrying(async || self.ask(Method::HEAD, &url, "*/*", what).await.map(drop))
            .await
    }

    /// `work`, unless it takes longer than a whole pull may.
    pub(crate) async fn within_deadline<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let deadline = self.registries.limits.pull_deadline;
        tokio::time::timeout(deadline, work)
            .await
            .unwrap_or_else(|_| Err(self.fault(RegistryFault::TooSlow)))
    }

    /// Tries again what failed for a reason that may pass.
    async fn retrying<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut wait = self.registries.limits.first_backoff;
        let mut tries = 1;
        loop {
            match attempt().await {
                Err(error)
                    if error.kind() == ErrorKind::Transient
                        && tries < self.registries.limits.attempts =>
                {
                    tracing::debug!(registry = self.authority, %error, "trying again");
                }
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(Duration::from_secs(10));
            tries += 1;
        }
    }

    /// A successful answer, authenticated if the registry asks for it.
    async fn ask(
        &self,
        method: Method,
        url: &Url,
        accept: &str,
        what: Part,
    ) -> Result<Response, Error> {
        let headers = [(ACCEPT, accept)];
        let request = |authorization| Request {
            method: method.clone(),
            authority: &self.authority,
            url,
            headers: &headers,
            authorization,
            follow: true,
        };
        let transport = &self.registries.transport;
        let known = self.registries.tokens.get(&self.authority, &self.name);
        let mut response = transport.send(request(known)).await?;
        // A challenge names who gets the password: only the registry's own counts, not
        // that of where it redirected to.
        let own = response.url().origin() == url.origin();
        if response.status() == StatusCode::UNAUTHORIZED && own {
            let authorization = self.authorize(response.headers()).await?;
            response = transport.send(request(Some(authorization))).await?;
        }
        let status = response.status();
        match status.as_u16() {
            200 => Ok(response),
            404 => Err(Error::NotFound {
                authority: self.authority.clone(),
                what,
            }),
            401 | 403 => {
                self.registries.tokens.forget(&self.authority, &self.name);
                Err(Error::AccessDenied {
                    authority: self.authority.clone(),
                })
            }
            408 | 429 | 500..=599 => Err(self.fault(RegistryFault::Unavailable(status.as_u16()))),
            other => Err(self.fault(RegistryFault::UnexpectedStatus(other))),
        }
    }

    fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{rest}", self.name));
        url
    }

    fn fault(&self, fault: RegistryFault) -> Error {
        transport::fault(&self.authority, fault)
    }

    fn broken(&self, source: reqwest::Error) -> Error {
        transport::send_fault(&self.authority, source)
    }
}

/// The length that a response declares.
fn declared(response: &Response) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
