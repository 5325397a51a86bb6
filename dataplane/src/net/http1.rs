//! Heads of HTTP/1.1 answers: fields by httparse, framing by strict rules.
//!
//! Level 2, pure. Whatever leaves a doubt about where an answer ends is an error, and the connection is
//! dropped. Source: RFC 9112, sections 4 to 6. Redirects are a status like any other: nothing follows them.

use std::mem::MaybeUninit;

use super::error::Fault;
use crate::limits;

/// What a caller sees of an answer's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    /// Status code.
    pub status: u16,
    /// `Date`.
    pub date: Option<&'a [u8]>,
    /// `x-amzn-query-error`.
    pub query_error: Option<&'a [u8]>,
}

/// Where an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// After so many bytes.
    Length(usize),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// The frame of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the head, its empty line included.
    pub head_len: usize,
    /// Where the body ends.
    pub body: Body,
    /// The peer will close, or cannot keep the connection.
    pub close: bool,
    /// An interim answer (1xx): another one follows.
    pub interim: bool,
}

/// Looks for the end of a head from `scanned` on, which is moved, so that a head that comes in pieces is
/// looked through once. Returns the head's length, its empty line included.
///
/// # Errors
/// A line that ends without CR, or a head beyond `RESPONSE_HEAD_BYTES_MAX`.
pub(super) fn find_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Fault> {
    let window = &bytes[..bytes.len().min(limits::RESPONSE_HEAD_BYTES_MAX)];
    for offset in memchr::memchr_iter(b'\n', window.get(*scanned..).unwrap_or(&[])) {
        let end = *scanned + offset + 1;
        let line = &window[..end];
        if !line.ends_with(b"\r\n") {
            return Err(Fault::Protocol("a line of the head ends without CR"));
        }
        if line.ends_with(b"\r\n\r\n") {
            return Ok(Some(end));
        }
    }
    *scanned = window.len();
    if bytes.len() >= limits::RESPONSE_HEAD_BYTES_MAX {
        return Err(Fault::Protocol("the head is too large"));
    }
    Ok(None)
}

/// Reads a whole head, as long as `find_end` says.
///
/// # Errors
/// Anything that is no strict HTTP/1.1 head, or that leaves the body's end in doubt.
pub(super) fn parse(bytes: &[u8]) -> Result<(Frame, Head<'_>), Fault> {
    // httparse passes over empty lines before the status line; here they are bytes nobody asked for.
    if !bytes.starts_with(b"HTTP/1.") {
        return Err(Fault::Protocol("there is no status line of HTTP/1"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; limits::RESPONSE_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut headers,
    );
    match parsed {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::Protocol("there are too many fields")),
        _ => return Err(Fault::Protocol("the head cannot be parsed")),
    }
    let mut head = Head { status: response.code.unwrap_or(0), ..Head::default() };
    let mut fields = Framing::default();
    for header in response.headers.iter() {
        // By length first: most fields are none of these.
        match header.name.len() {
            4 if header.name.eq_ignore_ascii_case("date") => head.date = Some(header.value),
            18 if header.name.eq_ignore_ascii_case("x-amzn-query-error") => {
                head.query_error = Some(header.value);
            }
            10 | 14 | 17 => fields.note(header)?,
            _ => {}
        }
    }
    let frame = fields.frame(head.status, response.version == Some(0), bytes.len())?;
    Ok((frame, head))
}

/// The fields that say where the body ends and whether the connection lives on.
#[derive(Default)]
struct Framing {
    length: Option<usize>,
    chunked: bool,
    close: bool,
}

impl Framing {
    fn note(&mut self, header: &httparse::Header<'_>) -> Result<(), Fault> {
        if header.name.eq_ignore_ascii_case("content-length") {
            if self.length.is_some() {
                return Err(Fault::Protocol("there are two Content-Length fields"));
            }
            self.length = Some(parse_length(header.value)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::Protocol("there is a transfer coding other than chunked"));
            }
            self.chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut options = header.value.split(|&byte| byte == b',');
            self.close |= options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }

    fn frame(&self, status: u16, is_http_1_0: bool, head_len: usize) -> Result<Frame, Fault> {
        let interim = (100..200).contains(&status);
        if status == 101 {
            return Err(Fault::Protocol("the server changes to a protocol that nobody asked for"));
        }
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Fault::Protocol("both Content-Length and Transfer-Encoding")),
            (_, true) if is_http_1_0 => {
                return Err(Fault::Protocol("HTTP/1.0 has no transfer codings"));
            }
            // A length in a 304 is that of the body which is not sent: RFC 9110, section 15.4.5.
            _ if status == 304 => Body::Length(0),
            (None | Some(0), false) if interim || status == 204 => Body::Length(0),
            _ if interim || status == 204 => {
                return Err(Fault::Protocol("there is a body where none may be"));
            }
            (Some(length), false) => Body::Length(length),
            (None, true) => Body::Chunked,
            (None, false) => Body::UntilClose,
        };
        // HTTP/1.0 servers that would keep the connection are not worth the doubt.
        let close = self.close || is_http_1_0 || body == Body::UntilClose;
        Ok(Frame { head_len, body, close, interim })
    }
}

fn parse_length(value: &[u8]) -> Result<usize, Fault> {
    if value.is_empty() || value.len() > 12 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Protocol("Content-Length is no plain number"));
    }
    let length = value.iter().fold(0_usize, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    if length > limits::RESPONSE_BYTES_MAX {
        return Err(Fault::Protocol("the body is larger than any SQS answer"));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Result<Option<Frame>, Fault> {
        let end = find_end(text.as_bytes(), &mut 0)?;
        end.map(|end| parse(&text.as_bytes()[..end]).map(|(frame, _)| frame)).transpose()
    }

    fn framed(text: &str) -> Frame {
        frame(text).unwrap().unwrap()
    }

    #[test]
    fn the_usual_answer_is_framed_by_its_length() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\nx-amzn-query-error: A;Sender\r\n\r\n";
        let (frame, head) = parse(text.as_bytes()).unwrap();
        assert_eq!(
            frame,
            Frame { head_len: text.len(), body: Body::Length(5), close: false, interim: false }
        );
        assert_eq!(head, Head { status: 200, date: Some(b"x"), query_error: Some(b"A;Sender") });
    }

    #[test]
    fn the_end_is_found_once_whatever_the_pieces() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n";
        let mut scanned = 0;
        for len in 0..text.len() - 5 {
            assert_eq!(find_end(&text[..len], &mut scanned), Ok(None), "{len}");
            assert_eq!(scanned, len);
        }
        assert_eq!(find_end(text, &mut scanned), Ok(Some(text.len() - 5)));
    }

    #[test]
    fn every_doubt_about_the_end_is_an_error() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\ncontent-length: 6",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: identity",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length: -1",
            "Content-Length: 5 5",
            "Content-Length:",
            "Content-Length: 0x5",
            "Content-Length: 99999999999999999999",
            "Content-Length: 33554433",
            "Content-Length: 5\r\n folded",
            "Content-Length : 5",
            "Content-Length: 5\rX: 1",
            "X: a\0b",
            "no colon",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello");
            assert!(matches!(frame(&text), Err(Fault::Protocol(_))), "{fields}: {:?}", frame(&text));
        }
    }

    #[test]
    fn what_is_no_head_is_refused_at_once() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(limits::RESPONSE_HEAD_BYTES_MAX));
        let crowd = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(limits::RESPONSE_HEADERS_MAX + 1));
        for text in [
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 +200 OK\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            &endless,
            &crowd,
        ] {
            assert!(matches!(frame(text), Err(Fault::Protocol(_))), "{text}: {:?}", frame(text));
        }
    }

    #[test]
    fn answers_without_a_body_end_with_their_head() {
        for text in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        ] {
            assert_eq!(framed(text).body, Body::Length(0), "{text}");
        }
        assert!(framed("HTTP/1.1 100 Continue\r\n\r\n").interim);
    }

    #[test]
    fn connections_that_cannot_be_kept_are_told() {
        assert!(framed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").close);
        assert!(framed("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n").close);
        assert!(!framed("HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 0\r\n\r\n").close);
        let until_close = framed("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!((until_close.body, until_close.close), (Body::UntilClose, true));
        assert_eq!(framed("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n").body, Body::Chunked);
    }
}
