//! Certificates and keys in PEM files, for TLS of the API and between the planes.

use std::path::Path;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::exit::Failure;

/// The certificates of a file; at least one.
///
/// # Errors
/// Exit code 78: the text names the field.
pub(crate) fn certificates(field: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let pem = std::fs::read(file).map_err(|error| refused(field, file, &error.to_string()))?;
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.as_slice()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(field, file, "holds no certificate in PEM")),
        Err(error) => Err(refused(field, file, &error.to_string())),
    }
}

/// The private key of a file.
///
/// # Errors
/// Exit code 78: the text names the field.
pub(crate) fn key(field: &str, file: &Path) -> Result<PrivateKeyDer<'static>, Failure> {
    let pem = zeroize::Zeroizing::new(
        std::fs::read(file).map_err(|error| refused(field, file, &error.to_string()))?,
    );
    match rustls_pemfile::private_key(&mut pem.as_slice()) {
        Ok(Some(key)) => Ok(key),
        Ok(None) => Err(refused(field, file, "holds no private key in PEM")),
        Err(error) => Err(refused(field, file, &error.to_string())),
    }
}

/// A PEM file that cannot be used.
pub(crate) fn refused(field: &str, file: &Path, text: &str) -> Failure {
    Failure::config(format!("{field}: {}: {text}", file.display()), "name a readable PEM file")
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Authorities and certificates made on the fly.

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    /// An authority and its certificate.
    pub(crate) struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pub(crate) pem: String,
    }

    /// A certificate with its key, both in PEM.
    pub(crate) struct Signed {
        pub(crate) certificate: String,
        pub(crate) key: String,
    }

    impl Authority {
        pub(crate) fn new() -> Authority {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            Authority { issuer: Issuer::new(params, key), pem }
        }

        /// Signs a certificate that holds this name and is good until the first day of that year.
        pub(crate) fn sign(&self, name: &str, until: i32) -> Signed {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(until, 1, 1);
            let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
            Signed { certificate, key: key.serialize_pem() }
        }
    }
}
