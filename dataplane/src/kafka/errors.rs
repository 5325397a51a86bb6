//! What each Kafka and librdkafka error code calls for: class, stable name and remedy.
//!
//! Level 1, pure. The table knows every code of librdkafka 2.12.1; a test compares it with the
//! library's own list. A code that it does not know is retried, never dropped.

mod table;

use std::fmt;

use crate::error::Class;

/// What the table says about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// librdkafka's name without `RD_KAFKA_RESP_ERR_`, as in its logs; local codes begin with `_`.
    pub(crate) name: &'static str,
    /// What to do about it.
    pub(crate) class: Class,
    /// One sentence for the operator.
    pub(crate) remedy: &'static str,
}

/// Entry of a code that no table knows: broker and client may be newer than this list.
pub(crate) const UNKNOWN: Entry = Entry {
    name: "UNLISTED",
    class: Class::Retry,
    remedy: "This build does not know the code: look it up in Kafka's protocol guide and report it.",
};

/// Codes that the data path compares with. Source: librdkafka 2.12.1, rdkafka.h.
pub(crate) mod code {
    /// No error.
    pub(crate) const NO_ERROR: i32 = 0;
    /// Name look-up of a broker failed.
    pub(crate) const RESOLVE: i32 = -193;
    /// The connection failed.
    pub(crate) const TRANSPORT: i32 = -195;
    /// No broker is connected.
    pub(crate) const ALL_BROKERS_DOWN: i32 = -187;
    /// An argument is wrong.
    pub(crate) const INVALID_ARG: i32 = -186;
    /// The producer holds as many records as it may.
    pub(crate) const QUEUE_FULL: i32 = -184;
    /// No answer in time.
    pub(crate) const TIMED_OUT: i32 = -185;
    /// The TLS handshake failed.
    pub(crate) const SSL: i32 = -181;
    /// SASL refused us.
    pub(crate) const AUTHENTICATION: i32 = -169;
    /// Another record of the same batch was refused.
    pub(crate) const INVALID_DIFFERENT_RECORD: i32 = -138;
    /// The producer is unusable; the cause is another code.
    pub(crate) const FATAL: i32 = -150;
    /// The topic is not known to the cluster.
    pub(crate) const UNKNOWN_TOPIC_OR_PART: i32 = 3;
    /// A partition has no leader at the moment.
    pub(crate) const LEADER_NOT_AVAILABLE: i32 = 5;
    /// Record or batch is larger than the broker, or this client, accepts.
    pub(crate) const MSG_SIZE_TOO_LARGE: i32 = 10;
    /// Batch is larger than a log segment.
    pub(crate) const RECORD_LIST_TOO_LARGE: i32 = 18;
}

/// Looks a code up. Total: codes that nobody listed get [`Class::Retry`].
pub(crate) fn entry(code: i32) -> Entry {
    for group in table::GROUPS {
        for &(listed, name) in group.codes {
            if listed == code {
                return Entry { name, class: group.class, remedy: group.remedy };
            }
        }
    }
    UNKNOWN
}

/// All codes of the table, with their names.
#[cfg(test)]
pub(crate) fn listed() -> Vec<(i32, &'static str)> {
    table::GROUPS.iter().flat_map(|group| group.codes).copied().collect()
}

/// An error of the producer itself or of its connections, not of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KafkaError {
    /// Numeric code; local codes are negative.
    pub(crate) code: i32,
    /// What to do about it.
    pub(crate) class: Class,
    /// The producer that raised it cannot send any more: build a new one.
    pub(crate) fatal: bool,
    /// librdkafka's own sentence, or ours.
    pub(crate) text: String,
}

impl KafkaError {
    /// An error of this code with its class from the table.
    pub(crate) fn new(code: i32, text: impl Into<String>) -> KafkaError {
        KafkaError { code, class: entry(code).class, fatal: false, text: text.into() }
    }

    /// An error of the configuration: nothing but a change of it will help.
    pub(crate) fn config(text: impl Into<String>) -> KafkaError {
        KafkaError { code: code::INVALID_ARG, class: Class::Pause, fatal: false, text: text.into() }
    }

    /// Stable name of the code.
    pub(crate) fn name(&self) -> &'static str {
        entry(self.code).name
    }

    /// What the operator can do.
    pub(crate) fn remedy(&self) -> &'static str {
        entry(self.code).remedy
    }
}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}). {}", self.text.trim_end_matches('.'), self.name(), self.remedy())
    }
}

impl std::error::Error for KafkaError {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn class_of(name: &str) -> Class {
        let found = table::GROUPS.iter().find(|group| group.codes.iter().any(|&(_, listed)| listed == name));
        found.unwrap_or_else(|| panic!("{name} is not in the table")).class
    }

    #[test]
    fn only_errors_of_the_record_itself_reject_it() {
        let rejecting: HashSet<&str> = table::GROUPS
            .iter()
            .filter(|group| group.class == Class::Reject)
            .flat_map(|group| group.codes.iter().map(|&(_, name)| name))
            .collect();
        let expected = [
            "MSG_SIZE_TOO_LARGE",
            "INVALID_RECORD",
            "INVALID_TIMESTAMP",
            "_KEY_SERIALIZATION",
            "_VALUE_SERIALIZATION",
        ];
        assert_eq!(rejecting, HashSet::from(expected));
    }

    #[test]
    fn classes_follow_the_fault_catalogue() {
        for (name, class) in [
            ("_MSG_TIMED_OUT", Class::Release),
            ("TOPIC_AUTHORIZATION_FAILED", Class::Pause),
            ("CLUSTER_AUTHORIZATION_FAILED", Class::Pause),
            ("UNKNOWN_TOPIC_OR_PART", Class::Pause),
            ("_UNKNOWN_TOPIC", Class::Pause),
            ("_UNKNOWN_PARTITION", Class::Pause),
            ("UNSUPPORTED_FOR_MESSAGE_FORMAT", Class::Pause),
            ("POLICY_VIOLATION", Class::Pause),
            ("THROTTLING_QUOTA_EXCEEDED", Class::Throttled),
            ("_AUTHENTICATION", Class::Pause),
            ("_SSL", Class::Pause),
            ("INVALID_MSG", Class::Retry),
            ("NOT_LEADER_FOR_PARTITION", Class::Retry),
            ("NOT_ENOUGH_REPLICAS", Class::Retry),
            ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", Class::Retry),
            ("REQUEST_TIMED_OUT", Class::Retry),
            ("_INVALID_DIFFERENT_RECORD", Class::Retry),
            ("_PURGE_QUEUE", Class::Retry),
            ("_PURGE_INFLIGHT", Class::Retry),
            ("_QUEUE_FULL", Class::Retry),
            ("OUT_OF_ORDER_SEQUENCE_NUMBER", Class::Rebuild),
            ("UNKNOWN_PRODUCER_ID", Class::Rebuild),
            ("INVALID_PRODUCER_EPOCH", Class::Rebuild),
            ("_FATAL", Class::Rebuild),
            ("_DESTROY", Class::Rebuild),
            ("RECORD_LIST_TOO_LARGE", Class::Rebuild),
        ] {
            assert_eq!(class_of(name), class, "{name}");
        }
    }

    #[test]
    fn the_codes_compared_by_number_are_the_ones_meant() {
        for (number, name) in [
            (code::NO_ERROR, "NO_ERROR"),
            (code::RESOLVE, "_RESOLVE"),
            (code::TRANSPORT, "_TRANSPORT"),
            (code::ALL_BROKERS_DOWN, "_ALL_BROKERS_DOWN"),
            (code::INVALID_ARG, "_INVALID_ARG"),
            (code::QUEUE_FULL, "_QUEUE_FULL"),
            (code::TIMED_OUT, "_TIMED_OUT"),
            (code::SSL, "_SSL"),
            (code::AUTHENTICATION, "_AUTHENTICATION"),
            (code::INVALID_DIFFERENT_RECORD, "_INVALID_DIFFERENT_RECORD"),
            (code::FATAL, "_FATAL"),
            (code::UNKNOWN_TOPIC_OR_PART, "UNKNOWN_TOPIC_OR_PART"),
            (code::LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE"),
            (code::MSG_SIZE_TOO_LARGE, "MSG_SIZE_TOO_LARGE"),
            (code::RECORD_LIST_TOO_LARGE, "RECORD_LIST_TOO_LARGE"),
        ] {
            assert_eq!(entry(number).name, name);
        }
    }

    #[test]
    fn every_remedy_is_a_sentence() {
        for group in table::GROUPS {
            assert!(group.remedy.ends_with('.') && group.remedy.len() > 20, "{:?}", group.codes);
        }
        let error = KafkaError::new(code::SSL, "handshake failed.");
        assert!(error.to_string().starts_with("handshake failed (_SSL). "));
    }
}
