//! Rejected messages: records of a pipeline's dead-letter topic with the reason headers that the pump writes, covered.

use serde::Serialize;
use utoipa::ToSchema;

use super::mask::{self, Cover, Shown};
use super::records::{Record, RecordPage};

/// Why a message was rejected, as the pump wrote it down. Absent headers are empty: somebody else wrote the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RejectReason {
    /// Stable code.
    #[schema(example = "body_not_json")]
    pub(crate) code: String,
    /// The stage that rejected it.
    #[schema(example = "validate")]
    pub(crate) stage: String,
    /// A sentence; texts between backticks come from the message and are covered.
    pub(crate) text: String,
    /// Attempts to produce it.
    pub(crate) attempts: Option<u32>,
    /// URL of the queue that it came from.
    pub(crate) queue: String,
    /// Pipeline that rejected it.
    #[schema(example = "orders")]
    pub(crate) pipeline: String,
    /// When, milliseconds since 1970.
    pub(crate) rejected_at_ms: Option<i64>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HeaderView {
    /// Its name.
    #[schema(example = "sqs.message_id")]
    pub(crate) name: String,
    /// Its value as far as it is shown.
    pub(crate) value: Shown,
}

/// A record as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RecordView {
    /// Topic that it lies in.
    pub(crate) topic: String,
    /// Partition.
    pub(crate) partition: i32,
    /// Offset.
    pub(crate) offset: i64,
    /// Its timestamp, milliseconds since 1970.
    pub(crate) timestamp_ms: Option<i64>,
    /// `sqs.message_id`, if it has one.
    pub(crate) message_id: Option<String>,
    /// Why it was rejected; absent for a record of a main topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<RejectReason>,
    /// Its key.
    pub(crate) key: Shown,
    /// Its headers in their order, those of the reason excepted.
    pub(crate) headers: Vec<HeaderView>,
    /// Its body. In lists one of more than 16 KiB is `large` and not shown; ask for the record alone.
    pub(crate) body: Shown,
}

/// A page of rejected messages.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RejectedPage {
    /// Newest first. With a code asked for, those of that code among the records that were read.
    pub(crate) items: Vec<RecordView>,
    /// Records that were read for this page.
    pub(crate) looked_at: usize,
    /// Cursor of the next page; absent at the beginning of the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Why records may be missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) incomplete: Option<String>,
}

/// Prefix of the reason headers.
const REASON: &str = "millrace.";

/// A record, covered.
pub(crate) fn view(topic: &str, record: &Record, cover: &Cover) -> RecordView {
    let body = if record.is_whole() {
        mask::body(record.body.as_deref(), cover)
    } else {
        Shown { bytes: record.body_bytes, sha256: String::new(), kind: "large", value: None }
    };
    let headers = record
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with(REASON))
        .map(|(name, value)| HeaderView { name: name.clone(), value: mask::header(name, value, cover) });
    RecordView {
        topic: topic.to_owned(),
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        message_id: record.text("sqs.message_id"),
        reason: reason(record, cover),
        key: mask_key(record.key.as_deref(), cover),
        headers: headers.collect(),
        body,
    }
}

/// A key is never JSON to be looked into: all of it or nothing.
fn mask_key(key: Option<&[u8]>, cover: &Cover) -> Shown {
    let shown = mask::body(key, cover);
    if matches!(cover, Cover::Nothing) { shown } else { Shown { value: None, ..shown } }
}

fn reason(record: &Record, cover: &Cover) -> Option<RejectReason> {
    let text = |name: &str| record.text(&format!("{REASON}{name}")).unwrap_or_default();
    record.text("millrace.code").map(|code| RejectReason {
        code,
        stage: text("stage"),
        text: if matches!(cover, Cover::Nothing) { text("reason") } else { uncited(&text("reason")) },
        attempts: text("attempts").parse().ok(),
        queue: text("queue"),
        pipeline: text("pipeline"),
        rejected_at_ms: text("time").parse().ok(),
    })
}

/// A sentence without what it cites: a topic that a message names, for example.
fn uncited(text: &str) -> String {
    let mut parts = text.split('`');
    let mut sentence = parts.next().unwrap_or_default().to_owned();
    while let Some(_cited) = parts.next() {
        sentence.push_str("`…`");
        sentence.push_str(parts.next().unwrap_or_default());
    }
    sentence
}

/// A page, covered; of one code only, if one is named.
pub(crate) fn page(topic: &str, page: &RecordPage, code: Option<&str>, cover: &Cover) -> RejectedPage {
    let is_wanted =
        |record: &&Record| code.is_none_or(|code| record.text("millrace.code").as_deref() == Some(code));
    RejectedPage {
        items: page.records.iter().filter(is_wanted).map(|record| view(topic, record, cover)).collect(),
        looked_at: page.records.len(),
        next: page.next.as_ref().map(super::records::Place::text),
        incomplete: page.incomplete.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let body = br#"{"card":"4111"}"#.to_vec();
        Record {
            partition: 1,
            offset: 7,
            timestamp_ms: Some(5),
            key: Some(b"4111".to_vec()),
            body_bytes: body.len(),
            body: Some(body),
            headers: vec![
                header("sqs.message_id", "00000000-0000-0000-0000-000000000001"),
                header("customer", "4111"),
                header("millrace.reason", "the topic `t-4111` is not in route.topics"),
                header("millrace.stage", "route"),
                header("millrace.code", "topic_not_allowed"),
                header("millrace.attempts", "0"),
                header("millrace.queue", "http://q"),
                header("millrace.pipeline", "orders"),
                header("millrace.time", "1700000000000"),
            ],
        }
    }

    #[test]
    fn the_reason_is_read_from_the_headers_and_the_rest_is_covered() {
        let view = view("dead", &record(), &Cover::Except(Vec::new()));
        let reason = view.reason.clone().unwrap();
        assert_eq!((reason.code.as_str(), reason.stage.as_str()), ("topic_not_allowed", "route"));
        assert_eq!(reason.text, "the topic `…` is not in route.topics");
        assert_eq!((reason.attempts, reason.rejected_at_ms), (Some(0), Some(1_700_000_000_000)));
        assert_eq!(view.headers.len(), 2, "reasons are not told twice");
        let text = serde_json::to_string(&view).unwrap();
        assert!(!text.contains("4111") && text.contains("00000000-0000-0000-0000-000000000001"), "{text}");
    }

    #[test]
    fn uncovered_it_is_what_was_sent() {
        let view = view("dead", &record(), &Cover::Nothing);
        assert_eq!(view.body.value.unwrap(), serde_json::json!({ "card": "4111" }));
        assert_eq!(view.key.value.unwrap(), serde_json::json!(4111));
        assert!(view.reason.unwrap().text.contains("t-4111"));
    }

    #[test]
    fn a_record_of_somebody_else_has_no_reason_and_one_that_was_cut_is_large() {
        let mut foreign = record();
        foreign.headers.clear();
        foreign.body_bytes = 1 << 20;
        let view = view("dead", &foreign, &Cover::Nothing);
        assert_eq!((view.reason, view.body.kind, view.body.bytes), (None, "large", 1 << 20));
    }

    #[test]
    fn a_page_of_one_code_says_how_many_it_looked_at() {
        let mut other = record();
        other.headers.retain(|(name, _)| name != "millrace.code");
        let read = RecordPage { records: vec![record(), other], next: None, incomplete: None };
        let cover = Cover::Except(Vec::new());
        let found = page("dead", &read, Some("topic_not_allowed"), &cover);
        assert_eq!((found.items.len(), found.looked_at), (1, 2));
        assert_eq!(page("dead", &read, None, &cover).items.len(), 2);
    }

    #[test]
    fn citations_are_left_out_even_when_they_do_not_end() {
        assert_eq!(uncited("a `b` c `d"), "a `…` c `…`");
        assert_eq!(uncited("plain"), "plain");
    }
}
