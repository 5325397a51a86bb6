//! TLS of the door: who is let in with which certificate, and what is refused before a byte of HTTP.
//!
//! Method: certificates made on the fly, a real listener, rustls as the client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use dataplane::config::{Api, Tls};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::pem::fixture::{Authority, Signed};
use super::smuggling_tests::Open;

/// A certificate of this authority for the machine's own name.
fn sign(authority: &Authority) -> Signed {
    authority.sign("localhost", 2999)
}

fn open(folder: &Path, server: &Signed, clients: Option<&Authority>) -> Open {
    let file = |name: &str, pem: &str| {
        let file = folder.join(name);
        std::fs::write(&file, pem).unwrap();
        file
    };
    let tls = Tls {
        cert_file: file("cert.pem", &server.certificate),
        key_file: file("key.pem", &server.key),
        client_ca_file: clients.map(|authority| file("clients.pem", &authority.pem)),
    };
    Open::new(Api { listen: "127.0.0.1:0".to_owned(), tls: Some(tls), ..Api::default() })
}

fn ask(
    door: &Open,
    trusted: &Authority,
    client: Option<&Signed>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut trusted.pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(ring).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let chain =
                rustls_pemfile::certs(&mut client.certificate.as_bytes()).map(Result::unwrap).collect();
            let key = rustls_pemfile::private_key(&mut client.key.as_bytes()).unwrap().unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(door.address).unwrap());
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    // The door may end without a closing alert.
    match stream.read_to_string(&mut answer) {
        Ok(_) => Ok(answer),
        Err(_) if answer.starts_with("HTTP/1.1 ") => Ok(answer),
        Err(error) => Err(error.to_string()),
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn an_encrypted_answer_says_so_and_a_plain_question_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let door = open(folder.path(), &sign(&authority), None);
    for version in BOTH {
        let answer = ask(&door, &authority, None, &[version]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("strict-transport-security: max-age=31536000"),
            "{answer}"
        );
    }
    assert!(ask(&door, &Authority::new(), None, &BOTH).is_err(), "a stranger's certificate");
    let (plain, closed) = door.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(closed && !plain.contains("HTTP/1.1"), "{plain}");
    // TLS 1.0 and 1.1: a hello of those versions is answered by an alert and the end.
    for minor in [1_u8, 2] {
        let hello = [
            [0x16, 3, 1, 0, 0x2d, 1, 0, 0, 0x29, 3, minor].as_slice(),
            [0; 32].as_slice(),
            [0, 0, 2, 0xc0, 0x14, 1, 0].as_slice(),
        ]
        .concat();
        let mut stream = TcpStream::connect(door.address).unwrap();
        stream.write_all(&hello).unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(answer.first().is_none_or(|kind| *kind == 0x15), "an alert, or nothing: {answer:?}");
    }
}

#[test]
fn with_an_authority_for_clients_only_its_own_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new(), Authority::new());
    let door = open(folder.path(), &sign(&servers), Some(&clients));
    let good = ask(&door, &servers, Some(&sign(&clients)), &BOTH).unwrap();
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    for version in BOTH {
        assert!(ask(&door, &servers, None, &[version]).is_err(), "no certificate");
        assert!(
            ask(&door, &servers, Some(&sign(&Authority::new())), &[version]).is_err(),
            "another authority"
        );
        assert!(ask(&door, &servers, Some(&sign(&servers)), &[version]).is_err(), "the servers' authority");
    }
}

/// Asks as `millrace probe` does; the exit code, and the text of a failure.
fn probe(door: &Open, tls: Option<&Tls>) -> (u8, String) {
    match crate::probe::run(&door.address.to_string(), tls, "livez") {
        Ok(code) => (code, String::new()),
        Err(failure) => (failure.code, failure.text),
    }
}

/// The files of a door in this folder.
fn files(folder: &Path, with_authority: bool) -> Tls {
    Tls {
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
        client_ca_file: with_authority.then(|| folder.join("clients.pem")),
    }
}

/// Asks until the answer holds, as files are looked at every two seconds.
fn soon(answer: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !answer() {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "not within 20 s");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (former, renewed) = (Authority::new(), Authority::new());
    let door = open(folder.path(), &sign(&former), None);
    let tls = files(folder.path(), false);
    assert!(ask(&door, &former, None, &BOTH).is_ok());
    // The key is written later than its certificate: until then the two do not fit.
    let signed = sign(&renewed);
    std::fs::write(&tls.cert_file, &signed.certificate).unwrap();
    std::thread::sleep(super::tls::LOOK + std::time::Duration::from_millis(200));
    assert!(ask(&door, &former, None, &BOTH).is_ok(), "the former certificate stays");
    std::fs::write(&tls.key_file, &signed.key).unwrap();
    soon(|| ask(&door, &renewed, None, &BOTH).is_ok());
    assert!(ask(&door, &former, None, &BOTH).is_err());
    std::fs::remove_file(&tls.key_file).unwrap();
    std::thread::sleep(super::tls::LOOK + std::time::Duration::from_millis(200));
    assert!(ask(&door, &renewed, None, &BOTH).is_ok());
    assert_eq!(probe(&door, Some(&tls)), (0, String::new()), "nor is it a reason to restart");
}

#[test]
fn the_probe_asks_over_tls_where_the_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let door = open(folder.path(), &sign(&Authority::new()), None);
    assert_eq!(probe(&door, Some(&files(folder.path(), false))), (0, String::new()));
    // The answer to plain HTTP is an alert.
    let (code, text) = probe(&door, None);
    assert!(code == 69 && text.contains("[api.tls]"), "{code} {text}");
}

#[test]
fn the_probe_gets_past_an_authority_for_clients_with_the_listeners_own_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new(), Authority::new());
    let door = open(folder.path(), &sign(&servers), Some(&clients));
    let tls = files(folder.path(), true);
    assert_eq!(probe(&door, Some(&tls)), (0, String::new()));
    // Without the key there is nothing to show, although the certificate is known to all.
    assert_eq!(probe(&door, Some(&files(folder.path(), false))).0, 69);
    // Renewed: the listener takes both up, and the probe shows the new ones.
    let signed = sign(&servers);
    std::fs::write(&tls.cert_file, &signed.certificate).unwrap();
    std::fs::write(&tls.key_file, &signed.key).unwrap();
    soon(|| probe(&door, Some(&tls)).0 == 0);
    std::fs::write(&tls.key_file, sign(&servers).key).unwrap();
    let (code, text) = probe(&door, Some(&tls));
    assert!(code == 78 && text.starts_with("api.tls.key_file: "), "{code} {text}");
}

#[test]
fn the_probe_tells_a_listener_without_tls() {
    let folder = tempfile::tempdir().unwrap();
    let _written = open(folder.path(), &sign(&Authority::new()), None);
    let plain = Open::new(Api { listen: "127.0.0.1:0".to_owned(), ..Api::default() });
    let (code, text) = probe(&plain, Some(&files(folder.path(), false)));
    assert!(code == 69 && text.contains("does not speak TLS"), "{code} {text}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (sign(&Authority::new()), sign(&Authority::new()));
    let refused = |certificate: &str, key: &str| {
        let (cert_file, key_file) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        std::fs::write(&cert_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let tls = Tls { cert_file, key_file, client_ca_file: None };
        super::tls::Certified::new(&tls).err().map(|failure| (failure.code, failure.text))
    };
    assert_eq!(refused(&one.certificate, &one.key), None);
    for (certificate, key, field) in [
        (one.certificate.as_str(), other.key.as_str(), "api.tls.key_file"),
        ("", one.key.as_str(), "api.tls.cert_file"),
        (one.certificate.as_str(), "nonsense", "api.tls.key_file"),
        (one.key.as_str(), one.key.as_str(), "api.tls.cert_file"),
    ] {
        let (code, text) = refused(certificate, key).unwrap();
        assert!(code == 78 && text.starts_with(field), "{text}");
    }
}
