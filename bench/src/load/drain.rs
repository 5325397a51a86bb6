//! Empties a queue over HTTP with plain blocking sockets: the client of the server's own benchmark.
//!
//! One thread keeps every connection busy by turns, so that the server always has the next request in its
//! sockets. It trusts the server: no checksums, no JSON tree, only the bytes it needs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use memchr::memmem;

/// Longest that one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer: ten messages of 1 MiB, escaped.
const ANSWER_BYTES_MAX: usize = 64 << 20;

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    /// Receipt handles to be deleted next.
    handles: Vec<String>,
    deleting: bool,
    done: bool,
}

/// Receives and deletes in batches of ten until each connection has found the queue empty; returns how many
/// messages were deleted.
///
/// # Errors
/// A connection fails, or the server refuses a call.
pub fn drain(server: SocketAddr, queue_url: &str, connections: usize) -> io::Result<u64> {
    let receive = request(
        "ReceiveMessage",
        &format!(
            "{{\"QueueUrl\":\"{queue_url}\",\"MaxNumberOfMessages\":10,\"AttributeNames\":[\"All\"],\"MessageAttributeNames\":[\"All\"]}}"
        ),
    );
    let mut all = (0..connections).map(|_| Connection::open(server)).collect::<io::Result<Vec<_>>>()?;
    for connection in &mut all {
        connection.stream.write_all(&receive)?;
    }
    let mut deleted = 0;
    while all.iter().any(|connection| !connection.done) {
        for connection in all.iter_mut().filter(|connection| !connection.done) {
            deleted += connection.turn(queue_url, &receive)?;
        }
    }
    Ok(deleted)
}

impl Connection {
    fn open(server: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Connection { stream, read: Vec::new(), handles: Vec::new(), deleting: false, done: false })
    }

    /// Takes one answer and sends the next request; returns how many messages the answer says are deleted.
    fn turn(&mut self, queue_url: &str, receive: &[u8]) -> io::Result<u64> {
        self.answer()?;
        if self.deleting {
            if memmem::find(&self.read, b"\"Failed\":[{").is_some() {
                return Err(io::Error::other("a delete was refused"));
            }
            self.deleting = false;
            self.stream.write_all(receive)?;
            return Ok(self.handles.len() as u64);
        }
        self.handles.clear();
        const MARK: &[u8] = b"\"ReceiptHandle\":\"";
        for found in memmem::find_iter(&self.read, MARK) {
            let rest = &self.read[found + MARK.len()..];
            let end = memchr::memchr(b'"', rest).unwrap_or(0);
            self.handles.push(String::from_utf8_lossy(&rest[..end]).into_owned());
        }
        if self.handles.is_empty() {
            self.done = true;
            return Ok(0);
        }
        self.deleting = true;
        let entries: Vec<String> = self
            .handles
            .iter()
            .enumerate()
            .map(|(id, handle)| format!("{{\"Id\":\"{id}\",\"ReceiptHandle\":\"{handle}\"}}"))
            .collect();
        let body = format!("{{\"QueueUrl\":\"{queue_url}\",\"Entries\":[{}]}}", entries.join(","));
        self.stream.write_all(&request("DeleteMessageBatch", &body))?;
        Ok(0)
    }

    /// Reads one whole answer of status 200.
    fn answer(&mut self) -> io::Result<()> {
        self.read.clear();
        let mut whole = None;
        let mut bytes = [0; 64 << 10];
        while whole.is_none_or(|whole| self.read.len() < whole) {
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.read.extend_from_slice(&bytes[..read]),
            }
            if whole.is_none() {
                whole = length(&self.read)?;
            }
        }
        Ok(())
    }
}

/// Bytes of the answer whose beginning this is; `None` while its head is not all there.
fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).map_err(io::Error::other)?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(text.lines().next().unwrap_or_default().to_owned()));
    }
    let told = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body = told.and_then(|told| told.parse::<usize>().ok()).filter(|&body| body <= ANSWER_BYTES_MAX);
    body.map(|body| Some(head + 4 + body)).ok_or_else(|| io::Error::other("an answer without a length"))
}

fn request(operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::drain;
    use crate::sqs::{OutMessage, Server, ServerConfig};

    #[test]
    fn every_message_is_deleted_once() {
        let server = Server::start(ServerConfig::default()).unwrap();
        server.create_queue("q", &[]).unwrap();
        server.send("q", (0..1_003).map(|number| OutMessage::new(number.to_string())).collect()).unwrap();
        assert_eq!(drain(server.address(), &server.queue_url("q"), 16).unwrap(), 1_003);
        assert_eq!(server.depth("q"), Some(crate::sqs::Depth::default()));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let server = Server::start(ServerConfig::default()).unwrap();
        assert!(drain(server.address(), &server.queue_url("absent"), 2).is_err());
    }
}
