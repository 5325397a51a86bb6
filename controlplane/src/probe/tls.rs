//! The probe's side of TLS. Over loopback any certificate is taken: the probe sends nothing secret, and neither a
//! certificate that expired nor a renewed file that cannot be used is a reason to restart what moves messages. Another
//! address must show the very certificate of the file, whatever its names.

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
use crate::http::pem::{certificates, key};

/// Makes the client's end of a connection to the listener with these files.
///
/// # Errors
/// A file cannot be read or holds something else. Exit code 78.
pub(super) fn connection(tls: &Tls, address: SocketAddr) -> Result<ClientConnection, Failure> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let pinned = if address.ip().is_loopback() { None } else { Some(chain(tls)?.swap_remove(0)) };
    let verifier = Pinned { certificate: pinned, ring: Arc::clone(&ring) };
    let bug = |error: Error| Failure::bug(format!("TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .map_err(bug)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = if tls.client_ca_file.is_some() {
        // The listener lets in who holds its own key: see `http/tls.rs`.
        let key = key("api.tls.key_file", &tls.key_file)?;
        builder.with_client_auth_cert(chain(tls)?, key).map_err(|error| {
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

fn chain(tls: &Tls) -> Result<Vec<CertificateDer<'static>>, Failure> {
    certificates("api.tls.cert_file", &tls.cert_file)
}

/// Accepts one certificate, or any, from whoever holds its key.
#[derive(Debug)]
struct Pinned {
    certificate: Option<CertificateDer<'static>>,
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
        if self.certificate.as_ref().is_none_or(|pinned| pinned.as_ref() == end_entity.as_ref()) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pem::fixture::Authority;

    fn shown(pinned: Option<&CertificateDer<'static>>, shown: &CertificateDer<'_>) -> bool {
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let name = ServerName::from(std::net::IpAddr::from([192, 0, 2, 1]));
        Pinned { certificate: pinned.cloned(), ring }
            .verify_server_cert(shown, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn away_from_loopback_only_the_certificate_of_the_file_will_do() {
        let authority = Authority::new();
        let certificate = || {
            let pem = authority.sign("localhost", 2999).certificate;
            rustls_pemfile::certs(&mut pem.as_bytes()).next().unwrap().unwrap()
        };
        let (own, other) = (certificate(), certificate());
        assert!(shown(Some(&own), &own));
        assert!(!shown(Some(&own), &other), "another of the same authority");
        assert!(shown(None, &other));
    }
}
