//! The AWS SDK as an oracle: the same answers read by both, the same calls written by both.
//!
//! Tests only. The SDK runs on a client that replays an answer and keeps the request; nothing goes over a
//! network. Answers are the documented ones, and random ones in every spelling that JSON allows.

mod answers;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as SdkMessage,
    MessageAttributeValue, MessageSystemAttributeName as Name, QueueAttributeName,
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use super::call::{self, Calls};
use super::endpoint;
use crate::config::Queue;
use crate::control;
use crate::message::{Batch, Message, Span};
use crate::net::Head;

const QUEUE_URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo";
/// A failing case is printed whole and needs no file to come back.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

const OK: Head<'_> = Head { status: 200, date: None, query_error: None };

/// An SDK whose server gives this answer, and where its requests are seen.
fn sdk(answer: &[u8]) -> (Client, StaticReplayClient) {
    let response = HttpResponse::new(200.try_into().unwrap(), answer.to_vec().into());
    let replay = StaticReplayClient::new(vec![ReplayEvent::new(HttpRequest::empty(), response)]);
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
        .http_client(replay.clone())
        .build();
    (Client::from_conf(config), replay)
}

fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What the SDK reads from a receive answer; `None` when it refuses it.
fn received_by_sdk(answer: &[u8]) -> Option<Vec<SdkMessage>> {
    let (client, _) = sdk(answer);
    wait(client.receive_message().queue_url(QUEUE_URL).send())
        .ok()
        .map(|answer| answer.messages.unwrap_or_default())
}

/// What we read from it: the batch, and how many messages could not be taken.
fn received_by_us(answer: &[u8]) -> (Batch, usize) {
    let mut batch = Batch::default();
    let unusable = call::receive_answer(&OK, answer, false, &mut batch, "corrupt").unwrap();
    (batch, unusable)
}

/// Holds both readings of one answer against each other. Messages that nobody could delete are not in ours.
fn compare(answer: &[u8]) {
    let theirs = received_by_sdk(answer).expect("the SDK reads the answer");
    let (ours, unusable) = received_by_us(answer);
    let can_be_deleted = |message: &&SdkMessage| {
        let present = |field: Option<&str>| field.is_some_and(|text| !text.is_empty());
        present(message.message_id()) && present(message.receipt_handle())
    };
    let deletable: Vec<_> = theirs.iter().filter(can_be_deleted).collect();
    assert_eq!(ours.messages.len(), deletable.len());
    assert_eq!(unusable, theirs.len() - deletable.len());
    for (ours_of, theirs_of) in ours.messages.iter().zip(deletable) {
        compare_message(&ours, ours_of, theirs_of);
    }
}

fn compare_message(batch: &Batch, ours: &Message, theirs: &SdkMessage) {
    let text = |span: Span| batch.field(span).map(|bytes| std::str::from_utf8(bytes).unwrap());
    assert_eq!(text(ours.id), theirs.message_id());
    assert_eq!(text(ours.receipt), theirs.receipt_handle());
    assert_eq!(text(ours.body), theirs.body());
    assert_eq!(text(ours.md5_of_body), theirs.md5_of_body());
    assert_eq!(text(ours.md5_of_attributes), theirs.md5_of_message_attributes());
    let defect = ours.defect.as_ref().map(|defect| defect.code);
    assert_eq!(defect, theirs.body().is_none().then_some("body_missing"));

    let given = |name: Name| theirs.attributes().and_then(|all| all.get(&name)).map(String::as_str);
    let number = |name: Name| given(name).map_or(0, |text| text.parse::<u64>().unwrap());
    assert_eq!(ours.system.sent_at_ms, number(Name::SentTimestamp));
    assert_eq!(u64::from(ours.system.receive_count), number(Name::ApproximateReceiveCount));
    assert_eq!(text(ours.system.group), given(Name::MessageGroupId));
    assert_eq!(text(ours.system.dedup), given(Name::MessageDeduplicationId));
    assert_eq!(text(ours.system.sequence), given(Name::SequenceNumber));
    assert_eq!(text(ours.system.sender), given(Name::SenderId));
    assert_eq!(text(ours.system.trace_header), given(Name::AwsTraceHeader));
    assert_eq!(text(ours.system.dead_letter_source), given(Name::DeadLetterQueueSourceArn));

    let none = std::collections::HashMap::new();
    let theirs = theirs.message_attributes().unwrap_or(&none);
    assert_eq!(batch.attributes_of(ours).len(), theirs.len());
    for attribute in batch.attributes_of(ours) {
        let theirs: &MessageAttributeValue = &theirs[text(attribute.name).unwrap()];
        assert_eq!(text(attribute.data_type), Some(theirs.data_type()));
        let value = theirs.binary_value().map(AsRef::as_ref);
        assert_eq!(batch.field(attribute.value), value.or(theirs.string_value().map(str::as_bytes)));
    }
}

#[test]
fn documented_answers_are_read_as_the_sdk_reads_them() {
    for answer in answers::DOCUMENTED {
        compare(answer.as_bytes());
    }
    // The comparison is not empty: the first example holds one message with four system attributes.
    let (batch, _) = received_by_us(answers::DOCUMENTED[0].as_bytes());
    assert_eq!(batch.slice(batch.messages[0].body), b"This is a test message");
    assert_eq!(batch.messages[0].system.sent_at_ms, 1_677_112_427_387);
}

#[test]
fn messages_that_nobody_could_delete_are_counted() {
    let answer = r#"{"Messages":[{"Body":"a","MessageId":"m"},{"Body":"b","ReceiptHandle":"r"},
        {"Body":"c","MessageId":"m","ReceiptHandle":"r"},{},{"Body":"d","MessageId":"","ReceiptHandle":"r"}]}"#;
    compare(answer.as_bytes());
    let (batch, unusable) = received_by_us(answer.as_bytes());
    assert_eq!((batch.messages.len(), unusable), (1, 4));
}

#[test]
fn what_the_sdk_refuses_is_never_taken() {
    for answer in [
        "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":\"b\"}",
        "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":\"b}]}",
        "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\" \"Body\":\"b\"}]}",
        "{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\",\"Body\":7}]}",
        "{\"Messages\":{}}",
        "[]",
    ] {
        assert!(received_by_sdk(answer.as_bytes()).is_none(), "the oracle refuses {answer}");
        let mut batch = Batch::default();
        let ours = call::receive_answer(&OK, answer.as_bytes(), false, &mut batch, "corrupt");
        assert!(ours.is_err(), "we refuse {answer}");
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn random_answers_in_any_spelling_are_read_alike(
        messages in proptest::collection::vec(answers::message(), 0..11),
        style in any::<u64>(),
    ) {
        compare(answers::write(&messages, style).as_bytes());
    }

    #[test]
    fn batch_results_are_read_alike(
        entries in proptest::collection::vec(answers::entry(), 0..11),
        style in any::<u64>(),
    ) {
        let answer = answers::write_results(&entries, style);
        let ours = call::batch_answer(&OK, answer.as_bytes(), entries.len()).unwrap();
        let (client, _) = sdk(answer.as_bytes());
        let theirs = wait(client.delete_message_batch().queue_url(QUEUE_URL).send()).unwrap();
        let named = |position: usize| position.to_string();
        for position in 0..entries.len() {
            let taken = theirs.successful().iter().any(|entry| entry.id() == named(position));
            let refused = theirs.failed().iter().any(|entry| entry.id() == named(position));
            let outcome = ours.class(position);
            prop_assert_eq!(outcome == Some(Ok(())), taken);
            prop_assert_eq!(matches!(outcome, Some(Err(_))), refused);
            prop_assert_eq!(outcome.is_none(), !taken && !refused);
        }
        let codes: Vec<_> = theirs.failed().iter().map(|entry| entry.code().to_owned()).collect();
        prop_assert_eq!(ours.failed_codes().map(str::to_owned).collect::<Vec<_>>(), codes);
    }
}

/// Our side of the calls, with credentials.
fn calls(change: impl FnOnce(&mut Queue)) -> Calls {
    let mut queue = Queue::new(QUEUE_URL);
    change(&mut queue);
    let (endpoint, region) = endpoint::resolve(&queue, None).unwrap();
    let mut calls = Calls::new(&queue, endpoint, region, 7);
    calls.set_credentials(&control::Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Zeroizing::new("secret".to_owned()),
        session_token: None,
    });
    calls
}

/// Holds the parts of a request that name the operation and its input against the SDK's.
fn compare_request(ours: &[u8], replay: &StaticReplayClient) {
    let request = replay.actual_requests().next().expect("the SDK sent one");
    let end = ours.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = (std::str::from_utf8(&ours[..end]).unwrap(), &ours[end..]);
    let (line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(line, format!("{} / HTTP/1.1", request.method()));
    let header = |name: &str| {
        let line = headers.lines().find(|line| line.split(':').next() == Some(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    };
    for name in ["content-type", "x-amz-target"] {
        assert!(header(name).is_some() && header(name) == request.headers().get(name), "{name}");
    }
    assert_eq!(header("content-length"), Some(body.len().to_string().as_str()));
    let host = header("host").unwrap();
    assert_eq!(request.uri(), format!("https://{host}/"));
    let theirs: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), theirs);
}

#[test]
fn a_receive_asks_for_the_same_as_the_sdk() {
    for (visibility_s, attempt) in [(None, None), (Some(45), Some("attempt-1"))] {
        let (client, replay) = sdk(b"{}");
        let receive = client
            .receive_message()
            .queue_url(QUEUE_URL)
            .max_number_of_messages(10)
            .wait_time_seconds(20)
            .message_attribute_names("All")
            .message_system_attribute_names(Name::All)
            .set_visibility_timeout(visibility_s)
            .set_receive_request_attempt_id(attempt.map(str::to_owned));
        #[allow(deprecated, reason = "older servers know only this name, so we send both")]
        let receive = receive.set_attribute_names(Some(vec![QueueAttributeName::All]));
        wait(receive.send()).unwrap();
        let mut out = Vec::new();
        let timeout = visibility_s.map(|seconds| crate::config::Time::from_secs(seconds as u64));
        calls(|queue| queue.visibility_timeout = timeout)
            .receive(10, attempt, 1_700_000_000, &mut out)
            .unwrap();
        compare_request(&out, &replay);
    }
}

proptest! {
    #![proptest_config(config(50))]

    #[test]
    fn batches_ask_for_the_same_as_the_sdk(
        handles in proptest::collection::vec(answers::text(1..200), 1..11),
        seconds in 0..43_201_i32,
    ) {
        let (client, replay) = sdk(b"{\"Successful\":[]}");
        let deletes = handles.iter().enumerate().map(|(position, handle)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(position.to_string());
            entry.receipt_handle(handle).build().unwrap()
        });
        let delete = client.delete_message_batch().queue_url(QUEUE_URL);
        wait(delete.set_entries(Some(deletes.collect())).send()).unwrap();
        let mut out = Vec::new();
        calls(|_| {}).delete(handles.iter().map(String::as_bytes), 1_700_000_000, &mut out).unwrap();
        compare_request(&out, &replay);

        let (client, replay) = sdk(b"{\"Successful\":[]}");
        let changes = handles.iter().enumerate().map(|(position, handle)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(position.to_string());
            entry.receipt_handle(handle).visibility_timeout(seconds).build().unwrap()
        });
        let change = client.change_message_visibility_batch().queue_url(QUEUE_URL);
        wait(change.set_entries(Some(changes.collect())).send()).unwrap();
        let changes = handles.iter().map(|handle| (handle.as_bytes(), seconds.unsigned_abs()));
        calls(|_| {}).change_visibility(changes, 1_700_000_000, &mut out).unwrap();
        compare_request(&out, &replay);
    }
}
