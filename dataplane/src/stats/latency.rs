//! Stage latencies in HDR histograms.
//!
//! Level 1, pure. Histograms of shards and appliances merge without loss. One recording costs about
//! 10 ns; what belongs to a whole batch is recorded once for its messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// Longest latency that is told apart: one hour, in microseconds. Longer ones are counted as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A timed stage of a message's walk. All in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From SQS's SentTimestamp to the receive; needs clocks that agree.
    SentToReceived,
    /// From the request's last byte to the response, long poll included.
    Receive,
    /// Parsing the response into a batch.
    Decode,
    /// Validate, type and route, per batch.
    Pipeline,
    /// Waiting in the ring to another shard.
    Handoff,
    /// From the producer taking the record to the broker's ack.
    ProduceToAck,
    /// From the receive to the broker's ack: all that Millrace and Kafka add.
    ReceivedToAcked,
    /// From the ack to SQS's confirmation of the delete.
    AckToDeleted,
    /// From the receive to SQS's confirmation of the delete.
    EndToEnd,
}

/// All stages, in the order of the walk.
pub const STAGES: [Stage; 9] = [
    Stage::SentToReceived,
    Stage::Receive,
    Stage::Decode,
    Stage::Pipeline,
    Stage::Handoff,
    Stage::ProduceToAck,
    Stage::ReceivedToAcked,
    Stage::AckToDeleted,
    Stage::EndToEnd,
];

impl Stage {
    /// Stable text of the stage, as in metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::SentToReceived => "sent_to_received",
            Stage::Receive => "receive",
            Stage::Decode => "decode",
            Stage::Pipeline => "pipeline",
            Stage::Handoff => "handoff",
            Stage::ProduceToAck => "produce_to_ack",
            Stage::ReceivedToAcked => "received_to_acked",
            Stage::AckToDeleted => "ack_to_deleted",
            Stage::EndToEnd => "end_to_end",
        }
    }
}

/// One histogram for each stage.
#[derive(Clone, Debug)]
pub struct Latency {
    stages: Vec<Histogram<u64>>,
}

impl Default for Latency {
    fn default() -> Self {
        Latency::new()
    }
}

impl Latency {
    /// Empty histograms: 1 µs to one hour at three significant digits, about 190 KiB a stage.
    pub fn new() -> Latency {
        #[allow(
            clippy::expect_used,
            reason = "the three arguments are constants that the constructor accepts"
        )]
        let one = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("constant bounds are valid");
        Latency { stages: vec![one; STAGES.len()] }
    }

    /// Counts `count` messages at `us` microseconds.
    pub fn record(&mut self, stage: Stage, us: u64, count: u64) {
        self.stages[stage as usize].saturating_record_n(us.max(1), count);
    }

    /// The histogram of one stage, values in microseconds.
    pub fn stage(&self, stage: Stage) -> &Histogram<u64> {
        &self.stages[stage as usize]
    }

    /// Adds one histogram to a stage; it has the same bounds, so nothing is lost.
    pub(super) fn add_to(&mut self, stage: Stage, histogram: &Histogram<u64>) {
        #[allow(clippy::expect_used, reason = "the caller has compared the bounds")]
        self.stages[stage as usize].add(histogram).expect("same bounds");
    }

    /// Adds another set; both have the same bounds, so nothing is lost.
    pub fn add(&mut self, other: &Latency) {
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            if !theirs.is_empty() {
                #[allow(clippy::expect_used, reason = "both sides were made by `new` with the same bounds")]
                mine.add(theirs).expect("same bounds");
            }
        }
    }

    /// Forgets everything recorded and keeps the memory.
    pub fn reset(&mut self) {
        for stage in &mut self.stages {
            if !stage.is_empty() {
                stage.reset();
            }
        }
    }

    /// The whole histogram of one stage in HdrHistogram's V2 encoding, compressed, in base64: any HdrHistogram
    /// library reads it, and those of several shards or moments add and subtract without loss.
    pub fn encoded(&self, stage: Stage) -> String {
        let mut bytes = Vec::new();
        #[allow(
            clippy::expect_used,
            reason = "a vector takes what is written, and the bounds are encodable"
        )]
        V2DeflateSerializer::new().serialize(self.stage(stage), &mut bytes).expect("written to memory");
        STANDARD.encode(bytes)
    }

    /// The percentiles of one stage.
    pub fn percentiles(&self, stage: Stage) -> Percentiles {
        Percentiles::of(self.stage(stage))
    }
}

/// Percentiles of one histogram, in microseconds; all 0 when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Largest value.
    pub max: u64,
}

impl Percentiles {
    /// Reads the percentiles of a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Percentiles {
        if histogram.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.50),
            p90: histogram.value_at_quantile(0.90),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_histograms_count_every_message_once() {
        let (mut one, mut two) = (Latency::new(), Latency::new());
        one.record(Stage::Decode, 5, 10);
        two.record(Stage::Decode, 7, 1);
        two.record(Stage::EndToEnd, u64::MAX, 1);
        one.add(&two);
        assert_eq!(one.percentiles(Stage::Decode).count, 11);
        assert_eq!(one.percentiles(Stage::Decode).max, 7);
        assert!(one.percentiles(Stage::EndToEnd).max >= LATENCY_US_MAX);
        one.reset();
        assert_eq!(one.percentiles(Stage::Decode), Percentiles::default());
    }

    #[test]
    fn an_encoded_histogram_is_read_back_whole() {
        let mut latency = Latency::new();
        latency.record(Stage::ReceivedToAcked, 5_000, 10);
        latency.record(Stage::ReceivedToAcked, 9_000_000, 1);
        let bytes = STANDARD.decode(latency.encoded(Stage::ReceivedToAcked)).unwrap();
        let read: Histogram<u64> =
            hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(&read, latency.stage(Stage::ReceivedToAcked));
    }

    #[test]
    fn stages_are_listed_in_the_order_of_their_index() {
        for (index, stage) in STAGES.into_iter().enumerate() {
            assert_eq!(stage as usize, index);
        }
    }
}
