//! An independent reader of Kafka: every record of a topic from its beginning, as librdkafka's own
//! consumer sees it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::wait_until;

/// Longest time for reading one topic.
const PATIENCE: Duration = Duration::from_secs(120);

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub body: Vec<u8>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Timestamp, milliseconds since 1970: of the producer or of the append, as the topic is set.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// The last header of a name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    /// The last header of a name as text; empty when it is missing.
    pub fn text(&self, name: &str) -> String {
        self.header(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// The MessageId header as a number, as the SQS ledger has it.
    pub fn message_id(&self) -> Option<u128> {
        parse_id(&self.text("sqs.message_id"))
    }

    fn from(record: &BorrowedMessage<'_>) -> Record {
        let headers = record.headers().map(|headers| {
            let pair =
                |(key, value): (&str, Option<&[u8]>)| (key.to_owned(), value.unwrap_or_default().to_vec());
            headers.iter().map(|header| pair((header.key, header.value))).collect()
        });
        Record {
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            key: record.key().map(<[u8]>::to_vec),
            body: record.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
            timestamp_ms: record.timestamp().to_millis(),
        }
    }
}

/// A MessageId as a number: the bits of its UUID.
pub fn parse_id(text: &str) -> Option<u128> {
    (text.len() == 36).then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok()).flatten()
}

/// A consumer that asks `bootstrap` and belongs to no group.
///
/// # Errors
/// librdkafka refuses the settings.
pub fn consumer(bootstrap: &str) -> Result<BaseConsumer> {
    Ok(ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "oracle")
        .set("enable.auto.commit", "false")
        .create()?)
}

/// Partitions of a topic. One that was made just now is waited for: the broker that is asked may not have
/// heard of it.
///
/// # Errors
/// The cluster does not answer, or there is no such topic.
pub fn partitions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<i32>> {
    let mut partitions: Vec<i32> = Vec::new();
    let known = wait_until(&format!("topic {topic} has partitions"), 15, || {
        if let Ok(metadata) = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)) {
            let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions = found.map(|partition| partition.id()).collect();
        }
        !partitions.is_empty()
    });
    known.map(|()| partitions)
}

/// Reads a whole topic up to its high watermarks at the time of the call.
///
/// # Errors
/// The cluster does not answer in time.
pub fn read_all(bootstrap: &str, topic: &str) -> Result<Vec<Record>> {
    let consumer = consumer(bootstrap)?;
    let mut list = TopicPartitionList::new();
    let mut left: HashMap<i32, i64> = HashMap::new();
    for partition in partitions(&consumer, topic)? {
        let (low, high) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(20))?;
        if high > low {
            list.add_partition_offset(topic, partition, Offset::Beginning)?;
            left.insert(partition, high);
        }
    }
    let mut records = Vec::new();
    if left.is_empty() {
        return Ok(records);
    }
    consumer.assign(&list)?;
    let end = Instant::now() + PATIENCE;
    while !left.is_empty() {
        ensure!(Instant::now() < end, "topic {topic} was not read to its end: {left:?}");
        let Some(record) = consumer.poll(Duration::from_millis(200)) else { continue };
        let record = record?;
        let Some(&high) = left.get(&record.partition()) else { continue };
        if record.offset() >= high {
            // Appended after the call.
            left.remove(&record.partition());
            continue;
        }
        if record.offset() + 1 == high {
            left.remove(&record.partition());
        }
        records.push(Record::from(&record));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_the_number_of_its_uuid() {
        assert_eq!(parse_id("00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(parse_id("0000"), None);
        assert_eq!(parse_id("zzzzzzzz-0000-0000-0000-0000000000ff"), None);
    }

    #[test]
    fn the_last_header_of_a_name_counts() {
        let headers = vec![("a".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())];
        let record = Record { headers, ..Record::default() };
        assert_eq!(record.text("a"), "2");
        assert_eq!(record.text("b"), "");
    }
}
