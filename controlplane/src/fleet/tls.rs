//! TLS between the planes: both sides show a certificate, and each looks at the name in the other's.
//!
//! TLS 1.3 only: both ends are ours.

use std::path::Path;
use std::sync::Arc;

use dataplane::config::MutualTls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::exit::Failure;
use crate::http::pem;

/// The side that is connected to.
///
/// # Errors
/// A file cannot be used; the text names its field. Exit code 78.
pub(super) fn acceptor(tls: &MutualTls) -> Result<TlsAcceptor, Failure> {
    let Files { chain, key, roots } = Files::read("door.tls", tls)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&ring))
        .build()
        .map_err(|error| pem::refused("door.tls.ca_file", &tls.ca_file, &error.to_string()))?;
    let config = ServerConfig::builder_with_provider(ring)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::bug(format!("TLS: {error}")))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| misfit("door.tls.key_file", &tls.key_file, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The side that connects.
///
/// # Errors
/// A file cannot be used; the text names its field. Exit code 78.
pub(super) fn connector(tls: &MutualTls) -> Result<TlsConnector, Failure> {
    let Files { chain, key, roots } = Files::read("attach.tls", tls)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::bug(format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| misfit("attach.tls.key_file", &tls.key_file, &error))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Whether the certificate of whoever connected holds one of these names.
pub(super) fn is_one_of(certificates: Option<&[CertificateDer<'_>]>, names: &[String]) -> bool {
    let Some(parsed) =
        certificates.and_then(<[_]>::first).and_then(|first| ParsedCertificate::try_from(first).ok())
    else {
        return false;
    };
    names.iter().any(|name| {
        let name = ServerName::try_from(name.as_str());
        name.is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
    })
}

struct Files {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
}

impl Files {
    fn read(table: &str, tls: &MutualTls) -> Result<Files, Failure> {
        let mut roots = RootCertStore::empty();
        let field = format!("{table}.ca_file");
        for authority in pem::certificates(&field, &tls.ca_file)? {
            roots.add(authority).map_err(|error| pem::refused(&field, &tls.ca_file, &error.to_string()))?;
        }
        Ok(Files {
            chain: pem::certificates(&format!("{table}.cert_file"), &tls.cert_file)?,
            key: pem::key(&format!("{table}.key_file"), &tls.key_file)?,
            roots,
        })
    }
}

fn misfit(field: &str, file: &Path, error: &rustls::Error) -> Failure {
    pem::refused(field, file, &format!("does not fit the certificate: {error}"))
}
