//! One answer from bytes as they come: used in place when it came whole, gathered when it did not.
//!
//! Level 2, pure: knows no socket, so that every cut of every answer can be tried. Work is linear in the
//! bytes, however small the pieces.

use super::chunks::Chunks;
use super::error::Fault;
use super::http1::{self, Body, Frame, Head};
use crate::limits;

/// Interim answers (1xx) that are skipped before one answer. By eye: SQS sends none.
const INTERIM_MAX: usize = 8;
/// A gathering buffer larger than this is freed after its answer.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// A complete answer.
pub(super) struct Answer<'a> {
    pub head: Head<'a>,
    pub body: &'a [u8],
    /// The connection cannot take another request.
    pub close: bool,
}

/// The answer in `bytes`, if it begins and ends there and has a known length: the common case, in which
/// nothing is copied.
///
/// # Errors
/// The answer breaks HTTP or a limit, or more came than the answer.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<Answer<'_>>, Fault> {
    let Some(end) = http1::find_end(bytes, &mut 0)? else { return Ok(None) };
    let (frame, head) = http1::parse(&bytes[..end])?;
    match frame.body {
        Body::Length(length) if !frame.interim && bytes.len() >= end + length => {
            no_more_than(bytes.len(), end + length)?;
            Ok(Some(Answer { head, body: &bytes[end..], close: frame.close }))
        }
        _ => Ok(None),
    }
}

/// An answer that comes in pieces.
#[derive(Default)]
pub(super) struct Gathering {
    /// The head, and the body without its transfer coding.
    bytes: Vec<u8>,
    /// How far the end of the head was looked for.
    scanned: usize,
    frame: Option<Frame>,
    chunks: Chunks,
    interim: usize,
}

impl Gathering {
    /// Whether nothing of the answer has come.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Memory that the whole answer will take, as soon as its head is there: the largest there is when the
    /// head does not tell.
    pub(super) fn room(&self) -> Option<usize> {
        self.frame.map(|frame| match frame.body {
            Body::Length(length) => frame.head_len + length,
            Body::Chunked | Body::UntilClose => limits::RESPONSE_BYTES_MAX,
        })
    }

    /// Takes memory for the whole answer at once, if its length is known.
    pub(super) fn reserve(&mut self) {
        if let Some(Frame { head_len, body: Body::Length(length), .. }) = self.frame {
            self.bytes.reserve_exact((head_len + length).saturating_sub(self.bytes.len()));
        }
    }

    /// Takes what has come; returns whether the answer is complete.
    ///
    /// # Errors
    /// The answer breaks HTTP or a limit, or more came than the answer.
    pub(super) fn take(&mut self, fresh: &[u8]) -> Result<bool, Fault> {
        if let Some(frame) = self.frame {
            return self.take_body(frame, fresh);
        }
        self.bytes.extend_from_slice(fresh);
        while let Some(end) = http1::find_end(&self.bytes, &mut self.scanned)? {
            let (frame, _) = http1::parse(&self.bytes[..end])?;
            if !frame.interim {
                self.frame = Some(frame);
                let coded = if frame.body == Body::Chunked { self.bytes.split_off(end) } else { Vec::new() };
                return self.take_body(frame, &coded);
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(Fault::Protocol("there are too many interim answers"));
            }
            self.bytes.drain(..end);
            self.scanned = 0;
        }
        Ok(false)
    }

    fn take_body(&mut self, frame: Frame, fresh: &[u8]) -> Result<bool, Fault> {
        let came = self.bytes.len() + fresh.len();
        match frame.body {
            Body::Length(length) => {
                no_more_than(came, frame.head_len + length)?;
                self.bytes.extend_from_slice(fresh);
                Ok(came == frame.head_len + length)
            }
            Body::Chunked => {
                let taken = self.chunks.decode(fresh, &mut self.bytes)?;
                no_more_than(fresh.len(), taken)?;
                Ok(self.chunks.is_done())
            }
            Body::UntilClose if came - frame.head_len > limits::RESPONSE_BYTES_MAX => {
                Err(Fault::Protocol("the body is larger than any SQS answer"))
            }
            Body::UntilClose => {
                self.bytes.extend_from_slice(fresh);
                Ok(false)
            }
        }
    }

    /// The peer has closed: that may be the end of the body, and is a cut otherwise. `clean` tells whether
    /// the end is the peer's own: TLS says so, TCP cannot say otherwise.
    ///
    /// # Errors
    /// It is a cut.
    pub(super) fn end(&self, clean: bool) -> Result<(), Fault> {
        match self.frame {
            Some(Frame { body: Body::UntilClose, .. }) if clean => Ok(()),
            _ => Err(Fault::Closed { seen: self.bytes.len() }),
        }
    }

    /// The gathered answer, after `take` or `end` has called it complete.
    pub(super) fn answer(&self) -> Result<Answer<'_>, Fault> {
        let head_len = self.frame.map_or(0, |frame| frame.head_len);
        let (frame, head) = http1::parse(&self.bytes[..head_len])?;
        Ok(Answer { head, body: &self.bytes[head_len..], close: frame.close })
    }

    /// Forgets the answer, and gives back the memory of a large one.
    pub(super) fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if bytes.capacity() > KEPT_BYTES_MAX {
            bytes = Vec::new();
        }
        *self = Gathering { bytes, ..Gathering::default() };
    }
}

/// Nobody knows what bytes after the answer to the only request are: a server that has lost count may
/// have done so before, so the answer is not used either.
fn no_more_than(came: usize, belong: usize) -> Result<(), Fault> {
    if came > belong { Err(Fault::Protocol("more came than the answer")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

    /// Feeds pieces as a connection does; the status and body once complete.
    fn gather<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<(u16, Vec<u8>)>, Fault> {
        let mut gathering = Gathering::default();
        let mut done = false;
        for piece in pieces {
            assert!(!done, "pieces after the end");
            if gathering.is_empty()
                && let Some(answer) = whole(piece)?
            {
                return Ok(Some((answer.head.status, answer.body.to_vec())));
            }
            done = gathering.take(piece)?;
        }
        if !done {
            return Ok(None);
        }
        let answer = gathering.answer()?;
        Ok(Some((answer.head.status, answer.body.to_vec())))
    }

    #[test]
    fn every_cut_gives_the_same_answer() {
        let interim = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n{PLAIN}");
        for text in [PLAIN, CHUNKED, &interim] {
            let bytes = text.as_bytes();
            let expected = Some((200, b"hello".to_vec()));
            assert_eq!(gather([bytes]).unwrap(), expected);
            assert_eq!(gather(bytes.chunks(1)).unwrap(), expected);
            for cut in 1..bytes.len() {
                assert_eq!(gather([&bytes[..cut]]).unwrap(), None, "{cut} of {text}");
                assert_eq!(gather([&bytes[..cut], &bytes[cut..]]).unwrap(), expected, "{cut} of {text}");
            }
        }
    }

    #[test]
    fn bytes_after_the_answer_spoil_it_at_every_cut() {
        for text in [PLAIN, CHUNKED, "HTTP/1.1 204 No Content\r\n\r\n"] {
            let bytes = [text.as_bytes(), b"H"].concat();
            assert!(gather([&bytes[..]]).is_err());
            for cut in 1..bytes.len() - 1 {
                assert!(gather([&bytes[..cut], &bytes[cut..]]).is_err(), "{cut} of {text}");
            }
        }
    }

    #[test]
    fn only_a_body_that_ends_with_the_connection_survives_its_end() {
        let ended = |text: &str, clean| {
            let mut gathering = Gathering::default();
            assert!(!gathering.take(text.as_bytes()).unwrap());
            gathering.end(clean).map(|()| gathering.answer().unwrap().body.to_vec())
        };
        let until_close = "HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(ended(until_close, true), Ok(b"hello".to_vec()));
        assert_eq!(ended(until_close, false), Err(Fault::Closed { seen: until_close.len() }));
        for cut in [&PLAIN[..PLAIN.len() - 1], &CHUNKED[..CHUNKED.len() - 2], "HTTP/1.1 2"] {
            assert!(matches!(ended(cut, true), Err(Fault::Closed { .. })), "{cut}");
        }
    }

    #[test]
    fn room_is_asked_for_as_soon_as_the_head_tells() {
        let mut gathering = Gathering::default();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        gathering.take(&head[..head.len() - 1]).unwrap();
        assert_eq!(gathering.room(), None);
        gathering.take(b"\nx").unwrap();
        assert_eq!(gathering.room(), Some(head.len() + 1000));
        gathering.clear();
        assert_eq!((gathering.room(), gathering.bytes.len()), (None, 0));
        gathering.take(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(gathering.room(), Some(limits::RESPONSE_BYTES_MAX));
    }

    #[test]
    fn large_answers_leave_no_memory_behind() {
        let mut gathering = Gathering::default();
        gathering.take(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        gathering.reserve();
        assert!(gathering.bytes.capacity() >= 1_000_000);
        gathering.clear();
        assert_eq!(gathering.bytes.capacity(), 0);
    }

    #[test]
    fn interim_answers_and_endless_bodies_are_bounded() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        assert!(gather([format!("{}{PLAIN}", interim.repeat(INTERIM_MAX)).as_bytes()]).unwrap().is_some());
        assert!(gather([interim.repeat(INTERIM_MAX + 1).as_bytes()]).is_err());
        assert!(gather(interim.repeat(INTERIM_MAX + 1).as_bytes().chunks(interim.len())).is_err());
        let mut gathering = Gathering::default();
        gathering.take(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mebibyte = vec![0; 1 << 20];
        for _ in 0..limits::RESPONSE_BYTES_MAX >> 20 {
            gathering.take(&mebibyte).unwrap();
        }
        assert!(gathering.take(b"x").is_err());
    }
}
