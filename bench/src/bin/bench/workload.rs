//! What is measured: sizes, attributes, compression, rates. Everything that two results must share to be compared.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Bytes of bodies that may wait in the embedded queue: with what the server adds, about half as much memory again.
const BACKLOG_BYTES_MAX: u64 = 1 << 30;
/// Largest message that SQS takes, attributes included. Source: "Amazon SQS message quotas".
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Left of it for ten attributes and for a document that ends late.
const MARGIN_BYTES: u64 = 1 << 10;

/// Parameters of a run.
#[derive(Args, Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Workload {
    /// Body bytes: JSON, no two documents of a pool alike
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(64..=MESSAGE_BYTES_MAX))]
    pub(crate) size: u64,
    /// Message attributes, delivered as Kafka headers
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(crate) attributes: u8,
    /// Compression of record batches
    #[arg(long, value_enum, default_value_t = Compression::Lz4)]
    pub(crate) compression: Compression,
    /// FIFO queue with so many message groups
    #[arg(long, value_name = "GROUPS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) fifo: Option<u32>,
    /// HTTPS to SQS, with a certificate that a private authority signed
    #[arg(long)]
    #[serde(default)]
    pub(crate) tls: bool,
    /// Time added to every answer of the SQS server
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub(crate) rtt_ms: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(i32).range(1..=256))]
    pub(crate) partitions: i32,
    /// Kafka: librdkafka's mock cluster within the harness, or a real broker
    #[arg(long, value_enum, default_value_t = KafkaKind::Mock)]
    pub(crate) kafka: KafkaKind,
    /// Messages put into the queue before the start (closed loop); topped up when a quarter is left
    #[arg(long, default_value_t = 400_000, value_name = "COUNT")]
    pub(crate) backlog: u64,
    /// Open loop: so many messages a second, whatever becomes of them; measures latency
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Shards (threads) of a target; by default one for each of its cores
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) shards: u16,
    /// Length of the measured window
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Time after the first delete that is not measured
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) warmup: u64,
    /// Seed of the bodies
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Compression of record batches.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// None.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// As librdkafka, Redpanda Connect and Millrace name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

/// The cluster.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KafkaKind {
    /// librdkafka's mock cluster.
    Mock,
    /// Apache Kafka.
    Real,
}

/// Messages a second, from the command line.
///
/// # Errors
/// No such number.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| format!("`{text}` is no number of messages per second"))?;
    (rate > 0.0 && rate <= 1e6).then_some(rate).ok_or_else(|| format!("`{text}` is outside 0 to 1000000"))
}

impl Workload {
    /// Bytes asked of a body, so that the message with its attributes fits into SQS.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.size.min(MESSAGE_BYTES_MAX - MARGIN_BYTES)
    }

    /// Messages that wait at the start, bounded by memory.
    pub(crate) fn backlog_messages(&self) -> u64 {
        self.backlog.min(BACKLOG_BYTES_MAX / self.size).max(1)
    }

    /// Length of the measured window.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Group of a message.
    pub(crate) fn group(&self, number: u64) -> Option<u64> {
        self.fifo.map(|groups| number % u64::from(groups))
    }

    /// One line for people: only what is not usual.
    pub(crate) fn summary(&self) -> String {
        let mut parts = vec![format!("{} bodies", bytes(self.size))];
        if self.attributes > 0 {
            parts.push(format!("{} attributes", self.attributes));
        }
        parts.push(match self.compression {
            Compression::None => "no compression".to_owned(),
            other => other.as_str().to_owned(),
        });
        if let Some(groups) = self.fifo {
            parts.push(format!("FIFO with {groups} groups"));
        }
        if self.tls {
            parts.push("TLS".to_owned());
        }
        if self.rtt_ms > 0 {
            parts.push(format!("{} ms round trip to SQS", self.rtt_ms));
        }
        if let Some(rate) = self.rate {
            parts.push(format!("open loop at {rate} messages/s"));
        }
        parts.push(match self.kafka {
            KafkaKind::Mock => "mock cluster".to_owned(),
            KafkaKind::Real => "real Kafka".to_owned(),
        });
        parts.push(format!("{} partitions, {} s window", self.partitions, self.seconds));
        if self.shards > 1 {
            parts.push(format!("{} shards", self.shards));
        }
        parts.join(", ")
    }
}

fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 if size.is_multiple_of(1024) => format!("{} KiB", size >> 10),
        1_048_576 => "1 MiB".to_owned(),
        _ => format!("{size} B"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        workload: Workload,
    }

    /// Parameters as a command line gives them.
    pub(crate) fn parsed(arguments: &[&str]) -> Workload {
        Line::try_parse_from([&["bench"], arguments].concat()).unwrap().workload
    }

    #[test]
    fn a_backlog_fits_into_memory_whatever_the_size() {
        assert_eq!(parsed(&[]).backlog_messages(), 400_000);
        assert_eq!(parsed(&["--size", "1048576"]).backlog_messages(), 1024);
    }

    #[test]
    fn only_what_is_unusual_is_said() {
        assert_eq!(parsed(&[]).summary(), "1 KiB bodies, lz4, mock cluster, 16 partitions, 8 s window");
        let unusual = parsed(&[
            "--size",
            "64",
            "--fifo",
            "9",
            "--attributes",
            "3",
            "--rate",
            "2000",
            "--tls",
            "--kafka",
            "real",
        ]);
        let said = unusual.summary();
        for part in ["64 B", "9 groups", "3 attributes", "2000 messages/s", "TLS", "real Kafka"] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }

    #[test]
    fn parameters_outlive_their_file() {
        let workload = parsed(&["--fifo", "3", "--rate", "0.5", "--compression", "zstd"]);
        let text = serde_json::to_string(&workload).unwrap();
        assert_eq!(serde_json::from_str::<Workload>(&text).unwrap(), workload);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [["--size", "63"], ["--rate", "0"], ["--attributes", "11"], ["--fifo", "0"]] {
            assert!(Line::try_parse_from([&["bench"], &bad[..]].concat()).is_err(), "{bad:?}");
        }
    }
}
