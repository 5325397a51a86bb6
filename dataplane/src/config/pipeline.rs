//! A pipeline's own settings: route, key, type, validation, headers, dead letter, budgets.
//!
//! Level 0, plain types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kafka::Kafka;
use super::queue::Queue;
use super::units::{Bytes, Time};

/// One pipeline: a queue, the stages between, a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Name in metrics, logs and the API: 1 to 64 of `a-z`, `0-9`, `-` and `_`; unique.
    pub name: String,
    /// Where messages come from.
    pub queue: Queue,
    /// Where records go.
    pub kafka: Kafka,
    /// Topic and key.
    pub route: Route,
    /// How the type of a message is told, for metrics by type.
    #[serde(default, rename = "type")]
    pub type_rule: TypeRule,
    /// What a message must be to be delivered; another goes to the dead letter.
    #[serde(default)]
    pub validate: Validate,
    /// Which SQS fields become Kafka headers.
    #[serde(default)]
    pub headers: Headers,
    /// Where messages go that can never be delivered. Unset: they are released, and the queue's own redrive
    /// policy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<DeadLetter>,
    /// What may be in flight.
    #[serde(default)]
    pub budget: Budget,
    /// When receiving stops because Kafka does not answer.
    #[serde(default)]
    pub breaker: Breaker,
    /// How fast it may go.
    #[serde(default)]
    pub rate: Rate,
    /// What the API shows of messages.
    #[serde(default)]
    pub masking: Masking,
}

/// Topic and key of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Topic: a name, or a template with `${type}` and `${attribute:NAME}`, for example `orders-${type}`.
    pub topic: String,
    /// Topics that a template may name. Needed with a template; a message for another topic goes to the
    /// dead letter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Record key. Unset: the group id on a FIFO queue, none on a standard queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

impl Route {
    /// Every topic that a message may go to, the dead letter's excepted.
    pub fn all_topics(&self) -> &[String] {
        if self.topics.is_empty() { std::slice::from_ref(&self.topic) } else { &self.topics }
    }
}

/// Where the record key comes from. A message without it is sent without a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum Key {
    /// No key: records are spread over the partitions, a linger's worth at a time.
    None,
    /// The MessageId.
    MessageId,
    /// The message group id (FIFO and fair queues).
    GroupId,
    /// The value of a message attribute.
    Attribute {
        /// Name of the attribute.
        name: String,
    },
    /// A scalar of the JSON body. Source of the syntax: RFC 6901.
    JsonPointer {
        /// The pointer, for example `/customer/id`.
        pointer: String,
    },
    /// The same key for every record.
    Constant {
        /// The key.
        value: String,
    },
}

/// How the type of a message is told. At most 64 types are counted apart; the rest is `other`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum TypeRule {
    /// Types are not told apart.
    #[default]
    None,
    /// The value of a message attribute.
    Attribute {
        /// Name of the attribute.
        name: String,
    },
    /// A string of the JSON body. Source of the syntax: RFC 6901.
    JsonPointer {
        /// The pointer, for example `/type`.
        pointer: String,
    },
}

/// What a message must be to be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Validate {
    /// Largest body, up to 1 MiB.
    pub body_bytes_max: Bytes,
    /// Refuse bodies that are not valid UTF-8 text (an escaped lone surrogate, for example).
    pub utf8: bool,
    /// Refuse bodies that are not one well-formed JSON value.
    pub json: bool,
}

impl Default for Validate {
    fn default() -> Self {
        Validate { body_bytes_max: Bytes(1 << 20), utf8: true, json: false }
    }
}

/// Which SQS fields become Kafka headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// Message attributes, each under its own name; binary values byte for byte. Data types other than
    /// plain `String` travel in one header, `sqs.attribute_types`.
    pub attributes: bool,
    /// `sqs.message_id`: what consumers can deduplicate by.
    pub message_id: bool,
    /// `sqs.sent_timestamp`, milliseconds as text.
    pub sent_timestamp: bool,
    /// `sqs.receive_count`.
    pub receive_count: bool,
    /// `sqs.message_group_id`.
    pub group_id: bool,
    /// `sqs.message_deduplication_id`.
    pub deduplication_id: bool,
    /// `sqs.sequence_number`.
    pub sequence_number: bool,
    /// `sqs.sender_id`.
    pub sender_id: bool,
    /// Use SentTimestamp as the record's timestamp; otherwise the time of producing.
    pub timestamp: bool,
}

impl Default for Headers {
    fn default() -> Self {
        Headers {
            attributes: true,
            message_id: true,
            sent_timestamp: false,
            receive_count: false,
            group_id: true,
            deduplication_id: true,
            sequence_number: true,
            sender_id: false,
            timestamp: true,
        }
    }
}

/// Where messages go that can never be delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetter {
    /// Kafka topic of the same cluster. Its `max.message.bytes` should be larger than the main topic's.
    pub topic: String,
}

/// What may be in flight for this pipeline on one shard: received and not yet deleted or given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Messages, 10 to 100000. SQS itself allows 120000 in flight for a queue.
    pub in_flight_messages_max: u32,
    /// Bytes, at least 32 MiB: the largest answer that SQS may give must fit.
    pub in_flight_bytes_max: Bytes,
}

impl Budget {
    /// The largest that may be set.
    pub const LARGEST: Budget =
        Budget { in_flight_messages_max: 100_000, in_flight_bytes_max: Bytes(1 << 40) };
}

impl Default for Budget {
    fn default() -> Self {
        Budget { in_flight_messages_max: 20_000, in_flight_bytes_max: Bytes(64 << 20) }
    }
}

/// When receiving stops because Kafka does not answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// Records in flight without any ack for this long open the breaker. 1 s to 10 m.
    pub ack_stall: Time,
    /// First pause between probes while the breaker is open; doubles up to `probe_max`.
    pub probe_min: Time,
    /// Longest pause between probes.
    pub probe_max: Time,
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            ack_stall: Time::from_secs(5),
            probe_min: Time::from_millis(500),
            probe_max: Time::from_secs(5),
        }
    }
}

/// Limits of all shards together; each shard has an equal share. Only receiving waits for them: what is held is produced,
/// deleted and extended at once. Unset: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// Messages received a second, 1 to 10000000, redeliveries included. A receive brings up to ten at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_s: Option<u32>,
    /// Bytes of bodies received a second, at least 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_s: Option<Bytes>,
    /// Requests to SQS a second, 1 to 1000000. Receives, deletes and changes of visibility count; receives wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_s: Option<u32>,
}

/// Bodies of rejected and sampled messages are shown with their values covered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Masking {
    /// JSON pointers of values that anybody may see who may use the API, for example `["/type", "/customer/id"]`. At
    /// most 64. Source of the syntax: RFC 6901.
    pub visible: Vec<String>,
}

impl Rate {
    /// Whether there is no limit.
    pub fn is_unlimited(&self) -> bool {
        *self == Rate::default()
    }
}

impl Pipeline {
    /// A pipeline with every setting at its default.
    pub fn new(name: &str, queue_url: &str, brokers: &[&str], topic: &str) -> Pipeline {
        Pipeline {
            name: name.to_owned(),
            queue: Queue::new(queue_url),
            kafka: Kafka::new(brokers),
            route: Route { topic: topic.to_owned(), topics: Vec::new(), key: None },
            type_rule: TypeRule::default(),
            validate: Validate::default(),
            headers: Headers::default(),
            dead_letter: None,
            budget: Budget::default(),
            breaker: Breaker::default(),
            rate: Rate::default(),
            masking: Masking::default(),
        }
    }
}
