//! Who is calling: the tenant and user behind a connection.
//!
//! A tenant comes from a certificate that the TLS layer has already verified, or from
//! the kernel's word about the peer of a Unix socket; never from a message. Nothing
//! here decides what a tenant may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Request, Status};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use xenios_core::TenantId;

#[cfg(test)]
mod tests;

/// The URI in a client certificate that names its tenant starts with this.
pub const TENANT_URI_PREFIX: &str = "xenios://tenant/";

/// A user name is cut to this many bytes before policies and logs see it.
const MAX_USER: usize = 256;

/// The authenticated caller of one RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose guests the call is about.
    pub tenant: TenantId,
    /// The person or machine, for policies and audit records.
    pub user: String,
}

/// Why a connection has no caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// The transport gave neither a certificate nor peer credentials.
    #[error("the connection carries no identity; use a client certificate or the Unix socket")]
    Missing,
    /// The certificate is not X.509 that we can read.
    #[error("the client certificate cannot be read")]
    Certificate,
    /// No URI names a tenant, or more than one does.
    #[error(
        "the client certificate must have exactly one URI subject alternative name \
         {TENANT_URI_PREFIX}<id>, it has {0}"
    )]
    TenantCount(usize),
    /// The tenant's name is not one.
    #[error("the tenant in the client certificate is not 1 to 63 of [a-z0-9-]")]
    TenantName,
    /// This user has no tenant on the socket.
    #[error("user id {0} has no tenant on this socket; the operator can add [[unix_tenants]]")]
    UnknownUid(u32),
}

/// Finds the caller of each request; one for both listeners.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    unix: Arc<BTreeMap<u32, TenantId>>,
}

impl Identities {
    /// `unix`: the tenant of each user id that may use the socket.
    #[must_use]
    pub fn new(unix: BTreeMap<u32, TenantId>) -> Self {
        Self {
            unix: Arc::new(unix),
        }
    }

    /// Marks a request with its caller; every RPC goes through here.
    pub fn authenticate(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let caller = self.caller(&request).map_err(|error| {
            tracing::info!(%error, "a caller was refused");
            Status::unauthenticated(error.to_string())
        })?;
        request.extensions_mut().insert(caller);
        Ok(request)
    }

    fn caller(&self, request: &Request<()>) -> Result<Caller, IdentityError> {
        let extensions = request.extensions();
        if let Some(tls) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
            let chain = tls.peer_certs().ok_or(IdentityError::Missing)?;
            let leaf = chain.first().ok_or(IdentityError::Missing)?;
            return from_certificate(leaf);
        }
        let credentials = extensions
            .get::<UdsConnectInfo>()
            .and_then(|info| info.peer_cred)
            .ok_or(IdentityError::Missing)?;
        let uid = credentials.uid();
        let tenant = self.unix.get(&uid).ok_or(IdentityError::UnknownUid(uid))?;
        Ok(Caller {
            tenant: tenant.clone(),
            user: format!("uid:{uid}"),
        })
    }
}

/// The caller of an RPC that [`Identities::authenticate`] has let through.
///
/// # Errors
/// INTERNAL when it did not run: then nothing may be answered.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| Status::internal("the request was not authenticated"))
}

/// Reads tenant and user from a verified certificate (DER).
pub fn from_certificate(der: &[u8]) -> Result<Caller, IdentityError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|_| IdentityError::Certificate)?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| IdentityError::Certificate)?;
    let tenants: Vec<&str> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(TENANT_URI_PREFIX),
            _ => None,
        })
        .collect();
    let [tenant] = tenants[..] else {
        return Err(IdentityError::TenantCount(tenants.len()));
    };
    let tenant = tenant.parse().map_err(|_| IdentityError::TenantName)?;
    let user = certificate
        .subject()
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok())
        .map(clean_user)
        .unwrap_or_default();
    Ok(Caller { tenant, user })
}

/// A name that somebody else chose, made fit for logs and policies.
fn clean_user(name: &str) -> String {
    let mut user: String = name.chars().filter(|c| !c.is_control()).collect();
    let end = user.floor_char_boundary(MAX_USER);
    user.truncate(end);
    user
}
