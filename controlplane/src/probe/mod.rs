//! The verb `probe`: asks the appliance of this machine whether it is alive or ready, for what starts containers.
//!
//! One request to its own listener, over TLS where that has a certificate, so that an image needs neither curl nor a
//! shell.

mod tls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use dataplane::config::Tls;
use rustls::StreamOwned;

use crate::exit::{self, Failure};
use crate::term;

/// Time for all of it; who probes gives up after five seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks and prints the answer's body.
///
/// # Errors
/// Exit code 69 when nothing listens there or what does speaks something else; 78 when a file of `api.tls` cannot be
/// used.
pub(crate) fn run(listen: &str, tls: Option<&Tls>, question: &str) -> Result<u8, Failure> {
    let unreachable = |error: String| {
        Failure::new(
            exit::UNREACHABLE,
            format!("{listen}: {error}"),
            "name the listener of the appliance with --listen or its file with --config",
        )
    };
    let address = reachable(listen).ok_or_else(|| unreachable("no address".to_owned()))?;
    let connection = tls.map(|tls| self::tls::connection(tls, address)).transpose()?;
    let answer = Timed::connect(address).and_then(|stream| match connection {
        None => ask(stream, address, question),
        Some(connection) => ask(StreamOwned::new(connection, stream), address, question),
    });
    let answer = answer.map_err(|error| unreachable(explained(&error)))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match status(head) {
        Some(status) => {
            term::out(body);
            Ok(if status == 200 { exit::OK } else { exit::CHECK_FAILED })
        }
        None if tls.is_some() => Err(unreachable("the answer is not HTTP".to_owned())),
        None => Err(unreachable("the answer is not HTTP; has its file [api.tls]?".to_owned())),
    }
}

/// The status of an answer, of which the head must begin as HTTP's does.
fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The fault, and for TLS what is usually behind it.
fn explained(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "shows another certificate than api.tls.cert_file holds".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => "does not speak TLS, but api.tls is set".to_owned(),
        _ => error.to_string(),
    }
}

/// Address to connect to: a listener of all addresses is asked over loopback.
fn reachable(listen: &str) -> Option<SocketAddr> {
    let mut address = listen.to_socket_addrs().ok()?.next()?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    Some(address)
}

fn ask(mut stream: impl Read + Write, address: SocketAddr, question: &str) -> io::Result<String> {
    write!(stream, "GET /{question} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
        // The end of an encrypted answer without a closing alert; it says so itself whether it is whole.
        Err(error) if error.kind() != ErrorKind::UnexpectedEof || answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// A connection with a deadline over all that is read and written, so that a trickle does not prolong it.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn connect(address: SocketAddr) -> io::Result<Timed> {
        let deadline = Instant::now() + PROBE_TIMEOUT;
        Ok(Timed { stream: TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?, deadline })
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer).map_err(timely)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes).map_err(timely)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What the system calls a block is the deadline here.
fn timely(error: io::Error) -> io::Error {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) { late() } else { error }
}

fn late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", PROBE_TIMEOUT.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // A head may come in pieces.
            let (mut head, mut piece) = (Vec::new(), [0; 512]);
            while !head.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "it ended early");
                head.extend_from_slice(&piece[..read]);
            }
            assert!(head.starts_with(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(text.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn the_status_is_the_exit_code() {
        assert_eq!(run(&answering("HTTP/1.1 200 OK\r\n\r\nfine\n"), None, "readyz"), Ok(exit::OK));
        let draining = answering("HTTP/1.1 503 No\r\n\r\ndraining\n");
        assert_eq!(run(&draining, None, "readyz"), Ok(exit::CHECK_FAILED));
    }

    #[test]
    fn what_does_not_answer_is_unreachable() {
        assert_eq!(run(&answering("SSH-2.0\r\n"), None, "readyz").unwrap_err().code, exit::UNREACHABLE);
        assert_eq!(run("127.0.0.1:1", None, "readyz").unwrap_err().code, exit::UNREACHABLE);
        assert_eq!(run("nowhere", None, "readyz").unwrap_err().code, exit::UNREACHABLE);
    }

    #[test]
    fn a_trickle_does_not_prolong_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // One byte at a time, each well within the deadline, until the other side has gone.
            while stream.write_all(b"H").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        let failure = run(&address, None, "readyz").unwrap_err();
        assert_eq!(failure.code, exit::UNREACHABLE);
        assert!(failure.text.contains("no answer within 4 s"), "{failure:?}");
        assert!(began.elapsed() < PROBE_TIMEOUT + Duration::from_secs(1));
    }

    #[test]
    fn a_listener_of_all_addresses_is_asked_over_loopback() {
        assert_eq!(reachable("0.0.0.0:8080").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:8080").unwrap().to_string(), "[::1]:8080");
    }
}
