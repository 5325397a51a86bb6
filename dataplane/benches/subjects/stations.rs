//! Batches judged, handed to another shard, held and ended; latencies recorded; reports made.
#![allow(clippy::expect_used, reason = "a subject whose own input is broken should stop")]

use std::hint::black_box;
use std::sync::Arc;

use dataplane::config::{Key, Pipeline};
use dataplane::internals::{self, Judge, LeaseTable, Ring, Walk};
use dataplane::message::Batch;
use dataplane::stats::{Latency, STAGES, Stage};

use super::Subject;
use super::fixtures::{MESSAGES, answer, json_body};

/// Receives that a table holds beside the one that comes and goes: a thousand messages.
const RECEIVES_HELD: usize = 100;
/// Rounds after which a pump has something to report.
const ROUNDS: u64 = 1_000;

pub(crate) fn all() -> Vec<Subject> {
    vec![
        judge("judge_10/constant_topic", |_| {}),
        judge("judge_10/key_by_pointer", |pipeline| {
            pipeline.route.key = Some(Key::JsonPointer { pointer: "/customer/id".to_owned() });
        }),
        judge("judge_10/topic_by_attribute", |pipeline| {
            pipeline.route.topic = "${attribute:type}".to_owned();
            pipeline.route.topics = vec!["order.shipped".to_owned(), "order.created".to_owned()];
        }),
        Subject::new("handoff/order_of_10", pass_order),
        Subject::new("leases_10/insert_ack_end", insert_ack_end),
        Subject::new("leases_1000/look", look_through),
        Subject::new("walk_10/json", walk_step),
        Subject::new("latency/record_each_stage", record),
        Subject::new("latency/merge_2", merge),
        Subject::new("latency/encode", encode),
        Subject::new("report/take", take_report),
        Subject::new("report/figures_as_json", figures),
    ]
}

fn pipeline() -> Pipeline {
    Pipeline::new(
        "orders",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
        &["broker:9092"],
        "orders",
    )
}

fn batch(receive: usize) -> Batch {
    let mut batch = Batch::default();
    let decoded = internals::decode(0, &answer(receive, json_body, true), &mut batch);
    assert!(decoded.is_some(), "the answer is one");
    batch
}

fn judge(name: &str, change: fn(&mut Pipeline)) -> Subject {
    Subject::new(name, move || {
        let mut pipeline = pipeline();
        change(&mut pipeline);
        let mut judge = Judge::new(&pipeline).expect("the settings agree");
        let mut batch = batch(0);
        let decoded_bytes = batch.bytes.len();
        assert_eq!(judge.judge(&mut batch), MESSAGES);
        move || {
            // A key that was looked up lies behind what was decoded.
            batch.bytes.truncate(decoded_bytes);
            black_box(judge.judge(black_box(&mut batch)));
        }
    })
}

fn pass_order() -> impl FnMut() {
    let mut batch = batch(0);
    Judge::new(&pipeline()).expect("the settings agree").judge(&mut batch);
    let mut ring = Ring::new(batch).expect("file descriptors are left");
    assert!(ring.pass());
    move || {
        black_box(ring.pass());
    }
}

fn table() -> LeaseTable {
    let mut table = LeaseTable::new();
    for receive in 1..=RECEIVES_HELD {
        assert_eq!(table.insert(&Arc::new(batch(receive))), MESSAGES);
    }
    table
}

fn insert_ack_end() -> impl FnMut() {
    let (mut table, batch) = (table(), Arc::new(batch(0)));
    assert_eq!((table.insert(&batch), table.ack_and_end()), (MESSAGES, MESSAGES));
    move || {
        table.insert(black_box(&batch));
        black_box(table.ack_and_end());
    }
}

fn look_through() -> impl FnMut() {
    let mut table = table();
    assert_eq!(table.look(), RECEIVES_HELD * MESSAGES);
    move || {
        black_box(table.look());
    }
}

/// A pump that has been at work: its figures are spread over milliseconds.
fn worked_pump() -> (Walk, Vec<u8>) {
    let answer = answer(0, json_body, false);
    let mut walk = Walk::new(pipeline()).expect("the settings agree");
    for round in 0..ROUNDS {
        assert_eq!(walk.round(&answer, 1_000 + round * 7_919 % 30_000), MESSAGES);
    }
    (walk, answer)
}

fn walk_step() -> impl FnMut() {
    let (mut walk, answer) = worked_pump();
    move || {
        black_box(walk.round(black_box(&answer), 4_000));
    }
}

/// One message in each stage, from 24 microseconds to minutes.
fn record() -> impl FnMut() {
    let mut latency = Latency::new();
    move || {
        for (place, stage) in (1..).zip(STAGES) {
            latency.record(black_box(stage), black_box(3 << (3 * place)), 1);
        }
    }
}

/// Two shards into one picture: what a reader of reports does.
fn merge() -> impl FnMut() {
    let shards = [worked_pump().0.report().latency, worked_pump().0.report().latency];
    assert_eq!(shards[0].percentiles(Stage::EndToEnd).count, ROUNDS * MESSAGES as u64);
    move || {
        let mut merged = Latency::new();
        for shard in &shards {
            merged.add(black_box(shard));
        }
        black_box(&merged);
    }
}

/// One stage's histogram as text, for a reader that merges for itself.
fn encode() -> impl FnMut() {
    let latency = worked_pump().0.report().latency;
    move || {
        black_box(latency.encoded(black_box(Stage::EndToEnd)));
    }
}

fn take_report() -> impl FnMut() {
    let (walk, _) = worked_pump();
    assert_eq!(walk.report().counters.unaccounted(), 0);
    move || {
        black_box(walk.report());
    }
}

/// Percentiles read and counters, percentiles, types and codes written as JSON.
fn figures() -> impl FnMut() {
    let report = worked_pump().0.report();
    let mut out = Vec::new();
    move || {
        out.clear();
        let percentiles = STAGES.map(|stage| (stage, report.latency.percentiles(stage)));
        let codes = [&report.sqs_errors, &report.kafka_errors, &report.rejections];
        let figures = (&report.counters, percentiles, &report.types, codes);
        serde_json::to_writer(&mut out, black_box(&figures)).expect("plain figures");
        black_box(&out);
    }
}
