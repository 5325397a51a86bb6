//! The shortest HTTP client that asks the appliance: one request, one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

/// Status and body of a GET.
///
/// # Errors
/// Nobody answers, or no HTTP.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer).with_context(|| format!("GET {path}"))
}

/// A request to the API.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with its query.
    pub path: &'a str,
    /// Token of who asks.
    pub token: &'a str,
    /// JSON body; empty for none.
    pub body: String,
    /// More headers, each a line without its end.
    pub headers: Vec<String>,
}

/// Longest wait for an answer of the API, which may wait for Kafka.
const API_PATIENCE: Duration = Duration::from_secs(60);

/// Head and body of the answer to a request, and its status.
///
/// # Errors
/// Nobody answers, or no HTTP.
pub fn ask(address: SocketAddr, request: &Request<'_>) -> Result<(u16, String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(API_PATIENCE))?;
    let Request { method, path, token, body, headers } = request;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n")?;
    write!(stream, "Authorization: Bearer {token}\r\n")?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    if !body.is_empty() {
        write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())?;
    }
    write!(stream, "\r\n{body}")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let (status, body) = parse(&answer).with_context(|| format!("{method} {path}"))?;
    let text = String::from_utf8_lossy(&answer);
    let head = text.split_once("\r\n\r\n").map(|(head, _)| head.to_owned()).unwrap_or_default();
    Ok((status, head, body))
}

fn parse(answer: &[u8]) -> Result<(u16, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Ok((status.context("the answer has no status")?, body))
}

fn unchunk(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("a chunk has no size")?;
        let size = usize::from_str_radix(size.trim(), 16)?;
        if size == 0 {
            return Ok(body);
        }
        ensure!(after.len() >= size + 2, "a chunk is shorter than it says");
        body.push_str(after.get(..size).context("a chunk ends within a character")?);
        rest = &after[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read_from_plain_and_chunked_answers() {
        let plain = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(parse(plain).unwrap(), (503, "no".to_owned()));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap(), (200, "abcd".to_owned()));
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc").is_err());
        assert!(parse(b"nonsense").is_err());
    }
}
