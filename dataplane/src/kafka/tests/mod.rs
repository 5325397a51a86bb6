//! The producer against librdkafka's mock cluster: what it promises to the shard, driven from outside.
//!
//! Every wait is for an event with a deadline; nothing sleeps and hopes.

mod delivery;
mod faults;
mod life;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

use super::errors;
use super::options::{InFlight, Options, Secrets};
use super::producer::{Outcome, Producer, ProducerEvent, Record, Report, TopicId};
use super::threads::ThreadRegistry;
use crate::config::{self, Kafka, Time};
use crate::error::Class;
use crate::message::{Attribute, Batch, Message, Span, message_key};
use crate::pipeline::headers::HeaderRules;

const PATIENCE: Duration = Duration::from_secs(30);
const PARTITIONS: i32 = 4;

struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    kafka: Kafka,
}

impl Cluster {
    /// One broker and the topic `t`.
    fn start() -> Cluster {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("t", PARTITIONS, 1).unwrap();
        let brokers = mock.bootstrap_servers();
        let mut kafka = Kafka::new(&brokers.split(',').collect::<Vec<_>>());
        kafka.linger = Time::from_millis(2);
        Cluster { mock, kafka }
    }

    fn options(&self) -> Options {
        let in_flight = InFlight { messages_max: 10_000, bytes_max: 64 << 20 };
        Options::new(&self.kafka, &Secrets::default(), in_flight)
    }

    fn producer(&self) -> Producer {
        self.producer_with(&HeaderRules::none())
    }

    fn producer_with(&self, rules: &HeaderRules) -> Producer {
        Producer::create(&self.options(), rules.clone(), &ThreadRegistry::default(), None).unwrap()
    }

    /// Reads a topic back from its start, from all partitions, until `count` records have come.
    fn read_back(&self, topic: &str, count: usize) -> Vec<ReadBack> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.mock.bootstrap_servers())
            .set("group.id", "read-back")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        // One look more than needed: a record too many must be seen.
        while Instant::now() < deadline {
            let enough = records.len() >= count;
            let wait = Duration::from_millis(if enough { 200 } else { 1000 });
            match consumer.poll(wait) {
                Some(Ok(message)) => records.push(ReadBack::from(&message)),
                Some(Err(error)) => panic!("consumer: {error}"),
                None if enough => break,
                None => {}
            }
        }
        records
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ReadBack {
    partition: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    timestamp: Option<i64>,
}

impl ReadBack {
    fn from(message: &rdkafka::message::BorrowedMessage<'_>) -> ReadBack {
        let headers = message.headers().map_or(Vec::new(), |headers| {
            headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap().to_vec())).collect()
        });
        ReadBack {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            body: message.payload().map(<[u8]>::to_vec),
            headers,
            timestamp: message.timestamp().to_millis(),
        }
    }
}

/// Appends text to the arena.
fn put(batch: &mut Batch, bytes: &[u8]) -> Span {
    let start = u32::try_from(batch.bytes.len()).unwrap();
    batch.bytes.extend_from_slice(bytes);
    Span { start, len: u32::try_from(bytes.len()).unwrap() }
}

fn add(batch: &mut Batch, id: &str, body: &[u8], attributes: &[(&str, &str, &[u8])]) {
    let attributes_start = u32::try_from(batch.attributes.len()).unwrap();
    for (name, data_type, value) in attributes {
        let name = put(batch, name.as_bytes());
        let data_type = put(batch, data_type.as_bytes());
        let value = put(batch, value);
        batch.attributes.push(Attribute { name, data_type, value });
    }
    let mut message = Message {
        id: put(batch, id.as_bytes()),
        key: message_key(id.as_bytes()),
        body: put(batch, body),
        attributes_start,
        attributes_len: u16::try_from(attributes.len()).unwrap(),
        ..Message::default()
    };
    message.system.sent_at_ms = 1_700_000_000_000;
    batch.messages.push(message);
}

/// A batch of messages with these bodies and nothing else.
fn batch_of(bodies: &[&[u8]]) -> Arc<Batch> {
    let mut batch = Batch::default();
    for (position, body) in bodies.iter().enumerate() {
        add(&mut batch, &format!("id-{position}"), body, &[]);
    }
    Arc::new(batch)
}

/// One record for each message of a batch, without a key.
fn records(batch: &Batch, topic: TopicId) -> Vec<Record<'static>> {
    let count = u8::try_from(batch.messages.len()).unwrap();
    (0..count).map(|index| Record { index, topic, key: None, extra: &[] }).collect()
}

/// Everything that a producer said until some condition held.
#[derive(Default)]
struct Heard {
    reports: Vec<Report>,
    events: Vec<ProducerEvent>,
}

impl Heard {
    /// Polls until `enough` holds.
    fn listen(&mut self, producer: &mut Producer, what: &str, enough: impl Fn(&Heard) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(self) {
            assert!(Instant::now() < deadline, "{what}: {} reports, {:?}", self.reports.len(), self.events);
            let Heard { reports, events } = self;
            producer.poll_for(20, &mut |report| reports.push(report), &mut |event| events.push(event));
        }
    }

    fn until_reported(producer: &mut Producer, count: usize) -> Heard {
        let mut heard = Heard::default();
        heard.listen(producer, "reports", |heard| heard.reports.len() >= count);
        assert_eq!(heard.reports.len(), count);
        heard
    }

    /// Reports by token and position; fails when one came twice.
    fn by_record(&self) -> HashMap<(u64, u8), Outcome> {
        let mut found = HashMap::new();
        for report in &self.reports {
            let before = found.insert((report.token, report.index), report.outcome);
            assert_eq!(before, None, "{report:?} was reported twice");
        }
        found
    }

    fn faults(&self) -> impl Iterator<Item = &errors::KafkaError> {
        self.events.iter().filter_map(|event| match event {
            ProducerEvent::Fault(error) => Some(error),
            ProducerEvent::Log { .. } => None,
        })
    }
}

fn is_acked(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Acked { .. })
}

fn default_rules() -> HeaderRules {
    HeaderRules::from(&config::Headers::default())
}

fn failure(outcome: &Outcome) -> (&'static str, Class, bool) {
    match *outcome {
        Outcome::Failed { code, class, possibly_persisted } => (code, class, possibly_persisted),
        Outcome::Acked { .. } => panic!("was acked"),
    }
}
