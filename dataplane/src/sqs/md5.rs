//! MD5OfBody, where the operator asks for it.
//!
//! Level 1, pure. A checksum of the SQS protocol, not a security measure.

use md5::{Digest, Md5};

/// Whether `expected` (32 hexadecimal digits) is the MD5 of `body`. An absent checksum proves nothing wrong.
pub(crate) fn matches(body: &[u8], expected: &[u8]) -> bool {
    if expected.is_empty() {
        return true;
    }
    let digest = Md5::digest(body);
    let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    let written = digest.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]);
    expected.len() == 32 && written.eq(expected.iter().map(u8::to_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_match_and_a_flipped_byte_does_not() {
        assert!(matches(b"", b"d41d8cd98f00b204e9800998ecf8427e"));
        assert!(matches(b"message digest", b"f96b697d7cb7938d525a2f31aaf161d0"));
        assert!(!matches(b"message digesT", b"f96b697d7cb7938d525a2f31aaf161d0"));
        assert!(!matches(b"a", b"short"));
        assert!(matches(b"a", b""));
    }
}
