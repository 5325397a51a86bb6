//! Which Kafka headers a record gets from its SQS message, and its timestamp.
//!
//! Level 1, pure. Message attributes come first, each under its own name; ours, all named `sqs.*`, come
//! after them, so that a consumer that takes the last header of a name never reads a forged one. Nothing
//! is allocated unless an attribute has a type other than plain `String`.

use crate::config;
use crate::message::{Batch, Message, Span};

/// Data type of an attribute that needs no mark.
const PLAIN: &[u8] = b"String";

/// The config's header switches, compiled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeaderRules {
    switches: config::Headers,
}

impl HeaderRules {
    /// Compiles the switches.
    pub(crate) fn from(headers: &config::Headers) -> HeaderRules {
        HeaderRules { switches: headers.clone() }
    }

    /// Rules under which no record has a header or a timestamp of its own.
    #[cfg(test)]
    pub(crate) fn none() -> HeaderRules {
        HeaderRules {
            switches: config::Headers {
                attributes: false,
                message_id: false,
                sent_timestamp: false,
                receive_count: false,
                group_id: false,
                deduplication_id: false,
                sequence_number: false,
                sender_id: false,
                timestamp: false,
            },
        }
    }

    /// Whether a message gets neither headers nor a timestamp of its own.
    pub(crate) fn is_plain(&self, message: &Message) -> bool {
        self.timestamp(message).is_none() && self.count_max(message) == 0
    }

    /// The record's timestamp, milliseconds since 1970; `None` for the time of producing.
    pub(crate) fn timestamp(&self, message: &Message) -> Option<i64> {
        let sent = message.system.sent_at_ms;
        (self.switches.timestamp && sent != 0).then(|| i64::try_from(sent).unwrap_or(i64::MAX))
    }

    /// How many headers [`each`](HeaderRules::each) emits at most.
    pub(crate) fn count_max(&self, message: &Message) -> usize {
        let on = &self.switches;
        let system = &message.system;
        let attributes = if on.attributes && message.attributes_len > 0 {
            usize::from(message.attributes_len) + 1
        } else {
            0
        };
        attributes
            + usize::from(on.message_id)
            + usize::from(on.sent_timestamp && system.sent_at_ms != 0)
            + usize::from(on.receive_count && system.receive_count != 0)
            + usize::from(on.group_id && system.group.is_some())
            + usize::from(on.deduplication_id && system.dedup.is_some())
            + usize::from(on.sequence_number && system.sequence.is_some())
            + usize::from(on.sender_id && system.sender.is_some())
    }

    /// Emits every header of a message, in order. Fields that SQS did not send have no header.
    pub(crate) fn each(&self, batch: &Batch, message: &Message, emit: &mut impl FnMut(&[u8], &[u8])) {
        let on = &self.switches;
        let system = &message.system;
        if on.attributes {
            attributes(batch, message, emit);
        }
        let mut text = |switched: bool, name: &str, span: Span| {
            if switched && let Some(value) = batch.field(span) {
                emit(name.as_bytes(), value);
            }
        };
        text(on.message_id, "sqs.message_id", message.id);
        text(on.group_id, "sqs.message_group_id", system.group);
        text(on.deduplication_id, "sqs.message_deduplication_id", system.dedup);
        text(on.sequence_number, "sqs.sequence_number", system.sequence);
        text(on.sender_id, "sqs.sender_id", system.sender);
        if on.sent_timestamp && system.sent_at_ms != 0 {
            emit(b"sqs.sent_timestamp", Decimal::of(system.sent_at_ms).as_bytes());
        }
        if on.receive_count && system.receive_count != 0 {
            emit(b"sqs.receive_count", Decimal::of(u64::from(system.receive_count)).as_bytes());
        }
    }
}

fn attributes(batch: &Batch, message: &Message, emit: &mut impl FnMut(&[u8], &[u8])) {
    let mut marked = false;
    for attribute in batch.attributes_of(message) {
        emit(batch.slice(attribute.name), batch.slice(attribute.value));
        marked |= batch.slice(attribute.data_type) != PLAIN;
    }
    if marked {
        emit(b"sqs.attribute_types", &attribute_types(batch, message));
    }
}

/// `{"name":"Number.int", ...}`: the attributes whose type is not plain `String`.
fn attribute_types(batch: &Batch, message: &Message) -> Vec<u8> {
    let mut json = vec![b'{'];
    for attribute in batch.attributes_of(message) {
        let data_type = batch.slice(attribute.data_type);
        if data_type != PLAIN {
            if json.len() > 1 {
                json.push(b',');
            }
            push_json_string(&mut json, batch.slice(attribute.name));
            json.push(b':');
            push_json_string(&mut json, data_type);
        }
    }
    json.push(b'}');
    json
}

/// Appends a JSON string. SQS allows letters, digits, `_`, `-` and `.` in names, so that escapes are for
/// servers that do not keep its rules; bytes that are no UTF-8 pass as they are.
fn push_json_string(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
            0..0x20 => json.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}

/// A number as decimal digits, on the stack.
struct Decimal {
    /// 20 digits hold `u64::MAX`.
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn of(mut number: u64) -> Decimal {
        let mut decimal = Decimal { digits: [b'0'; 20], start: 20 };
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return decimal;
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Attribute, SystemAttributes};

    /// Writes text into the arena and returns its span.
    fn put(batch: &mut Batch, bytes: &[u8]) -> Span {
        let start = u32::try_from(batch.bytes.len()).unwrap();
        batch.bytes.extend_from_slice(bytes);
        Span { start, len: u32::try_from(bytes.len()).unwrap() }
    }

    fn message(attributes: &[(&str, &str, &[u8])]) -> (Batch, Message) {
        let mut batch = Batch::default();
        for (name, data_type, value) in attributes {
            let name = put(&mut batch, name.as_bytes());
            let data_type = put(&mut batch, data_type.as_bytes());
            let value = put(&mut batch, value);
            batch.attributes.push(Attribute { name, data_type, value });
        }
        let message = Message {
            id: put(&mut batch, b"id-1"),
            attributes_len: u16::try_from(attributes.len()).unwrap(),
            system: SystemAttributes {
                sent_at_ms: 1_700_000_000_123,
                receive_count: 3,
                group: put(&mut batch, b"group"),
                dedup: put(&mut batch, b"dedup"),
                sequence: put(&mut batch, b"18850"),
                sender: put(&mut batch, b"AIDA"),
                ..SystemAttributes::default()
            },
            ..Message::default()
        };
        (batch, message)
    }

    fn headers(rules: &HeaderRules, batch: &Batch, message: &Message) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        rules.each(batch, message, &mut |name, value| {
            found.push((String::from_utf8(name.to_vec()).unwrap(), value.to_vec()));
        });
        assert!(found.len() <= rules.count_max(message));
        found
    }

    fn names(found: &[(String, Vec<u8>)]) -> Vec<&str> {
        found.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn attributes_keep_names_bytes_and_order_and_types_travel_apart() {
        let (batch, message) = message(&[
            ("plain", "String", b"text"),
            ("count", "Number.int", b"42"),
            ("raw", "Binary", &[0, 255, 10]),
            ("odd\"name", "String.x", b""),
        ]);
        let found = headers(&HeaderRules::from(&config::Headers::default()), &batch, &message);
        assert_eq!(found[0], ("plain".to_owned(), b"text".to_vec()));
        assert_eq!(found[1], ("count".to_owned(), b"42".to_vec()));
        assert_eq!(found[2], ("raw".to_owned(), vec![0, 255, 10]));
        assert_eq!(found[3], ("odd\"name".to_owned(), Vec::new()));
        assert_eq!(found[4].0, "sqs.attribute_types");
        let types: serde_json::Value = serde_json::from_slice(&found[4].1).unwrap();
        assert_eq!(
            types,
            serde_json::json!({"count": "Number.int", "raw": "Binary", "odd\"name": "String.x"})
        );
    }

    #[test]
    fn plain_strings_need_no_type_header() {
        let (batch, message) = message(&[("a", "String", b"1"), ("b", "String", b"2")]);
        let found = headers(&HeaderRules::from(&config::Headers::default()), &batch, &message);
        assert_eq!(
            names(&found),
            [
                "a",
                "b",
                "sqs.message_id",
                "sqs.message_group_id",
                "sqs.message_deduplication_id",
                "sqs.sequence_number"
            ]
        );
    }

    #[test]
    fn ours_come_after_an_attribute_that_forges_their_name() {
        let (batch, message) = message(&[("sqs.message_id", "String", b"forged")]);
        let found = headers(&HeaderRules::from(&config::Headers::default()), &batch, &message);
        let last = found.iter().rfind(|(name, _)| name == "sqs.message_id").unwrap();
        assert_eq!(last.1, b"id-1");
    }

    #[test]
    fn every_switch_governs_its_own_header_only() {
        let (batch, message) = message(&[("a", "String", b"1")]);
        let switch = |set: fn(&mut config::Headers)| {
            let mut rules = HeaderRules::none();
            set(&mut rules.switches);
            headers(&rules, &batch, &message)
        };
        let one = |name: &str, value: &str| vec![(name.to_owned(), value.as_bytes().to_vec())];
        assert_eq!(switch(|h| h.attributes = true), one("a", "1"));
        assert_eq!(switch(|h| h.message_id = true), one("sqs.message_id", "id-1"));
        assert_eq!(switch(|h| h.sent_timestamp = true), one("sqs.sent_timestamp", "1700000000123"));
        assert_eq!(switch(|h| h.receive_count = true), one("sqs.receive_count", "3"));
        assert_eq!(switch(|h| h.group_id = true), one("sqs.message_group_id", "group"));
        assert_eq!(switch(|h| h.deduplication_id = true), one("sqs.message_deduplication_id", "dedup"));
        assert_eq!(switch(|h| h.sequence_number = true), one("sqs.sequence_number", "18850"));
        assert_eq!(switch(|h| h.sender_id = true), one("sqs.sender_id", "AIDA"));
        assert!(switch(|h| h.timestamp = true).is_empty());
    }

    #[test]
    fn absent_fields_have_no_header_and_no_timestamp() {
        let rules = HeaderRules::from(&config::Headers::default());
        let mut batch = Batch::default();
        let id = put(&mut batch, b"id");
        let bare = Message { id, ..Message::default() };
        assert_eq!(names(&headers(&rules, &batch, &bare)), ["sqs.message_id"]);
        assert_eq!(rules.timestamp(&bare), None);
        assert!(!rules.is_plain(&bare));
        assert!(HeaderRules::none().is_plain(&bare));
    }

    #[test]
    fn the_timestamp_is_when_sqs_got_the_message() {
        let (_, message) = message(&[]);
        let rules = HeaderRules::from(&config::Headers::default());
        assert_eq!(rules.timestamp(&message), Some(1_700_000_000_123));
        assert_eq!(HeaderRules::none().timestamp(&message), None);
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 9, 10, 1_700_000_000_123, u64::MAX] {
            assert_eq!(Decimal::of(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
