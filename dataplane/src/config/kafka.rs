//! The sink side of a pipeline: which cluster, how records are batched, how the connection is secured.
//!
//! Level 0, plain types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::SecretRef;
use super::units::{Bytes, Time};

/// The Kafka cluster that a pipeline produces to. `acks=all` and the idempotent producer are always on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to ask first, as `host:port`.
    pub brokers: Vec<String>,
    /// Compression of record batches.
    #[serde(default)]
    pub compression: Compression,
    /// How long a record may wait for others of its batch, 0 to 900 s. 1 ms cost 12 % more CPU than 5 ms
    /// when measured, 20 ms 3 % less.
    #[serde(default = "linger")]
    pub linger: Time,
    /// Largest record batch before compression.
    #[serde(default = "batch_bytes_max")]
    pub batch_bytes_max: Bytes,
    /// How long a record may wait for its ack, outages included, before its message is released to the
    /// queue. 1 s to 12 h.
    #[serde(default = "delivery_timeout")]
    pub delivery_timeout: Time,
    /// Shards that run a producer for this pipeline; the others hand their messages over. Unset: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producers: Option<u16>,
    /// Send equal keys through the same shard's producer, so that the order in which messages were
    /// received from a standard queue holds per key within this appliance. Costs a handoff.
    #[serde(default)]
    pub key_owner: bool,
    /// Client id shown in the brokers' logs and quotas.
    #[serde(default = "client_id")]
    pub client_id: String,
    /// Encryption and authentication.
    #[serde(default)]
    pub security: Security,
    /// Any other librdkafka option, by its own name. Options that would break a promise are refused.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Kafka {
    /// A cluster with every setting at its default.
    pub fn new(brokers: &[&str]) -> Kafka {
        Kafka {
            brokers: brokers.iter().map(|&broker| broker.to_owned()).collect(),
            compression: Compression::default(),
            linger: linger(),
            batch_bytes_max: batch_bytes_max(),
            delivery_timeout: delivery_timeout(),
            producers: None,
            key_owner: false,
            client_id: client_id(),
            security: Security::default(),
            options: BTreeMap::new(),
        }
    }
}

/// Compression of record batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4: the cheapest that still halves JSON.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Encryption and authentication of the connection to Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// Protocol of the brokers' listener.
    pub protocol: Protocol,
    /// SASL mechanism; needed with the SASL protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// SASL user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// SASL password, by reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// PEM file with the certificate authorities that may sign the brokers' certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM file with the client's certificate (mutual TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// PEM file with the client's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Passphrase of the client's key, by reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_password: Option<SecretRef>,
}

/// Protocol of a Kafka listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// No encryption, no authentication.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption: only on a network that nobody else can read.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// User and password as they are: only over TLS.
    #[serde(rename = "PLAIN")]
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

fn linger() -> Time {
    Time::from_millis(5)
}

fn batch_bytes_max() -> Bytes {
    Bytes(1_000_000)
}

fn delivery_timeout() -> Time {
    Time::from_secs(300)
}

fn client_id() -> String {
    "millrace".to_owned()
}
