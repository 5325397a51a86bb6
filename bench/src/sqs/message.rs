//! Messages as they are stored: everything that does not change is serialised once, when they are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::error::ApiError;

/// Largest message, attributes included. Source: "Amazon SQS message quotas".
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A message attribute as a sender gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name.
    pub name: String,
    /// Data type with its label, for example `Number.int`.
    pub data_type: String,
    /// Value; raw bytes for `Binary`.
    pub value: Vec<u8>,
}

/// A message as a sender gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutMessage {
    /// Body.
    pub body: String,
    /// Message attributes.
    pub attributes: Vec<Attribute>,
    /// Message group id.
    pub group: Option<String>,
    /// Deduplication id.
    pub dedup: Option<String>,
    /// `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// Delay in seconds; `None`: the queue's own.
    pub delay_s: Option<u32>,
}

impl OutMessage {
    /// A message of a body only.
    pub fn new(body: impl Into<String>) -> OutMessage {
        OutMessage { body: body.into(), ..OutMessage::default() }
    }
}

/// A message ready to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub id: u128,
    /// `"MessageId":"…","MD5OfBody":"…","Body":"…"`.
    pub fragment: Box<[u8]>,
    /// `,"MD5OfMessageAttributes":"…","MessageAttributes":{…}` with all attributes, or nothing.
    pub attributes_fragment: Box<[u8]>,
    pub attributes: Box<[Attribute]>,
    pub md5_of_body: String,
    pub md5_of_attributes: Option<String>,
    pub group: Option<Box<str>>,
    pub dedup: Option<Box<str>>,
    pub trace_header: Option<Box<str>>,
    pub delay_s: Option<u32>,
    pub body_sha256: Option<String>,
    pub dead_letter_source: Option<Box<str>>,
    pub bytes: usize,
}

/// Checks and serialises a message.
pub(crate) fn prepare(message: OutMessage, id: u128, content_dedup: bool) -> Result<Prepared, ApiError> {
    let bytes = size(&message);
    if message.body.is_empty() {
        return Err(ApiError::missing_parameter("MessageBody"));
    }
    if bytes > MESSAGE_BYTES_MAX {
        return Err(ApiError::invalid_parameter(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {MESSAGE_BYTES_MAX} bytes."
        )));
    }
    if let Some(bad) = message.body.chars().find(|&c| !is_legal(c)) {
        let text = format!("Invalid characters found: #x{:x}", bad as u32);
        return Err(ApiError::new("InvalidMessageContents", text));
    }
    super::attributes::check(&message.attributes)?;
    let md5_of_body = hex(&Md5::digest(message.body.as_bytes()));
    let mut fragment = Vec::with_capacity(message.body.len() + message.body.len() / 8 + 128);
    fragment.extend_from_slice(b"\"MessageId\":\"");
    fragment.extend_from_slice(uuid(id).as_bytes());
    fragment.extend_from_slice(b"\",\"MD5OfBody\":\"");
    fragment.extend_from_slice(md5_of_body.as_bytes());
    fragment.extend_from_slice(b"\",\"Body\":");
    json_string(&mut fragment, &message.body);
    let md5_of_attributes = super::attributes::md5(&message.attributes);
    let mut attributes_fragment = Vec::new();
    super::attributes::write(&mut attributes_fragment, &message.attributes);
    let body_sha256 = content_dedup
        .then(|| hex(ring::digest::digest(&ring::digest::SHA256, message.body.as_bytes()).as_ref()));
    Ok(Prepared {
        id,
        fragment: fragment.into(),
        attributes_fragment: attributes_fragment.into(),
        attributes: message.attributes.into(),
        md5_of_body,
        md5_of_attributes,
        group: message.group.map(Into::into),
        dedup: message.dedup.map(Into::into),
        trace_header: message.trace_header.map(Into::into),
        delay_s: message.delay_s,
        body_sha256,
        dead_letter_source: None,
        bytes,
    })
}

/// Bytes that count against the limits: body, attribute names, types and values.
pub(crate) fn size(message: &OutMessage) -> usize {
    let attribute = |a: &Attribute| a.name.len() + a.data_type.len() + a.value.len();
    message.body.len() + message.attributes.iter().map(attribute).sum::<usize>()
}

/// Characters that SQS takes in bodies. Source: SendMessage, `MessageBody`.
pub(crate) fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Appends a JSON string.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain..at]);
        if escape.is_empty() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.extend_from_slice(escape);
        }
        plain = at + 1;
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)] as char, DIGITS[usize::from(byte & 15)] as char])
        .collect()
}

/// A number as a UUID's text.
pub(crate) fn uuid(id: u128) -> String {
    let digits = hex(&id.to_be_bytes());
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
