//! A queue's attributes as plain values. What is missing stays unknown. Source: GetQueueAttributes.
//!
//! Pure.

use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Attributes;

/// Settings of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct QueueSettings {
    /// `QueueArn`.
    pub(crate) arn: Option<String>,
    /// `FifoQueue`.
    pub(crate) fifo: bool,
    /// `VisibilityTimeout`, seconds.
    #[schema(example = 30)]
    pub(crate) visibility_timeout_s: Option<u64>,
    /// `MessageRetentionPeriod`, seconds.
    #[schema(example = 345600)]
    pub(crate) retention_s: Option<u64>,
    /// `MaximumMessageSize`, bytes.
    pub(crate) message_bytes_max: Option<u64>,
    /// `DelaySeconds`.
    pub(crate) delay_s: Option<u64>,
    /// `ReceiveMessageWaitTimeSeconds`.
    pub(crate) wait_time_s: Option<u64>,
    /// `CreatedTimestamp`, seconds since 1970.
    pub(crate) created_s: Option<u64>,
    /// `LastModifiedTimestamp`, seconds since 1970.
    pub(crate) changed_s: Option<u64>,
    /// `kms`, `sqs` or `none`: how messages are encrypted at rest.
    #[schema(example = "sqs")]
    pub(crate) encryption: &'static str,
}

/// How much is in a queue; approximate, as SQS says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DepthView {
    /// `ApproximateNumberOfMessages`.
    pub(crate) visible: Option<u64>,
    /// `ApproximateNumberOfMessagesNotVisible`.
    pub(crate) in_flight: Option<u64>,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub(crate) delayed: Option<u64>,
}

/// A redrive policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Redrive {
    /// `deadLetterTargetArn`.
    #[schema(example = "arn:aws:sqs:eu-west-1:123456789012:orders-dead")]
    pub(crate) target_arn: String,
    /// `maxReceiveCount`.
    #[schema(example = 5)]
    pub(crate) receive_count_max: Option<u64>,
}

impl Redrive {
    /// Account and name of the queue that the ARN names.
    pub(crate) fn account_and_name(&self) -> Option<(&str, &str)> {
        let parts: Vec<&str> = self.target_arn.split(':').collect();
        match parts[..] {
            ["arn", _, "sqs", _, account, name] if !name.is_empty() => Some((account, name)),
            _ => None,
        }
    }
}

pub(super) fn settings(found: &Attributes) -> QueueSettings {
    let number = |name: Name| number(found, &name);
    let encryption = if found.get(&Name::KmsMasterKeyId).is_some_and(|key| !key.is_empty()) {
        "kms"
    } else if found.get(&Name::SqsManagedSseEnabled).map(String::as_str) == Some("true") {
        "sqs"
    } else {
        "none"
    };
    QueueSettings {
        arn: found.get(&Name::QueueArn).cloned(),
        fifo: found.get(&Name::FifoQueue).map(String::as_str) == Some("true"),
        visibility_timeout_s: number(Name::VisibilityTimeout),
        retention_s: number(Name::MessageRetentionPeriod),
        message_bytes_max: number(Name::MaximumMessageSize),
        delay_s: number(Name::DelaySeconds),
        wait_time_s: number(Name::ReceiveMessageWaitTimeSeconds),
        created_s: number(Name::CreatedTimestamp),
        changed_s: number(Name::LastModifiedTimestamp),
        encryption,
    }
}

pub(super) fn depth(found: &Attributes) -> DepthView {
    DepthView {
        visible: number(found, &Name::ApproximateNumberOfMessages),
        in_flight: number(found, &Name::ApproximateNumberOfMessagesNotVisible),
        delayed: number(found, &Name::ApproximateNumberOfMessagesDelayed),
    }
}

pub(super) fn redrive(found: &Attributes) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(found.get(&Name::RedrivePolicy)?).ok()?;
    // AWS itself writes the count as a number or as a string, as it was given.
    let count = &policy["maxReceiveCount"];
    Some(Redrive {
        target_arn: policy["deadLetterTargetArn"].as_str()?.to_owned(),
        receive_count_max: count.as_u64().or_else(|| count.as_str()?.parse().ok()),
    })
}

fn number(found: &Attributes, name: &Name) -> Option<u64> {
    found.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sqs_does_not_say_stays_unknown() {
        let none = Attributes::new();
        assert_eq!(settings(&none), QueueSettings { encryption: "none", ..QueueSettings::default() });
        assert_eq!((depth(&none), redrive(&none)), (DepthView::default(), None));
        let odd = Attributes::from([
            (Name::VisibilityTimeout, "soon".to_owned()),
            (Name::RedrivePolicy, "{}".to_owned()),
            (Name::KmsMasterKeyId, "alias/aws/sqs".to_owned()),
        ]);
        assert_eq!((settings(&odd).visibility_timeout_s, settings(&odd).encryption), (None, "kms"));
        assert_eq!(redrive(&odd), None);
    }

    #[test]
    fn an_arn_names_account_and_queue() {
        let policy = |arn: &str| Redrive { target_arn: arn.to_owned(), receive_count_max: None };
        assert_eq!(
            policy("arn:aws:sqs:eu-west-1:123456789012:orders-dead").account_and_name(),
            Some(("123456789012", "orders-dead"))
        );
        for arn in ["", "arn:aws:sns:eu-west-1:1:t", "arn:aws:sqs:eu-west-1:1:", "orders-dead"] {
            assert_eq!(policy(arn).account_and_name(), None, "{arn}");
        }
    }
}
