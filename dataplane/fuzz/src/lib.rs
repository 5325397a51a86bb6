//! What must hold for any bytes that the SQS codec is given. One function per fuzz target.
//!
//! The codec's own files are mounted here by path. `cargo test` holds the committed corpora against the same
//! claims on a stable compiler; README.md tells how to run the fuzzer.

#[allow(dead_code, reason = "a part of the data plane, of which only the codec is used here")]
#[path = "../../src/error.rs"]
mod error;
#[allow(dead_code, reason = "a part of the data plane, of which only the codec is used here")]
#[path = "../../src/limits.rs"]
mod limits;
#[allow(dead_code, reason = "a part of the data plane, of which only the codec is used here")]
#[path = "../../src/message.rs"]
mod message;
#[allow(dead_code, unused_imports, reason = "a part of the data plane, of which only the codec is used here")]
mod sqs;

use error::Class;
use limits::BATCH_ENTRIES_MAX;
use message::{Batch, Span};
use sqs::errors::{api_error, entry_class};
use sqs::protocol::decode::receive_response_at;
use sqs::protocol::unescape::{Level, unescape};
use sqs::protocol::{encode, results};
use sqs::sign::parse_http_date;

const LEVELS: [Level; 3] = [Level::Scalar, Level::Avx2, Level::Avx512];

/// A receive answer is read alike at every level, its views lie inside its arena, and what has no defect is
/// text.
pub fn receive(body: &[u8]) {
    let [scalar, avx2, avx512] = LEVELS.map(|level| {
        let mut batch = Batch::default();
        let answer = receive_response_at(level, body, &mut batch);
        if answer.is_err() {
            assert!(batch.messages.is_empty(), "nothing is taken from an answer that is refused");
        }
        (answer, batch)
    });
    for other in [&avx2, &avx512] {
        assert_eq!(scalar.0, other.0);
        assert_eq!(scalar.1.bytes, other.1.bytes);
        assert_eq!(scalar.1.messages, other.1.messages);
        assert_eq!(scalar.1.attributes, other.1.attributes);
    }
    read_all(&scalar.1);
    assert!(scalar.1.bytes.len() <= body.len(), "nothing grows");
}

fn read_all(batch: &Batch) {
    for message in &batch.messages {
        let system = &message.system;
        assert!(!batch.slice(message.id).is_empty() && !batch.slice(message.receipt).is_empty());
        let mut texts = vec![message.id, message.receipt];
        if message.defect.is_none() {
            assert!(message.body.is_some());
            texts.extend([message.body, system.group, system.dedup, system.sequence, system.sender]);
            texts.extend([system.trace_header, system.dead_letter_source]);
        }
        for attribute in batch.attributes_of(message) {
            batch.slice(attribute.value);
            if message.defect.is_none() {
                texts.extend([attribute.name, attribute.data_type]);
            }
        }
        let is_text = |span: &Span| std::str::from_utf8(batch.slice(*span)).is_ok();
        assert!(texts.iter().all(is_text), "{message:?}");
    }
}

/// A string gives the same text at every level, at any place in memory, and the text that serde_json gives.
pub fn text(source: &[u8]) {
    let Some((&shift, source)) = source.split_first() else { return };
    // Loads and stores at any alignment, behind text that is there already.
    let shift = usize::from(shift % 64);
    let mut moved = vec![b'"'; shift];
    moved.extend_from_slice(source);
    let read = LEVELS.map(|level| {
        let mut out = vec![b'x'; shift];
        let walked = unescape(level, &moved[shift..], &mut out);
        assert_eq!(out[..shift], vec![b'x'; shift], "what was there stays");
        assert!(walked.is_ok() || out.len() == shift, "a fault leaves nothing behind");
        (walked, out.split_off(shift))
    });
    assert_eq!(read[0], read[1]);
    assert_eq!(read[0], read[2]);
    if let (Ok(taken), text) = &read[0] {
        let quoted = [b"\"", &source[..*taken]].concat();
        if let Ok(oracle) = serde_json::from_slice::<String>(&quoted) {
            assert_eq!(oracle.as_bytes(), text);
        } else {
            // serde_json asks for UTF-8 at once; we do so for the whole answer.
            assert!(std::str::from_utf8(&quoted).is_err(), "only that is refused by serde_json alone");
        }
    } else {
        let quoted = [b"\"", source].concat();
        let oracle = serde_json::Deserializer::from_slice(&quoted).into_iter::<String>().next();
        assert!(!matches!(oracle, Some(Ok(_))), "what serde_json reads is read");
    }
}

/// A batch answer says nothing about entries that were not sent, and no verdict drops a message.
pub fn batch_results(bytes: &[u8]) {
    let Some((&count, body)) = bytes.split_first() else { return };
    let count = usize::from(count) % (BATCH_ENTRIES_MAX + 2);
    let Ok(results) = results::batch_results(body, count) else { return };
    for position in 0..BATCH_ENTRIES_MAX + 2 {
        let verdict = results.entry(position);
        assert!(position < count || verdict.is_none());
        assert_ne!(verdict, Some(Err(Class::Reject)));
    }
    let refused = (0..count).filter(|&position| matches!(results.entry(position), Some(Err(_)))).count();
    assert_eq!(results.failed_codes().count(), refused);
    assert!(results.failed_codes().all(|code| code.len() <= 256));
}

/// A refusal has a code and a class whatever it consists of; both are bounded and printable.
pub fn refusal(bytes: &[u8]) {
    let Some((&[high, low, split], rest)) = bytes.split_first_chunk() else { return };
    let status = u16::from_be_bytes([high, low]) % 1000;
    let (header, body) = rest.split_at(usize::from(split).min(rest.len()));
    for header in [None, Some(header)] {
        let error = api_error(status, header, body);
        assert!(!error.code.is_empty() && error.code.len() <= 128);
        assert!(error.code.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", error.code);
        assert!(error.message.len() <= 4 * 512 && !error.message.chars().any(char::is_control));
        assert_ne!(error.class, Class::Reject);
        assert_ne!(entry_class(&error.code, true), Class::Reject);
    }
}

/// A date is read only if it is one: written again by its seconds it names the same time of day.
pub fn http_date(text: &[u8]) {
    let Some(unix_s) = parse_http_date(text) else { return };
    assert_eq!(text.len(), 29);
    assert!(unix_s <= 253_402_300_800, "no later than the year 9999 and a leap second");
    let of_day = unix_s % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    assert!(&text[17..25] == clock.as_bytes() || &text[23..25] == b"60");
}

/// Whatever a handle holds, the request around it is JSON and gives the handle back.
pub fn request(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let handles: Vec<&str> = text.split('\u{1e}').take(BATCH_ENTRIES_MAX).collect();
    let mut out = Vec::new();
    encode::delete_batch(&mut out, text, handles.iter().map(|handle| handle.as_bytes()));
    let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(written["QueueUrl"], text);
    let entries = written["Entries"].as_array().unwrap();
    assert_eq!(entries.len(), handles.len());
    for (position, (entry, handle)) in entries.iter().zip(&handles).enumerate() {
        assert_eq!(entry["Id"], position.to_string());
        assert_eq!(entry["ReceiptHandle"], *handle);
    }
}
