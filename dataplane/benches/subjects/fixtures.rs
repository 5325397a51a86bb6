//! Input: bodies of 1 KiB and the answers in which SQS brings them.

use std::fmt::Write as _;

use serde_json::json;

/// Messages of an answer.
pub(crate) const MESSAGES: usize = 10;
/// Bytes of a body.
pub(crate) const BODY_BYTES: usize = 1024;

/// An order in JSON, cut to length inside its last string: every quote of it is an escape in the answer. Names
/// beyond ASCII and a quoted word, as people write them; the customer's id lies where a key is looked for.
pub(crate) fn json_body(seed: usize) -> String {
    let mut body = format!(
        r#"{{"order":{seed},"customer":{{"id":"C-{:06}","name":"Zoë \"Zo\" Dvořák"}},"items":["#,
        seed * 7919
    );
    for item in 0.. {
        if body.len() + 80 > BODY_BYTES {
            break;
        }
        let _ =
            write!(body, r#"{{"sku":"A-{:05}","qty":{},"note":"left shelf"}},"#, seed * 31 + item, item % 7);
    }
    body.pop();
    let rest = BODY_BYTES - body.len() - r#"],"pad":""}"#.len();
    let _ = write!(body, r#"],"pad":"{}"}}"#, "x".repeat(rest));
    assert_eq!(body.len(), BODY_BYTES, "a body of the length that the names promise");
    body
}

/// A body without anything to escape.
pub(crate) fn plain_body(seed: usize) -> String {
    format!("{seed:08}").repeat(BODY_BYTES / 8)
}

/// The answer to a receive, as AWS writes it with `AttributeNames: All`. `receive` tells answers apart: no two
/// share a MessageId.
pub(crate) fn answer(receive: usize, body: fn(usize) -> String, with_attributes: bool) -> Vec<u8> {
    let message = |seed: usize| {
        let mut message = json!({
            "MessageId": format!("5fea7756-0ea4-451a-a703-{:012x}", receive * MESSAGES + seed),
            "ReceiptHandle": handle(seed),
            "MD5OfBody": "fafb00f5732ab283681e124bf8747ed1",
            "Body": body(seed),
            "Attributes": {
                "SenderId": "AROAEXAMPLE:session",
                "ApproximateFirstReceiveTimestamp": "1794000000200",
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1794000000123",
            },
        });
        if with_attributes {
            message["MD5OfMessageAttributes"] = "6a8a1e4ae6f1e8f4e2d1d7a4a4e6b0c5".into();
            message["MessageAttributes"] = json!({
                "type": { "StringValue": "order.created", "DataType": "String" },
                "tenant": { "StringValue": seed.to_string(), "DataType": "Number.int" },
                "trace": { "BinaryValue": "AAAAAAAAACo=", "DataType": "Binary" },
            });
        }
        message
    };
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    json!({ "Messages": messages }).to_string().into_bytes()
}

/// A receipt handle of the usual length.
pub(crate) fn handle(seed: usize) -> String {
    format!("AQEB{seed:04}").repeat(45)
}
