//! Batch rules, and what becomes of each entry.

use serde_json::{Value, json};

use super::client::{receive, served};

const PREFIX: &str = "AWS.SimpleQueueService.";

fn entries(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "Id": id, "MessageBody": "x" })).collect()
}

#[test]
fn batches_that_break_the_rules_are_refused_whole() {
    let (server, mut client, url) = served(&[]);
    let eleven: Vec<String> = (0..11).map(|number| number.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let long = "i".repeat(81);
    for (ids, code) in [
        (&[][..], "EmptyBatchRequest"),
        (&eleven, "TooManyEntriesInBatchRequest"),
        (&["a", "b", "a"], "BatchEntryIdsNotDistinct"),
        (&["a b"], "InvalidBatchEntryId"),
        (&[""], "InvalidBatchEntryId"),
        (&[&long], "InvalidBatchEntryId"),
    ] {
        let call = json!({ "QueueUrl": url, "Entries": entries(ids) });
        assert_eq!(client.refused("SendMessageBatch", &call), format!("{PREFIX}{code}"), "{ids:?}");
        let handles: Value = ids.iter().map(|id| json!({ "Id": id, "ReceiptHandle": "x" })).collect();
        let call = json!({ "QueueUrl": url, "Entries": handles });
        assert_eq!(client.refused("DeleteMessageBatch", &call), format!("{PREFIX}{code}"), "{ids:?}");
    }
    assert_eq!(server.depth("q").unwrap().visible, 0);
}

#[test]
fn a_bad_entry_fails_alone() {
    let (server, mut client, url) = served(&[]);
    let call = json!({ "QueueUrl": url, "Entries": [
        { "Id": "good", "MessageBody": "x" },
        { "Id": "bad", "MessageBody": "\u{1}" },
        { "Id": "missing" },
        { "Id": "late", "MessageBody": "x", "DelaySeconds": 901 },
        { "Id": "also", "MessageBody": "y" }] });
    let answer = client.ok("SendMessageBatch", &call);
    let ids =
        |list: &Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|e| e["Id"].clone()).collect() };
    assert_eq!(ids(&answer["Successful"]), ["good", "also"]);
    assert_eq!(ids(&answer["Failed"]), ["bad", "missing", "late"]);
    for failed in answer["Failed"].as_array().unwrap() {
        assert_eq!(failed["SenderFault"], true);
        assert!(failed["Code"].is_string() && failed["Message"].is_string());
    }
    assert_eq!(server.depth("q").unwrap().visible, 2);
}

#[test]
fn a_batch_of_more_than_a_mebibyte_is_refused_whole() {
    let (server, mut client, url) = served(&[]);
    let half = "x".repeat(1 << 19);
    let fits = json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": half }, { "Id": "b", "MessageBody": half }] });
    client.ok("SendMessageBatch", &fits);
    let over = json!({ "QueueUrl": url, "Entries": [{ "Id": "a", "MessageBody": half }, { "Id": "b", "MessageBody": half }, { "Id": "c", "MessageBody": "x" }] });
    assert_eq!(client.refused("SendMessageBatch", &over), format!("{PREFIX}BatchRequestTooLong"));
    assert_eq!(server.depth("q").unwrap().visible, 2);
}

#[test]
fn a_delete_batch_tells_of_each_handle() {
    let (server, mut client, url) = served(&[]);
    let call = json!({ "QueueUrl": url, "Entries": entries(&["a", "b"]) });
    client.ok("SendMessageBatch", &call);
    let received = receive(&mut client, &url);
    let call = json!({ "QueueUrl": url, "Entries": [
        { "Id": "first", "ReceiptHandle": received[0]["ReceiptHandle"] },
        { "Id": "wrong", "ReceiptHandle": "no handle" },
        { "Id": "second", "ReceiptHandle": received[1]["ReceiptHandle"] }] });
    let answer = client.ok("DeleteMessageBatch", &call);
    assert_eq!(answer["Successful"], json!([{ "Id": "first" }, { "Id": "second" }]));
    assert_eq!(answer["Failed"][0]["Id"], "wrong");
    assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
    let depth = server.depth("q").unwrap();
    assert_eq!((depth.visible, depth.in_flight), (0, 0));
}

#[test]
fn a_visibility_batch_tells_of_each_entry() {
    let (server, mut client, url) = served(&[]);
    client.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "x" }));
    let handle = receive(&mut client, &url)[0]["ReceiptHandle"].clone();
    let call = json!({ "QueueUrl": url, "Entries": [
        { "Id": "far", "ReceiptHandle": handle, "VisibilityTimeout": 43_201 },
        { "Id": "back", "ReceiptHandle": handle, "VisibilityTimeout": 0 },
        { "Id": "again", "ReceiptHandle": handle, "VisibilityTimeout": 0 }] });
    let answer = client.ok("ChangeMessageVisibilityBatch", &call);
    assert_eq!(answer["Successful"], json!([{ "Id": "back" }]));
    assert_eq!(answer["Failed"][0]["Code"], "InvalidParameterValue");
    assert_eq!(answer["Failed"][1]["Code"], "MessageNotInflight");
    assert_eq!(server.depth("q").unwrap().visible, 1);
}
