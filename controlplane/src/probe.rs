//! The verb `probe`: asks the appliance of this machine whether it is alive or ready, for what starts containers.
//!
//! A plain request over loopback, so that an image needs neither curl nor a shell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::exit::{self, Failure};
use crate::term;

/// Longest wait for each step; what probes gives up after five seconds at most.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);
/// Most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks and prints the answer's body.
///
/// # Errors
/// Exit code 69 when nothing listens there or what does speaks something else.
pub(crate) fn run(listen: &str, question: &str) -> Result<u8, Failure> {
    let unreachable = |error: String| {
        Failure::new(
            exit::UNREACHABLE,
            format!("{listen}: {error}"),
            "name the listener of the appliance with --listen or its file with --config",
        )
    };
    let address = reachable(listen).ok_or_else(|| unreachable("no address".to_owned()))?;
    let answer = ask(address, question).map_err(|error| unreachable(error.to_string()))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(status) => {
            term::out(body);
            Ok(if status == 200 { exit::OK } else { exit::CHECK_FAILED })
        }
        None => Err(unreachable("the answer is not HTTP".to_owned())),
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

fn ask(address: SocketAddr, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, STEP_TIMEOUT)?;
    stream.set_read_timeout(Some(STEP_TIMEOUT))?;
    stream.set_write_timeout(Some(STEP_TIMEOUT))?;
    write!(stream, "GET /{question} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
        assert_eq!(run(&answering("HTTP/1.1 200 OK\r\n\r\nfine\n"), "readyz"), Ok(exit::OK));
        assert_eq!(run(&answering("HTTP/1.1 503 No\r\n\r\ndraining\n"), "readyz"), Ok(exit::CHECK_FAILED));
    }

    #[test]
    fn what_does_not_answer_is_unreachable() {
        assert_eq!(run(&answering("SSH-2.0\r\n"), "readyz").unwrap_err().code, exit::UNREACHABLE);
        assert_eq!(run("127.0.0.1:1", "readyz").unwrap_err().code, exit::UNREACHABLE);
        assert_eq!(run("nowhere", "readyz").unwrap_err().code, exit::UNREACHABLE);
    }

    #[test]
    fn a_listener_of_all_addresses_is_asked_over_loopback() {
        assert_eq!(reachable("0.0.0.0:8080").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:8080").unwrap().to_string(), "[::1]:8080");
    }
}
