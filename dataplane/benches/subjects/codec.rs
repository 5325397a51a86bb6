//! Answers decoded, strings unescaped, requests written and signed.

use std::hint::black_box;

use dataplane::internals::{self, Requests};
use dataplane::message::Batch;

use super::Subject;
use super::fixtures::{BODY_BYTES, MESSAGES, answer, handle, json_body, plain_body};

const QUEUE_URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
/// A Friday in 2026, far from midnight: the signing key stays.
const UNIX_S: u64 = 1_794_000_000;

pub(crate) fn all() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (level, level_name) in internals::levels() {
        subjects.extend([
            decode(format!("decode_10/json/{level_name}"), level, json_body, false),
            decode(format!("decode_10/json_3_attributes/{level_name}"), level, json_body, true),
            decode(format!("decode_10/plain/{level_name}"), level, plain_body, false),
            unescape(format!("unescape_1_kib/json/{level_name}"), level),
        ]);
    }
    subjects.extend([
        Subject::new("delete_10/encode", encode_delete),
        Subject::new("delete_10/request", delete_request),
        results("delete_10/results_usual", ","),
        results("delete_10/results_parsed", ", "),
        Subject::new("receive/request_signed", || receive_request(1)),
        Subject::new("receive/request_reused", || receive_request(0)),
    ]);
    subjects
}

fn decode(name: String, level: usize, body: fn(usize) -> String, with_attributes: bool) -> Subject {
    Subject::new(name, move || {
        let answer = answer(0, body, with_attributes);
        let mut batch = Batch::default();
        assert_eq!(internals::decode(level, &answer, &mut batch), Some(MESSAGES * BODY_BYTES));
        assert_eq!(batch.attributes.len(), if with_attributes { 3 * MESSAGES } else { 0 });
        move || {
            black_box(internals::decode(level, black_box(&answer), &mut batch));
        }
    })
}

fn unescape(name: String, level: usize) -> Subject {
    Subject::new(name, move || {
        let quoted = serde_json::Value::from(json_body(0)).to_string();
        let mut out = Vec::new();
        assert_eq!(internals::unescape(level, &quoted.as_bytes()[1..], &mut out), Some(quoted.len() - 1));
        assert_eq!(out, json_body(0).as_bytes());
        move || {
            black_box(internals::unescape(level, black_box(&quoted.as_bytes()[1..]), &mut out));
        }
    })
}

fn handles() -> Vec<String> {
    (0..MESSAGES).map(handle).collect()
}

fn views(handles: &[String]) -> [&[u8]; MESSAGES] {
    std::array::from_fn(|index| handles[index].as_bytes())
}

fn encode_delete() -> impl FnMut() {
    let (handles, mut out) = (handles(), Vec::new());
    move || {
        internals::encode_delete(QUEUE_URL, black_box(&views(&handles)), &mut out);
        black_box(&out);
    }
}

fn delete_request() -> impl FnMut() {
    let (handles, mut out) = (handles(), Vec::new());
    let mut requests = requests();
    assert!(requests.delete(&views(&handles), UNIX_S, &mut out) > MESSAGES * handles[0].len());
    move || {
        black_box(requests.delete(black_box(&views(&handles)), UNIX_S, &mut out));
    }
}

#[allow(clippy::expect_used, reason = "a subject whose own input is broken should stop")]
fn requests() -> Requests {
    Requests::new(QUEUE_URL).expect("the URL is AWS's own")
}

/// With a new second each time (`other_s` of 1) or within one.
fn receive_request(other_s: u64) -> impl FnMut() {
    let (mut requests, mut out, mut unix_s) = (requests(), Vec::new(), UNIX_S);
    assert!(requests.receive(unix_s, &mut out) > 0);
    move || {
        unix_s ^= other_s;
        black_box(requests.receive(black_box(unix_s), &mut out));
    }
}

/// The answer to a delete of ten. Written with blanks it has to be parsed.
fn results(name: &str, comma: &'static str) -> Subject {
    Subject::new(name, move || {
        let ids: Vec<_> = (0..MESSAGES).map(|id| format!("{{\"Id\":\"{id}\"}}")).collect();
        let body = format!("{{\"Successful\":[{}]}}", ids.join(comma));
        assert_eq!(internals::batch_results(body.as_bytes(), MESSAGES), MESSAGES);
        move || {
            black_box(internals::batch_results(black_box(body.as_bytes()), MESSAGES));
        }
    })
}
