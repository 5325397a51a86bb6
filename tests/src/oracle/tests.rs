//! The oracle's own trial: each kind of fault is planted once and must be found, and nothing else.

use std::collections::HashSet;

use bench::sqs::{Attribute, Event, Kind, OutMessage};

use super::{Cause, Evidence, Finding, KeyRule, Look, Sent, Totals, Verdict, check_totals, judge};
use crate::reader::Record;

const MS: u64 = 1_000_000;
const BEGAN_MS: f64 = 1_700_000_000_000.0;

fn uuid(id: u128) -> String {
    let digits = format!("{id:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

fn sent(id: u128) -> Sent {
    let attribute = |name: &str, data_type: &str, value: &[u8]| Attribute {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        value: value.to_vec(),
    };
    let message = OutMessage {
        body: format!("body {id}"),
        attributes: vec![attribute("plain", "String", b"x"), attribute("raw", "Binary", &[0, 255])],
        group: Some(format!("g{}", id % 2)),
        dedup: Some(id.to_string()),
        ..OutMessage::default()
    };
    Sent { id, message }
}

/// The record of a message, appended at `at_ms` of the ledger's clock.
fn record(id: u128, offset: i64, at_ms: i64) -> Record {
    let pair = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let group = format!("g{}", id % 2);
    Record {
        topic: "t".to_owned(),
        partition: (id % 2) as i32,
        offset,
        key: Some(group.clone().into_bytes()),
        body: format!("body {id}").into_bytes(),
        headers: vec![
            pair("plain", b"x"),
            pair("raw", &[0, 255]),
            pair("sqs.attribute_types", b"{\"raw\":\"Binary\"}"),
            pair("sqs.message_id", uuid(id).as_bytes()),
            pair("sqs.message_group_id", group.as_bytes()),
            pair("sqs.message_deduplication_id", id.to_string().as_bytes()),
        ],
        timestamp_ms: Some(BEGAN_MS as i64 + at_ms),
    }
}

fn event(kind: Kind, id: u128, at_ms: u64, count: u32) -> Event {
    Event { id, at_ns: at_ms * MS, count, kind }
}

/// Six messages in two groups, each sent, received, appended at 20 ms and deleted at 30 ms.
fn perfect() -> Evidence {
    let ids = 0..6_u128;
    let all = |kind, at_ms, count| (0..6_u128).map(move |id| event(kind, id, at_ms, count));
    let events = all(Kind::Sent, 0, 0).chain(all(Kind::Received, 10, 1)).chain(all(Kind::Deleted, 30, 1));
    let watermarks = (0..2).map(|partition| (("t".to_owned(), partition), 6)).collect();
    Evidence {
        sent: ids.clone().map(sent).collect(),
        events: Some(events.collect()),
        ledger_began_ms: BEGAN_MS,
        records: ids.map(|id| record(id, id as i64, 20)).collect(),
        dead_letter: Some("dead".to_owned()),
        append_time: true,
        looks: vec![Look { events: 18, watermarks }],
        ..Evidence::default()
    }
}

/// Judges a perfect run with one change.
fn after(change: impl FnOnce(&mut Evidence)) -> Verdict {
    let mut evidence = perfect();
    change(&mut evidence);
    judge(&evidence)
}

fn events(evidence: &mut Evidence) -> &mut Vec<Event> {
    evidence.events.as_mut().unwrap()
}

#[test]
fn a_perfect_run_is_clean_and_all_of_it_was_judged() {
    let verdict = judge(&perfect());
    assert_eq!(verdict.clean().unwrap().findings, []);
    assert_eq!((verdict.delivered, verdict.rejected, verdict.queued), (6, 0, 0));
    assert_eq!(verdict.deletes_judged, 6);
    assert_eq!(verdict.duplicates.total(), 0);
}

#[test]
fn a_lost_message_is_found_and_a_queued_one_is_not_lost() {
    let verdict = after(|evidence| {
        evidence.records.remove(3);
    });
    assert_eq!(verdict.findings, [Finding::Lost(3)]);
    assert!(verdict.clean().is_err());
    let verdict = after(|evidence| {
        evidence.records.remove(3);
        events(evidence).retain(|event| event.id != 3 || event.kind != Kind::Deleted);
    });
    assert_eq!((verdict.findings, verdict.queued), (vec![], 1));
    let verdict = after(|evidence| {
        evidence.records.remove(3);
        evidence.events = None;
    });
    assert_eq!(verdict.findings, [Finding::Lost(3)], "an empty queue without a ledger");
}

#[test]
fn a_delete_before_the_append_is_found_to_the_millisecond() {
    let delete_at = |at_ms| after(|evidence| events(evidence)[12].at_ns = at_ms * MS);
    assert_eq!(delete_at(10).findings, [Finding::DeletedEarly(0, 10)]);
    assert_eq!(delete_at(17).findings, [Finding::DeletedEarly(0, 3)]);
    assert_eq!(delete_at(18).findings, [], "within the resolution");
}

#[test]
fn a_delete_before_the_watermark_is_found_at_the_next_look() {
    let early = |evidence: &mut Evidence| {
        evidence.append_time = false;
        let mut look = evidence.looks[0].clone();
        // Message 4 is at offset 4 of partition 0.
        look.watermarks.insert(("t".to_owned(), 0), 4);
        evidence.looks.insert(0, look);
    };
    assert_eq!(after(early).findings, [Finding::DeletedEarly(4, 0)]);
    let not_yet_deleted = after(|evidence| {
        early(evidence);
        evidence.looks[0].events = 12;
    });
    assert_eq!(not_yet_deleted.findings, [], "the look came before the deletes");
    let unjudged = after(|evidence| {
        evidence.append_time = false;
        evidence.looks.clear();
    });
    assert_eq!(unjudged.deletes_judged, 0, "no rule, no claim");
}

#[test]
fn a_changed_byte_attribute_type_key_or_header_is_found() {
    type Change = fn(&mut Record);
    let changes: [(&str, Change); 7] = [
        ("body", |record| record.body[0] ^= 1),
        ("attribute raw", |record| record.headers[1].1[0] = 1),
        ("attribute plain", |record| drop(record.headers.remove(0))),
        ("types", |record| record.headers[2].1 = b"{\"raw\":\"Binary.png\"}".to_vec()),
        ("key", |record| record.key = None),
        ("sqs.message_group_id", |record| record.headers[4].1 = b"g9".to_vec()),
        ("header extra", |record| record.headers.push(("extra".to_owned(), vec![]))),
    ];
    for (what, change) in changes {
        let verdict = after(|evidence| change(&mut evidence.records[2]));
        let [Finding::Changed(2, text)] = &verdict.findings[..] else { panic!("{what}: {verdict}") };
        assert!(text.starts_with(what), "{text}");
    }
    let verdict = after(|evidence| evidence.key = KeyRule::MessageId);
    assert_eq!(verdict.findings.len(), 6);
    let verdict = after(|evidence| {
        evidence.append_time = false;
        evidence.records[0].headers.push(("sqs.sent_timestamp".to_owned(), b"5".to_vec()));
    });
    assert!(matches!(&verdict.findings[..], [Finding::Changed(0, text)] if text.starts_with("timestamp")));
}

#[test]
fn a_duplicate_needs_a_cause_that_the_ledger_knows() {
    let twice = |evidence: &mut Evidence| evidence.records.push(record(5, 9, 40));
    assert_eq!(after(twice).findings, [Finding::UnexplainedDuplicate(5, 2)]);
    let ambiguous = after(|evidence| {
        twice(evidence);
        evidence.kafka_ambiguous = true;
    });
    assert_eq!((ambiguous.findings.len(), ambiguous.duplicates.of(Cause::Ambiguity)), (0, 1));
    let again = |cause: Cause, change: fn(&mut Evidence)| {
        let verdict = after(|evidence| {
            twice(evidence);
            change(evidence);
            events(evidence).push(event(Kind::Received, 5, 35, 2));
        });
        assert_eq!(verdict.findings, [], "{cause:?}");
        assert_eq!(verdict.duplicates.of(cause), 1, "{cause:?}: {}", verdict.duplicates);
        assert_eq!(verdict.duplicates.total(), 1);
    };
    again(Cause::Kill, |evidence| evidence.kills_ns.push(12 * MS));
    again(Cause::Release, |evidence| events(evidence).push(event(Kind::VisibilityChanged, 5, 32, 0)));
    again(Cause::Redelivery, |evidence| evidence.server_redelivers = true);
    again(Cause::Lapse, |evidence| evidence.kills_ns.push(36 * MS));
}

#[test]
fn overtaking_and_a_split_group_are_found() {
    let swapped = after(|evidence| {
        evidence.records[2].offset = 4;
        evidence.records[4].offset = 2;
    });
    assert_eq!(swapped.findings, [Finding::Overtaken(4, 2)]);
    let late_copy = after(|evidence| {
        evidence.records.push(record(0, 9, 40));
        evidence.kafka_ambiguous = true;
    });
    assert_eq!(late_copy.findings, [], "a late copy of a first delivery overtakes nobody");
    let split = after(|evidence| evidence.records[4].partition = 1);
    assert_eq!(split.findings, [Finding::SplitGroup("g0".to_owned())]);
}

#[test]
fn a_stranger_and_a_dead_letter_without_a_reason_are_found() {
    let stranger = after(|evidence| evidence.records.push(record(77, 9, 40)));
    assert!(matches!(&stranger.findings[..], [Finding::Stranger(text)] if text.contains(&uuid(77))));
    let dead = |evidence: &mut Evidence| {
        evidence.records[1].topic = "dead".to_owned();
        evidence.looks[0].watermarks.insert(("dead".to_owned(), 1), 6);
    };
    let verdict = after(dead);
    assert_eq!(verdict.findings, [Finding::NoReason(1, "millrace.reason".to_owned())]);
    assert_eq!((verdict.delivered, verdict.rejected), (5, 1));
    let told = after(|evidence| {
        dead(evidence);
        let names = ["reason", "stage", "code", "attempts", "queue", "pipeline", "time"];
        let headers = names.map(|name| (format!("millrace.{name}"), b"x".to_vec()));
        evidence.records[1].headers.extend(headers);
    });
    assert_eq!(told.findings, []);
}

#[test]
fn wrong_counters_are_found() {
    let right = Totals { received: 6, delivered: 5, rejected: 1, ..Totals::default() };
    let ledger = perfect().events.unwrap();
    let dead = HashSet::from([3]);
    check_totals(&right, &ledger, &dead).unwrap();
    let wrong = [
        Totals { received: 7, ..right },
        Totals { received: 7, in_flight: 1, ..right },
        Totals { delivered: 6, rejected: 0, ..right },
        Totals { received: 6, delivered: 4, released: 1, ..right },
        Totals { lease_lost: 1, delivered: 4, ..right },
    ];
    for totals in wrong {
        assert!(check_totals(&totals, &ledger, &dead).is_err(), "{totals:?}");
    }
}
