//! The ledger tells the whole life of a message, in order.

use serde_json::json;

use super::client::{receive, served};
use crate::sqs::{Kind, OutMessage, Server, ServerConfig};

#[test]
fn a_life_is_told_in_order_with_counts_and_rising_times() {
    let (server, mut client, url) = served(&[]);
    let id = server.send("q", vec![OutMessage::new("x")]).unwrap()[0];
    let first = receive(&mut client, &url)[0]["ReceiptHandle"].clone();
    let call = |handle: &serde_json::Value, seconds: u32| json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds });
    client.ok("ChangeMessageVisibility", &call(&first, 60));
    client.ok("ChangeMessageVisibility", &call(&first, 0));
    let second = receive(&mut client, &url)[0]["ReceiptHandle"].clone();
    client.ok("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": first }));
    client.ok("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": second }));
    client.ok("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": second }));
    let events = server.ledger(0);
    let told: Vec<(Kind, u32)> = events.iter().map(|event| (event.kind, event.count)).collect();
    assert_eq!(
        told,
        [
            (Kind::Sent, 0),
            (Kind::Received, 1),
            (Kind::VisibilityChanged, 60),
            (Kind::VisibilityChanged, 0),
            (Kind::Expired, 1),
            (Kind::Received, 2),
            (Kind::DeleteStale, 1),
            (Kind::Deleted, 2),
            (Kind::DeleteAbsent, 2),
        ]
    );
    assert!(events.iter().all(|event| event.id == id));
    assert!(events.is_sorted_by_key(|event| event.at_ns));
    assert_eq!(server.ledger(7), events[7..]);
    assert!(server.ledger(1_000).is_empty());
}

#[test]
fn a_server_without_a_ledger_keeps_nothing() {
    let server = Server::start(ServerConfig { ledger: false, ..ServerConfig::default() }).unwrap();
    server.create_queue("q", &[]).unwrap();
    server.send("q", vec![OutMessage::new("x")]).unwrap();
    assert!(server.ledger(0).is_empty());
    assert_eq!(server.depth("q").unwrap().visible, 1);
}
