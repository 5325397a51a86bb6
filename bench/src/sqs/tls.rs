//! TLS of the server: a certificate made on the fly, and records sealed and opened in memory.
//!
//! No socket is touched here: a connection reads and writes the wire as it does without TLS, so that an answer still
//! leaves in one send. The keys live as long as the server and are kept nowhere.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};

/// What a server proves itself with, and the authority that its clients have to trust.
#[derive(Clone, Debug)]
pub struct Identity {
    config: Arc<ServerConfig>,
    ca_pem: String,
}

impl Identity {
    /// A new authority, and its certificate for `localhost`, `127.0.0.1` and another address to listen on.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn new(address: IpAddr) -> io::Result<Identity> {
        let issuer = authority().map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), address.to_string()];
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        // OpenSSL's strict mode, the default of newer Pythons, wants it.
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).map_err(io::Error::other)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity { config: Arc::new(config), ca_pem: issuer.pem() })
    }

    /// Certificate of the authority, for clients.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// TLS of a new connection.
    pub(super) fn accept(&self) -> io::Result<Records> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        // An answer is sealed whole; the connection bounds how many wait.
        connection.set_buffer_limit(None);
        Ok(Records { connection })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "authority of an embedded SQS server");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// TLS of one connection: bytes of the wire in, bytes for the wire out.
pub(super) struct Records {
    connection: ServerConnection,
}

impl Records {
    /// Opens what came. Appends requests to `input`, and what TLS itself has to say to `output`, a last alert too.
    ///
    /// # Errors
    /// The client broke the protocol, or refused the certificate.
    pub(super) fn open(
        &mut self,
        mut wire: &[u8],
        input: &mut Vec<u8>,
        output: &mut Vec<u8>,
    ) -> io::Result<()> {
        // Nothing is read after the client's farewell.
        while !wire.is_empty() && self.connection.read_tls(&mut wire)? > 0 {
            let opened = self.connection.process_new_packets();
            self.drain(output)?;
            let opened = opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let filled = input.len();
            input.resize(filled + opened.plaintext_bytes_to_read(), 0);
            self.connection.reader().read_exact(&mut input[filled..])?;
        }
        Ok(())
    }

    /// Appends a sealed answer to `output`, with a farewell if it is the last.
    ///
    /// # Errors
    /// None while the connection lives.
    pub(super) fn seal(&mut self, answer: &[u8], is_last: bool, output: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(answer)?;
        if is_last {
            self.connection.send_close_notify();
        }
        self.drain(output)
    }

    fn drain(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(output)?;
        }
        Ok(())
    }
}
