//! TLS of the API: certificate, key and, for mTLS, the authority that clients must be signed by.
//!
//! TLS 1.2 and 1.3 with rustls' suites: forward secret and AEAD all of them. The files are read at start.

use std::sync::Arc;

use dataplane::config::Tls;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::pem::{certificates, key, refused};
use crate::exit::Failure;

/// Makes the acceptor.
///
/// # Errors
/// A file cannot be read or holds something else; key and certificate do not belong together. Exit code 78.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Failure> {
    let chain = certificates("api.tls.cert_file", &tls.cert_file)?;
    let key = key("api.tls.key_file", &tls.key_file)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&ring))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::bug(format!("TLS: {error}")))?;
    let builder = match &tls.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("api.tls.client_ca_file", file)? {
                roots
                    .add(certificate)
                    .map_err(|error| refused("api.tls.client_ca_file", file, &error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ring)
                .build()
                .map_err(|error| refused("api.tls.client_ca_file", file, &error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        refused("api.tls.key_file", &tls.key_file, &format!("does not fit the certificate: {error}"))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
