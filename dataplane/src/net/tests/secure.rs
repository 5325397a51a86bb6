//! TLS: certificates of every kind of wrong, cuts, and what goes on inside a connection.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ServerConfig;
use rustls::{HandshakeKind, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::*;

pub(super) type Secured = StreamOwned<ServerConnection, TcpStream>;
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Both versions that are spoken.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// An authority of its own, and a file that holds its certificate.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    pub(super) fn new() -> Authority {
        Authority::named("an authority")
    }

    fn named(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Authority { issuer, file }
    }

    pub(super) fn client(&self) -> TlsClient {
        TlsClient::new(Some(self.file.path())).unwrap()
    }

    /// A certificate for a name, valid from and to the first of January of these years.
    fn certify(&self, name: &str, from: i32, to: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }
}

/// A TLS server on loopback.
pub(super) struct Server {
    config: Arc<ServerConfig>,
}

impl Server {
    /// One whose certificate is right in every way.
    pub(super) fn trusted(authority: &Authority) -> Server {
        Server::with(authority.certify("localhost", 2020, 4000), &VERSIONS)
    }

    fn with((certificate, key): Identity, versions: &[&'static SupportedProtocolVersion]) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions).unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Server { config: Arc::new(config) }
    }

    pub(super) fn serving(
        &self,
        count: usize,
        mut serve: impl FnMut(Secured) + Send + 'static,
    ) -> (SocketAddr, JoinHandle<()>) {
        let config = Arc::clone(&self.config);
        server(count, move |tcp| {
            serve(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp));
        })
    }

    /// Answers every request of so many connections with `OK`.
    pub(super) fn answering(&self, count: usize) -> (SocketAddr, JoinHandle<()>) {
        self.serving(count, |mut stream| {
            while read_request(&mut stream) {
                stream.write_all(OK).unwrap();
                stream.flush().unwrap();
            }
        })
    }
}

fn secure_target(address: SocketAddr) -> Target {
    Target { tls: true, host: "localhost".to_owned(), port: address.port(), proxy: None }
}

async fn open_secure(
    address: SocketAddr,
    tls: &TlsClient,
    ms: u64,
    watchdog: &Watchdog,
) -> Result<Connection, NetError> {
    Connection::open(&secure_target(address), &[address], Some(tls), soon(ms), watchdog).await
}

/// Asks once over TLS.
fn asked_securely(tls: TlsClient, address: SocketAddr) -> Outcome {
    on_executor(move |watchdog| async move {
        let mut connection = open_secure(address, &tls, PATIENCE_MS, &watchdog).await?;
        ask(&mut connection, &ReceiveBuffer::new(), PATIENCE_MS).await
    })
}

#[test]
fn the_right_certificate_is_accepted_in_both_versions() {
    let authority = Authority::new();
    for version in VERSIONS {
        let server = Server::with(authority.certify("localhost", 2020, 4000), &[version]);
        let (address, thread) = server.answering(1);
        assert_eq!(asked_securely(authority.client(), address), ok(b"ok"), "{version:?}");
        thread.join().unwrap();
    }
}

#[test]
fn wrong_certificates_are_refused_and_told_apart() {
    let (authority, namesake, stranger) =
        (Authority::new(), Authority::new(), Authority::named("a stranger"));
    for (identity, trouble, code) in [
        (
            namesake.certify("localhost", 2020, 4000),
            TlsTrouble::CertificateRefused,
            "tls_certificate_refused",
        ),
        (
            stranger.certify("localhost", 2020, 4000),
            TlsTrouble::CertificateUnknownIssuer,
            "tls_certificate_unknown_issuer",
        ),
        (
            authority.certify("localhost", 2020, 2021),
            TlsTrouble::CertificateExpired,
            "tls_certificate_expired",
        ),
        (
            authority.certify("localhost", 3999, 4000),
            TlsTrouble::CertificateNotYetValid,
            "tls_certificate_not_yet_valid",
        ),
        (
            authority.certify("sqs.example", 2020, 4000),
            TlsTrouble::CertificateOtherName,
            "tls_certificate_other_name",
        ),
    ] {
        for version in VERSIONS {
            let server = Server::with((identity.0.clone(), identity.1.clone_key()), &[version]);
            let (address, thread) = server.serving(1, |mut stream| {
                assert!(!read_request(&mut stream), "nothing is sent to a server that is not trusted");
            });
            let error = asked_securely(authority.client(), address).unwrap_err();
            assert!(matches!(error.fault, Fault::Tls(found, _) if found == trouble), "{error:?}");
            assert_eq!((error.code(), error.sent), (code, false));
            thread.join().unwrap();
        }
    }
}

#[test]
fn the_machines_own_store_does_not_trust_a_stranger() {
    let (address, thread) = Server::trusted(&Authority::new()).serving(1, |mut stream| {
        assert!(!read_request(&mut stream));
    });
    let error = asked_securely(TlsClient::new(None).unwrap(), address).unwrap_err();
    assert_eq!(error.code(), "tls_certificate_unknown_issuer", "{error}");
    thread.join().unwrap();
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let name = file.path().display().to_string();
    let text = |file: &tempfile::NamedTempFile| TlsClient::new(Some(file.path())).err().unwrap();
    assert!(text(&file).contains(&name));
    file.write_all(b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(text(&file).contains(&name));
    assert!(TlsClient::new(Some("no/such/file".as_ref())).err().unwrap().contains("no/such/file"));
}

#[test]
fn nothing_is_sent_in_the_clear_when_tls_is_asked_for() {
    let (address, thread) = server(1, |mut stream| assert!(is_at_end(&mut stream)));
    let error = on_executor(move |watchdog| async move {
        let target = secure_target(address);
        Connection::open(&target, &[address], None, soon(PATIENCE_MS), &watchdog).await.err().unwrap()
    });
    assert_eq!(error.code(), "tls_not_configured");
    thread.join().unwrap();
}

#[test]
fn a_peer_that_does_not_speak_tls_is_an_error_in_time() {
    let tls = Authority::new().client();
    for (words, code) in [(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "tls"), (b"", "deadline")] {
        let tls = tls.clone();
        let (address, thread) = server(1, move |mut stream| {
            stream.write_all(words).unwrap();
            while !is_at_end(&mut stream) {
                // The client's own words.
            }
        });
        let error = on_executor(move |watchdog| async move {
            open_secure(address, &tls, 500, &watchdog).await.err().unwrap()
        });
        assert_eq!((error.code(), error.sent), (code, false), "{error}");
        thread.join().unwrap();
    }
    let (address, thread) = server(1, drop);
    assert!(!asked_securely(tls, address).unwrap_err().sent);
    thread.join().unwrap();
}

/// What comes of an answer over TLS after which the server just goes, or says goodbye first.
fn ended(text: &'static str, goodbye: bool) -> Outcome {
    let authority = Authority::new();
    let (address, thread) = Server::trusted(&authority).serving(1, move |mut stream| {
        read_request(&mut stream);
        stream.write_all(text.as_bytes()).unwrap();
        if goodbye {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
    });
    let outcome = asked_securely(authority.client(), address);
    thread.join().unwrap();
    outcome
}

#[test]
fn an_end_without_goodbye_is_a_cut_unless_the_length_is_satisfied() {
    assert_eq!(ended("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false), ok(b"hello"));
    assert_eq!(ended("HTTP/1.1 200 OK\r\n\r\nhello", true), ok(b"hello"));
    for (text, goodbye) in [
        ("HTTP/1.1 200 OK\r\n\r\nhello", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", true),
    ] {
        let fault = Fault::Closed { seen: text.len() };
        assert_eq!(ended(text, goodbye), Err(NetError { fault, sent: true }), "{text}");
    }
}

#[test]
fn a_flipped_byte_is_noticed() {
    let authority = Authority::new();
    let (address, thread) = Server::trusted(&authority).serving(1, |mut stream| {
        read_request(&mut stream);
        stream.conn.writer().write_all(OK).unwrap();
        let mut records = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut records).unwrap();
        }
        *records.last_mut().unwrap() ^= 1;
        stream.sock.write_all(&records).unwrap();
        assert!(!read_request(&mut stream));
    });
    let error = asked_securely(authority.client(), address).unwrap_err();
    assert_eq!((error.code(), error.sent), ("tls", true), "{error}");
    thread.join().unwrap();
}

#[test]
fn records_may_come_in_pieces_of_any_size() {
    let authority = Authority::new();
    for size in [1, 5, 1000] {
        let (address, thread) = Server::trusted(&authority).serving(1, move |mut stream| {
            read_request(&mut stream);
            stream.conn.writer().write_all(&with_length(&pattern(2000))).unwrap();
            let mut records = Vec::new();
            while stream.conn.wants_write() {
                stream.conn.write_tls(&mut records).unwrap();
            }
            for piece in records.chunks(size) {
                stream.sock.write_all(piece).unwrap();
                thread::yield_now();
            }
            assert!(!read_request(&mut stream));
        });
        assert_eq!(asked_securely(authority.client(), address), ok(&pattern(2000)), "pieces of {size}");
        thread.join().unwrap();
    }
}

#[test]
fn large_requests_and_answers_pass_in_both_versions() {
    const BYTES: usize = 5 << 20;
    let authority = Authority::new();
    for version in VERSIONS {
        let server = Server::with(authority.certify("localhost", 2020, 4000), &[version]);
        let (address, thread) = server.serving(1, |mut stream| {
            let mut request = vec![0; REQUEST.len() + BYTES];
            stream.read_exact(&mut request).unwrap();
            assert!(request.starts_with(REQUEST) && request.ends_with(&pattern(BYTES)));
            stream.write_all(&with_length(&pattern(BYTES))).unwrap();
            stream.flush().unwrap();
            read_request(&mut stream);
            stream.write_all(OK).unwrap();
            stream.flush().unwrap();
        });
        let tls = authority.client();
        on_executor(move |watchdog| async move {
            let mut connection = open_secure(address, &tls, PATIENCE_MS, &watchdog).await.unwrap();
            let request = [REQUEST, &pattern(BYTES)].concat();
            connection.send(&request, soon(PATIENCE_MS)).await.unwrap();
            let mut asked = 0;
            let admit = &mut |context: &mut Context<'_>, _| {
                asked += 1;
                context.waker().wake_by_ref();
                if asked < 3 { Poll::Pending } else { Poll::Ready(()) }
            };
            let buffer = ReceiveBuffer::new();
            let body = connection.response(&buffer, soon(PATIENCE_MS), admit, |_, body| body.to_vec()).await;
            assert!(body.unwrap() == pattern(BYTES));
            assert_eq!(ask(&mut connection, &buffer, PATIENCE_MS).await, ok(b"ok"));
        });
        thread.join().unwrap();
    }
}

#[test]
fn a_thousand_requests_go_through_one_connection_while_its_keys_change() {
    let authority = Authority::new();
    let (address, thread) = Server::trusted(&authority).serving(1, |mut stream| {
        let mut count = 0;
        while read_request(&mut stream) {
            count += 1;
            if count % 100 == 0 {
                stream.conn.refresh_traffic_keys().unwrap();
            }
            stream.write_all(OK).unwrap();
            stream.flush().unwrap();
        }
        assert_eq!(count, 1000);
    });
    let tls = authority.client();
    on_executor(move |watchdog| async move {
        let mut connection = open_secure(address, &tls, PATIENCE_MS, &watchdog).await.unwrap();
        let buffer = ReceiveBuffer::new();
        for _ in 0..1000 {
            assert_eq!(ask(&mut connection, &buffer, PATIENCE_MS).await, ok(b"ok"));
            assert!(connection.reusable());
        }
    });
    thread.join().unwrap();
}

#[test]
fn sessions_are_resumed_in_both_versions() {
    let authority = Authority::new();
    for version in VERSIONS {
        let server = Server::with(authority.certify("localhost", 2020, 4000), &[version]);
        let (kinds, seen) = std::sync::mpsc::channel();
        let (address, thread) = server.serving(2, move |mut stream| {
            while read_request(&mut stream) {
                stream.write_all(OK).unwrap();
                stream.flush().unwrap();
            }
            kinds.send(stream.conn.handshake_kind()).unwrap();
        });
        let tls = authority.client();
        for _ in 0..2 {
            assert_eq!(asked_securely(tls.clone(), address), ok(b"ok"));
        }
        let kinds: Vec<_> = seen.iter().collect();
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{version:?}");
        thread.join().unwrap();
    }
}

#[test]
fn a_goodbye_while_idle_means_that_nothing_was_sent() {
    let authority = Authority::new();
    let (answered, turn) = std::sync::mpsc::channel();
    let (address, thread) = Server::trusted(&authority).serving(1, move |mut stream| {
        read_request(&mut stream);
        stream.write_all(OK).unwrap();
        stream.flush().unwrap();
        turn.recv().unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let tls = authority.client();
    let error = on_executor(move |watchdog| async move {
        let mut connection = open_secure(address, &tls, PATIENCE_MS, &watchdog).await.unwrap();
        let buffer = ReceiveBuffer::new();
        assert_eq!(ask(&mut connection, &buffer, PATIENCE_MS).await, ok(b"ok"));
        answered.send(()).unwrap();
        thread.join().unwrap();
        settle().await;
        ask(&mut connection, &buffer, PATIENCE_MS).await.unwrap_err()
    });
    assert_eq!((error.code(), error.sent), ("connection_closed", false), "{error}");
}
