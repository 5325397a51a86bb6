//! Actions on messages: send, receive, delete, change visibility.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, State, parse, spread, wall_ms};
use crate::sqs::attributes;
use crate::sqs::error::ApiError;
use crate::sqs::faults::Action;
use crate::sqs::message::{Attribute, OutMessage, Prepared, json_string, prepare, size, uuid};
use crate::sqs::queue::{Queue, SentAs};
use crate::sqs::settings::arn;

/// Entries of one batch request.
const ENTRIES_MAX: usize = 10;
/// Bytes of all messages of one SendMessageBatch.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A ReceiveMessage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Receive {
    queue_url: String,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    receive_request_attempt_id: Option<String>,
}

impl Receive {
    /// Seconds to wait for a message.
    pub(crate) fn wait_s(&self) -> u64 {
        self.wait_time_seconds.unwrap_or(0).unsigned_abs()
    }

    /// Name of the queue.
    pub(crate) fn queue_name(&self) -> &str {
        self.queue_url.rsplit('/').next().unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<E> {
    queue_url: String,
    #[serde(default = "Vec::new")]
    entries: Vec<E>,
}

#[derive(Deserialize)]
struct DeleteEntry<'a> {
    #[serde(rename = "Id", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "ReceiptHandle", borrow)]
    receipt_handle: Cow<'a, str>,
    #[serde(rename = "VisibilityTimeout")]
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct One {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: Option<String>,
    queue_url: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<u32>,
    #[serde(default)]
    message_attributes: BTreeMap<String, AttributeValue>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, AttributeValue>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeValue {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

impl SendEntry {
    fn into_message(self) -> Result<OutMessage, ApiError> {
        let mut attributes = Vec::new();
        for (name, value) in self.message_attributes {
            let bytes = match (value.string_value, value.binary_value) {
                (Some(text), _) => text.into_bytes(),
                (None, Some(text)) => STANDARD
                    .decode(text)
                    .map_err(|_| ApiError::invalid_parameter("BinaryValue is no base64."))?,
                (None, None) => Vec::new(),
            };
            attributes.push(Attribute { name, data_type: value.data_type, value: bytes });
        }
        let trace = self.message_system_attributes.into_iter().find(|(name, _)| name == "AWSTraceHeader");
        Ok(OutMessage {
            body: self.message_body.ok_or_else(|| ApiError::missing_parameter("MessageBody"))?,
            attributes,
            group: self.message_group_id,
            dedup: self.message_deduplication_id,
            trace_header: trace.and_then(|(_, value)| value.string_value),
            delay_s: self.delay_seconds,
        })
    }
}

impl State {
    pub(super) fn send(&mut self, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let entry: SendEntry = parse(body)?;
        let url = entry.queue_url.clone().unwrap_or_default();
        self.queue(&url)?;
        let sent = self.accept(&url, entry.into_message()?)?;
        Ok(shown(&sent, None).to_string().into_bytes())
    }

    pub(super) fn send_batch(&mut self, body: &[u8], fault: Option<&Action>) -> Result<Vec<u8>, ApiError> {
        let batch: Batch<SendEntry> = parse(body)?;
        self.queue(&batch.queue_url)?;
        let ids: Vec<String> =
            batch.entries.iter().map(|entry| entry.id.clone().unwrap_or_default()).collect();
        check_ids(&ids.iter().map(String::as_str))?;
        let mut total = 0;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let mut messages = Vec::new();
        for entry in batch.entries {
            let message = entry.into_message();
            total += message.as_ref().map_or(0, size);
            messages.push(message);
        }
        if total > BATCH_BYTES_MAX {
            let text = format!(
                "Batch requests cannot be longer than {BATCH_BYTES_MAX} bytes. You have sent {total} bytes."
            );
            return Err(ApiError {
                query_code: "AWS.SimpleQueueService.BatchRequestTooLong",
                ..ApiError::new("BatchRequestTooLong", text)
            });
        }
        for (position, (id, message)) in ids.iter().zip(messages).enumerate() {
            if let Some(refused) = refused_entry(fault, position, id) {
                failed.push(refused);
                continue;
            }
            match message.and_then(|message| self.accept(&batch.queue_url, message)) {
                Ok(sent) => done.push(shown(&sent, Some(id))),
                Err(error) => failed.push(failure(id, &error)),
            }
        }
        Ok(both(&done, &failed))
    }

    /// Stores one message.
    fn accept(&mut self, url: &str, message: OutMessage) -> Result<SentAs, ApiError> {
        let id = spread(self.take_ids(1));
        let content_dedup = self.queue(url)?.settings.content_dedup;
        let prepared = prepare(message, id, content_dedup)?;
        self.store(url, prepared)
    }

    /// Stores one prepared message.
    pub(crate) fn store(&mut self, url: &str, prepared: Prepared) -> Result<SentAs, ApiError> {
        let (now_ns, now_ms) = (self.now_ns(), wall_ms());
        let mut ledger = std::mem::take(&mut self.ledger);
        let sent = self.queue(url).and_then(|queue| queue.send(prepared, now_ns, now_ms, &mut ledger));
        self.ledger = ledger;
        sent
    }

    pub(super) fn receive(&mut self, body: &[u8], fault: Option<&Action>) -> Result<Outcome, ApiError> {
        let call: Receive = parse(body)?;
        let queue_wait = i64::from(self.queue(&call.queue_url)?.settings.wait_s);
        let wait_s = call.wait_time_seconds.unwrap_or(queue_wait);
        in_range("MaxNumberOfMessages", call.max_number_of_messages.unwrap_or(1), 1, 10)?;
        in_range("WaitTimeSeconds", wait_s, 0, 20)?;
        in_range("VisibilityTimeout", call.visibility_timeout.unwrap_or(0), 0, 43_200)?;
        let received = match self.try_receive(&call, fault) {
            // Source: ReceiveMessage, `OverLimit`: long polls are not refused, they wait.
            Err(error) if error.code == "OverLimit" && wait_s > 0 => None,
            received => received?,
        };
        match received {
            Some(answer) => Ok(Outcome::Answer(answer)),
            None if wait_s > 0 => Ok(Outcome::Wait(Receive { wait_time_seconds: Some(wait_s), ..call })),
            None => Ok(Outcome::Answer(b"{}".to_vec())),
        }
    }

    /// Hands out what is visible; `None` when nothing is.
    pub(crate) fn try_receive(
        &mut self,
        call: &Receive,
        fault: Option<&Action>,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let (now_ns, now_ms) = (self.now_ns(), wall_ms());
        let mut ledger = std::mem::take(&mut self.ledger);
        let mut moved = Vec::new();
        let mut moved_to = None;
        let received = self.queue(&call.queue_url).and_then(|queue| {
            queue.advance(now_ns, &mut ledger);
            moved_to = queue.settings.redrive.as_ref().map(|(name, _)| (name.clone(), arn(&queue.name)));
            hand_out(queue, call, fault, (now_ns, now_ms), &mut ledger, &mut moved)
        });
        self.ledger = ledger;
        if let Some((target, source)) = moved_to
            && let Some(queue) = self.queues.get_mut(&target)
        {
            for (mut message, sent_ms) in moved {
                message.dead_letter_source = Some(source.as_str().into());
                message.delay_s = Some(0);
                queue.store(message, now_ns, sent_ms);
            }
        }
        received
    }

    pub(super) fn delete_batch(&mut self, body: &[u8], fault: Option<&Action>) -> Result<Vec<u8>, ApiError> {
        let batch: Batch<DeleteEntry<'_>> = parse(body)?;
        check_ids(&batch.entries.iter().map(|entry| &*entry.id))?;
        let (now_ns, strict) = (self.now_ns(), self.strict_handles);
        let mut ledger = std::mem::take(&mut self.ledger);
        let answer = self.queue(&batch.queue_url).map(|queue| {
            queue.advance(now_ns, &mut ledger);
            each(&batch.entries, fault, |entry| {
                queue.delete(&entry.receipt_handle, strict, now_ns, &mut ledger)
            })
        });
        self.ledger = ledger;
        answer
    }

    pub(super) fn change_visibility_batch(
        &mut self,
        body: &[u8],
        fault: Option<&Action>,
    ) -> Result<Vec<u8>, ApiError> {
        let batch: Batch<DeleteEntry<'_>> = parse(body)?;
        check_ids(&batch.entries.iter().map(|entry| &*entry.id))?;
        let now_ns = self.now_ns();
        let mut ledger = std::mem::take(&mut self.ledger);
        let answer = self.queue(&batch.queue_url).map(|queue| {
            queue.advance(now_ns, &mut ledger);
            each(&batch.entries, fault, |entry| {
                let seconds = entry.visibility_timeout.unwrap_or(0);
                in_range("VisibilityTimeout", seconds, 0, 43_200)?;
                queue.change_visibility(&entry.receipt_handle, seconds as u32, now_ns, &mut ledger)
            })
        });
        self.ledger = ledger;
        answer
    }

    pub(super) fn delete(&mut self, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let one: One = parse(body)?;
        let (now_ns, strict) = (self.now_ns(), self.strict_handles);
        let mut ledger = std::mem::take(&mut self.ledger);
        let done = self.queue(&one.queue_url).and_then(|queue| {
            queue.advance(now_ns, &mut ledger);
            queue.delete(&one.receipt_handle, strict, now_ns, &mut ledger)
        });
        self.ledger = ledger;
        done.map(|()| b"{}".to_vec())
    }

    pub(super) fn change_visibility(&mut self, body: &[u8]) -> Result<Vec<u8>, ApiError> {
        let one: One = parse(body)?;
        let seconds =
            one.visibility_timeout.ok_or_else(|| ApiError::missing_parameter("VisibilityTimeout"))?;
        in_range("VisibilityTimeout", seconds, 0, 43_200)?;
        let now_ns = self.now_ns();
        let mut ledger = std::mem::take(&mut self.ledger);
        let done = self.queue(&one.queue_url).and_then(|queue| {
            queue.advance(now_ns, &mut ledger);
            queue.change_visibility(&one.receipt_handle, seconds as u32, now_ns, &mut ledger)
        });
        self.ledger = ledger;
        done.map(|()| b"{}".to_vec())
    }
}

fn hand_out(
    queue: &mut Queue,
    call: &Receive,
    fault: Option<&Action>,
    (now_ns, now_ms): (u64, u64),
    ledger: &mut crate::sqs::ledger::Ledger,
    moved: &mut Vec<(Prepared, u64)>,
) -> Result<Option<Vec<u8>>, ApiError> {
    let attempt = call.receive_request_attempt_id.as_deref().filter(|_| queue.settings.fifo);
    let visibility_s = call.visibility_timeout.map_or(queue.settings.visibility_s, |seconds| seconds as u32);
    let slots = match attempt.and_then(|attempt| queue.replay(attempt, visibility_s, now_ns)) {
        Some(slots) => slots,
        None => {
            let max = call.max_number_of_messages.unwrap_or(1) as usize;
            queue.receive(max, visibility_s, now_ns, now_ms, ledger, moved)?
        }
    };
    if slots.is_empty() {
        return Ok(None);
    }
    if let Some(attempt) = attempt {
        queue.remember(attempt, &slots, now_ns);
    }
    let answer = write_messages(queue, &slots, call, fault);
    if fault == Some(&Action::Redeliver) {
        queue.redeliver_early(&slots, now_ns, ledger);
    }
    Ok(Some(answer))
}

fn write_messages(queue: &Queue, slots: &[u32], call: &Receive, fault: Option<&Action>) -> Vec<u8> {
    let all = |names: &[String]| names.iter().any(|name| name == "All" || name == ".*");
    let every_attribute = all(&call.message_attribute_names);
    let system: Vec<&str> =
        call.attribute_names.iter().chain(&call.message_system_attribute_names).map(String::as_str).collect();
    let every_system = system.contains(&"All");
    let mut out = Vec::with_capacity(slots.len() * 2048);
    out.extend_from_slice(b"{\"Messages\":[");
    for (position, &slot) in slots.iter().enumerate() {
        let Some(message) = &queue.slot(slot).message else { continue };
        if position > 0 {
            out.push(b',');
        }
        out.push(b'{');
        write_fragment(&mut out, message, fault);
        if fault != Some(&Action::NoHandle) {
            out.extend_from_slice(b",\"ReceiptHandle\":\"");
            queue.handle(slot).write(&mut out);
            out.push(b'"');
        }
        if every_attribute {
            out.extend_from_slice(&message.attributes_fragment);
        } else if !call.message_attribute_names.is_empty() {
            let wanted = |attribute: &&Attribute| {
                call.message_attribute_names.iter().any(|name| match name.strip_suffix(".*") {
                    Some(prefix) => attribute.name.starts_with(prefix),
                    None => attribute.name == *name,
                })
            };
            let chosen: Vec<Attribute> = message.attributes.iter().filter(wanted).cloned().collect();
            attributes::write(&mut out, &chosen);
        }
        if every_system || !system.is_empty() {
            write_system(&mut out, queue, slot, message, |name| every_system || system.contains(&name));
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_fragment(out: &mut Vec<u8>, message: &Prepared, fault: Option<&Action>) {
    match fault {
        Some(Action::BadMd5) => {
            let text =
                String::from_utf8_lossy(&message.fragment).replacen(&message.md5_of_body, &"0".repeat(32), 1);
            out.extend_from_slice(text.as_bytes());
        }
        Some(Action::LoneSurrogate) => {
            out.extend_from_slice(&message.fragment[..message.fragment.len() - 1]);
            out.extend_from_slice(b"\\ud800\"");
        }
        _ => out.extend_from_slice(&message.fragment),
    }
}

fn write_system(
    out: &mut Vec<u8>,
    queue: &Queue,
    slot: u32,
    message: &Prepared,
    wanted: impl Fn(&str) -> bool,
) {
    out.extend_from_slice(b",\"Attributes\":{");
    let start = out.len();
    let mut field = |name: &str, value: &str| {
        if wanted(name) {
            if out.len() > start {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            json_string(out, value);
        }
    };
    let slot = queue.slot(slot);
    let mut number = itoa(slot.sent_ms);
    field("SenderId", "AIDAMILLRACEEMBEDDED1");
    field("SentTimestamp", &number);
    number = itoa(u64::from(slot.receive_count));
    field("ApproximateReceiveCount", &number);
    number = itoa(slot.first_received_ms);
    field("ApproximateFirstReceiveTimestamp", &number);
    if let Some(group) = &message.group {
        field("MessageGroupId", group);
    }
    if queue.settings.fifo {
        let dedup = message.dedup.as_deref().or(message.body_sha256.as_deref());
        field("MessageDeduplicationId", dedup.unwrap_or_default());
        field("SequenceNumber", &itoa(slot.sequence));
    }
    if let Some(trace) = &message.trace_header {
        field("AWSTraceHeader", trace);
    }
    if let Some(source) = &message.dead_letter_source {
        field("DeadLetterQueueSourceArn", source);
    }
    out.push(b'}');
}

fn itoa(number: u64) -> String {
    number.to_string()
}

/// Does a batch entry by entry and writes what became of each.
fn each(
    entries: &[DeleteEntry<'_>],
    fault: Option<&Action>,
    mut act: impl FnMut(&DeleteEntry<'_>) -> Result<(), ApiError>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + entries.len() * 16);
    out.extend_from_slice(b"{\"Successful\":[");
    let start = out.len();
    let mut failed = Vec::new();
    let reached = match fault {
        Some(Action::ApplyFirst { count }) => entries.len().min(*count),
        _ => entries.len(),
    };
    for (position, entry) in entries[..reached].iter().enumerate() {
        if let Some(refused) = refused_entry(fault, position, &entry.id) {
            failed.push(refused);
            continue;
        }
        match act(entry) {
            Ok(()) => {
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"Id\":");
                json_string(&mut out, &entry.id);
                out.push(b'}');
            }
            Err(error) => failed.push(failure(&entry.id, &error)),
        }
    }
    out.extend_from_slice(b"],\"Failed\":");
    out.extend_from_slice(Value::from(failed).to_string().as_bytes());
    out.push(b'}');
    out
}

fn refused_entry(fault: Option<&Action>, position: usize, id: &str) -> Option<Value> {
    match fault {
        Some(Action::FailEntries { count, code, sender_fault }) if position < *count => {
            Some(json!({ "Id": id, "Code": code, "Message": "injected", "SenderFault": sender_fault }))
        }
        _ => None,
    }
}

fn failure(id: &str, error: &ApiError) -> Value {
    json!({ "Id": id, "Code": error.code, "Message": error.message, "SenderFault": true })
}

fn both(done: &[Value], failed: &[Value]) -> Vec<u8> {
    let mut answer = json!({ "Successful": done });
    if !failed.is_empty() {
        answer["Failed"] = Value::from(failed);
    }
    answer.to_string().into_bytes()
}

fn shown(sent: &SentAs, id: Option<&str>) -> Value {
    let mut value = json!({ "MessageId": uuid(sent.id), "MD5OfMessageBody": sent.md5_of_body });
    if let Some(id) = id {
        value["Id"] = Value::from(id);
    }
    if let Some(md5) = &sent.md5_of_attributes {
        value["MD5OfMessageAttributes"] = Value::from(md5.as_str());
    }
    if let Some(md5) = &sent.md5_of_system_attributes {
        value["MD5OfMessageSystemAttributes"] = Value::from(md5.as_str());
    }
    if let Some(sequence) = &sent.sequence {
        value["SequenceNumber"] = Value::from(sequence.as_str());
    }
    value
}

fn in_range(name: &str, value: i64, min: i64, max: i64) -> Result<(), ApiError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!(
        "Value {value} for parameter {name} is invalid. Reason: Must be between {min} and {max}, if provided."
    )))
}

/// The rules of batch requests.
fn check_ids<'a>(ids: &(impl Iterator<Item = &'a str> + Clone)) -> Result<(), ApiError> {
    let count = ids.clone().count();
    let refuse = |code: &'static str, query_code: &'static str, text: &str| {
        Err(ApiError { query_code, ..ApiError::new(code, text) })
    };
    if count == 0 {
        return refuse(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one DeleteMessageBatchRequestEntry in the request.",
        );
    }
    if count > ENTRIES_MAX {
        let text = format!("Maximum number of entries per request are {ENTRIES_MAX}. You have sent {count}.");
        return refuse(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            &text,
        );
    }
    let legal = |id: &str| {
        !id.is_empty()
            && id.len() <= 80
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    for (position, id) in ids.clone().enumerate() {
        if !legal(id) {
            return refuse(
                "InvalidBatchEntryId",
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
            );
        }
        if ids.clone().take(position).any(|other| other == id) {
            let text = format!("Id {id} repeated.");
            return refuse(
                "BatchEntryIdsNotDistinct",
                "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
                &text,
            );
        }
    }
    Ok(())
}
