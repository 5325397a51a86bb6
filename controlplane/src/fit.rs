//! Fits record batches to the limits of their topics before the shards start.
//!
//! A broker refuses a batch larger than its topic's `max.message.bytes` whole, although every record in it may be
//! legal. The data plane finds its way out of that by itself, with smaller batches; here it is spared the way. A
//! cluster that does not answer, or does not let its settings be read, changes nothing.

use std::thread;
use std::time::Duration;

use dataplane::config::{Bytes, Config};

use crate::check;

/// Time for the settings of one topic: a start is not held up for longer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Smallest batch that is asked for, as in the configuration.
const BATCH_BYTES_MIN: u64 = 1 << 10;

/// Lowers `kafka.batch_bytes_max` of each pipeline to what its topics take.
pub(crate) fn fit_batches(config: &mut Config) {
    thread::scope(|scope| {
        for pipeline in &mut config.pipeline {
            scope.spawn(|| {
                let Some(limit) = check::kafka::message_bytes_max(pipeline, ANSWER_MAX) else { return };
                if let Some(fitting) = fitting(pipeline.kafka.batch_bytes_max.0, limit) {
                    tracing::info!(
                        event = "batches_fitted",
                        pipeline = pipeline.name,
                        max_message_bytes = limit,
                        batch_bytes_max = fitting,
                        "a topic takes smaller batches than kafka.batch_bytes_max"
                    );
                    pipeline.kafka.batch_bytes_max = Bytes(fitting);
                }
            });
        }
    });
}

/// The batch size for topics that take `limit`, when it is below the configured one.
fn fitting(configured: u64, limit: u64) -> Option<u64> {
    (limit < configured).then(|| limit.max(BATCH_BYTES_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_only_ever_made_smaller() {
        assert_eq!(fitting(1_000_000, 1_048_588), None);
        assert_eq!(fitting(1_000_000, 200_000), Some(200_000));
        assert_eq!(fitting(1_000_000, 10), Some(1_024));
    }
}
