//! Long polls: what wakes them, and when they end.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, messages, served};
use crate::sqs::{OutMessage, Server};

/// Starts a long poll and waits until the server has it.
fn poll(server: &Server, url: &str, seconds: u32) -> Client {
    let mut client = Client::new(server);
    let before = server.stats().calls.get("ReceiveMessage").copied().unwrap_or(0);
    let call = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": seconds });
    client.stream.write_all(&Client::request("ReceiveMessage", &call)).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while server.stats().calls.get("ReceiveMessage").copied().unwrap_or(0) == before {
        assert!(Instant::now() < end, "the server has not seen the call");
        std::thread::yield_now();
    }
    client
}

/// The bodies that a poll brings, and that it was woken well before its end.
fn woken(mut client: Client, since: Instant) -> Vec<Value> {
    let answer = client.answer().unwrap();
    assert!(since.elapsed() < Duration::from_secs(8), "it was not woken: {:?}", since.elapsed());
    messages(&answer.json()).into_iter().map(|message| message["Body"].clone()).collect()
}

#[test]
fn a_send_within_the_process_wakes_a_poll() {
    let (server, _, url) = served(&[]);
    let (client, since) = (poll(&server, &url, 20), Instant::now());
    server.send("q", vec![OutMessage::new("here")]).unwrap();
    assert_eq!(woken(client, since), ["here"]);
}

#[test]
fn a_send_over_http_wakes_one_poll_of_two() {
    let (server, mut sender, url) = served(&[]);
    let (first, second, since) = (poll(&server, &url, 20), poll(&server, &url, 20), Instant::now());
    for body in ["one", "two"] {
        sender.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": body }));
    }
    let mut bodies = woken(first, since);
    bodies.extend(woken(second, since));
    bodies.sort_by_key(Value::to_string);
    assert_eq!(bodies, ["one", "two"]);
}

#[test]
fn a_delay_that_ends_and_a_message_given_back_wake_a_poll() {
    let (server, mut sender, url) = served(&[]);
    let (client, since) = (poll(&server, &url, 20), Instant::now());
    sender.ok("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "later", "DelaySeconds": 1 }));
    assert_eq!(woken(client, since), ["later"]);
    assert!(since.elapsed() >= Duration::from_secs(1));

    server.send("q", vec![OutMessage::new("back")]).unwrap();
    let received = sender.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    let (client, since) = (poll(&server, &url, 20), Instant::now());
    let handle = &messages(&received)[0]["ReceiptHandle"];
    let call = json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0 });
    sender.ok("ChangeMessageVisibility", &call);
    assert_eq!(woken(client, since), ["back"]);
}

#[test]
fn a_delete_that_unlocks_a_group_wakes_a_poll() {
    let (server, mut sender, url) = served(&[("FifoQueue", "true")]);
    let message = |body: &str| OutMessage {
        group: Some("g".into()),
        dedup: Some(body.into()),
        ..OutMessage::new(body)
    };
    server.send("q.fifo", vec![message("1"), message("2")]).unwrap();
    let received = sender.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    let (client, since) = (poll(&server, &url, 20), Instant::now());
    let handle = &messages(&received)[0]["ReceiptHandle"];
    sender.ok("DeleteMessage", &json!({ "QueueUrl": url, "ReceiptHandle": handle }));
    assert_eq!(woken(client, since), ["2"]);
}

#[test]
fn a_message_that_moves_to_the_dead_letter_queue_wakes_a_poll_there() {
    let (server, mut sender, url) = served(&[]);
    server.create_queue("dead", &[]).unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":1}"#;
    let call = json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": policy } });
    sender.ok("SetQueueAttributes", &call);
    server.send("q", vec![OutMessage::new("poison")]).unwrap();
    let (client, since) = (poll(&server, &server.queue_url("dead"), 20), Instant::now());
    for brought in [1, 0] {
        let received = sender.ok("ReceiveMessage", &json!({ "QueueUrl": url, "VisibilityTimeout": 0 }));
        assert_eq!(messages(&received).len(), brought);
    }
    assert_eq!(woken(client, since), ["poison"]);
}

#[test]
fn an_empty_poll_ends_after_its_time_with_no_messages() {
    let (server, _, url) = served(&[]);
    let since = Instant::now();
    let answer = poll(&server, &url, 1).answer().unwrap();
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    assert!(since.elapsed() >= Duration::from_secs(1));
    assert!(since.elapsed() < Duration::from_secs(3));
}

#[test]
fn the_queue_says_how_long_a_receive_waits_and_the_call_may_say_otherwise() {
    let (_server, mut client, url) = served(&[("ReceiveMessageWaitTimeSeconds", "1")]);
    let since = Instant::now();
    client.ok("ReceiveMessage", &json!({ "QueueUrl": url, "WaitTimeSeconds": 0 }));
    assert!(since.elapsed() < Duration::from_millis(900));
    client.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    assert!(since.elapsed() >= Duration::from_secs(1));
}

#[test]
fn polls_of_a_deleted_queue_end_in_an_error() {
    let (server, mut sender, url) = served(&[]);
    let (mut client, since) = (poll(&server, &url, 20), Instant::now());
    sender.ok("DeleteQueue", &json!({ "QueueUrl": url }));
    let answer = client.answer().unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert!(since.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_poll_whose_client_is_gone_takes_no_message() {
    let (server, mut sender, url) = served(&[]);
    drop(poll(&server, &url, 20));
    // One more call on another connection is served after the end of the first was seen, or with it.
    for _ in 0..3 {
        sender.ok("GetQueueAttributes", &json!({ "QueueUrl": url }));
    }
    server.send("q", vec![OutMessage::new("kept")]).unwrap();
    let received = sender.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    assert_eq!(messages(&received).len(), 1);
}
