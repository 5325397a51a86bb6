//! What of a record is shown: the shape of JSON with its values covered, or length and hash.
//!
//! Pure. Everything is covered that is not named: values of the JSON body but those at configured pointers, keys, and
//! headers that are not Millrace's or SQS's own. Covered values keep their kind, so that a reader sees what is wrong with
//! a message without reading what it says.

use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Longest text of one shown body; a longer one is cut or left out.
pub(crate) const SHOWN_BYTES_MAX: usize = 64 << 10;
/// Hexadecimal digits of a hash that are shown: enough to tell bodies apart.
const HASH_DIGITS: usize = 16;
/// Headers whose values say how a message travelled and nothing of what it holds.
const OPEN_HEADERS: [&str; 2] = ["millrace.", "sqs."];
/// Those of them that hold what others wrote.
const COVERED_HEADERS: [&str; 3] = ["sqs.message_group_id", "sqs.message_deduplication_id", "sqs.sender_id"];

/// A part of a record as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Shown {
    /// Length, bytes.
    pub(crate) bytes: usize,
    /// First digits of its SHA-256.
    #[schema(example = "9f86d081884c7d65")]
    pub(crate) sha256: String,
    /// `json`, `text`, `binary` or `none`.
    #[schema(example = "json")]
    pub(crate) kind: &'static str,
    /// JSON with its values covered, or, where it was asked for and allowed, everything; null for what is not shown.
    #[schema(value_type = Value)]
    pub(crate) value: Option<Value>,
}

/// How much is shown.
#[derive(Clone, Debug)]
pub(crate) enum Cover {
    /// All but the values at these JSON pointers is covered.
    Except(Vec<String>),
    /// Nothing is covered.
    Nothing,
}

/// A body.
pub(crate) fn body(body: Option<&[u8]>, cover: &Cover) -> Shown {
    let Some(bytes) = body else {
        return Shown { bytes: 0, sha256: String::new(), kind: "none", value: None };
    };
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    // Deeper than serde_json goes is shown as text: covered.
    let json = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let (kind, value) = match (text, json, cover) {
        (_, Some(json), Cover::Except(visible)) => ("json", Some(covered(&json, visible))),
        (_, Some(json), Cover::Nothing) => ("json", Some(json)),
        (Some(text), None, Cover::Nothing) => ("text", Some(Value::from(cut(text)))),
        (Some(_), None, Cover::Except(_)) => ("text", None),
        (None, None, Cover::Nothing) => ("binary", Some(Value::from(base64(bytes)))),
        (None, None, Cover::Except(_)) => ("binary", None),
    };
    let fits = |value: &Value| value.to_string().len() <= SHOWN_BYTES_MAX;
    Shown { bytes: bytes.len(), sha256: hash(bytes), kind, value: value.filter(fits) }
}

/// The value of a header.
pub(crate) fn header(name: &str, value: &[u8], cover: &Cover) -> Shown {
    let is_open = OPEN_HEADERS.iter().any(|open| name.starts_with(open)) && !COVERED_HEADERS.contains(&name);
    if is_open || matches!(cover, Cover::Nothing) {
        return body(Some(value), &Cover::Nothing);
    }
    Shown { value: None, ..body(Some(value), cover) }
}

/// The same shape with every value covered but those at the pointers.
fn covered(json: &Value, visible: &[String]) -> Value {
    let mut copy = cover_all(json);
    for pointer in visible {
        if let (Some(from), Some(to)) = (json.pointer(pointer), copy.pointer_mut(pointer)) {
            *to = from.clone();
        }
    }
    copy
}

fn cover_all(json: &Value) -> Value {
    match json {
        Value::Null => Value::Null,
        Value::Bool(_) => Value::from("boolean"),
        Value::Number(_) => Value::from("number"),
        Value::String(text) => Value::from(format!("string of {} bytes", text.len())),
        Value::Array(items) => Value::Array(items.iter().map(cover_all).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), cover_all(value)));
            Value::Object(fields.collect::<Map<String, Value>>())
        }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(SHOWN_BYTES_MAX / 2);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(&bytes[..bytes.len().min(SHOWN_BYTES_MAX / 2)])
}

fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(HASH_DIGITS);
    for byte in &digest(&SHA256, bytes).as_ref()[..HASH_DIGITS / 2] {
        // Writing to a String does not fail.
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CANARY: &str = "canary-4111";

    fn masked(visible: &[&str]) -> Cover {
        Cover::Except(visible.iter().map(|&pointer| pointer.to_owned()).collect())
    }

    #[test]
    fn json_keeps_its_shape_and_shows_what_is_named() {
        let text = json!({ "type": "paid", "card": { "number": CANARY, "cents": 4111 }, "tags": [true, null, CANARY] });
        let shown = body(Some(text.to_string().as_bytes()), &masked(&["/type", "/nowhere", "/tags/0"]));
        assert_eq!(
            shown.value.unwrap(),
            json!({
                "type": "paid",
                "card": { "number": "string of 11 bytes", "cents": "number" },
                "tags": [true, null, "string of 11 bytes"]
            })
        );
        assert_eq!((shown.kind, shown.bytes), ("json", text.to_string().len()));
    }

    #[test]
    fn nothing_covered_is_in_any_masked_form() {
        let deep = format!("{}\"{CANARY}\"{}", "[".repeat(5_000), "]".repeat(5_000));
        let binary = [CANARY.as_bytes(), &[0xff, 0xfe]].concat();
        for bytes in [
            json!(CANARY).to_string().as_bytes(),
            json!([[{ "a": CANARY }]]).to_string().as_bytes(),
            CANARY.as_bytes(),
            deep.as_bytes(),
            &binary,
        ] {
            let shown = serde_json::to_string(&body(Some(bytes), &masked(&["/b", ""]))).unwrap();
            // The pointer of the whole document shows the whole document: nobody may configure it.
            let shown_but_root = serde_json::to_string(&body(Some(bytes), &masked(&["/b"]))).unwrap();
            assert!(!shown_but_root.contains(CANARY), "{shown_but_root}");
            assert!(shown.contains("sha256"));
        }
    }

    #[test]
    fn text_and_bytes_are_a_length_and_a_hash() {
        let shown = body(Some(b"test"), &masked(&[]));
        assert_eq!((shown.kind, shown.value, shown.sha256.as_str()), ("text", None, "9f86d081884c7d65"));
        assert_eq!(body(Some(&[0, 159, 146]), &masked(&[])).kind, "binary");
        assert_eq!(body(None, &masked(&[])).kind, "none");
    }

    #[test]
    fn headers_of_the_way_are_open_and_those_of_others_are_not() {
        let open = header("millrace.code", b"body_not_json", &masked(&[]));
        assert_eq!(open.value, Some(json!("body_not_json")));
        for name in ["customer", "sqs.message_group_id", "sqsx"] {
            assert_eq!(header(name, CANARY.as_bytes(), &masked(&[])).value, None, "{name}");
        }
        assert_eq!(header("customer", b"x", &Cover::Nothing).value, Some(json!("x")));
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let long = "é".repeat(SHOWN_BYTES_MAX);
        let shown = body(Some(long.as_bytes()), &Cover::Nothing);
        assert!(shown.value.unwrap().as_str().unwrap().len() <= SHOWN_BYTES_MAX / 2);
        let wide = json!(vec!["x"; 100_000]).to_string();
        let shown = body(Some(wide.as_bytes()), &masked(&[]));
        assert_eq!((shown.value, shown.bytes), (None, wide.len()));
        assert!(body(Some(vec![0xff; 1 << 20].as_slice()), &Cover::Nothing).value.is_some());
    }
}
