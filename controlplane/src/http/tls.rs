//! TLS of the API: certificate, key and, for mTLS, the authority that clients must be signed by.
//!
//! TLS 1.2 and 1.3 with rustls' suites: forward secret and AEAD all of them. Files that were renewed are taken up
//! while it runs. With an authority for clients the appliance's own probe gets in too, by the listener's certificate
//! and key.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dataplane::config::Tls;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

use super::pem::{certificates, key, refused};
use crate::exit::Failure;

/// Time between two looks at the files.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The listener's certificate as its files have it.
pub(super) struct Certified {
    tls: Tls,
    acceptor: TlsAcceptor,
    files: Vec<Option<Stamp>>,
    looked: Instant,
}

/// What tells a file from the one that was there before, or in its place: change, length, number.
type Stamp = (SystemTime, u64, u64);

impl Certified {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or holds something else; key and certificate do not belong together. Exit code 78.
    pub(super) fn new(tls: &Tls) -> Result<Certified, Failure> {
        // The stamps first: what changes between the two is seen at the next look.
        let files = stamps(tls);
        let acceptor = acceptor(tls)?;
        Ok(Certified { tls: tls.clone(), acceptor, files, looked: Instant::now() })
    }

    /// The acceptor for who connects now. Files that changed are read once for each change; while they cannot be
    /// used the former certificate stays.
    pub(super) fn acceptor(&mut self) -> TlsAcceptor {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let files = stamps(&self.tls);
            if files != self.files {
                self.files = files;
                self.renew();
            }
        }
        self.acceptor.clone()
    }

    fn renew(&mut self) {
        match acceptor(&self.tls) {
            Ok(acceptor) => {
                self.acceptor = acceptor;
                tracing::info!(
                    event = "certificate_renewed",
                    "the listener shows the certificate that its files hold now"
                );
            }
            Err(failure) => tracing::warn!(
                event = "certificate_not_renewed",
                error = %failure.text,
                "the listener keeps its former certificate: the files that changed cannot be used"
            ),
        }
    }
}

/// Stamps of all files, in one order.
fn stamps(tls: &Tls) -> Vec<Option<Stamp>> {
    [Some(&tls.cert_file), Some(&tls.key_file), tls.client_ca_file.as_ref()]
        .into_iter()
        .flatten()
        .map(|file| stamp(file))
        .collect()
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, Failure> {
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
