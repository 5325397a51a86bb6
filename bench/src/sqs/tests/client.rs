//! A blocking HTTP client of its own, so that the server's reading and writing are judged by other code; and
//! a queue under a clock that the test moves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sqs::error::ApiError;
use crate::sqs::ledger::{Kind, Ledger};
use crate::sqs::message::{OutMessage, prepare};
use crate::sqs::queue::{Queue, S, SentAs};
use crate::sqs::settings::Settings;
use crate::sqs::{Server, ServerConfig};

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Value of a header, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub(super) struct Client<Stream = TcpStream> {
    pub stream: Stream,
    read: Vec<u8>,
}

impl Client {
    pub(super) fn new(server: &Server) -> Client {
        let stream = TcpStream::connect(server.endpoint().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client::upon(stream)
    }

    /// The bytes of a call.
    pub(super) fn request(operation: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AmazonSQS.{operation}\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

impl<Stream: Read + Write> Client<Stream> {
    pub(super) fn upon(stream: Stream) -> Client<Stream> {
        Client { stream, read: Vec::new() }
    }

    pub(super) fn call(&mut self, operation: &str, body: &Value) -> Answer {
        self.stream.write_all(&Client::request(operation, body)).unwrap();
        self.answer().unwrap()
    }

    /// A call that must succeed.
    pub(super) fn ok(&mut self, operation: &str, body: &Value) -> Value {
        let answer = self.call(operation, body);
        assert_eq!(answer.status, 200, "{operation} {body}: {}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// The query-protocol code of a call that must be refused.
    pub(super) fn refused(&mut self, operation: &str, body: &Value) -> String {
        let answer = self.call(operation, body);
        assert!(answer.status >= 400, "{operation} {body} was done");
        let code = answer.header("x-amzn-query-error").unwrap_or_default();
        code.split(';').next().unwrap_or_default().to_owned()
    }

    /// Reads one answer; an error where the connection ends first.
    pub(super) fn answer(&mut self) -> std::io::Result<Answer> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
                let mut answer = Answer { status: 0, head, body: Vec::new() };
                answer.status = answer.head[9..12].parse().unwrap();
                let length: usize = answer.header("content-length").unwrap().parse().unwrap();
                if self.read.len() >= end + 4 + length {
                    answer.body = self.read[end + 4..end + 4 + length].to_vec();
                    self.read.drain(..end + 4 + length);
                    return Ok(answer);
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => self.read.extend_from_slice(&bytes[..read]),
            }
        }
    }
}

/// A server with one queue named `q` (or `q.fifo`), and a client of it.
pub(super) fn served(attributes: &[(&str, &str)]) -> (Server, Client, String) {
    let server = Server::start(ServerConfig::default()).unwrap();
    let name = if attributes.contains(&("FifoQueue", "true")) { "q.fifo" } else { "q" };
    server.create_queue(name, attributes).unwrap();
    let client = Client::new(&server);
    let url = server.queue_url(name);
    (server, client, url)
}

/// Messages of an answer to ReceiveMessage.
pub(super) fn messages(answer: &Value) -> Vec<Value> {
    answer["Messages"].as_array().cloned().unwrap_or_default()
}

/// Receives up to ten messages with everything that they carry.
pub(super) fn receive(client: &mut Client, url: &str) -> Vec<Value> {
    let call = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"] });
    messages(&client.ok("ReceiveMessage", &call))
}

/// A queue and its clock.
pub(super) struct Clocked {
    pub queue: Queue,
    pub ledger: Ledger,
    pub now_ns: u64,
    /// What the redrive policy took away.
    pub moved: Vec<String>,
    ids: u128,
}

impl Clocked {
    pub(super) fn new(attributes: &[(&str, &str)]) -> Clocked {
        let mut settings = Settings::default();
        for (name, value) in attributes {
            settings.set(name, value).unwrap();
        }
        Clocked {
            queue: Queue::new("q", settings, 0),
            ledger: Ledger::new(true),
            now_ns: 1,
            moved: Vec::new(),
            ids: 0,
        }
    }

    pub(super) fn fifo() -> Clocked {
        Clocked::new(&[("FifoQueue", "true")])
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now_ns += seconds * S;
    }

    pub(super) fn send(&mut self, message: OutMessage) -> Result<SentAs, ApiError> {
        self.ids += 1;
        let prepared = prepare(message, self.ids, self.queue.settings.content_dedup)?;
        self.queue.send(prepared, self.now_ns, self.now_ns / 1_000_000, &mut self.ledger)
    }

    /// Sends `body` to a group, with the body as deduplication id.
    pub(super) fn send_to(&mut self, group: &str, body: &str) {
        let message =
            OutMessage { group: Some(group.into()), dedup: Some(body.into()), ..OutMessage::new(body) };
        self.send(message).unwrap();
    }

    pub(super) fn try_receive(&mut self, max: usize, visibility_s: u32) -> Result<Vec<u32>, ApiError> {
        self.queue.advance(self.now_ns, &mut self.ledger);
        let mut moved = Vec::new();
        let now_ms = self.now_ns / 1_000_000;
        let slots =
            self.queue.receive(max, visibility_s, self.now_ns, now_ms, &mut self.ledger, &mut moved)?;
        self.moved.extend(moved.iter().map(|(message, _)| body_of(&message.fragment)));
        Ok(slots)
    }

    /// Receives; gives bodies and receipt handles.
    pub(super) fn receive(&mut self, max: usize, visibility_s: u32) -> Vec<(String, String)> {
        let slots = self.try_receive(max, visibility_s).unwrap();
        slots.into_iter().map(|slot| self.received(slot)).collect()
    }

    fn received(&self, slot: u32) -> (String, String) {
        let mut handle = Vec::new();
        self.queue.handle(slot).write(&mut handle);
        let body = body_of(&self.queue.slot(slot).message.as_ref().unwrap().fragment);
        (body, String::from_utf8(handle).unwrap())
    }

    /// Bodies only.
    pub(super) fn bodies(&mut self, max: usize, visibility_s: u32) -> Vec<String> {
        self.receive(max, visibility_s).into_iter().map(|(body, _)| body).collect()
    }

    pub(super) fn delete(&mut self, handle: &str, strict: bool) -> Result<(), ApiError> {
        self.queue.advance(self.now_ns, &mut self.ledger);
        self.queue.delete(handle, strict, self.now_ns, &mut self.ledger)
    }

    pub(super) fn change(&mut self, handle: &str, seconds: u32) -> Result<(), ApiError> {
        self.queue.advance(self.now_ns, &mut self.ledger);
        self.queue.change_visibility(handle, seconds, self.now_ns, &mut self.ledger)
    }

    /// Kinds of the ledger's entries from the first on.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.ledger.events().iter().map(|event| event.kind).collect()
    }

    /// Visible, in flight, delayed.
    pub(super) fn depth(&mut self) -> (usize, usize, usize) {
        self.queue.advance(self.now_ns, &mut self.ledger);
        let depth = self.queue.depth();
        (depth.visible, depth.in_flight, depth.delayed)
    }
}

fn body_of(fragment: &[u8]) -> String {
    let object: Value =
        serde_json::from_str(&format!("{{{}}}", std::str::from_utf8(fragment).unwrap())).unwrap();
    object["Body"].as_str().unwrap().to_owned()
}
