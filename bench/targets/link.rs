//! One kept-alive HTTP/1.1 connection to SQS on glommio: a request of bytes, an answer of bytes.
//!
//! It trusts its server. Every answer has a length, no answer is chunked, nothing is signed. TLS is futures-rustls's.

use std::io;
use std::net::SocketAddr;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures_rustls::TlsConnector;
use glommio::net::{Preallocated, TcpStream};
use memchr::memmem;

/// Largest answer: ten messages of 1 MiB, escaped.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Free room for each read, so that a full receive of 1 KiB bodies arrives in one.
const READ_BYTES: usize = 64 << 10;

/// What bytes go through: the socket, or TLS upon it.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<Any: AsyncRead + AsyncWrite + Unpin> Stream for Any {}

/// A connection.
pub(crate) struct Link {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or nobody trustworthy.
    pub(crate) async fn open(address: SocketAddr, tls: Option<&TlsConnector>) -> io::Result<Link> {
        let socket = TcpStream::connect(address).await.map_err(refused)?;
        socket.set_nodelay(true).map_err(refused)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(socket),
            Some(tls) => {
                // rustls asks for 4 KiB at a time: with a buffer below it, one receive of the kernel serves them all.
                let socket = socket.buffered_with(Preallocated::new(READ_BYTES));
                Box::new(tls.connect(address.ip().into(), socket).await?)
            }
        };
        Ok(Link { stream, input: vec![0; READ_BYTES] })
    }

    /// Sends a request and gives the body of its answer.
    ///
    /// # Errors
    /// The connection broke, or the status is not 200.
    pub(crate) async fn call(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let mut body = None;
        while body.as_ref().is_none_or(|body: &std::ops::Range<usize>| filled < body.end) {
            if self.input.len() - filled < READ_BYTES {
                let longer = (self.input.len() * 2).min(ANSWER_BYTES_MAX);
                self.input.resize(longer.max(filled + READ_BYTES), 0);
            }
            match self.stream.read(&mut self.input[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
            if body.is_none() {
                body = frame(&self.input[..filled])?;
            }
        }
        Ok(&self.input[body.unwrap_or_default()])
    }
}

/// glommio's error holds what cannot cross threads: only its text goes on.
fn refused(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Where the body is, once the head is there.
fn frame(input: &[u8]) -> io::Result<Option<std::ops::Range<usize>>> {
    const LENGTH: &[u8] = b"Content-Length: ";
    let Some(head) = memmem::find(input, b"\r\n\r\n") else { return Ok(None) };
    if !input.starts_with(b"HTTP/1.1 200 ") {
        return Err(io::Error::other(String::from_utf8_lossy(input).into_owned()));
    }
    let length = memmem::find(&input[..head], LENGTH).and_then(|at| {
        let digits = &input[at + LENGTH.len()..head];
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        std::str::from_utf8(&digits[..end]).ok()?.parse::<usize>().ok()
    });
    let length = length.filter(|&length| length <= ANSWER_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    Ok(Some(head + 4..head + 4 + length))
}

/// A request of an operation.
pub(crate) fn request(address: SocketAddr, operation: &str, body: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         X-Amz-Target: AmazonSQS.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The delete of up to ten handles. They are SQS's own and need no escapes.
pub(crate) fn delete_request<'a>(
    address: SocketAddr,
    queue_url: &str,
    handles: impl IntoIterator<Item = &'a str>,
) -> Vec<u8> {
    let mut body = format!("{{\"QueueUrl\":\"{queue_url}\",\"Entries\":[");
    for (index, handle) in handles.into_iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&format!("{{\"Id\":\"{index}\",\"ReceiptHandle\":\"{handle}\"}}"));
    }
    body.push_str("]}");
    request(address, "DeleteMessageBatch", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_framed_by_its_length() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello";
        assert_eq!(frame(answer).unwrap().map(|body| answer[body].to_vec()), Some(b"hello".to_vec()));
        assert_eq!(frame(&answer[..40]).unwrap(), None);
        assert!(frame(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(frame(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
