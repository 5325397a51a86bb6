//! Millrace's own account of a window: the latencies of its stages, from the histograms of its `/snapshot`.
//!
//! What a reader of Kafka sees holds SQS, feed and reader too; only the target knows when it received what it sent.
//! The histograms count from the target's start, so those of the window's beginning are subtracted. They are published
//! once a second: the window of the stages is that much blurred.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::{Deserialize, Serialize};

/// Time for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// From the receive's answer to Kafka's ack.
const WHOLE: &str = "received_to_acked";

/// Percentiles of one stage, microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    /// Values.
    pub(crate) count: u64,
    /// Median.
    pub(crate) p50: u64,
    /// 90th percentile.
    pub(crate) p90: u64,
    /// 99th percentile.
    pub(crate) p99: u64,
    /// 99.9th percentile.
    pub(crate) p999: u64,
    /// Largest value.
    pub(crate) max: u64,
}

/// Percentiles by stage.
pub(crate) type Stages = BTreeMap<String, Percentiles>;

/// Histograms by stage, since the start of the target.
#[derive(Debug, Default)]
pub(crate) struct Account(BTreeMap<String, Histogram<u64>>);

#[derive(Deserialize)]
struct Snapshot {
    pipelines: Vec<Pipeline>,
}

#[derive(Deserialize)]
struct Pipeline {
    histograms: BTreeMap<String, String>,
}

/// Asks a running Millrace.
///
/// # Errors
/// It does not answer, or with something else.
pub(crate) fn read(port: u16) -> io::Result<Account> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let host = format!("Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("GET /snapshot?histograms HTTP/1.1\r\n{host}").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> io::Result<Account> {
    let body = memchr::memmem::find(answer, b"\r\n\r\n").map(|at| &answer[at + 4..]).unwrap_or_default();
    let snapshot: Snapshot = serde_json::from_slice(body)?;
    let first = snapshot.pipelines.into_iter().next().ok_or_else(|| io::Error::other("no pipeline"))?;
    let decoded = first.histograms.into_iter().map(|(stage, text)| Ok((stage, decode(&text)?)));
    decoded.collect::<io::Result<_>>().map(Account)
}

fn decode(text: &str) -> io::Result<Histogram<u64>> {
    let bytes = STANDARD.decode(text).map_err(io::Error::other)?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(io::Error::other)
}

impl Account {
    /// What was recorded after `before`.
    pub(crate) fn since(mut self, before: &Account) -> Stages {
        for (stage, histogram) in &mut self.0 {
            if let Some(earlier) = before.0.get(stage) {
                // Counts only grow, so that nothing can be missing in the later one.
                let _grown = histogram.subtract(earlier);
            }
        }
        self.0.iter().map(|(stage, histogram)| (stage.clone(), Percentiles::of(histogram))).collect()
    }
}

impl Percentiles {
    fn of(histogram: &Histogram<u64>) -> Percentiles {
        if histogram.is_empty() {
            return Percentiles::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile);
        Percentiles {
            count: histogram.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        }
    }
}

/// From the receive's answer to the ack, microseconds; none where nothing was acked.
pub(crate) fn received_to_acked_us(stages: &Stages, percentile: impl Fn(&Percentiles) -> u64) -> Option<u64> {
    stages.get(WHOLE).filter(|whole| whole.count > 0).map(percentile)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

    use super::*;

    fn account(values: &[u64]) -> Account {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        values.iter().for_each(|&value| histogram.record(value).unwrap());
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
        let text = STANDARD.encode(bytes);
        let answer = format!(
            "HTTP/1.1 200 OK\r\n\r\n{{\"pipelines\":[{{\"histograms\":{{\"{WHOLE}\":\"{text}\"}}}}]}}"
        );
        parse(answer.as_bytes()).unwrap()
    }

    #[test]
    fn only_what_came_within_the_window_counts() {
        let stages = account(&[900_000, 5, 7, 9]).since(&account(&[900_000, 5]));
        assert_eq!(received_to_acked_us(&stages, |stage| stage.max), Some(9), "the cold start is left out");
        assert_eq!(stages[WHOLE].count, 2);
        let none = account(&[5]).since(&account(&[5]));
        assert_eq!(received_to_acked_us(&none, |stage| stage.max), None);
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        for answer in ["", "HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n{\"pipelines\":[]}"] {
            assert!(parse(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
