//! The probe's side of TLS: the listener must show the very certificate that its file holds.
//!
//! Its name is not looked at, which is for those outside, while the probe asks by address. Nor is its validity: an
//! expired certificate is no reason to restart what moves messages.

use std::net::SocketAddr;
use std::sync::Arc;

use dataplane::config::Tls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use crate::exit::Failure;
use crate::http::{certificates, key};

/// Makes the client's end of a connection to the listener with these files.
///
/// # Errors
/// A file cannot be read or holds something else. Exit code 78.
pub(super) fn connection(tls: &Tls, address: SocketAddr) -> Result<ClientConnection, Failure> {
    let chain = certificates("api.tls.cert_file", &tls.cert_file)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = Pinned { certificate: chain[0].clone(), ring: Arc::clone(&ring) };
    let bug = |error: Error| Failure::bug(format!("TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(bug)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned));
    let config = if tls.client_ca_file.is_some() {
        // The listener lets in who holds its own key: see `http/tls.rs`.
        let key = key(&tls.key_file)?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            Failure::config(
                format!("api.tls.key_file: {}: {error}", tls.key_file.display()),
                "name the key of the certificate",
            )
        })?
    } else {
        builder.with_no_client_auth()
    };
    ClientConnection::new(Arc::new(config), ServerName::from(address.ip())).map_err(bug)
}

/// Accepts one certificate, from whoever holds its key.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    ring: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if end_entity.as_ref() == self.certificate.as_ref() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.ring.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.ring.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.ring.signature_verification_algorithms.supported_schemes()
    }
}
