//! Goal: an answer of SQS becomes the batch that its text says, and no bytes make the decoder panic or
//! take a neighbour with a bad message. Method: golden answers, hand-made faults, random damage.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::DecodeError;
use super::super::decode::{Decoded, receive_response, receive_response_at};
use super::super::unescape::Level;
use crate::limits;
use crate::message::{Batch, Span, message_key};

/// An answer as AWS gives it, all members in use, in AWS's order. Source: the shape of the SQS API
/// reference's ReceiveMessage example, with every system attribute added.
const GOLDEN: &[u8] = include_bytes!("receive.json");

fn decode(body: impl AsRef<[u8]>) -> Result<(Batch, Decoded), DecodeError> {
    let mut batch = Batch { bytes: b"of an earlier answer".to_vec(), ..Batch::default() };
    let decoded = receive_response(body.as_ref(), &mut batch)?;
    Ok((batch, decoded))
}

/// One message with these members beside its id and handle.
fn one(members: &str) -> Batch {
    let (batch, decoded) = decode(answer(members)).unwrap();
    assert_eq!(decoded, Decoded { messages: 1, unusable: 0 });
    batch
}

fn answer(members: &str) -> String {
    format!(r#"{{"Messages":[{{"MessageId":"m","ReceiptHandle":"r"{members}}}]}}"#)
}

fn code(batch: &Batch) -> Option<&str> {
    batch.messages[0].defect.as_ref().map(|defect| defect.code)
}

#[test]
fn a_golden_answer_is_decoded_in_every_member() {
    let (batch, decoded) = decode(GOLDEN).unwrap();
    assert_eq!(decoded, Decoded { messages: 2, unusable: 0 });
    let text = |span: Span| batch.field(span).map(|text| std::str::from_utf8(text).unwrap());
    let message = &batch.messages[0];
    assert_eq!(text(message.id), Some("5fea7756-0ea4-451a-a703-a558b933e274"));
    assert_eq!(message.key, 0x5fea_7756_0ea4_451a_a703_a558_b933_e274);
    assert_eq!(text(message.receipt), Some("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a+/Q=="));
    assert_eq!(text(message.body), Some("{\"path\":\"C:\\\\temp\",\"note\":\"é😀\n/\"}"));
    assert_eq!(text(message.md5_of_body), Some("fafb00f5732ab283681e124bf8747ed1"));
    assert_eq!(text(message.md5_of_attributes), Some("c295d17d1a53b45ce8a8d1a3a2a8b8f5"));
    let system = &message.system;
    assert_eq!((system.sent_at_ms, system.receive_count), (1_794_000_000_123, 3));
    assert_eq!((text(system.group), text(system.dedup)), (Some("group-1"), Some("dedup-1")));
    assert_eq!(text(system.sequence), Some("18849496460467696128"));
    assert_eq!(text(system.sender), Some("AROAEXAMPLE:session"));
    assert_eq!(text(system.trace_header), Some("Root=1-5759e988-bd862e3fe1be46a994272793"));
    assert_eq!(text(system.dead_letter_source), Some("arn:aws:sqs:eu-west-1:123456789012:orders"));
    let attributes: Vec<_> = batch
        .attributes_of(message)
        .iter()
        .map(|one| (text(one.name), text(one.data_type), batch.field(one.value)))
        .collect();
    assert_eq!(
        attributes,
        [
            (Some("type"), Some("String"), Some(&b"order \"x\""[..])),
            (Some("count"), Some("Number.int"), Some(b"42")),
            (Some("raw"), Some("Binary"), Some(&[0, 255, 16, 128])),
        ]
    );
    assert_eq!(message.defect, None);
    let plain = &batch.messages[1];
    assert_eq!((text(plain.body), plain.attributes_len, plain.system.sent_at_ms), (Some("plain"), 0, 0));
    assert_eq!((plain.system.group, plain.md5_of_attributes, &plain.defect), (Span::NONE, Span::NONE, &None));
}

#[test]
fn empty_answers_are_no_error() {
    for body in
        ["{}", " { } ", "null", r#"{"Messages":[]}"#, r#"{"Messages":null}"#, r#"{"Other":{"a":[1]}}"#]
    {
        let (batch, decoded) = decode(body).unwrap();
        assert_eq!((decoded, batch.messages.len(), batch.bytes.len()), (Decoded::default(), 0, 0), "{body}");
    }
}

#[test]
fn a_message_without_a_body_is_a_defect_and_not_lost() {
    for members in ["", r#","Body":null"#, r#","MessageAttributes":{"a":{"BinaryValue":"?"}}"#] {
        let batch = one(members);
        assert_eq!((batch.messages[0].body, code(&batch)), (Span::NONE, Some("body_missing")));
    }
    let empty = one(r#","Body":"""#);
    assert_eq!((empty.field(empty.messages[0].body), code(&empty)), (Some(&b""[..]), None));
}

#[test]
fn a_message_that_cannot_be_given_back_is_counted_only() {
    let long = "r".repeat(limits::RECEIPT_BYTES_MAX + 1);
    let messages = [
        r#"{"MessageId":"m","Body":"b"}"#,
        r#"{"ReceiptHandle":"r","Body":"b"}"#,
        r#"{"MessageId":"","ReceiptHandle":"r"}"#,
        r#"{"MessageId":"m","ReceiptHandle":null}"#,
        r#"{"MessageId":"m","ReceiptHandle":"\ud800"}"#,
        "null",
        "{}",
        &format!(r#"{{"MessageId":"m","ReceiptHandle":"{long}"}}"#),
        r#"{"MessageId":"good","ReceiptHandle":"r","Body":"b"}"#,
    ];
    let (batch, decoded) = decode(format!(r#"{{"Messages":[{}]}}"#, messages.join(","))).unwrap();
    assert_eq!(decoded, Decoded { messages: 1, unusable: 8 });
    assert_eq!(batch.messages[0].key, message_key(b"good"));
}

#[test]
fn text_that_no_utf8_can_express_keeps_its_source_and_spares_its_neighbours() {
    let sources: [&[u8]; 5] = [br"a\ud800b", br"\udc00", b"\xff\\n", b"tab\there", br"\q"];
    for source in sources {
        let good = br#"{"MessageId":"n","ReceiptHandle":"r","Body":"\u00e9\n"}"#;
        let bad = [br#"{"MessageId":"m","ReceiptHandle":"r","Body":""#, source, br#""}"#].concat();
        let (batch, decoded) =
            decode([b"{\"Messages\":[", &good[..], b",", &bad, b",", &good[..], b"]}"].concat()).unwrap();
        assert_eq!(decoded.messages, 3);
        let defects: Vec<_> = batch
            .messages
            .iter()
            .map(|one| one.defect.as_ref().map(|defect| (defect.stage, defect.code)))
            .collect();
        assert_eq!(defects, [None, Some(("decode", "body_not_utf8")), None]);
        assert_eq!(batch.slice(batch.messages[1].body), source);
        assert_eq!(batch.slice(batch.messages[2].body), "é\n".as_bytes());
    }
}

#[test]
fn bad_attributes_are_defects_with_their_source_kept() {
    for (attributes, expected, kept) in [
        (r#"{"a":{"DataType":"String","StringValue":"\ud83d"}}"#, "attribute_not_utf8", r"\ud83d"),
        (r#"{"a":{"DataType":"\ud83d","StringValue":"v"}}"#, "attribute_not_utf8", "v"),
        (r#"{"\udfff":{"DataType":"String","StringValue":"v"}}"#, "attribute_not_utf8", "v"),
        (r#"{"a":{"DataType":"Binary","BinaryValue":"AA"}}"#, "attribute_not_base64", "AA"),
        (r#"{"a":{"DataType":"Binary","BinaryValue":"\ud800"}}"#, "attribute_not_base64", r"\ud800"),
    ] {
        let batch = one(&format!(r#","Body":"b","MessageAttributes":{attributes}"#));
        assert_eq!(code(&batch), Some(expected), "{attributes}");
        let attribute = batch.attributes_of(&batch.messages[0])[0];
        assert_eq!(batch.slice(attribute.value), kept.as_bytes(), "{attributes}");
    }
    let system = one(r#","Body":"b","Attributes":{"MessageGroupId":"\ud800","SentTimestamp":"1"}"#);
    assert_eq!((code(&system), system.messages[0].system.sent_at_ms), (Some("attribute_not_utf8"), 1));
    // The body's fault is told, whichever comes first.
    let both = one(r#","MessageAttributes":{"a":{"BinaryValue":"?"}},"Body":"\ud800""#);
    assert_eq!(code(&both), Some("body_not_utf8"));
}

#[test]
fn escapes_in_binary_values_and_in_member_names_are_resolved() {
    let batch = one(
        r#","\u0042ody":"b","MessageAttributes":{"\u0061":{"DataType":"Binary","BinaryValue":"\/\/8="}}"#,
    );
    assert_eq!(batch.slice(batch.messages[0].body), b"b");
    let attribute = batch.attribute(&batch.messages[0], b"a").unwrap();
    assert_eq!(batch.slice(attribute.value), [255, 255]);
}

#[test]
fn of_a_member_that_comes_twice_the_last_counts() {
    let batch = one(
        r#","Body":"one","Body":"two","MessageAttributes":{"a":{"StringValue":"1"},"b":{"StringValue":"2"}},"MessageAttributes":{"c":{"StringValue":"3"},"c":{"StringValue":"4"}}"#,
    );
    let message = &batch.messages[0];
    assert_eq!(batch.slice(message.body), b"two");
    let values: Vec<_> = batch.attributes_of(message).iter().map(|one| batch.slice(one.value)).collect();
    assert_eq!(values, [b"4"]);
    let twice = decode(r#"{"Messages":[],"Messages":[]}"#);
    assert_eq!(twice.unwrap_err().code, "json_repeated");
}

#[test]
fn unusual_but_harmless_values_are_read() {
    let batch = one(
        r#","Body":"b","Attributes":{"SentTimestamp":17,"ApproximateReceiveCount":"99999999999","New":{"x":[1]}},"MessageAttributes":{"a":null,"b":{"DataType":"String","StringValue":"v","BinaryValue":null,"StringListValues":[]}},"New":[{}]"#,
    );
    let message = &batch.messages[0];
    assert_eq!((message.system.sent_at_ms, message.system.receive_count), (17, u32::MAX));
    assert_eq!(batch.attributes_of(message).len(), 1);
    assert_eq!(
        (batch.attribute(message, b"b").map(|one| batch.slice(one.value)), code(&batch)),
        (Some(&b"v"[..]), None)
    );
    for absent in [r#""x""#, "-5", "\"-5\"", "true", "null", "1.5"] {
        let batch = one(&format!(r#","Body":"b","Attributes":{{"SentTimestamp":{absent}}}"#));
        assert_eq!(batch.messages[0].system.sent_at_ms, 0, "{absent}");
    }
}

#[test]
fn what_comes_in_numbers_has_a_limit() {
    let messages = |count: usize| {
        let message = r#"{"MessageId":"m","ReceiptHandle":"r","Body":"b"}"#;
        decode(format!(r#"{{"Messages":[{}]}}"#, vec![message; count].join(",")))
    };
    assert_eq!(messages(255).unwrap().1.messages, 255);
    assert_eq!(messages(256).unwrap_err().code, "too_many_messages");
    let unusable = format!(r#"{{"Messages":[{}]}}"#, vec!["{}"; 256].join(","));
    assert_eq!(decode(unusable).unwrap_err().code, "too_many_messages");
    let attributes: Vec<_> = (0..50).map(|id| format!(r#""a{id}":{{"StringValue":"v"}}"#)).collect();
    let batch = one(&format!(r#","Body":"b","MessageAttributes":{{{}}}"#, attributes.join(",")));
    assert_eq!((batch.messages[0].attributes_len, code(&batch)), (40, Some("attributes_too_many")));
    let large = vec![b' '; limits::RESPONSE_BYTES_MAX + 1];
    assert_eq!(decode(large).unwrap_err().code, "answer_too_large");
}

#[test]
fn what_is_no_answer_is_refused_with_its_place() {
    for (body, code, at) in [
        ("", "json_truncated", 0),
        ("[]", "json_unexpected", 0),
        ("<html>", "json_unexpected", 0),
        ("{} {}", "json_trailing", 3),
        ("nullx", "json_trailing", 4),
        (r#"{"Messages":{}}"#, "json_unexpected", 12),
        (r#"{"Messages":[1]}"#, "json_unexpected", 13),
        (r#"{"Messages":[{}],}"#, "json_unexpected", 17),
        (r#"{"Messages":[{},]}"#, "json_unexpected", 16),
        (r#"{"Messages":[{"Body":5}]}"#, "json_unexpected", 21),
        (r#"{"Messages":[{"MessageId":true}]}"#, "json_unexpected", 26),
        (r#"{"Messages":[{"Attributes":[]}]}"#, "json_unexpected", 27),
        (r#"{"Messages":[{"MessageAttributes":{null:{}}}]}"#, "json_unexpected", 35),
        (r#"{"Messages":[{"MessageAttributes":{"a":"v"}}]}"#, "json_unexpected", 39),
        (r#"{"Messages":[{"Body":"x"#, "json_truncated", 23),
        (r#"{"Messages":[{"Body":"\ud800"#, "json_truncated", 28),
    ] {
        assert_eq!(decode(body).unwrap_err(), DecodeError { code, at }, "{body}");
    }
    let mut batch = Batch::default();
    receive_response(GOLDEN, &mut batch).unwrap();
    receive_response(&GOLDEN[..GOLDEN.len() - 3], &mut batch).unwrap_err();
    assert!(batch.bytes.is_empty() && batch.messages.is_empty() && batch.attributes.is_empty());
}

#[test]
fn every_truncation_of_an_answer_is_refused() {
    let whole = GOLDEN.trim_ascii_end();
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "{end}");
    }
}

/// Everything that a batch says must be readable, whatever the bytes were.
fn read_all(batch: &Batch) -> usize {
    let mut read = 0;
    for message in &batch.messages {
        let system = &message.system;
        for span in
            [message.id, message.receipt, message.body, message.md5_of_body, system.group, system.sender]
        {
            read += batch.slice(span).len();
        }
        for attribute in batch.attributes_of(message) {
            read += batch.slice(attribute.name).len() + batch.slice(attribute.value).len();
        }
        if message.defect.is_none() {
            assert!(std::str::from_utf8(batch.slice(message.body)).is_ok());
        }
    }
    read
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_makes_the_decoder_panic_and_levels_agree(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let mut body = GOLDEN.to_vec();
        for (place, byte, kind) in edits {
            let place = place.index(body.len());
            match kind {
                0 => body[place] = byte,
                1 => body.insert(place, b"\"\\{}[]:,u\x80"[usize::from(byte) % 10]),
                _ => { body.remove(place); }
            }
        }
        let mut scalar = Batch::default();
        let expected = receive_response_at(Level::Scalar, &body, &mut scalar);
        read_all(&scalar);
        for level in Level::ALL {
            let mut batch = Batch::default();
            prop_assert_eq!(receive_response_at(level, &body, &mut batch), expected);
            prop_assert_eq!(&batch.bytes, &scalar.bytes);
            prop_assert_eq!(&batch.messages, &scalar.messages);
            prop_assert_eq!(&batch.attributes, &scalar.attributes);
        }
        if let Ok(oracle) = serde_json::from_slice::<Oracle>(&body) {
            prop_assert!(expected.is_ok(), "{:?} of {}", expected, String::from_utf8_lossy(&body));
            let whole = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
            let mut usable = oracle.messages.unwrap_or_default();
            usable.retain(|one| whole(&one.id) && whole(&one.receipt));
            let bodies: Vec<_> = scalar.messages.iter().map(|one| scalar.field(one.body)).collect();
            let theirs: Vec<_> = usable.iter().map(|one| one.body.as_deref().map(str::as_bytes)).collect();
            prop_assert_eq!(bodies, theirs);
        }
    }
}

/// The same answer as serde_json reads it. It refuses more (a member that comes twice, for example), so only
/// what it accepts is compared.
#[derive(serde::Deserialize)]
struct Oracle {
    #[serde(rename = "Messages")]
    messages: Option<Vec<OracleMessage>>,
}

#[derive(serde::Deserialize)]
struct OracleMessage {
    #[serde(rename = "MessageId")]
    id: Option<String>,
    #[serde(rename = "ReceiptHandle")]
    receipt: Option<String>,
    #[serde(rename = "Body")]
    body: Option<String>,
    #[serde(rename = "MD5OfBody")]
    _md5_of_body: Option<String>,
    #[serde(rename = "MD5OfMessageAttributes")]
    _md5_of_attributes: Option<String>,
    #[serde(rename = "Attributes")]
    _system: Option<HashMap<String, Option<String>>>,
    #[serde(rename = "MessageAttributes")]
    _attributes: Option<HashMap<String, Option<OracleAttribute>>>,
}

#[derive(serde::Deserialize)]
struct OracleAttribute {
    #[serde(rename = "DataType")]
    _data_type: Option<String>,
    #[serde(rename = "StringValue")]
    _string: Option<String>,
    #[serde(rename = "BinaryValue")]
    _binary: Option<String>,
}
