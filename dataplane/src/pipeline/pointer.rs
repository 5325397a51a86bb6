//! JSON pointers into message bodies.
//!
//! Level 1, pure. serde_json, because its skipping does not recurse: sonic-rs' lazy `get`, which is faster,
//! overflowed the stack on 200,000 nested arrays. The look-up is lazy: it reads as far as the field and does not prove that the rest of
//! the body is valid JSON (`validate.json` does that). Source of the syntax: RFC 6901.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::message::{Batch, Span};

/// A compiled JSON pointer.
#[derive(Debug)]
pub(crate) struct Pointer {
    /// Object members by name; a name of digits only is tried as an array index as well.
    path: Vec<String>,
}

/// Deepest pointer that is followed.
const DEPTH_MAX: usize = 32;

impl Pointer {
    /// Reads `/customer/id`. The config has been checked before.
    pub(crate) fn parse(pointer: &str) -> Pointer {
        let parts = pointer.split('/').skip(1).take(DEPTH_MAX);
        Pointer { path: parts.map(|part| part.replace("~1", "/").replace("~0", "~")).collect() }
    }

    /// The scalar that the pointer names in a message's body: text unescaped, other scalars as written.
    /// `None` when it is absent, null, an object or an array, or when the body is no JSON so far.
    pub(crate) fn find(&self, batch: &mut Batch, index: usize) -> Option<Span> {
        let body = batch.messages[index].body;
        let found = self.look_up(batch.slice(body))?;
        let start = u32::try_from(batch.bytes.len()).ok()?;
        batch.bytes.extend_from_slice(found.as_bytes());
        Some(Span { start, len: found.len() as u32 })
    }

    fn look_up(&self, body: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(body).ok()?;
        let found = Cell::new(None);
        // The walk stops in the middle of the body once it has its value, which the parser reports as an
        // error; whether there is a value is what counts.
        let _stopped = Seek { path: &self.path, found: &found }
            .deserialize(&mut serde_json::Deserializer::from_str(text));
        let raw = found.get()?.get();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(raw.to_owned()),
        }
    }
}

/// Walks one step of the path; what is beside the path is skipped without recursion.
struct Seek<'p, 'c, 'de> {
    path: &'p [String],
    found: &'c Cell<Option<&'de RawValue>>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            self.found.set(Some(serde::Deserialize::deserialize(deserializer)?));
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.path[0].as_str() {
                return map.next_value_seed(Seek { path: &self.path[1..], found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Ok(index) = self.path[0].parse::<usize>() else { return Ok(()) };
        for _ in 0..index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Seek { path: &self.path[1..], found: self.found }).map(|_| ())
    }
}

/// Whether the body is exactly one JSON value.
///
/// # Errors
/// What is wrong, without the body's own bytes.
pub(crate) fn well_formed(body: &[u8]) -> Result<(), String> {
    // serde_json skips without recursion, so that a hostile body cannot exhaust the stack.
    serde_json::from_slice::<IgnoredAny>(body)
        .map(|_| ())
        .map_err(|error| format!("line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(pointer: &str, body: &str) -> Option<String> {
        Pointer::parse(pointer).look_up(body.as_bytes())
    }

    #[test]
    fn scalars_are_found_and_texts_unescaped() {
        let body = r#"{"type":"order \"x\"","n":1.50,"ok":true,"a":[{"id":"z"}],"~/":"t","none":null}"#;
        assert_eq!(look_up("/type", body).as_deref(), Some("order \"x\""));
        assert_eq!(look_up("/n", body).as_deref(), Some("1.50"));
        assert_eq!(look_up("/ok", body).as_deref(), Some("true"));
        assert_eq!(look_up("/a/0/id", body).as_deref(), Some("z"));
        assert_eq!(look_up("/~0~1", body).as_deref(), Some("t"));
    }

    #[test]
    fn what_is_no_scalar_is_not_found() {
        let body = r#"{"o":{},"a":[],"none":null}"#;
        for pointer in ["/o", "/a", "/none", "/absent", "/a/7"] {
            assert_eq!(look_up(pointer, body), None, "{pointer}");
        }
        assert_eq!(look_up("/x", "not json"), None);
        assert_eq!(look_up("/x", ""), None);
    }

    #[test]
    fn hostile_depth_is_an_error_and_no_crash() {
        let deep = "[".repeat(200_000);
        assert!(well_formed(deep.as_bytes()).is_err());
        assert_eq!(look_up("/a", &format!("{{\"a\":{deep}")), None);
        assert!(well_formed(b"{} x").is_err());
        assert!(well_formed(b"{\"a\":[1,2,{\"b\":null}]}").is_ok());
    }
}
