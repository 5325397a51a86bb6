//! librdkafka's options, made from a pipeline's config.
//!
//! Level 1, pure: nothing is read or connected here. What keeps the promises (acks, idempotence) is fixed;
//! the operator's own options come last and cannot name those, which the config has checked already.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::{self, Compression, Mechanism, Protocol, SecretError};

/// Largest record that librdkafka takes: 1 MiB of SQS message, as much again for a key taken from its
/// body, and the rest for headers (types, ids, dead-letter reasons). The topic's own limit still applies.
const RECORD_BYTES_MAX: u64 = 4 << 20;

/// Smallest batch that [`Options::with_smaller_batches`] goes down to: every topic takes this much.
const BATCH_BYTES_MIN: u64 = 1 << 10;

/// Options whose values are never shown.
const SECRETS: [&str; 6] = [
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
];

/// What the config leaves to the code: waits, reconnects and noise. By name, value and reason.
const FIXED: &[(&str, &str)] = &[
    // The two that carry promise 1 and 2: see ARCHITECTURE.md.
    ("acks", "all"),
    ("enable.idempotence", "true"),
    // Attempts are bounded by message.timeout.ms alone.
    ("retries", "2147483647"),
    // As Java's default partitioner, so that other producers of the same topic agree on a key's partition.
    ("partitioner", "murmur2_random"),
    // Topics are created on purpose, not by a typing error in route.topic.
    ("allow.auto.create.topics", "false"),
    // A missing topic is reported after this, instead of after 30 s; its route pauses then.
    ("topic.metadata.propagation.max.ms", "5000"),
    // A topic that was forbidden, and one that grew, is seen after 10 s instead of 5 min: librdkafka refuses
    // records of a topic in error until its next look. What it knows meanwhile stays valid as by default.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("metadata.max.age.ms", "900000"),
    // 2 s instead of 10 s: full rate must be back within 5 s after an outage.
    ("reconnect.backoff.max.ms", "2000"),
    // A broker that does not accept within 10 s is tried again rather than waited for (default 30 s).
    ("socket.connection.setup.timeout.ms", "10000"),
    // Half-open connections are found within 30 s (default 60 s).
    ("socket.timeout.ms", "30000"),
    ("request.timeout.ms", "25000"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    // No statistics, no telemetry requests: both cost, and a push delays the end by a round trip.
    ("statistics.interval.ms", "0"),
    ("enable.metrics.push", "false"),
    // Log lines travel as events on the one queue, never through a callback or to stderr.
    ("log.queue", "true"),
    ("log.thread.name", "false"),
];

/// Options by which an operator takes the choice of partitions over.
const CHOOSE_PARTITIONS: [&str; 2] = ["partitioner", "sticky.partitioning.linger.ms"];

/// Secrets of a connection, read once at start.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    /// SASL password.
    pub(crate) password: Option<Zeroizing<String>>,
    /// Passphrase of the client's key.
    pub(crate) key_password: Option<Zeroizing<String>>,
}

impl Secrets {
    /// Reads the secrets that the config refers to.
    ///
    /// # Errors
    /// A variable or file that cannot be read; the text names it, and never holds the secret.
    pub(crate) fn read(security: &config::Security) -> Result<Secrets, SecretError> {
        let read = |secret: &Option<config::SecretRef>| secret.as_ref().map(|s| s.read()).transpose();
        Ok(Secrets { password: read(&security.password)?, key_password: read(&security.key_password)? })
    }
}

/// What may be in flight through one producer: the sum of all budgets that feed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    /// Messages.
    pub(crate) messages_max: u64,
    /// Bytes of their bodies.
    pub(crate) bytes_max: u64,
}

impl InFlight {
    /// The budgets of `shards` shards of a pipeline.
    pub(crate) fn of(budget: &config::Budget, shards: u16) -> InFlight {
        InFlight {
            messages_max: u64::from(budget.in_flight_messages_max) * u64::from(shards),
            bytes_max: budget.in_flight_bytes_max.0.saturating_mul(u64::from(shards)),
        }
    }
}

/// All options of one producer, in the order in which they are set.
#[derive(Clone)]
pub(crate) struct Options {
    pairs: Vec<(String, Zeroizing<String>)>,
    batch_bytes_max: u64,
    linger: Duration,
    spreads: bool,
}

impl Options {
    /// Options for a cluster.
    pub(crate) fn new(kafka: &config::Kafka, secrets: &Secrets, in_flight: InFlight) -> Options {
        let mut options = Options {
            pairs: Vec::new(),
            batch_bytes_max: kafka.batch_bytes_max.0,
            linger: kafka.linger.0,
            spreads: !CHOOSE_PARTITIONS.iter().any(|&name| kafka.options.contains_key(name)),
        };
        for (name, value) in FIXED {
            options.set(name, value);
        }
        options.set("bootstrap.servers", &kafka.brokers.join(","));
        options.set("client.id", &kafka.client_id);
        options.set("compression.type", compression(kafka.compression));
        // Fractions of a millisecond are legal: the option is a float.
        options.set("batch.size", &options.batch_bytes_max.to_string());
        options.set("linger.ms", &format!("{}", kafka.linger.0.as_secs_f64() * 1e3));
        options.set("message.timeout.ms", &kafka.delivery_timeout.as_millis().to_string());
        options.set("message.max.bytes", &RECORD_BYTES_MAX.max(kafka.batch_bytes_max.0).to_string());
        // Twice the budget: dead letters and a resend beside the first attempt must not meet a full queue.
        let messages = in_flight.messages_max.saturating_mul(2).clamp(100_000, i32::MAX as u64);
        options.set("queue.buffering.max.messages", &messages.to_string());
        let kbytes = (in_flight.bytes_max / 1024).saturating_mul(2).clamp(1 << 20, i32::MAX as u64);
        options.set("queue.buffering.max.kbytes", &kbytes.to_string());
        if options.spreads {
            // Or librdkafka would not ask for the partition of a record without a key.
            options.set("sticky.partitioning.linger.ms", "0");
        }
        options.set_security(&kafka.security, secrets);
        for (name, value) in &kafka.options {
            options.set(name, value);
        }
        options
    }

    /// For how long and how many bytes records without a key go to one partition; `None`: librdkafka decides.
    pub(crate) fn spread(&self) -> Option<(Duration, u64)> {
        self.spreads.then_some((self.linger, self.batch_bytes_max))
    }

    /// The options by name and value, in the order in which they are set.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Largest record batch, bytes. A record of this size or more is always alone in its batch.
    pub(crate) fn batch_bytes_max(&self) -> u64 {
        self.batch_bytes_max
    }

    /// The same with batches of half the size: for topics that refused a batch of legal records.
    pub(crate) fn with_smaller_batches(&self) -> Options {
        let mut options = self.clone();
        options.batch_bytes_max = (self.batch_bytes_max / 2).max(BATCH_BYTES_MIN);
        let size = Zeroizing::new(options.batch_bytes_max.to_string());
        for (_, value) in options.pairs.iter_mut().filter(|(name, _)| name == "batch.size") {
            value.clone_from(&size);
        }
        options
    }

    fn set(&mut self, name: &str, value: &str) {
        self.pairs.push((name.to_owned(), Zeroizing::new(value.to_owned())));
    }

    fn set_security(&mut self, security: &config::Security, secrets: &Secrets) {
        self.set("security.protocol", protocol(security.protocol));
        if let Some(mechanism) = security.mechanism {
            self.set("sasl.mechanism", sasl_mechanism(mechanism));
        }
        if let Some(username) = &security.username {
            self.set("sasl.username", username);
        }
        for (name, secret) in
            [("sasl.password", &secrets.password), ("ssl.key.password", &secrets.key_password)]
        {
            if let Some(secret) = secret {
                self.set(name, secret);
            }
        }
        for (name, file) in [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.certificate_file),
            ("ssl.key.location", &security.key_file),
        ] {
            if let Some(file) = file {
                self.set(name, &file.to_string_lossy());
            }
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name, value| if SECRETS.contains(&name) { "***" } else { value };
        f.debug_map().entries(self.pairs().map(|(name, value)| (name, shown(name, value)))).finish()
    }
}

fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Plaintext => "plaintext",
        Protocol::Ssl => "ssl",
        Protocol::SaslPlaintext => "sasl_plaintext",
        Protocol::SaslSsl => "sasl_ssl",
    }
}

fn sasl_mechanism(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bytes, Kafka, Time};

    const IN_FLIGHT: InFlight = InFlight { messages_max: 20_000, bytes_max: 64 << 20 };

    fn value<'a>(options: &'a Options, name: &str) -> Option<&'a str> {
        options.pairs().filter(|(found, _)| *found == name).map(|(_, value)| value).last()
    }

    #[test]
    fn the_promises_are_always_in_the_options() {
        let options = Options::new(&Kafka::new(&["a:1", "b:2"]), &Secrets::default(), IN_FLIGHT);
        assert_eq!(value(&options, "acks"), Some("all"));
        assert_eq!(value(&options, "enable.idempotence"), Some("true"));
        assert_eq!(value(&options, "bootstrap.servers"), Some("a:1,b:2"));
        assert_eq!(value(&options, "linger.ms"), Some("5"));
        assert_eq!(value(&options, "message.timeout.ms"), Some("300000"));
        assert_eq!(value(&options, "compression.type"), Some("lz4"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut kafka = Kafka::new(&["a:1"]);
        kafka.options.insert("ssl.keystore.password".to_owned(), "canary-1".to_owned());
        let secrets = Secrets {
            password: Some(Zeroizing::new("canary-2".to_owned())),
            key_password: Some(Zeroizing::new("canary-3".to_owned())),
        };
        let shown = format!("{:?}", Options::new(&kafka, &secrets, IN_FLIGHT));
        assert!(shown.contains("sasl.password") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn the_queue_of_librdkafka_holds_twice_the_budget() {
        let budget = config::Budget::default();
        let kafka = Kafka { linger: Time(std::time::Duration::from_micros(250)), ..Kafka::new(&["a:1"]) };
        let options = Options::new(&kafka, &Secrets::default(), InFlight::of(&budget, 64));
        assert_eq!(value(&options, "queue.buffering.max.messages"), Some("2560000"));
        assert_eq!(value(&options, "queue.buffering.max.kbytes"), Some("8388608"));
        assert_eq!(value(&options, "linger.ms"), Some("0.25"));
    }

    #[test]
    fn batches_are_halved_down_to_what_every_topic_takes() {
        let kafka = Kafka { batch_bytes_max: Bytes(5000), ..Kafka::new(&["a:1"]) };
        let mut options = Options::new(&kafka, &Secrets::default(), IN_FLIGHT);
        for expected in [2500, 1250, 1024, 1024] {
            options = options.with_smaller_batches();
            assert_eq!(options.batch_bytes_max(), expected);
            assert_eq!(value(&options, "batch.size"), Some(expected.to_string().as_str()));
        }
    }
}
