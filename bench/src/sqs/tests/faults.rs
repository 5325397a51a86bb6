//! Every fault does what its name says, and the same seed does it to the same calls.

use serde_json::{Value, json};

use super::client::{Answer, Client, served};
use crate::sqs::faults::Faults;
use crate::sqs::{Action, FaultPlan, OutMessage, Rule, Server};

const QUEUED: usize = 3;

/// A server with three messages, whose next call of `operation` goes wrong.
fn with(operation: &str, action: Action) -> (Server, Client, String) {
    let (server, client, url) = served(&[]);
    server.send("q", (0..QUEUED).map(|number| OutMessage::new(format!("m{number}"))).collect()).unwrap();
    server.set_faults(FaultPlan { seed: 1, rules: vec![Rule::times(operation, 1, action)] });
    (server, client, url)
}

fn receive_call(url: &str) -> Value {
    json!({ "QueueUrl": url, "MaxNumberOfMessages": 10 })
}

/// What a faulty receive answers, and how many messages it took.
fn faulty(action: Action) -> (std::io::Result<Answer>, usize) {
    let (server, mut client, url) = with("ReceiveMessage", action);
    std::io::Write::write_all(&mut client.stream, &Client::request("ReceiveMessage", &receive_call(&url)))
        .unwrap();
    let answer = client.answer();
    assert_eq!(server.stats().fault_hits, [1]);
    let mut next = Client::new(&server);
    next.ok("ListQueues", &json!({}));
    (answer, server.depth("q").unwrap().in_flight)
}

#[test]
fn refusals_do_nothing_and_say_what_they_are() {
    let (answer, taken) = faulty(Action::Error { status: 503, code: "ServiceUnavailable".into() });
    let answer = answer.unwrap();
    assert_eq!((answer.status, taken), (503, 0));
    assert_eq!(answer.json()["__type"], "com.amazonaws.sqs#ServiceUnavailable");

    let (answer, taken) = faulty(Action::Html(502));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.header("content-type"), taken), (502, Some("text/html"), 0));

    let (answer, taken) = faulty(Action::Empty(500));
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.len(), taken), (500, 0, 0));

    let (answer, taken) = faulty(Action::Redirect);
    let answer = answer.unwrap();
    assert_eq!((answer.status, taken), (307, 0));
    assert!(answer.header("location").is_some());

    let (answer, taken) = faulty(Action::XmlError { status: 403, code: "InvalidClientTokenId".into() });
    let answer = answer.unwrap();
    assert_eq!((answer.status, taken), (403, 0));
    assert!(String::from_utf8(answer.body).unwrap().contains("<Code>InvalidClientTokenId</Code>"));

    let (answer, taken) = faulty(Action::HeaderError { status: 400, code: "OverLimit".into() });
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.len(), taken), (400, 0, 0));
    assert_eq!(answer.header("x-amzn-query-error"), Some("OverLimit;Sender"));

    let (answer, taken) = faulty(Action::NullMessages);
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.json(), taken), (200, json!({ "Messages": null }), 0));
}

#[test]
fn connections_break_before_or_after_the_call_is_done() {
    let (answer, taken) = faulty(Action::DropBefore);
    assert!(answer.is_err());
    assert_eq!(taken, 0);
    for action in [Action::DropAfter, Action::CutAfter(40), Action::CutAfter(400), Action::WrongLength] {
        let (answer, taken) = faulty(action.clone());
        assert!(answer.is_err(), "{action:?}");
        assert_eq!(taken, QUEUED, "{action:?}");
    }
}

#[test]
fn answers_are_spoilt_after_the_call_is_done() {
    let (answer, taken) = faulty(Action::TruncateJson);
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.json(), taken), (200, Value::Null, QUEUED));
    assert!(!answer.body.is_empty());

    let (answer, taken) = faulty(Action::BadMd5);
    let message = answer.unwrap().json()["Messages"][0].clone();
    assert_eq!((message["MD5OfBody"].as_str(), taken), (Some("0".repeat(32).as_str()), QUEUED));
    assert_eq!(message["Body"], "m0");

    let (answer, taken) = faulty(Action::NoHandle);
    let message = answer.unwrap().json()["Messages"][0].clone();
    assert_eq!((&message["Body"], &message["ReceiptHandle"]), (&json!("m0"), &Value::Null));
    assert_eq!(taken, QUEUED);

    let (answer, taken) = faulty(Action::LoneSurrogate);
    let answer = answer.unwrap();
    assert_eq!((answer.status, taken), (200, QUEUED));
    assert!(String::from_utf8(answer.body).unwrap().contains("\"Body\":\"m0\\ud800\""));
}

#[test]
fn redelivered_messages_come_twice_with_rising_counts() {
    let (server, mut client, url) = with("ReceiveMessage", Action::Redeliver);
    let first = client.ok("ReceiveMessage", &receive_call(&url));
    let second = client.ok("ReceiveMessage", &receive_call(&url));
    let ids = |answer: &Value| -> Vec<Value> {
        answer["Messages"].as_array().unwrap().iter().map(|m| m["MessageId"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&second));
    assert_eq!(ids(&first).len(), QUEUED);
    assert_eq!(server.ledger(0).iter().map(|event| event.count).max(), Some(2));
}

#[test]
fn late_answers_come_late_and_those_that_never_come_hold_their_messages() {
    let (_server, mut client, url) = with("ReceiveMessage", Action::LatencyMs(50));
    let since = std::time::Instant::now();
    client.ok("ReceiveMessage", &receive_call(&url));
    assert!(since.elapsed() >= std::time::Duration::from_millis(50));

    let (server, mut client, url) = with("ReceiveMessage", Action::NeverAnswer);
    client.stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    let request = Client::request("ReceiveMessage", &receive_call(&url));
    std::io::Write::write_all(&mut client.stream, &request).unwrap();
    assert!(client.answer().is_err());
    assert_eq!(server.depth("q").unwrap().in_flight, QUEUED);
}

/// A batch that deletes everything that a receive has brought.
fn delete_call(url: &str, received: &Value) -> Value {
    let messages = received["Messages"].as_array().unwrap().iter().enumerate();
    let entry = |(number, message): (usize, &Value)| json!({ "Id": number.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
    json!({ "QueueUrl": url, "Entries": messages.map(entry).collect::<Vec<_>>() })
}

#[test]
fn a_batch_done_in_part_is_never_answered() {
    let (server, mut client, url) = with("DeleteMessageBatch", Action::ApplyFirst { count: 2 });
    let batch = delete_call(&url, &client.ok("ReceiveMessage", &receive_call(&url)));
    client.stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
    std::io::Write::write_all(&mut client.stream, &Client::request("DeleteMessageBatch", &batch)).unwrap();
    assert!(client.answer().is_err());
    assert_eq!(server.depth("q").unwrap().in_flight, QUEUED - 2);
}

#[test]
fn the_first_entries_of_a_batch_fail_and_are_not_done() {
    let action = |sender_fault| Action::FailEntries { count: 2, code: "InternalError".into(), sender_fault };
    let (server, mut client, url) = with("DeleteMessageBatch", action(false));
    let batch = delete_call(&url, &client.ok("ReceiveMessage", &receive_call(&url)));
    let answer = client.ok("DeleteMessageBatch", &batch);
    assert_eq!(answer["Successful"], json!([{ "Id": "2" }]));
    assert_eq!(answer["Failed"][1]["Code"], "InternalError");
    assert_eq!(answer["Failed"][1]["SenderFault"], false);
    assert_eq!(server.depth("q").unwrap().in_flight, 2);

    let (server, mut client, url) = with("SendMessageBatch", action(true));
    let entries = ["a", "b", "c"].map(|id| json!({ "Id": id, "MessageBody": id }));
    let answer = client.ok("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
    assert_eq!(
        (&answer["Successful"][0]["Id"], &answer["Failed"][0]["SenderFault"]),
        (&json!("c"), &json!(true))
    );
    assert_eq!(server.depth("q").unwrap().visible, QUEUED + 1);
}

#[test]
fn plans_come_over_http_and_bad_ones_are_refused() {
    let (server, mut client, _) = served(&[]);
    let mut put = |plan: &str| {
        let request = format!("PUT /_faults HTTP/1.1\r\nContent-Length: {}\r\n\r\n{plan}", plan.len());
        std::io::Write::write_all(&mut client.stream, request.as_bytes()).unwrap();
        client.answer().unwrap().status
    };
    assert_eq!(
        put(r#"{"rules":[{"operation":"*","hits_max":1,"action":{"error":{"status":500,"code":"X"}}}]}"#),
        200
    );
    assert_eq!(put(r#"{"rules":[{"operation":"*","action":"no such fault"}]}"#), 400);
    assert_eq!(client.call("ListQueues", &json!({})).status, 500);
    assert_eq!(client.call("ListQueues", &json!({})).status, 200);
    assert_eq!(server.stats().fault_hits, [1]);
}

/// Which of a thousand calls a plan hits.
fn hits(plan: &FaultPlan) -> Vec<usize> {
    let mut faults = Faults::new(plan.clone());
    (0..1_000).filter(|_| faults.choose("ReceiveMessage").is_some()).collect()
}

#[test]
fn one_seed_hits_the_same_calls_another_hits_others() {
    let plan = |seed| FaultPlan {
        seed,
        rules: vec![Rule { chance: 0.1, ..Rule::always("ReceiveMessage", Action::DropAfter) }],
    };
    assert_eq!(hits(&plan(7)), hits(&plan(7)));
    assert_ne!(hits(&plan(7)), hits(&plan(8)));
    let count = hits(&plan(7)).len();
    assert!((60..140).contains(&count), "a tenth of a thousand, not {count}");
}

#[test]
fn rules_skip_stop_and_give_way_to_the_next() {
    let rule = |skip, hits_max, action| Rule { skip, hits_max, ..Rule::always("ReceiveMessage", action) };
    let plan =
        FaultPlan { seed: 0, rules: vec![rule(2, 3, Action::DropAfter), rule(0, 1, Action::DropBefore)] };
    let mut faults = Faults::new(plan);
    let chosen: Vec<Option<Action>> = (0..7).map(|_| faults.choose("ReceiveMessage")).collect();
    let (before, after) = (Some(Action::DropBefore), Some(Action::DropAfter));
    assert_eq!(chosen, [before, None, after.clone(), after.clone(), after, None, None]);
    assert_eq!(faults.choose("SendMessage"), None);
    assert_eq!(faults.hits(), [3, 1]);
}
