//! The wire: requests split, joined and wrong; the server's own pages; latency.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, messages, served};
use crate::sqs::http::{date, parse};
use crate::sqs::{OutMessage, Server, ServerConfig};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (server, mut client, url) = served(&[]);
    server.send("q", vec![OutMessage::new("a"), OutMessage::new("b")]).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend(Client::request("ReceiveMessage", &json!({ "QueueUrl": url })));
    }
    bytes.extend(Client::request("ListQueues", &json!({})));
    client.stream.write_all(&bytes).unwrap();
    let mut answers: Vec<_> = (0..4).map(|_| client.answer().unwrap().json()).collect();
    assert_eq!(answers.pop().unwrap()["QueueUrls"], json!([url]));
    let bodies: Vec<_> = answers.iter().flat_map(messages).map(|message| message["Body"].clone()).collect();
    assert_eq!(bodies, ["a", "b"]);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_one_request() {
    let (_server, mut client, url) = served(&[]);
    for byte in Client::request("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "slow" })) {
        client.stream.write_all(&[byte]).unwrap();
    }
    assert!(client.answer().unwrap().json()["MessageId"].is_string());
    assert_eq!(messages(&client.ok("ReceiveMessage", &json!({ "QueueUrl": url })))[0]["Body"], "slow");
}

#[test]
fn every_prefix_of_a_request_is_not_yet_one() {
    let request = Client::request("SendMessage", &json!({ "QueueUrl": "q", "MessageBody": "x" }));
    for end in 0..request.len() {
        assert_eq!(parse(&request[..end]), Ok(None), "{end} bytes");
    }
    let parsed = parse(&request).unwrap().unwrap();
    assert_eq!((parsed.len, parsed.operation.as_deref()), (request.len(), Some("SendMessage")));
}

#[test]
fn requests_whose_end_is_in_doubt_are_refused_and_the_connection_closed() {
    let (server, ..) = served(&[]);
    for head in [
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        "no http at all\r\n\r\n",
    ] {
        let mut client = Client::new(&server);
        client.stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().status, 400, "{head}");
        assert!(client.answer().is_err(), "the connection stays open after {head}");
    }
}

#[test]
fn connection_close_is_obeyed() {
    let (_server, mut client, _) = served(&[]);
    let request = String::from_utf8(Client::request("ListQueues", &json!({}))).unwrap();
    let request = request.replace("Host: localhost", "Host: localhost\r\nConnection: close");
    client.stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.answer().is_err());
}

#[test]
fn errors_have_the_shape_of_the_json_protocol() {
    let (_server, mut client, url) = served(&[]);
    let answer = client.call("ReceiveMessage", &json!({ "QueueUrl": format!("{url}-absent") }));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.0"));
    assert_eq!(answer.header("x-amzn-query-error"), Some("AWS.SimpleQueueService.NonExistentQueue;Sender"));
    assert_eq!(answer.json()["__type"], "com.amazonaws.sqs#QueueDoesNotExist");
    assert_eq!(client.refused("Nonsense", &json!({})), "InvalidAction");
    assert_eq!(client.refused("DeleteMessage", &json!({ "QueueUrl": url })), "MissingParameter");
    for (name, value) in [("MaxNumberOfMessages", 11), ("WaitTimeSeconds", 21), ("VisibilityTimeout", 43_201)]
    {
        let code = client.refused("ReceiveMessage", &json!({ "QueueUrl": url, name: value }));
        assert_eq!(code, "InvalidParameterValue", "{name}");
    }
}

#[test]
fn answers_come_after_the_latency_and_in_order() {
    let latency = Duration::from_millis(30);
    let server = Server::start(ServerConfig { latency, ..ServerConfig::default() }).unwrap();
    server.create_queue("q", &[]).unwrap();
    let mut client = Client::new(&server);
    let since = Instant::now();
    let request = Client::request("ListQueues", &json!({}));
    client.stream.write_all(&[request.clone(), request].concat()).unwrap();
    for answers in 1..=2 {
        assert_eq!(client.answer().unwrap().status, 200);
        assert!(since.elapsed() >= latency * answers);
    }
    assert!(since.elapsed() < Duration::from_secs(5));
}

#[test]
fn own_pages_tell_counts_and_ledger() {
    let (server, mut client, url) = served(&[]);
    server.send("q", vec![OutMessage::new("x")]).unwrap();
    client.ok("ReceiveMessage", &json!({ "QueueUrl": url }));
    client.stream.write_all(b"GET /_stats HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().json()["calls"], json!({ "ReceiveMessage": 1 }));
    client.stream.write_all(b"GET /_ledger?from=1 HTTP/1.1\r\n\r\n").unwrap();
    let line = client.answer().unwrap().json();
    assert_eq!((&line["kind"], &line["count"]), (&json!("received"), &json!(1)));
    client.stream.write_all(b"GET /nothing HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(client.answer().unwrap().status, 404);
}

#[test]
fn a_thousand_connections_come_and_go() {
    let (server, ..) = served(&[]);
    for _ in 0..50 {
        let mut clients: Vec<Client> = (0..20).map(|_| Client::new(&server)).collect();
        for client in &mut clients {
            assert_eq!(client.call("ListQueues", &json!({})).status, 200);
        }
    }
}

#[test]
fn dates_are_http_dates() {
    for (unix_s, text) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
    ] {
        assert_eq!(date(unix_s), text);
    }
    let (server, mut client, _) = served(&[]);
    server.set_clock_offset(-86_400 * 365);
    let told = client.call("ListQueues", &json!({})).header("date").unwrap().to_owned();
    assert_ne!(&told[12..16], &date(crate::sqs::calls::wall_ms() / 1000)[12..16]);
}
