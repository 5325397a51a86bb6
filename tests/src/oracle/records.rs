//! What was sent against what arrived: body, key, headers, types, timestamp, reasons. Pure.

use std::collections::{BTreeMap, HashSet};

use bench::sqs::OutMessage;
use serde_json::Value;

use super::{Copies, Evidence, Finding, Verdict};
use crate::reader::Record;

/// Where the key of a record comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyRule {
    /// The group id where there is one, else no key: the appliance's default.
    #[default]
    Default,
    /// The MessageId.
    MessageId,
    /// A message attribute.
    Attribute(String),
    /// A scalar of the JSON body, by its pointer: text as it reads, numbers as they are written.
    Pointer(String),
    /// The same for all.
    Constant(String),
    /// There is none.
    Nothing,
}

/// Headers that tell why a message is in the dead-letter topic; each must be there, and not empty.
const REASONS: [&str; 7] = [
    "millrace.reason",
    "millrace.stage",
    "millrace.code",
    "millrace.attempts",
    "millrace.queue",
    "millrace.pipeline",
    "millrace.time",
];

pub(super) fn check(evidence: &Evidence, copies: &Copies<'_>, verdict: &mut Verdict) {
    for sent in &evidence.sent {
        for record in copies.get(&sent.id).into_iter().flatten() {
            let dead = Some(&record.topic) == evidence.dead_letter.as_ref();
            if let Some(what) = difference(evidence, &sent.message, record, dead) {
                verdict.findings.push(Finding::Changed(sent.id, what));
            }
            let missing = REASONS.iter().find(|name| record.text(name).is_empty());
            match missing {
                Some(name) if dead => verdict.findings.push(Finding::NoReason(sent.id, (*name).to_owned())),
                _ => {}
            }
        }
    }
}

fn difference(evidence: &Evidence, message: &OutMessage, record: &Record, dead: bool) -> Option<String> {
    if message.body.as_bytes() != record.body {
        let at = message.body.bytes().zip(&record.body).position(|(sent, &found)| sent != found);
        return Some(format!(
            "body: {} bytes, found {}, first at {at:?}",
            message.body.len(),
            record.body.len()
        ));
    }
    let wrong_key = || {
        // A message that a stage rejected was never routed: its dead letter need not have the key.
        let is_routed = !dead || record.text("millrace.stage") == "produce";
        key(&evidence.key, message, record).filter(|_| is_routed || record.key.is_some())
    };
    wrong_key().or_else(|| headers(message, record, dead)).or_else(|| {
        let sent_ms = record.text("sqs.sent_timestamp");
        let found = record.timestamp_ms.unwrap_or(-1).to_string();
        (!evidence.append_time && !sent_ms.is_empty() && found != sent_ms)
            .then(|| format!("timestamp: {sent_ms}, found {found}"))
    })
}

fn key(rule: &KeyRule, message: &OutMessage, record: &Record) -> Option<String> {
    let wanted = match rule {
        KeyRule::Default => message.group.clone().map(String::into_bytes),
        KeyRule::MessageId => Some(record.text("sqs.message_id").into_bytes()),
        KeyRule::Attribute(name) => {
            let found = message.attributes.iter().find(|attribute| attribute.name == *name);
            found.map(|attribute| attribute.value.clone())
        }
        KeyRule::Pointer(pointer) => {
            let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
            let found = body.pointer(pointer).filter(|found| !found.is_null());
            found.map(|found| found.as_str().map_or_else(|| found.to_string(), str::to_owned).into_bytes())
        }
        KeyRule::Constant(key) => Some(key.clone().into_bytes()),
        KeyRule::Nothing => None,
    };
    (wanted != record.key).then(|| format!("key: {wanted:x?}, found {:x?}", record.key))
}

fn headers(message: &OutMessage, record: &Record, dead: bool) -> Option<String> {
    for attribute in &message.attributes {
        if record.header(&attribute.name) != Some(attribute.value.as_slice()) {
            let found = record.header(&attribute.name);
            return Some(format!("attribute {}: {:x?}, found {found:x?}", attribute.name, attribute.value));
        }
    }
    for (name, wanted) in
        [("sqs.message_group_id", &message.group), ("sqs.message_deduplication_id", &message.dedup)]
    {
        if record.text(name) != wanted.as_deref().unwrap_or_default() {
            return Some(format!("{name}: {wanted:?}, found {}", record.text(name)));
        }
    }
    let own: HashSet<&str> = message.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    let ours = |name: &str| name.starts_with("sqs.") || (dead && name.starts_with("millrace."));
    let mut names = record.headers.iter().map(|(name, _)| name.as_str());
    let strange = names.find(|name| !(own.contains(name) || ours(name)));
    strange.map(|name| format!("header {name} was not sent")).or_else(|| types(message, record))
}

/// Types other than plain `String` travel in one header, JSON from name to type.
fn types(message: &OutMessage, record: &Record) -> Option<String> {
    let marked = message.attributes.iter().filter(|attribute| attribute.data_type != "String");
    let wanted: BTreeMap<&str, &str> =
        marked.map(|attribute| (attribute.name.as_str(), attribute.data_type.as_str())).collect();
    let text = record.text("sqs.attribute_types");
    if wanted.is_empty() && text.is_empty() {
        return None;
    }
    let found: BTreeMap<&str, &str> = serde_json::from_str(&text).unwrap_or_default();
    (wanted != found).then(|| format!("types: {wanted:?}, found `{text}`"))
}
