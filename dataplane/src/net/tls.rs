//! TLS settings for the connections to SQS: rustls on ring, TLS 1.2 and newer, certificates always checked.
//!
//! Level 2. There is no setting that skips a check. New certificates on disk are read by making new
//! settings; sessions are resumed within the same settings.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use rustls::client::{UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::error::{Fault, TlsTrouble};

/// TLS settings, shared by all connections of a pipeline.
#[derive(Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Settings that trust the machine's store, or only the authorities in a PEM file.
    ///
    /// # Errors
    /// The file cannot be read or has no usable certificate; the text names it.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<TlsClient, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?;
        let mut config = match ca_file {
            None => {
                builder.with_platform_verifier().map_err(|error| error.to_string())?.with_no_client_auth()
            }
            Some(path) => {
                let roots = Arc::new(read_roots(path)?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                builder.with_webpki_verifier(verifier).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsClient { config: Arc::new(config) })
    }

    /// A connection to a host whose certificate must name it.
    pub(super) fn connect(&self, host: &str) -> Result<UnbufferedClientConnection, Fault> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| Fault::Tls(TlsTrouble::NotConfigured, format!("{host}: {error}")))?;
        UnbufferedClientConnection::new(Arc::clone(&self.config), name).map_err(|error| tls_fault(&error))
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut BufReader::new(file)) {
        let certificate = certificate.map_err(|error| format!("{}: {error}", path.display()))?;
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if roots.is_empty() {
        return Err(format!("{}: there is no certificate in it", path.display()));
    }
    Ok(roots)
}

/// Which check failed, with rustls' own text, which holds the times and names that were compared.
pub(super) fn tls_fault(error: &Error) -> Fault {
    let trouble = match error {
        Error::InvalidCertificate(refused) => match refused {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                TlsTrouble::CertificateExpired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsTrouble::CertificateNotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsTrouble::CertificateOtherName
            }
            CertificateError::UnknownIssuer => TlsTrouble::CertificateUnknownIssuer,
            _ => TlsTrouble::CertificateRefused,
        },
        _ => TlsTrouble::Protocol,
    };
    Fault::Tls(trouble, error.to_string())
}
