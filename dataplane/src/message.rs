//! A received batch: one arena of bytes, and messages as views into it.
//!
//! Level 0. The decoder writes every string of a receive response once, unescaped, into the arena;
//! from there the bytes go to Kafka by reference. A batch is immutable once decoded, so it may be
//! shared with the producer of another shard.

use crate::error::Rejection;

/// A range of bytes in its batch's arena. [`Span::NONE`] means that the field was absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The field was not in the response. An empty string is a span of length 0 instead.
    pub const NONE: Span = Span { start: u32::MAX, len: 0 };

    /// Whether the field was in the response.
    pub fn is_some(self) -> bool {
        self.start != u32::MAX
    }
}

impl Default for Span {
    fn default() -> Self {
        Span::NONE
    }
}

/// One message attribute. Source: SQS developer guide, "Amazon SQS message metadata".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// Name, UTF-8.
    pub name: Span,
    /// Data type with its custom label, for example `Number.int`.
    pub data_type: Span,
    /// Value: UTF-8 for `String` and `Number`, raw bytes (base64 already decoded) for `Binary`.
    pub value: Span,
}

/// System attributes that SQS adds. Source: ReceiveMessage, `MessageSystemAttributeNames`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemAttributes {
    /// `SentTimestamp`, milliseconds since 1970; 0 when absent.
    pub sent_at_ms: u64,
    /// `ApproximateReceiveCount`; 0 when absent.
    pub receive_count: u32,
    /// `MessageGroupId`.
    pub group: Span,
    /// `MessageDeduplicationId`.
    pub dedup: Span,
    /// `SequenceNumber`.
    pub sequence: Span,
    /// `SenderId`.
    pub sender: Span,
    /// `AWSTraceHeader`.
    pub trace_header: Span,
    /// `DeadLetterQueueSourceArn`.
    pub dead_letter_source: Span,
}

/// One received message as views into its batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// `MessageId` as text.
    pub id: Span,
    /// The same as a number: see [`message_key`].
    pub key: u128,
    /// `ReceiptHandle` of this receive.
    pub receipt: Span,
    /// `Body`, unescaped. With a [`defect`](Message::defect) that the text itself has, the escaped
    /// source bytes instead, so that nothing is lost on the way to the dead letter.
    pub body: Span,
    /// `MD5OfBody`, 32 hexadecimal digits.
    pub md5_of_body: Span,
    /// `MD5OfMessageAttributes`, 32 hexadecimal digits.
    pub md5_of_attributes: Span,
    /// Index of the first attribute in [`Batch::attributes`].
    pub attributes_start: u32,
    /// Number of attributes.
    pub attributes_len: u16,
    /// System attributes.
    pub system: SystemAttributes,
    /// Why this message cannot be delivered, found while decoding or by a stage.
    pub defect: Option<Rejection>,
}

/// Where the bytes of a record key lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyBytes {
    /// No key.
    #[default]
    None,
    /// In the batch's arena.
    Arena(Span),
    /// The route's constant key.
    Constant,
}

/// Where a message goes, decided by the pipeline's stages before the batch is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Number of the topic: its place among all that the pipeline has named.
    pub topic: u16,
    /// Record key.
    pub key: KeyBytes,
}

/// All messages of one receive response.
#[derive(Debug, Default)]
pub struct Batch {
    /// The arena. Never moves or changes once the batch is shared.
    pub bytes: Vec<u8>,
    /// Messages in the order of the response.
    pub messages: Vec<Message>,
    /// Attributes of all messages, one after another.
    pub attributes: Vec<Attribute>,
    /// Course of each message, once the stages have judged it. A message with a
    /// [`defect`](Message::defect) goes to the dead letter instead.
    pub courses: Vec<Course>,
}

impl Batch {
    /// The bytes of a span; empty for [`Span::NONE`].
    ///
    /// # Panics
    /// On a span of another batch that lies outside this arena: a bug, not an input error.
    pub fn slice(&self, span: Span) -> &[u8] {
        if span.is_some() {
            &self.bytes[span.start as usize..span.start as usize + span.len as usize]
        } else {
            &[]
        }
    }

    /// The bytes of a span, or `None` when the field was absent.
    pub fn field(&self, span: Span) -> Option<&[u8]> {
        span.is_some().then(|| self.slice(span))
    }

    /// The attributes of one message.
    pub fn attributes_of(&self, message: &Message) -> &[Attribute] {
        let start = message.attributes_start as usize;
        &self.attributes[start..start + message.attributes_len as usize]
    }

    /// The attribute of a message with this name.
    pub fn attribute(&self, message: &Message, name: &[u8]) -> Option<&Attribute> {
        self.attributes_of(message).iter().find(|attribute| self.slice(attribute.name) == name)
    }

    /// Empties the batch and keeps its memory for the next receive.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.messages.clear();
        self.attributes.clear();
        self.courses.clear();
    }
}

/// A MessageId as a 128-bit key: a UUID's own bits, or a 128-bit FNV-1a hash of any other text.
///
/// AWS documents MessageId as an opaque string of up to 100 characters; it has always been a UUID.
/// A collision of the hash would merge two leases, at a chance of about n² / 2^129.
pub fn message_key(id: &[u8]) -> u128 {
    parse_uuid(id).unwrap_or_else(|| fnv1a_128(id))
}

/// Lower-case hexadecimal digits by their value; [`NO_DIGIT`] for every other byte.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};
const NO_DIGIT: u8 = 0xf0;

fn parse_uuid(id: &[u8]) -> Option<u128> {
    let id: &[u8; 36] = id.try_into().ok()?;
    let mut key: u128 = 0;
    // One look at the end instead of a branch a digit: this runs once a message.
    let mut seen = 0;
    for (start, end) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)] {
        let mut part: u64 = 0;
        for &byte in &id[start..end] {
            let digit = DIGITS[usize::from(byte)];
            seen |= digit;
            part = part << 4 | u64::from(digit);
        }
        key = key << (4 * (end - start)) | u128::from(part);
    }
    let dashes = [8, 13, 18, 23].iter().all(|&place| id[place] == b'-');
    (dashes && seen & NO_DIGIT == 0).then_some(key)
}

/// FNV-1a, 128 bit. Source: the FNV reference (offset basis and prime of the 128-bit variant).
fn fnv1a_128(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_its_own_key() {
        assert_eq!(message_key(b"00000000-0000-0000-0000-0000000000ff"), 0xff);
        assert_eq!(
            message_key(b"12345678-9abc-def0-1234-56789abcdef0"),
            0x1234_5678_9abc_def0_1234_5678_9abc_def0
        );
    }

    #[test]
    fn any_other_text_is_hashed_and_stays_distinct() {
        let upper = message_key(b"12345678-9ABC-DEF0-1234-56789ABCDEF0");
        assert_ne!(upper, message_key(b"12345678-9abc-def0-1234-56789abcdef0"));
        assert_ne!(message_key(b"a"), message_key(b"b"));
        // A dash at another place is no UUID: two texts must not fold into one key.
        assert_ne!(
            message_key(b"1234567-89abc-def0-1234-56789abcdef0"),
            message_key(b"12345678-9abc-def0-1234-56789abcdef0")
        );
    }

    #[test]
    fn an_absent_field_differs_from_an_empty_one() {
        let batch = Batch { bytes: b"abc".to_vec(), ..Batch::default() };
        assert_eq!(batch.field(Span::NONE), None);
        assert_eq!(batch.field(Span { start: 3, len: 0 }), Some(&b""[..]));
        assert_eq!(batch.slice(Span { start: 1, len: 2 }), b"bc");
    }
}
