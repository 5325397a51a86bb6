//! The door over raw sockets: requests that no library would send, and peers that take their time.
//!
//! Method: a real listener on loopback; each case writes bytes and reads what comes back until the door closes or is
//! silent.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::board::fixture::running;

/// A running door; it closes when dropped.
pub(super) struct Open {
    pub(super) address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Open {
    pub(super) fn new(api: Api) -> Open {
        let (send, receive) = std::sync::mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let door = Door::bind(&api).unwrap();
                send.send(door.address()).unwrap();
                door.serve(Ctx::of_board(Arc::new(running())), stopped).await.unwrap();
            });
        });
        Open { address: receive.recv().unwrap(), stop, thread: Some(thread) }
    }

    fn plain() -> Open {
        Open::new(Api { listen: "127.0.0.1:0".to_owned(), ..Api::default() })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        stream
    }

    /// Sends bytes and reads until the end or silence; and whether the connection was closed.
    pub(super) fn say(&self, bytes: &[u8]) -> (String, bool) {
        let mut stream = self.connect();
        // The door may close while it is still written to.
        let _closed = stream.write_all(bytes);
        read(&mut stream)
    }

    fn is_well(&self) {
        let (answer, _) = self.say(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let _ended = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}

fn read(stream: &mut TcpStream) -> (String, bool) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&text).into_owned(), true),
            Ok(count) => text.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (String::from_utf8_lossy(&text).into_owned(), false);
            }
            Err(_) => return (String::from_utf8_lossy(&text).into_owned(), true),
        }
    }
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect()
}

// long: one table of cases
#[test]
fn what_two_readers_could_read_differently_is_refused_and_the_connection_closed() {
    let door = Open::plain();
    // What follows would be a second request for whoever frames the first differently.
    let inner = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = |headers: &str, rest: &str| {
        format!("POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{rest}")
    };
    let get =
        |headers: &str, rest: &str| format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{rest}");
    for (what, request) in [
        (
            "length and chunks",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{inner}")),
        ),
        (
            "chunks and length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", &format!("0\r\n\r\n{inner}")),
        ),
        ("chunks", post("Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{inner}"))),
        ("two lengths", post("Content-Length: 4\r\nContent-Length: 5\r\n", &format!("1234{inner}"))),
        ("a list of lengths", post("Content-Length: 4, 5\r\n", &format!("1234{inner}"))),
        ("a length with a sign", post("Content-Length: +3\r\n", &format!("123{inner}"))),
        ("a negative length", post("Content-Length: -1\r\n", inner)),
        ("a length in hex", post("Content-Length: 0x3\r\n", &format!("123{inner}"))),
        ("a length with a space inside", post("Content-Length: 1 2\r\n", inner)),
        ("a huge length", post("Content-Length: 99999999999999999999999\r\n", inner)),
        (
            "a length that overflows when chunked",
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\nx"),
        ),
        ("a misspelt encoding", post("Transfer-Encoding: xchunked\r\n", &format!("0\r\n\r\n{inner}"))),
        ("an encoding with a tab", post("Transfer-Encoding:\tchunked\r\n", &format!("0\r\n\r\n{inner}"))),
        (
            "an encoding that is not the last",
            post("Transfer-Encoding: chunked, identity\r\n", &format!("0\r\n\r\n{inner}")),
        ),
        (
            "two encodings",
            post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{inner}")),
        ),
        ("a space before the colon", post("Content-Length : 4\r\n", &format!("1234{inner}"))),
        ("a folded header", post("X-Folded: a\r\n b\r\nContent-Length: 0\r\n", inner)),
        ("a header without a name", post(": x\r\n", inner)),
        ("a bare carriage return", post("X-A: a\rContent-Length: 4\r\n", &format!("1234{inner}"))),
        ("a NUL in a header", post("X-A: a\0b\r\n", inner)),
        ("a body on GET", get("Content-Length: 4\r\n", &format!("1234{inner}"))),
        ("chunks on GET", get("Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{inner}"))),
        ("an upgrade with early bytes", get("Connection: Upgrade\r\nUpgrade: websocket\r\n", inner)),
        (
            "HTTP/2 by upgrade",
            get(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
                inner,
            ),
        ),
        ("HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a version that is not", format!("GET /livez HTTP/1.9\r\nHost: localhost\r\n\r\n{inner}")),
        ("HTTP/0.9", "GET /livez\r\n".to_owned()),
        ("no host", "GET /livez HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", get("Host: evil.example\r\n", inner)),
        ("another host", "GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned()),
        ("a host with a user", "GET /livez HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n".to_owned()),
        ("a host with a bad port", "GET /livez HTTP/1.1\r\nHost: localhost:x\r\n\r\n".to_owned()),
        ("TLS where there is none", "\u{16}\u{3}\u{1}\0\u{5}\u{1}\0\0\u{1}\0".to_owned()),
    ] {
        let (answer, closed) = door.say(request.as_bytes());
        let told = statuses(&answer);
        assert!(told.len() <= 1, "{what}: it was read as two requests: {answer}");
        assert!(
            told.first().is_none_or(|status| status.starts_with('4') || *status == "505"),
            "{what}: {answer}"
        );
        assert!(closed, "{what}: the connection stays open: {answer}");
    }
    door.is_well();
}

#[test]
fn requests_that_follow_each_other_rightly_are_all_answered() {
    let door = Open::plain();
    let one = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (answer, closed) = door.say(format!("{one}{one}{one}").as_bytes());
    assert_eq!((statuses(&answer), closed), (vec!["200", "200", "200"], false), "{answer}");
}

#[test]
fn heads_and_bodies_have_a_size() {
    let door = Open::plain();
    let head = |headers: String| format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let many: String = (0..100).map(|n| format!("X-{n}: a\r\n")).collect();
    let large = format!("X-A: {}\r\n", "a".repeat(20 << 10));
    let long = format!("GET /livez?{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(20 << 10));
    for (what, request) in
        [("many headers", head(many)), ("a large header", head(large)), ("a long address", long)]
    {
        let (answer, closed) = door.say(request.as_bytes());
        assert!(closed && matches!(statuses(&answer).first(), Some(&("431" | "414"))), "{what}: {answer}");
    }
    let promised = "POST /api/v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n";
    let (answer, closed) = door.say(promised.as_bytes());
    assert_eq!((statuses(&answer), closed), (vec!["413"], true), "refused before it is read: {answer}");
    door.is_well();
}

#[test]
fn paths_that_climb_lead_nowhere() {
    let door = Open::plain();
    for path in [
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "/style.css/../../etc/passwd",
        "/style.css%00.html",
        "//etc/passwd",
        "/api/v1/../../etc/passwd",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (answer, _) = door.say(request.as_bytes());
        assert!(matches!(statuses(&answer).first(), Some(&("404" | "400"))), "{path}: {answer}");
        assert!(!answer.contains("root:"), "{path}");
    }
}

#[test]
fn a_crowd_that_sends_nothing_does_not_keep_others_out() {
    let door = Open::plain();
    // More than there are places; each sends a head that never ends.
    let crowd: Vec<TcpStream> = (0..places::CONNECTIONS_MAX + 100)
        .map(|_| {
            let mut stream = door.connect();
            let _evicted = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: lo");
            stream
        })
        .collect();
    let began = Instant::now();
    for _ in 0..20 {
        door.is_well();
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(crowd);
}

#[test]
fn a_head_that_never_ends_and_an_idle_connection_are_closed() {
    let door = Open::plain();
    let mut slow = door.connect();
    let mut idle = door.connect();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: ").unwrap();
    let began = Instant::now();
    for stream in [&mut slow, &mut idle] {
        stream.set_read_timeout(Some(HEAD_TIMEOUT * 2)).unwrap();
        let (_, closed) = read(stream);
        assert!(closed);
    }
    assert!(began.elapsed() < HEAD_TIMEOUT * 2, "{:?}", began.elapsed());
}
