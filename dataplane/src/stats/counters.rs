//! Counters of one pipeline on one shard.
//!
//! Level 1, pure. Pairs of counters rather than gauges, so that a reader can always subtract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened to messages and requests since the process started.
        ///
        /// The conservation law: `received = delivered + rejected + filtered + released + lease_lost + in_flight`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        impl Counters {
            /// Adds the counters of another shard.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
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
    /// Messages held now: the lease table's own length, counted apart from the others.
    in_flight,
    /// Bytes held now by received batches.
    in_flight_bytes,
    /// Bytes of the bodies received.
    received_bytes,
    /// Bytes of the bodies delivered.
    delivered_bytes,
    /// Messages that came again while they were held; the earlier receive counts as `lease_lost`.
    redelivered_while_held,
    /// Messages in responses that had no handle or no id and could not be taken.
    unusable,
    /// Messages whose MD5 did not match; released.
    corrupt,
    /// ReceiveMessage calls answered.
    receives,
    /// ReceiveMessage calls that brought nothing.
    empty_receives,
    /// ReceiveMessage calls as SQS bills them: one for each 64 KiB of bodies begun, and one for an empty answer.
    receive_chunks,
    /// DeleteMessageBatch calls answered.
    deletes,
    /// Entries that a delete call refused.
    delete_entries_failed,
    /// ChangeMessageVisibilityBatch calls that extended leases.
    extends,
    /// Leases extended.
    leases_extended,
    /// ChangeMessageVisibilityBatch calls that gave messages back.
    release_calls,
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
    /// Reports of the present producer that named no record in flight; anything but 0 is a bug.
    unknown_reports,
    /// SQS connections opened.
    connections_opened,
    /// SQS responses or connections that failed.
    request_errors,
}

impl Counters {
    /// Received minus every way a message can end, minus what is held: 0 when the law holds.
    pub fn unaccounted(&self) -> i128 {
        let ended = self.delivered + self.rejected + self.filtered + self.released + self.lease_lost;
        i128::from(self.received) - i128::from(ended) - i128::from(self.in_flight)
    }
}

/// Occurrences by a closed set of codes; bounded, so that no peer can grow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codes(pub BTreeMap<String, u64>);

/// Distinct codes kept; the rest is counted as `other`.
const CODES_MAX: usize = 64;

impl Codes {
    /// Counts one occurrence.
    pub fn count(&mut self, code: &str) {
        if let Some(count) = self.0.get_mut(code) {
            *count += 1;
        } else {
            let code = if self.0.len() < CODES_MAX { code } else { "other" };
            *self.0.entry(code.to_owned()).or_default() += 1;
        }
    }

    /// Adds the codes of another shard.
    pub fn add(&mut self, other: &Codes) {
        for (code, count) in &other.0 {
            let code = if self.0.len() < CODES_MAX || self.0.contains_key(code) { code } else { "other" };
            *self.0.entry(code.to_owned()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_names_what_is_missing() {
        let mut counters =
            Counters { received: 10, delivered: 6, released: 1, in_flight: 3, ..Counters::default() };
        assert_eq!(counters.unaccounted(), 0);
        counters.in_flight = 2;
        assert_eq!(counters.unaccounted(), 1);
    }

    #[test]
    fn codes_stay_bounded() {
        let mut codes = Codes::default();
        for n in 0..1000 {
            codes.count(&format!("code{n}"));
        }
        assert_eq!(codes.0.len(), CODES_MAX + 1);
        assert_eq!(codes.0.values().sum::<u64>(), 1000);
    }
}
