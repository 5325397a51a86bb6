//! JSON strings to text, appended to an arena: finds the closing quote and resolves the escapes in one pass.
//!
//! Level 1, pure. The scalar walk is the reference; `unescape_simd` has faster ones with the same results.
//! Says nothing about UTF-8: its caller checks a whole answer at once. Source: RFC 8259, section 7.

use super::unescape_simd;

/// Why a string has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A lone surrogate, a broken escape, or a control character that is not escaped.
    NoText,
    /// The closing quote is missing.
    Truncated,
}

/// Which walk over a string is used. All give the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// 8 bytes at a time, on any machine.
    Scalar,
    /// 32 bytes at a time.
    Avx2,
    /// 64 bytes at a time; needs AVX-512 F, BW, VBMI and VBMI2 (Ice Lake, Zen 4 and later).
    Avx512,
}

impl Level {
    /// Every level, slowest first.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) const ALL: [Level; 3] = [Level::Scalar, Level::Avx2, Level::Avx512];

    /// The fastest level of this machine. The detection is kept by the standard library: a load and a test.
    pub(crate) fn best() -> Level {
        if Level::Avx512.is_supported() {
            Level::Avx512
        } else if Level::Avx2.is_supported() {
            Level::Avx2
        } else {
            Level::Scalar
        }
    }

    /// Whether this machine can run the level.
    pub(crate) fn is_supported(self) -> bool {
        match self {
            Level::Scalar => true,
            Level::Avx2 => unescape_simd::has_avx2(),
            Level::Avx512 => unescape_simd::has_avx512(),
        }
    }
}

/// Appends the text of the string whose opening quote has just been passed. Returns how many bytes of
/// `source` belong to the string, its closing quote included. A level that this machine lacks falls back
/// to the scalar walk.
///
/// # Errors
/// The string has no text: `out` is as it was.
pub(crate) fn unescape(level: Level, source: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
    let start = out.len();
    let walked = match level {
        Level::Scalar => scalar(source, out),
        Level::Avx2 => unescape_simd::avx2(source, out).unwrap_or_else(|| scalar(source, out)),
        Level::Avx512 => unescape_simd::avx512(source, out).unwrap_or_else(|| scalar(source, out)),
    };
    if walked.is_err() {
        out.truncate(start);
    }
    walked
}

/// The reference walk: 8 bytes at a time up to the next byte that is special.
pub(super) fn scalar(source: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut at = 0;
    loop {
        while let Some(word) = source[at..].first_chunk::<8>() {
            let start = out.len();
            out.extend_from_slice(word);
            let plain = plain_prefix(*word);
            at += plain;
            if plain < 8 {
                out.truncate(start + plain);
                break;
            }
        }
        match source.get(at) {
            None => return Err(Fault::Truncated),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                let (text, taken) = escape(&source[at..])?;
                let mut utf8 = [0; 4];
                out.extend_from_slice(text.encode_utf8(&mut utf8).as_bytes());
                at += taken;
            }
            Some(0..0x20) => return Err(Fault::NoText),
            Some(&byte) => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// How many bytes of a word come before the first quote, backslash or control character.
fn plain_prefix(word: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(word);
    let special = equal(word, b'"') | equal(word, b'\\') | below(word, 0x20);
    special.trailing_zeros() as usize / 8
}

/// How many bytes of a word come before the first quote or backslash.
#[inline(always)]
pub(super) fn unquoted_prefix(word: [u8; 8]) -> usize {
    let word = u64::from_le_bytes(word);
    (equal(word, b'"') | equal(word, b'\\')).trailing_zeros() as usize / 8
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks the bytes of a word that are below `bound`, which is at most 128.
///
/// The zero-byte test of Mycroft (1987): borrows can only raise false marks above a true one, so the lowest
/// mark is exact.
#[inline(always)]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(bound)) & !word & TOPS
}

/// Marks the bytes of a word that equal `byte`, as [`below`] does.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// What stands for an escape of one character; 0 for `u` and for what is no escape.
pub(super) const SIMPLE: [u8; 128] = {
    let mut table = [0; 128];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 8;
    table[b'f' as usize] = 12;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
};

/// The character of the escape at the start of `source`, and the bytes that it takes, 2, 6 or 12.
pub(super) fn escape(source: &[u8]) -> Result<(char, usize), Fault> {
    let &kind = source.get(1).ok_or(Fault::Truncated)?;
    match SIMPLE.get(usize::from(kind)) {
        Some(&byte) if byte != 0 => return Ok((char::from(byte), 2)),
        _ if kind != b'u' => return Err(Fault::NoText),
        _ => {}
    }
    let high = hex4(&source[2..])?;
    if !(0xd800..0xe000).contains(&high) {
        return char::from_u32(high).map(|text| (text, 6)).ok_or(Fault::NoText);
    }
    if high >= 0xdc00 || source.get(6..8) != Some(b"\\u") {
        return Err(Fault::NoText);
    }
    let low = hex4(&source[8..])?;
    if !(0xdc00..0xe000).contains(&low) {
        return Err(Fault::NoText);
    }
    let text = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    char::from_u32(text).map(|text| (text, 12)).ok_or(Fault::NoText)
}

fn hex4(source: &[u8]) -> Result<u32, Fault> {
    let digits = source.get(..4).ok_or(Fault::NoText)?;
    digits.iter().try_fold(0, |value, &digit| {
        char::from(digit).to_digit(16).map(|digit| value << 4 | digit).ok_or(Fault::NoText)
    })
}
