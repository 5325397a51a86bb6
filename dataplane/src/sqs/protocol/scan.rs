//! A cursor over one JSON text: strict, and iterative because input may be hostile.
//!
//! Level 1, pure. Knows JSON's grammar and nothing of SQS. Source: RFC 8259.

use std::borrow::Cow;

use memchr::memchr2;

use super::DecodeError;
use super::unescape::{Fault, Level, unescape, unquoted_prefix};

/// Deepest nesting of a skipped value: one bit each in [`Cursor::skip`]. SQS's answers nest four deep.
const DEPTH_MAX: u32 = 64;

/// Words of eight bytes that are looked at before a vector search begins.
const WORDS_FIRST: usize = 5;

/// A position in a JSON text.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    level: Level,
    /// The whole text is valid UTF-8, so each of its strings is: one pass instead of one for each string.
    /// Only where it is not, the strings are looked at one by one.
    utf8: bool,
}

/// The raw text of a string, between its quotes.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    /// Bytes as written.
    bytes: &'a [u8],
    /// Whether there is a backslash in it.
    escaped: bool,
}

impl<'a> Raw<'a> {
    /// The text of the string; as written, when it has none. Escapes are not expected where this is used.
    pub(super) fn text(self) -> Cow<'a, [u8]> {
        if !self.escaped {
            return Cow::Borrowed(self.bytes);
        }
        let (mut closed, mut text) = (self.bytes.to_vec(), Vec::new());
        closed.push(b'"');
        match unescape(Level::Scalar, &closed, &mut text) {
            Ok(_) => Cow::Owned(text),
            Err(_) => Cow::Borrowed(self.bytes),
        }
    }
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], level: Level) -> Cursor<'a> {
        Cursor { bytes, at: 0, level, utf8: std::str::from_utf8(bytes).is_ok() }
    }

    pub(super) fn error(&self, code: &'static str) -> DecodeError {
        DecodeError { code, at: self.at }
    }

    fn unexpected(&self) -> DecodeError {
        self.error(if self.at < self.bytes.len() { "json_unexpected" } else { "json_truncated" })
    }

    #[inline(always)]
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Whether the byte is next, which is then taken.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.error("json_trailing")) }
    }

    /// The next member name of an object that has been opened; `None` at its end.
    pub(super) fn member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, [u8]>>, DecodeError> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',')?;
        }
        let name = self.string()?;
        self.expect(b':')?;
        Ok(Some(name.text()))
    }

    /// As [`member`](Cursor::member), but the name's position in `names`, or their number for any other. `guess`
    /// is looked at first: answers repeat their members in one order.
    pub(super) fn member_of(
        &mut self,
        names: &[&[u8]],
        guess: usize,
        first: &mut bool,
    ) -> Result<Option<usize>, DecodeError> {
        if let Some(taken) = names.get(guess).and_then(|name| self.starts_with_member(name, *first)) {
            self.at += taken;
            *first = false;
            return Ok(Some(guess));
        }
        let name = self.member(first)?;
        Ok(name.map(|name| names.iter().position(|known| **known == *name).unwrap_or(names.len())))
    }

    /// Whether a member of this name follows without blanks: the bytes up to its value.
    #[inline(always)]
    fn starts_with_member(&self, name: &[u8], first: bool) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let rest = if first { rest } else { rest.strip_prefix(b",")? };
        let follows = rest.strip_prefix(b"\"")?.strip_prefix(name)?.starts_with(b"\":");
        follows.then_some(usize::from(!first) + name.len() + 3)
    }

    /// Whether an array that has been opened has another element.
    pub(super) fn element(&mut self, first: &mut bool) -> Result<bool, DecodeError> {
        if self.take(b']') {
            return Ok(false);
        }
        if !std::mem::replace(first, false) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Whether `null` is next, which is then taken.
    pub(super) fn null(&mut self) -> bool {
        // Hardly ever there: one byte tells.
        let found = self.peek() == Some(b'n') && self.bytes[self.at..].starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// A string as written.
    pub(super) fn string(&mut self) -> Result<Raw<'a>, DecodeError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.bytes[self.at..];
            match special(rest) {
                None => {
                    self.at = self.bytes.len();
                    return Err(self.error("json_truncated"));
                }
                Some(offset) if rest[offset] == b'"' => {
                    let bytes = &self.bytes[start..self.at + offset];
                    self.at += offset + 1;
                    return Ok(Raw { bytes, escaped });
                }
                Some(offset) => {
                    escaped = true;
                    self.at = (self.at + offset + 2).min(self.bytes.len());
                }
            }
        }
    }

    /// Appends the text of a string to an arena, or, when it has none, the string as written. Returns
    /// whether it is text.
    pub(super) fn text(&mut self, out: &mut Vec<u8>) -> Result<bool, DecodeError> {
        self.expect(b'"')?;
        let (opened, start) = (self.at, out.len());
        match unescape(self.level, &self.bytes[opened..], out) {
            Ok(taken) if self.utf8 || std::str::from_utf8(&out[start..]).is_ok() => {
                self.at += taken;
                Ok(true)
            }
            Err(Fault::Truncated) => {
                self.at = self.bytes.len();
                Err(self.error("json_truncated"))
            }
            Ok(_) | Err(Fault::NoText) => {
                self.at = opened - 1;
                out.truncate(start);
                out.extend_from_slice(self.string()?.bytes);
                Ok(false)
            }
        }
    }

    /// A number, true, false or null, as written. Its bounds are strict, its digits are not looked at.
    pub(super) fn scalar(&mut self) -> Result<&'a [u8], DecodeError> {
        self.space();
        let rest = &self.bytes[self.at..];
        let legal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
        let scalar = &rest[..rest.iter().position(|byte| !legal(byte)).unwrap_or(rest.len())];
        let number = matches!(scalar.first(), Some(b'0'..=b'9' | b'-'))
            && scalar.iter().all(|byte| !matches!(byte, b'a'..=b'd' | b'f'..=b'z'));
        if !number && !matches!(scalar, b"true" | b"false" | b"null") {
            return Err(self.unexpected());
        }
        self.at += scalar.len();
        Ok(scalar)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.peek() {
            Some(b't' | b'f') => Ok(self.scalar()? == b"true"),
            _ => Err(self.unexpected()),
        }
    }

    /// Passes over a value of any kind, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), DecodeError> {
        // One bit for each open bracket, the innermost lowest: 1 for an object.
        let (mut objects, mut depth) = (0_u64, 0);
        let mut first = true;
        loop {
            if depth > 0 {
                let more = if objects & 1 == 1 {
                    self.member(&mut first)?.is_some()
                } else {
                    self.element(&mut first)?
                };
                if !more {
                    objects >>= 1;
                    depth -= 1;
                    first = false;
                    if depth == 0 {
                        return Ok(());
                    }
                    continue;
                }
            }
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == DEPTH_MAX {
                        return Err(self.error("json_too_deep"));
                    }
                    self.at += 1;
                    objects = objects << 1 | u64::from(open == b'{');
                    depth += 1;
                    first = true;
                    continue;
                }
                Some(b'"') => {
                    self.string()?;
                }
                _ => {
                    self.scalar()?;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

/// Where the first quote or backslash is. Names and ids are short: a few words in a register cost less than the
/// call of a vector search.
#[inline(always)]
fn special(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for word in bytes.as_chunks::<8>().0.iter().take(WORDS_FIRST) {
        let plain = unquoted_prefix(*word);
        if plain < 8 {
            return Some(at + plain);
        }
        at += 8;
    }
    memchr2(b'"', b'\\', &bytes[at..]).map(|offset| at + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_or_backslash_is_found_wherever_it_is() {
        for length in 0..80 {
            let mut text = vec![b'x'; length];
            assert_eq!(special(&text), None);
            for place in 0..length {
                for byte in *b"\"\\" {
                    text[place] = byte;
                    assert_eq!(special(&text), Some(place), "{byte} at {place} of {length}");
                }
                text[place] = 0xa2;
            }
        }
    }

    fn skips(text: &str) -> Result<(), DecodeError> {
        let mut cursor = Cursor::new(text.as_bytes(), Level::Scalar);
        cursor.skip()?;
        cursor.end()
    }

    #[test]
    fn a_value_that_is_skipped_must_still_be_json() {
        for good in [
            "{}",
            " [ ] ",
            r#"{"a":[1,-2.5e+3,{"b":null},[]],"c":{},"d":"\"]}"}"#,
            "true",
            "[[[[]]],[]]",
            r#"[{"a":1},{"a":[]},"x"]"#,
        ] {
            assert_eq!(skips(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "[",
            "{",
            "[1,]",
            "[1 2]",
            "[1}",
            "{1}",
            "[}",
            "[[]1]",
            "[[][]]",
            r#"[{}"x"]"#,
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1]"#,
            r#""x"#,
            r#""x\"#,
            "[,]",
            "tru",
            "nul",
            "nan",
            "+1",
            "[]]",
            "{}{}",
            "a",
        ] {
            assert!(skips(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded_and_costs_no_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(skips(&nested(64)), Ok(()));
        assert_eq!(skips(&nested(65)).map_err(|error| error.code), Err("json_too_deep"));
        assert!(skips(&"[{\"a\":".repeat(1 << 20)).is_err());
        // Each open bracket is remembered with its kind, down to the deepest.
        let mixed = format!("{}{}", "[{\"a\":".repeat(32), "}]".repeat(32)).replace(":}", ":1}");
        assert_eq!(skips(&mixed), Ok(()));
    }
}
