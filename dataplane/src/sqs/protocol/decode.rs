//! ReceiveMessage answers into batches.
//!
//! Level 1, pure. Every string is unescaped once, straight into the arena that Kafka will read from. What is
//! wrong with one message becomes its defect and leaves its neighbours alone; only an answer that is no JSON
//! of the documented shape fails as a whole. Never panics, whatever the bytes. Source: SQS API reference,
//! ReceiveMessage.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::DecodeError;
use super::scan::Cursor;
use super::unescape::Level;
use super::unescape_simd::SLACK;
use crate::error::Rejection;
use crate::limits;
use crate::message::{Attribute, Batch, Message, Span, message_key};

/// What an answer held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Messages that are in the batch.
    #[cfg_attr(not(test), allow(dead_code, reason = "equals the batch's own length"))]
    pub messages: usize,
    /// Messages without an id or a handle, or with a handle that is too long, which cannot be taken.
    pub unusable: usize,
}

/// Most messages of one answer: positions are bytes. SQS documents 10.
const MESSAGES_MAX: usize = u8::MAX as usize;

/// Most attributes of one message that are kept. SQS documents 10; other servers may be laxer.
const ATTRIBUTES_MAX: u16 = 4 * limits::ATTRIBUTES_MAX as u16;

const NOT_UTF8: &str = "an attribute has an escape or bytes that no UTF-8 text can express";

/// Decodes an answer into a batch, whose former contents are dropped.
///
/// # Errors
/// The answer is no JSON of the documented shape, or too large. The batch is empty then.
pub(crate) fn receive_response(body: &[u8], batch: &mut Batch) -> Result<Decoded, DecodeError> {
    receive_response_at(Level::best(), body, batch)
}

/// As [`receive_response`], at a level of choice: for tests and benchmarks.
pub(crate) fn receive_response_at(
    level: Level,
    body: &[u8],
    batch: &mut Batch,
) -> Result<Decoded, DecodeError> {
    batch.clear();
    if body.len() > limits::RESPONSE_BYTES_MAX {
        return Err(DecodeError { code: "answer_too_large", at: limits::RESPONSE_BYTES_MAX });
    }
    // Text is never longer than its source, so the arena does not move while it is filled.
    batch.bytes.reserve(body.len() + SLACK);
    let mut decoder = Decoder {
        cursor: Cursor::new(body, level),
        batch,
        unusable: 0,
        members: Names::new(&MEMBERS),
        system_members: Names::new(&SYSTEM_MEMBERS),
    };
    let answer = decoder.answer();
    let decoded = Decoded { messages: decoder.batch.messages.len(), unusable: decoder.unusable };
    answer.map(|()| decoded).inspect_err(|_| batch.clear())
}

/// Members of a message, by the numbers that [`Decoder::message`] knows them by.
const MEMBERS: [&[u8]; 7] = [
    b"MessageId",
    b"ReceiptHandle",
    b"MD5OfBody",
    b"MD5OfMessageAttributes",
    b"Body",
    b"Attributes",
    b"MessageAttributes",
];

/// System attributes, by the numbers that [`Decoder::system`] knows them by.
const SYSTEM_MEMBERS: [&[u8]; 8] = [
    b"SentTimestamp",
    b"ApproximateReceiveCount",
    b"MessageGroupId",
    b"MessageDeduplicationId",
    b"SequenceNumber",
    b"SenderId",
    b"AWSTraceHeader",
    b"DeadLetterQueueSourceArn",
];

/// Names of an object's members, and in which order they came last time: they come in that order again.
struct Names {
    names: &'static [&'static [u8]],
    /// By name, and at last for the object's beginning and for unknown names: the one that followed.
    follows: [u8; SYSTEM_MEMBERS.len() + 1],
    last: usize,
}

impl Names {
    fn new(names: &'static [&'static [u8]]) -> Names {
        Names { names, follows: [0; SYSTEM_MEMBERS.len() + 1], last: 0 }
    }

    /// The number of the next member's name, that of none for an unknown one; `None` at the object's end.
    fn next(&mut self, cursor: &mut Cursor<'_>, first: &mut bool) -> Result<Option<usize>, DecodeError> {
        if *first {
            self.last = self.names.len();
        }
        let guess = usize::from(self.follows[self.last]);
        let found = cursor.member_of(self.names, guess, first)?;
        if let Some(name) = found {
            self.follows[self.last] = name as u8;
            self.last = name;
        }
        Ok(found)
    }
}

struct Decoder<'a, 'b> {
    cursor: Cursor<'a>,
    batch: &'b mut Batch,
    unusable: usize,
    members: Names,
    system_members: Names,
}

impl Decoder<'_, '_> {
    fn answer(&mut self) -> Result<(), DecodeError> {
        if !self.cursor.null() {
            self.cursor.expect(b'{')?;
            let (mut first, mut seen) = (true, false);
            while let Some(name) = self.cursor.member(&mut first)? {
                match &*name {
                    // Two lists leave open which one SQS means; the messages come again.
                    b"Messages" if seen => return Err(self.cursor.error("json_repeated")),
                    b"Messages" => {
                        seen = true;
                        self.messages()?;
                    }
                    _ => self.cursor.skip()?,
                }
            }
        }
        self.cursor.end()
    }

    fn messages(&mut self) -> Result<(), DecodeError> {
        if self.cursor.null() {
            return Ok(());
        }
        self.cursor.expect(b'[')?;
        let mut first = true;
        while self.cursor.element(&mut first)? {
            if self.batch.messages.len() + self.unusable >= MESSAGES_MAX {
                return Err(self.cursor.error("too_many_messages"));
            }
            let message = if self.cursor.null() { Message::default() } else { self.message()? };
            let receipt = message.receipt.len as usize;
            if message.id.len == 0 || receipt == 0 || receipt > limits::RECEIPT_BYTES_MAX {
                self.unusable += 1;
            } else {
                self.batch.messages.push(message);
            }
        }
        Ok(())
    }

    fn message(&mut self) -> Result<Message, DecodeError> {
        let mut message = Message::default();
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(name) = self.members.next(&mut self.cursor, &mut first)? {
            match name {
                0 => message.id = self.identity()?,
                1 => message.receipt = self.identity()?,
                2 => message.md5_of_body = self.string()?.0,
                3 => message.md5_of_attributes = self.string()?.0,
                4 => self.body(&mut message)?,
                5 => self.system(&mut message)?,
                6 => self.attributes(&mut message)?,
                _ => self.cursor.skip()?,
            }
        }
        if !message.body.is_some() {
            message.defect = defect("body_missing", "the message came without a body");
        }
        message.key = message_key(self.batch.slice(message.id));
        Ok(message)
    }

    /// The span of a string and whether it is text; null counts as absent.
    fn string(&mut self) -> Result<(Span, bool), DecodeError> {
        if self.cursor.null() {
            return Ok((Span::NONE, true));
        }
        let start = self.batch.bytes.len();
        let good = self.cursor.text(&mut self.batch.bytes)?;
        Ok((self.since(start), good))
    }

    /// What has been appended to the arena since `start`. An answer's limit keeps offsets in 32 bits.
    fn since(&self, start: usize) -> Span {
        Span { start: start as u32, len: (self.batch.bytes.len() - start) as u32 }
    }

    /// An id or a handle: one that is no text cannot be sent back, so it counts as absent.
    fn identity(&mut self) -> Result<Span, DecodeError> {
        self.string().map(|(span, good)| if good { span } else { Span::NONE })
    }

    fn body(&mut self, message: &mut Message) -> Result<(), DecodeError> {
        let (span, good) = self.string()?;
        message.body = span;
        if !good {
            let reason = "the body has an escape or bytes that no UTF-8 text can express";
            message.defect = defect("body_not_utf8", reason);
        }
        Ok(())
    }

    /// A text of an attribute: one that is none keeps its source bytes and is the message's defect.
    fn attribute_text(&mut self, message: &mut Message) -> Result<Span, DecodeError> {
        let (span, good) = self.string()?;
        if !good {
            bad_attribute(message, "attribute_not_utf8", NOT_UTF8);
        }
        Ok(span)
    }

    fn system(&mut self, message: &mut Message) -> Result<(), DecodeError> {
        if self.cursor.null() {
            return Ok(());
        }
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(name) = self.system_members.next(&mut self.cursor, &mut first)? {
            match name {
                0 => message.system.sent_at_ms = self.number()?,
                1 => message.system.receive_count = u32::try_from(self.number()?).unwrap_or(u32::MAX),
                2 => message.system.group = self.attribute_text(message)?,
                3 => message.system.dedup = self.attribute_text(message)?,
                4 => message.system.sequence = self.attribute_text(message)?,
                5 => message.system.sender = self.attribute_text(message)?,
                6 => message.system.trace_header = self.attribute_text(message)?,
                7 => message.system.dead_letter_source = self.attribute_text(message)?,
                _ => self.cursor.skip()?,
            }
        }
        Ok(())
    }

    /// A number, which SQS writes as a string; one that does not fit counts as absent.
    fn number(&mut self) -> Result<u64, DecodeError> {
        let text = match self.cursor.peek() {
            Some(b'"') => self.cursor.string()?.text(),
            _ => self.cursor.scalar()?.into(),
        };
        Ok(std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn attributes(&mut self, message: &mut Message) -> Result<(), DecodeError> {
        if self.cursor.null() {
            return Ok(());
        }
        // Should the member come twice, the last counts.
        message.attributes_start = self.batch.attributes.len() as u32;
        message.attributes_len = 0;
        self.cursor.expect(b'{')?;
        let mut first = true;
        loop {
            // The name goes to the arena, so it is read as a string of its own.
            if self.cursor.take(b'}') {
                return Ok(());
            }
            if !std::mem::replace(&mut first, false) {
                self.cursor.expect(b',')?;
            }
            let start = self.batch.bytes.len();
            if !self.cursor.text(&mut self.batch.bytes)? {
                bad_attribute(message, "attribute_not_utf8", NOT_UTF8);
            }
            let name = self.since(start);
            self.cursor.expect(b':')?;
            if self.cursor.null() {
                continue;
            }
            if message.attributes_len == ATTRIBUTES_MAX {
                bad_attribute(
                    message,
                    "attributes_too_many",
                    "the message has more attributes than SQS allows",
                );
                self.cursor.skip()?;
                continue;
            }
            let attribute = self.attribute(name, message)?;
            self.keep(attribute, message);
        }
    }

    /// Keeps an attribute; of two with one name the last.
    fn keep(&mut self, attribute: Attribute, message: &mut Message) {
        let batch = &mut *self.batch;
        let name = batch.slice(attribute.name);
        let same = batch.attributes_of(message).iter().position(|other| batch.slice(other.name) == name);
        if let Some(position) = same {
            batch.attributes[message.attributes_start as usize + position] = attribute;
        } else {
            batch.attributes.push(attribute);
            message.attributes_len += 1;
        }
    }

    fn attribute(&mut self, name: Span, message: &mut Message) -> Result<Attribute, DecodeError> {
        let mut attribute = Attribute { name, ..Attribute::default() };
        self.cursor.expect(b'{')?;
        let mut first = true;
        while let Some(member) = self.cursor.member(&mut first)? {
            match &*member {
                b"DataType" => attribute.data_type = self.attribute_text(message)?,
                b"StringValue" if !self.cursor.null() => attribute.value = self.attribute_text(message)?,
                b"BinaryValue" if !self.cursor.null() => attribute.value = self.binary(message)?,
                b"StringValue" | b"BinaryValue" => {}
                _ => self.cursor.skip()?,
            }
        }
        Ok(attribute)
    }

    fn binary(&mut self, message: &mut Message) -> Result<Span, DecodeError> {
        let source = self.cursor.string()?.text();
        let start = self.batch.bytes.len();
        if STANDARD.decode_vec(&*source, &mut self.batch.bytes).is_err() {
            self.batch.bytes.truncate(start);
            self.batch.bytes.extend_from_slice(&source);
            bad_attribute(message, "attribute_not_base64", "a binary attribute is no base64");
        }
        Ok(self.since(start))
    }
}

fn defect(code: &'static str, reason: &str) -> Option<Rejection> {
    Some(Rejection { stage: "decode", code, reason: reason.to_owned() })
}

/// A defect of the body says more about a message than one of an attribute.
fn bad_attribute(message: &mut Message, code: &'static str, reason: &str) {
    if message.defect.is_none() {
        message.defect = defect(code, reason);
    }
}
