//! A certificate authority for tests: one server, and clients of chosen tenants.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tonic::transport::{Certificate, Identity};

/// A certificate authority and the server's files.
pub(crate) struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Pki {
    /// Makes an authority, and writes `server.pem`, `server.key` and `ca.pem` to `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "test CA");
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let pki = Self {
            ca_pem: ca.pem(),
            issuer: Issuer::new(params, key),
        };
        let (certificate, key) = pki.sign("localhost", &[]);
        std::fs::write(dir.join("server.pem"), certificate).unwrap();
        std::fs::write(dir.join("server.key"), key).unwrap();
        std::fs::write(dir.join("ca.pem"), &pki.ca_pem).unwrap();
        pki
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> Certificate {
        Certificate::from_pem(&self.ca_pem)
    }

    /// A client certificate of `tenant`.
    pub(crate) fn client(&self, tenant: &str) -> Identity {
        self.client_with_uris(&[&format!("xenios://tenant/{tenant}")])
    }

    /// A client certificate with these URIs.
    pub(crate) fn client_with_uris(&self, uris: &[&str]) -> Identity {
        let (certificate, key) = self.sign("ann", uris);
        Identity::from_pem(certificate, key)
    }

    fn sign(&self, name: &str, uris: &[&str]) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        for uri in uris {
            params
                .subject_alt_names
                .push(SanType::URI((*uri).try_into().unwrap()));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
