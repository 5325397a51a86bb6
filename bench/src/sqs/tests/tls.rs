//! HTTPS: the same answers as without, to a client of rustls that trusts the server's authority and to no other.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use super::client::{Client, messages};
use crate::sqs::{Identity, OutMessage, Server, ServerConfig};

type Secured = Client<StreamOwned<ClientConnection, TcpStream>>;

/// A server with a queue `q`, and the authority that it wrote down.
fn served() -> (Server, String) {
    let identity = Identity::new(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    let ca_pem = identity.ca_pem().to_owned();
    let server = Server::start(ServerConfig { tls: Some(identity), ..ServerConfig::default() }).unwrap();
    server.create_queue("q", &[]).unwrap();
    (server, ca_pem)
}

fn connect(server: &Server, ca_pem: &str, name: &str) -> Secured {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    Client::upon(StreamOwned::new(connection, stream))
}

#[test]
fn answers_of_every_length_arrive_whole() {
    let (server, ca_pem) = served();
    let url = server.queue_url("q");
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    // Up to 10 MiB in an answer: many records, more than the socket takes at once.
    for length in [1, 1 << 10, 16 << 10, 200 << 10, 1 << 20] {
        let bodies: Vec<String> = (0..10_u8).map(|number| format!("{number}").repeat(length)).collect();
        server.send("q", bodies.iter().map(OutMessage::new).collect()).unwrap();
        let mut client = connect(&server, &ca_pem, "127.0.0.1");
        let call = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 });
        let mut found = Vec::new();
        while found.len() < 10 {
            let answer = client.ok("ReceiveMessage", &call);
            found
                .extend(messages(&answer).iter().map(|message| message["Body"].as_str().unwrap().to_owned()));
        }
        found.sort();
        assert!(found == bodies, "bodies of {length} bytes");
    }
}

#[test]
fn requests_may_be_cut_and_joined_by_records() {
    let (server, ca_pem) = served();
    let url = server.queue_url("q");
    let mut client = connect(&server, &ca_pem, "localhost");
    let send = Client::request("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "slow" }));
    for byte in &send {
        client.stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(client.answer().unwrap().status, 200);
    client.stream.write_all(&send.repeat(50)).unwrap();
    for _ in 0..50 {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    let large = "x".repeat(1 << 20);
    client.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": large }));
    assert_eq!(server.depth("q").unwrap().visible, 52);
}

#[test]
fn a_connection_ends_with_a_farewell() {
    let (server, ca_pem) = served();
    let mut client = connect(&server, &ca_pem, "127.0.0.1");
    client.stream.write_all(b"GET /_stats HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // rustls takes an end without close_notify for a cut.
    client.stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[test]
fn strangers_and_plain_http_are_refused_and_disturb_nobody() {
    let (server, ca_pem) = served();
    let other = Identity::new(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
    for (ca_pem, name) in [(other.ca_pem(), "127.0.0.1"), (ca_pem.as_str(), "example.org")] {
        let mut client = connect(&server, ca_pem, name);
        assert!(client.stream.write_all(b"GET /_stats HTTP/1.1\r\n\r\n").is_err(), "{name}");
    }
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.write_all(b"GET /_stats HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert or a reset, but no answer.
    let _reset = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    assert_eq!(connect(&server, &ca_pem, "127.0.0.1").call("ListQueues", &json!({})).status, 200);
}
