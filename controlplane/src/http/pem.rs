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
