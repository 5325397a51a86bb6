//! Figures of the data plane in the form that the API promises: what it shows does not change with the door.

use dataplane::control::State;
use dataplane::stats::{Counters, Percentiles};
use serde::Serialize;
use utoipa::ToSchema;

use crate::board::Depth;

/// State of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PipelineState {
    /// Waits for credentials, queue facts or its producer.
    Starting,
    /// Receives and delivers.
    Running,
    /// Told to stop receiving.
    Paused,
    /// Kafka or SQS refuses; nothing is received until a probe succeeds.
    Broken,
    /// Finishing before the end.
    Draining,
    /// Nothing is held any more and nothing will be received.
    Stopped,
}

impl From<State> for PipelineState {
    fn from(state: State) -> PipelineState {
        match state {
            State::Starting => PipelineState::Starting,
            State::Running => PipelineState::Running,
            State::Paused => PipelineState::Paused,
            State::Broken => PipelineState::Broken,
            State::Draining => PipelineState::Draining,
            State::Stopped => PipelineState::Stopped,
        }
    }
}

/// Depth of a queue, as SQS tells it; approximate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct QueueDepth {
    /// Messages that can be received.
    visible: u64,
    /// Messages that somebody holds.
    in_flight: u64,
    /// Messages that are not to be received yet.
    delayed: u64,
}

impl From<Depth> for QueueDepth {
    fn from(depth: Depth) -> QueueDepth {
        QueueDepth { visible: depth.visible, in_flight: depth.in_flight, delayed: depth.delayed }
    }
}

macro_rules! totals {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What happened to messages and requests since the process started. The conservation law:
        /// `received = delivered + rejected + filtered + released + lease_lost + in_flight`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
        pub(crate) struct Totals { $($(#[doc = $doc])* pub(crate) $name: u64,)* }

        impl From<&Counters> for Totals {
            fn from(counters: &Counters) -> Totals {
                Totals { $($name: counters.$name,)* }
            }
        }
    };
}

totals! {
    /// Messages received, redeliveries included.
    received,
    /// Messages acked by Kafka and deleted at SQS.
    delivered,
    /// Messages accepted by the dead-letter topic and deleted at SQS.
    rejected,
    /// Messages dropped on purpose by a rule and deleted.
    filtered,
    /// Messages given back to the queue.
    released,
    /// Messages whose visibility ran out first; SQS hands them out again.
    lease_lost,
    /// Messages held now.
    in_flight,
    /// Bytes held now.
    in_flight_bytes,
    /// Bytes of the bodies received.
    received_bytes,
    /// Bytes of the bodies delivered.
    delivered_bytes,
    /// Messages that came again while they were held.
    redelivered_while_held,
    /// Messages whose MD5 did not match; released.
    corrupt,
    /// ReceiveMessage calls answered.
    receives,
    /// ReceiveMessage calls that brought nothing.
    empty_receives,
    /// DeleteMessageBatch calls answered.
    deletes,
    /// Entries that a delete call refused.
    delete_entries_failed,
    /// Calls that extended leases.
    extends,
    /// Leases extended.
    leases_extended,
    /// Records handed to another shard's producer.
    handed_off,
    /// Records given to librdkafka, repeats and dead letters included.
    produced,
    /// Records given to librdkafka again after a passing error.
    produce_retries,
    /// Records that timed out after they may have been stored.
    ambiguous,
    /// Records accepted by the dead-letter topic.
    dead_lettered,
    /// Times the breaker opened.
    breaker_opened,
    /// Producers rebuilt after a fatal error.
    producer_rebuilds,
    /// SQS connections opened.
    connections_opened,
    /// SQS responses or connections that failed.
    request_errors,
}

/// Percentiles of one stage, microseconds; all 0 when nothing was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StagePercentiles {
    /// Values recorded.
    count: u64,
    /// Median.
    p50_us: u64,
    /// 90th percentile.
    p90_us: u64,
    /// 99th percentile.
    p99_us: u64,
    /// 99.9th percentile.
    p999_us: u64,
    /// Largest value.
    max_us: u64,
}

impl From<Percentiles> for StagePercentiles {
    fn from(of: Percentiles) -> StagePercentiles {
        StagePercentiles {
            count: of.count,
            p50_us: of.p50,
            p90_us: of.p90,
            p99_us: of.p99,
            p999_us: of.p999,
            max_us: of.max,
        }
    }
}
