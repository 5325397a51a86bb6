//! The time of the codec: answers decoded and strings unescaped at each level, beside serde_json; requests
//! written and signed.
//!
//! `cargo bench -p dataplane --features internals --bench codec`. Criterion prints the time of a whole
//! answer or request of ten messages: divide by ten. No socket, no arena growth, everything in cache: a lower
//! bound, good for comparing levels.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]
#![allow(clippy::expect_used, reason = "a benchmark whose own input is broken should stop")]

#[allow(dead_code, reason = "each program measures a part of the subjects")]
mod subjects;

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use subjects::{answer, json_body};

fn codec(criterion: &mut Criterion) {
    for subject in subjects::codec::all() {
        let mut step = subject.prepare();
        criterion.bench_function(&subject.name, |bencher| bencher.iter(&mut step));
    }
}

/// The same fields by serde_json's own fast way: borrowed where nothing is escaped, whole structs, no tree.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "deserialized for its cost")]
struct SerdeMessage<'a> {
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow, rename = "MD5OfBody")]
    md5_of_body: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(borrow)]
    attributes: SerdeSystem<'a>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "deserialized for its cost")]
struct SerdeSystem<'a> {
    #[serde(borrow)]
    sender_id: Cow<'a, str>,
    #[serde(borrow)]
    approximate_receive_count: Cow<'a, str>,
    #[serde(borrow)]
    sent_timestamp: Cow<'a, str>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SerdeAnswer<'a> {
    #[serde(borrow)]
    messages: Vec<SerdeMessage<'a>>,
}

fn serde_json(criterion: &mut Criterion) {
    let answer = answer(0, json_body, false);
    criterion.bench_function("decode_10/json/serde_json", |bencher| {
        bencher.iter(|| {
            let answer: SerdeAnswer<'_> = serde_json::from_slice(black_box(&answer)).expect("an answer");
            answer.messages.iter().map(|message| message.body.len()).sum::<usize>()
        });
    });
    let quoted = serde_json::Value::from(json_body(0)).to_string();
    criterion.bench_function("unescape_1_kib/json/serde_json", |bencher| {
        bencher.iter(|| serde_json::from_str::<String>(black_box(&quoted)).expect("a string").len());
    });
}

criterion_group!(benches, codec, serde_json);
criterion_main!(benches);
