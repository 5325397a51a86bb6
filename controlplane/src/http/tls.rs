//! TLS of the API: certificate, key and, for mTLS, the authority that clients must be signed by.
//!
//! TLS 1.2 and 1.3 with rustls' suites: forward secret and AEAD all of them. The files are read at start. With an
//! authority for clients the appliance's own probe gets in too, by the listener's certificate and key.

use std::path::Path;
use std::sync::Arc;

use dataplane::config::Tls;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

use crate::exit::Failure;

/// Makes the acceptor.
///
/// # Errors
/// A file cannot be read or holds something else; key and certificate do not belong together. Exit code 78.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Failure> {
    let chain = certificates("api.tls.cert_file", &tls.cert_file)?;
    let key = key(&tls.key_file)?;
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
            let verifier = SignedOrSelf { signed: verifier, own: chain[0].clone() };
            builder.with_client_cert_verifier(Arc::new(verifier))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        refused("api.tls.key_file", &tls.key_file, &format!("does not fit the certificate: {error}"))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Lets in whom an authority has signed, and who holds the key of the listener's own certificate: `millrace probe`,
/// which a container's health check could not do without a certificate of its own otherwise.
#[derive(Debug)]
struct SignedOrSelf {
    signed: Arc<dyn ClientCertVerifier>,
    own: CertificateDer<'static>,
}

impl ClientCertVerifier for SignedOrSelf {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.as_ref() == self.own.as_ref() {
            return Ok(ClientCertVerified::assertion());
        }
        self.signed.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Certificates of a file, one at least.
///
/// # Errors
/// It cannot be read or holds none. Exit code 78; the text names the field.
pub(crate) fn certificates(field: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = std::fs::read(file).map_err(|error| refused(field, file, &error.to_string()))?;
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.as_slice()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(field, file, "holds no certificate in PEM")),
        Err(error) => Err(refused(field, file, &error.to_string())),
    }
}

/// The private key of the listener.
///
/// # Errors
/// It cannot be read or holds none. Exit code 78.
pub(crate) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let field = "api.tls.key_file";
    let pem = zeroize::Zeroizing::new(
        std::fs::read(file).map_err(|error| refused(field, file, &error.to_string()))?,
    );
    match rustls_pemfile::private_key(&mut pem.as_slice()) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(refused(field, file, "holds no private key in PEM")),
        Err(error) => Err(refused(field, file, &error.to_string())),
    }
}

fn refused(field: &str, file: &Path, text: &str) -> Failure {
    Failure::config(format!("{field}: {}: {text}", file.display()), "name a readable PEM file")
}
