//! The chunked transfer coding, decoded as its bytes come.
//!
//! Level 2, pure. SQS itself sends a Content-Length; proxies and local stand-ins may not. Lines end with
//! CRLF and nothing else; extensions and trailers are passed over within narrow bounds.
//! Source: RFC 9112, section 7.1.

use super::error::Fault;
use crate::limits;

/// Hexadecimal digits of a chunk's size. Seven would hold the largest body; some servers pad to eight.
const SIZE_DIGITS_MAX: usize = 8;
/// Bytes of all extensions of one body, and of all its trailers. By eye: nobody sends more than a line.
const SPARE_BYTES_MAX: usize = 1024;

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    /// A digit of a chunk's size, or the line's end.
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    Nothing,
}

/// A decoder at some place in a chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    expect: Expect,
    digits: usize,
    /// Bytes that are left of the chunk.
    left: usize,
    /// Bytes of the trailer line so far.
    line: usize,
    /// Bytes of extensions and trailers so far.
    spare: usize,
    /// Bytes of the body so far.
    body: usize,
}

impl Chunks {
    /// Whether the body is complete.
    pub(super) fn is_done(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Decodes what has come into `body`; returns how many bytes were taken: fewer than all only when the
    /// body is complete.
    ///
    /// # Errors
    /// The coding is broken, or the body is larger than `RESPONSE_BYTES_MAX`.
    pub(super) fn decode(&mut self, fresh: &[u8], body: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut at = 0;
        while at < fresh.len() && !self.is_done() {
            if self.expect == Expect::Data {
                let part = &fresh[at..fresh.len().min(at + self.left)];
                body.extend_from_slice(part);
                at += part.len();
                self.left -= part.len();
                if self.left == 0 {
                    self.expect = Expect::DataCr;
                }
            } else {
                self.expect = self.line_byte(fresh[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Takes one byte of anything but data; returns what must follow.
    fn line_byte(&mut self, byte: u8) -> Result<Expect, Fault> {
        match (self.expect, byte) {
            (Expect::Size, b'\r') if self.digits > 0 => Ok(Expect::SizeLf),
            (Expect::Size, b';') if self.digits > 0 => Ok(Expect::Extension),
            (Expect::Size, _) => self.digit(byte),
            (Expect::Extension, b'\r') => Ok(Expect::SizeLf),
            (Expect::Extension, _) => self.spare_byte(byte, Expect::Extension),
            (Expect::SizeLf, b'\n') => self.size_is_known(),
            (Expect::DataCr, b'\r') => Ok(Expect::DataLf),
            (Expect::DataLf, b'\n') => Ok(Expect::Size),
            (Expect::Trailer, b'\r') => Ok(Expect::TrailerLf),
            (Expect::Trailer, _) => {
                self.line += 1;
                self.spare_byte(byte, Expect::Trailer)
            }
            (Expect::TrailerLf, b'\n') if self.line == 0 => Ok(Expect::Nothing),
            (Expect::TrailerLf, b'\n') => {
                self.line = 0;
                Ok(Expect::Trailer)
            }
            _ => Err(Fault::Protocol("a chunk does not end where it says")),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Expect, Fault> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(Fault::Protocol("a chunk size is no hexadecimal number"));
        };
        self.digits += 1;
        if self.digits > SIZE_DIGITS_MAX {
            return Err(Fault::Protocol("a chunk size is too long"));
        }
        self.left = self.left << 4 | digit as usize;
        Ok(Expect::Size)
    }

    fn size_is_known(&mut self) -> Result<Expect, Fault> {
        self.digits = 0;
        self.body += self.left;
        if self.body > limits::RESPONSE_BYTES_MAX {
            return Err(Fault::Protocol("the body is larger than any SQS answer"));
        }
        Ok(if self.left == 0 { Expect::Trailer } else { Expect::Data })
    }

    fn spare_byte(&mut self, byte: u8, expect: Expect) -> Result<Expect, Fault> {
        self.spare += 1;
        if self.spare > SPARE_BYTES_MAX || (byte < b' ' && byte != b'\t') {
            return Err(Fault::Protocol("a chunk extension or trailer is too long or no text"));
        }
        Ok(expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
        let (mut chunks, mut body, mut taken) = (Chunks::default(), Vec::new(), 0);
        for piece in pieces {
            taken += chunks.decode(piece, &mut body)?;
        }
        Ok(chunks.is_done().then_some((body, taken)))
    }

    #[test]
    fn chunks_are_decoded_alike_at_every_cut() {
        let whole = b"5;a=\"b\"\r\nhello\r\n00000006\r\n world\r\n0\r\nTrailer: 1\r\nAnother: 2\r\n\r\n";
        for cut in 0..whole.len() {
            let (front, back) = whole.split_at(cut);
            assert_eq!(decode(&[front]), Ok(None), "cut at {cut}");
            assert_eq!(decode(&[front, back]), Ok(Some((b"hello world".to_vec(), whole.len()))), "{cut}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(decode(&bytes).unwrap().unwrap().0, b"hello world");
    }

    #[test]
    fn what_follows_the_last_chunk_is_left_alone() {
        assert_eq!(decode(&[b"0\r\n\r\nHTTP/1.1"]), Ok(Some((Vec::new(), 5))));
    }

    #[test]
    fn a_broken_coding_is_refused() {
        let long = "a".repeat(SPARE_BYTES_MAX + 1);
        for bad in [
            "\r\n",
            ";a\r\n",
            "-5\r\n",
            "+5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "g\r\n",
            "5\nhello\n",
            "5\r\nhelloXX",
            "5\r\nhello\n",
            "5\r\r\n",
            "5;a\nb\r\nhello\r\n",
            "0\r\nTrailer: 1\n\r\n",
            "0\r\n\rX",
            "000000005\r\nhello\r\n",
            "2000001\r\n",
            &format!("5;{long}\r\n"),
            &format!("0\r\nA: {long}\r\n\r\n"),
        ] {
            assert!(matches!(decode(&[bad.as_bytes()]), Err(Fault::Protocol(_))), "{bad:?}");
        }
    }

    #[test]
    fn extensions_are_bounded_over_all_chunks_together() {
        let chunk = format!("1;{}\r\nx\r\n", "a".repeat(100));
        assert!(decode(&[chunk.repeat(10).as_bytes()]).is_ok());
        assert!(decode(&[chunk.repeat(11).as_bytes()]).is_err());
    }

    #[test]
    fn many_chunks_cannot_add_up_beyond_the_limit() {
        let mut chunks = Chunks::default();
        let mut body = Vec::new();
        let mebibyte = [b"100000\r\n".as_slice(), &vec![0; 1 << 20], b"\r\n"].concat();
        for _ in 0..limits::RESPONSE_BYTES_MAX >> 20 {
            chunks.decode(&mebibyte, &mut body).unwrap();
            body.clear();
        }
        assert!(chunks.decode(b"1\r\n", &mut body).is_err());
    }
}
