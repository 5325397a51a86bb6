//! What goes wrong with a cluster, as a fault, a sentence and a remedy: Kafka's codes by a table.
//!
//! Pure.

use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::exit;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What was asked for cannot be.
    Invalid,
    /// There is nothing of this name.
    Missing,
    /// There is one of this name already.
    Exists,
    /// It contradicts what is there.
    Conflict,
    /// The cluster refuses: login, certificate or rights.
    Refused,
    /// Nobody answers, or not in time.
    Unreachable,
    /// The cluster cannot do it.
    Unsupported,
    /// Too much is asked at a time.
    Busy,
    /// The configuration cannot work.
    Setting,
    /// A bug of Millrace.
    Bug,
}

/// What is wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) fault: Fault,
    pub(crate) text: String,
    pub(crate) remedy: String,
}

impl Trouble {
    pub(crate) fn new(fault: Fault, text: impl Into<String>, remedy: impl Into<String>) -> Trouble {
        Trouble { fault, text: text.into(), remedy: remedy.into() }
    }

    /// Exit code of a check that found this.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.fault {
            Fault::Refused => exit::REFUSED,
            Fault::Unreachable | Fault::Busy => exit::UNREACHABLE,
            Fault::Bug => exit::BUG,
            _ => exit::CONFIG,
        }
    }

    // long: one table
    /// A code of Kafka or of librdkafka; `what` begins the sentence, for example "topic orders".
    pub(crate) fn of_code(code: RDKafkaErrorCode, what: &str, said: Option<&str>) -> Trouble {
        use RDKafkaErrorCode as Code;
        let (fault, text, remedy) = match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                (Fault::Missing, "there is no such topic or partition", "list the topics; check the name")
            }
            Code::UnknownGroup | Code::GroupIdNotFound => {
                (Fault::Missing, "there is no such consumer group", "list the groups; check the name")
            }
            Code::TopicAlreadyExists => {
                (Fault::Exists, "there is one already", "choose another name, or alter that one")
            }
            Code::InvalidTopic => (
                Fault::Invalid,
                "Kafka does not take the name",
                "use 1 to 249 of letters, digits, '.', '_' and '-'",
            ),
            Code::InvalidPartitions => (
                Fault::Invalid,
                "Kafka does not take the number of partitions",
                "give at least 1, and more than there are",
            ),
            Code::InvalidReplicationFactor | Code::InvalidReplicaAssignment => (
                Fault::Invalid,
                "Kafka does not take the replication",
                "give at most as many replicas as there are brokers",
            ),
            Code::InvalidConfig | Code::InvalidRequest | Code::InvalidArgument => {
                (Fault::Invalid, "Kafka does not take a setting", "check name and value of each config")
            }
            Code::PolicyViolation => {
                (Fault::Refused, "a policy of the cluster forbids it", "ask whoever runs the cluster")
            }
            Code::TopicAuthorizationFailed => (
                Fault::Refused,
                "the right is missing",
                "allow the operation on the topic to the user of kafka.security (kafka-acls.sh --add)",
            ),
            Code::GroupAuthorizationFailed => (
                Fault::Refused,
                "the right to describe the group is missing",
                "allow Describe on the group to the user of kafka.security",
            ),
            Code::ClusterAuthorizationFailed => (
                Fault::Refused,
                "the right on the cluster is missing",
                "allow Create, Alter or DescribeConfigs on the cluster to the user of kafka.security",
            ),
            Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => (
                Fault::Refused,
                "the brokers refuse the login",
                "check kafka.security: protocol, mechanism, username, password, certificates",
            ),
            Code::NotController | Code::ReassignmentInProgress | Code::InProgress | Code::Conflict => {
                (Fault::Conflict, "the cluster is busy with another change", "try again in a moment")
            }
            Code::UnsupportedVersion | Code::UnsupportedFeature | Code::NotImplemented => {
                (Fault::Unsupported, "the brokers cannot do it", "it needs newer brokers")
            }
            Code::TopicDeletionDisabled => (
                Fault::Refused,
                "the cluster does not delete topics",
                "set delete.topic.enable=true on the brokers",
            ),
            Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
                (Fault::Unreachable, "no answer in time", "look at the brokers; try again")
            }
            _ => (Fault::Unreachable, "the cluster refuses", "look at the brokers; try again"),
        };
        let said = said.filter(|said| !said.is_empty()).map_or_else(|| code.to_string(), str::to_owned);
        Trouble::new(fault, format!("{what}: {text}: {said}"), remedy)
    }

    /// An error of the crate; `what` begins the sentence.
    pub(crate) fn of_error(error: &KafkaError, what: &str) -> Trouble {
        match error {
            // The one variant whose code the crate does not give.
            KafkaError::AdminOp(code) => Trouble::of_code(*code, what, None),
            KafkaError::AdminOpCreation(text) => {
                Trouble::new(Fault::Invalid, format!("{what}: {text}"), "correct the request")
            }
            other => match other.rdkafka_error_code() {
                Some(code) => Trouble::of_code(code, what, None),
                None => Trouble::new(Fault::Unreachable, format!("{what}: {other}"), "try again"),
            },
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.text, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_faults_with_a_remedy_and_the_brokers_own_words() {
        for (code, fault) in [
            (RDKafkaErrorCode::UnknownTopicOrPartition, Fault::Missing),
            (RDKafkaErrorCode::TopicAlreadyExists, Fault::Exists),
            (RDKafkaErrorCode::InvalidReplicationFactor, Fault::Invalid),
            (RDKafkaErrorCode::TopicAuthorizationFailed, Fault::Refused),
            (RDKafkaErrorCode::PolicyViolation, Fault::Refused),
            (RDKafkaErrorCode::UnsupportedVersion, Fault::Unsupported),
            (RDKafkaErrorCode::RequestTimedOut, Fault::Unreachable),
            (RDKafkaErrorCode::KafkaStorageError, Fault::Unreachable),
        ] {
            let trouble = Trouble::of_code(code, "topic orders", None);
            assert_eq!(trouble.fault, fault, "{code}");
            assert!(trouble.text.starts_with("topic orders: ") && !trouble.remedy.is_empty(), "{trouble}");
        }
        let said = Trouble::of_code(
            RDKafkaErrorCode::InvalidConfig,
            "topic t",
            Some("Invalid value x for retention.ms"),
        );
        assert!(said.text.ends_with("Invalid value x for retention.ms"), "{said}");
    }

    #[test]
    fn an_admin_error_keeps_its_code() {
        let trouble = Trouble::of_error(&KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation), "topic t");
        assert_eq!(trouble.fault, Fault::Refused);
        assert_eq!(trouble.exit_code(), exit::REFUSED);
    }
}
