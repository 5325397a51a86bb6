//! Checksums against pinned values, filters, and limits.

use serde_json::{Value, json};

use super::client::{messages, receive, served};
use crate::sqs::attributes::md5;
use crate::sqs::calls::spread;
use crate::sqs::message::{json_string, uuid};
use crate::sqs::{Attribute, OutMessage};

fn attribute(name: &str, data_type: &str, value: &[u8]) -> Attribute {
    Attribute { name: name.into(), data_type: data_type.into(), value: value.into() }
}

/// The pinned values were computed with moto 5.2.5, whose checksums boto3 accepts; hashlib gives the same.
#[test]
fn checksums_of_attributes_are_the_published_ones() {
    let text = attribute("timestamp", "Number", b"1493147359900");
    assert_eq!(md5(std::slice::from_ref(&text)).as_deref(), Some("235c5c510d26fb653d073faed50ae77c"));
    let binary = attribute("raw", "Binary.png", &[0, 255, 10]);
    let label = attribute("A", "String.custom", "grün".as_bytes());
    let sorted = md5(&[label.clone(), binary.clone(), text.clone()]);
    assert_eq!(sorted.as_deref(), Some("0eb6c7e26c11f1185336a13c5f6fda67"));
    assert_eq!(md5(&[text, label, binary]), sorted, "the order of sending does not matter");
    assert_eq!(md5(&[]), None);
}

#[test]
fn bodies_and_attributes_come_back_as_they_were_sent() {
    let (server, mut client, url) = served(&[]);
    let body = "tab\t quote\" back\\slash\r\n grün 😀 \u{7f}\u{2028}";
    let sent = client.ok(
        "SendMessage",
        &json!({ "QueueUrl": url, "MessageBody": body, "MessageAttributes": {
        "n": { "DataType": "Number.int", "StringValue": "-12.5e3" },
        "b": { "DataType": "Binary", "BinaryValue": "AP8K" },
        "s": { "DataType": "String", "StringValue": "ü\"" } } }),
    );
    let received = receive(&mut client, &url).remove(0);
    assert_eq!(received["Body"], body);
    assert_eq!(received["MD5OfBody"], sent["MD5OfMessageBody"]);
    assert_eq!(received["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(received["MessageId"], sent["MessageId"]);
    assert_eq!(
        received["MessageAttributes"],
        json!({
            "n": { "DataType": "Number.int", "StringValue": "-12.5e3" },
            "b": { "DataType": "Binary", "BinaryValue": "AP8K" },
            "s": { "DataType": "String", "StringValue": "ü\"" } })
    );
    drop(server);
}

#[test]
fn only_attributes_that_were_asked_for_come_with_a_checksum_of_just_those() {
    let (server, mut client, url) = served(&[("VisibilityTimeout", "0")]);
    let attributes = ["foo.a", "foo.b", "bar"].map(|name| attribute(name, "String", name.as_bytes()));
    server.send("q", vec![OutMessage { attributes: attributes.into(), ..OutMessage::new("x") }]).unwrap();
    let names = |filter: Value, client: &mut super::client::Client| {
        let call = json!({ "QueueUrl": url, "MessageAttributeNames": filter });
        let message = messages(&client.ok("ReceiveMessage", &call)).remove(0);
        let names: Vec<String> = message["MessageAttributes"]
            .as_object()
            .map(|found| found.keys().cloned().collect())
            .unwrap_or_default();
        assert_eq!(message["MD5OfMessageAttributes"].is_string(), !names.is_empty());
        names
    };
    assert_eq!(names(json!([]), &mut client), [""; 0]);
    assert_eq!(names(json!(["absent"]), &mut client), [""; 0]);
    assert_eq!(names(json!(["bar"]), &mut client), ["bar"]);
    assert_eq!(names(json!(["foo.*"]), &mut client), ["foo.a", "foo.b"]);
    assert_eq!(names(json!(["All"]), &mut client).len(), 3);
    assert_eq!(names(json!([".*"]), &mut client).len(), 3);
}

#[test]
fn system_attributes_come_only_when_asked_for_under_either_name() {
    let (server, mut client, url) = served(&[("VisibilityTimeout", "0")]);
    server
        .send("q", vec![OutMessage { trace_header: Some("Root=1".into()), ..OutMessage::new("x") }])
        .unwrap();
    let mut ask = |call: Value| messages(&client.ok("ReceiveMessage", &call)).remove(0)["Attributes"].clone();
    assert_eq!(ask(json!({ "QueueUrl": url })), Value::Null);
    let count = ask(json!({ "QueueUrl": url, "AttributeNames": ["ApproximateReceiveCount"] }));
    assert_eq!(count, json!({ "ApproximateReceiveCount": "2" }));
    let all = ask(json!({ "QueueUrl": url, "MessageSystemAttributeNames": ["All"] }));
    for name in ["SenderId", "SentTimestamp", "ApproximateFirstReceiveTimestamp", "AWSTraceHeader"] {
        assert!(all[name].is_string(), "{name} in {all}");
    }
    assert_eq!(all["ApproximateReceiveCount"], "3");
}

#[test]
fn attributes_that_sqs_refuses_are_refused() {
    let (_server, mut client, url) = served(&[]);
    let text = |name: &str, data_type: &str, value: &str| json!({ name: { "DataType": data_type, "StringValue": value } });
    let mut eleven = serde_json::Map::new();
    for number in 0..11 {
        eleven.insert(format!("a{number}"), json!({ "DataType": "String", "StringValue": "x" }));
    }
    for attributes in [
        text("ok", "Text", "x"),
        text("ok", "Number", "twelve"),
        text("ok", "Number", "inf"),
        text("ok", "String", ""),
        text("bad name", "String", "x"),
        text(".first", "String", "x"),
        text("two..dots", "String", "x"),
        text("AWS.reserved", "String", "x"),
        text(&"n".repeat(257), "String", "x"),
        json!({ "ok": { "DataType": "Binary", "BinaryValue": "no base64!" } }),
        Value::Object(eleven),
    ] {
        let call = json!({ "QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes });
        assert_eq!(client.refused("SendMessage", &call), "InvalidParameterValue", "{attributes}");
    }
}

#[test]
fn a_message_of_one_mebibyte_goes_and_one_byte_more_does_not() {
    let (server, mut client, url) = served(&[]);
    let body = "x".repeat((1 << 20) - 7);
    // The attribute counts 8 bytes: its name, its type and its value.
    let fits = json!({ "QueueUrl": url, "MessageBody": &body[1..], "MessageAttributes": { "n": { "DataType": "String", "StringValue": "v" } } });
    client.ok("SendMessage", &fits);
    let over = json!({ "QueueUrl": url, "MessageBody": body, "MessageAttributes": { "n": { "DataType": "String", "StringValue": "v" } } });
    assert_eq!(client.refused("SendMessage", &over), "InvalidParameterValue");
    assert_eq!(server.depth("q").unwrap().visible, 1);
    assert_eq!(receive(&mut client, &url)[0]["Body"].as_str().unwrap().len(), (1 << 20) - 8);
}

#[test]
fn empty_bodies_and_illegal_characters_are_refused() {
    let (_server, mut client, url) = served(&[]);
    let empty = json!({ "QueueUrl": url, "MessageBody": "" });
    assert_eq!(client.refused("SendMessage", &empty), "MissingParameter");
    for body in ["\u{0}", "a\u{8}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let call = json!({ "QueueUrl": url, "MessageBody": body });
        assert_eq!(client.refused("SendMessage", &call), "InvalidMessageContents", "{body:?}");
    }
}

#[test]
fn message_ids_are_distinct_for_distinct_numbers() {
    let mut seen = std::collections::HashSet::new();
    for seed in [0_u128, 1, 2, 1 << 40, u128::from(u64::MAX)] {
        for counter in 0..20_000_u128 {
            assert!(seen.insert(spread(seed << 64 | counter)), "{seed} {counter}");
        }
    }
    let text = uuid(spread(1));
    assert_eq!((text.len(), text.matches('-').count()), (36, 4));
}

#[test]
fn any_text_survives_json() {
    let every: String = (0..0x3000).filter_map(char::from_u32).chain("😀\u{10ffff}".chars()).collect();
    let mut out = Vec::new();
    json_string(&mut out, &every);
    assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), every);
}
