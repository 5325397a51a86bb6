//! Queue attributes: what a queue is set to. Source: SetQueueAttributes and CreateQueue.

use std::collections::BTreeMap;

use super::error::ApiError;

/// The attributes of a queue that change what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub visibility_s: u32,
    pub delay_s: u32,
    pub wait_s: u32,
    pub retention_s: u32,
    pub message_bytes_max: usize,
    pub fifo: bool,
    pub content_dedup: bool,
    /// Name of the dead-letter queue and `maxReceiveCount`.
    pub redrive: Option<(String, u32)>,
    /// Attributes that are only kept: policies, keys.
    pub other: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            visibility_s: 30,
            delay_s: 0,
            wait_s: 0,
            retention_s: 345_600,
            message_bytes_max: super::message::MESSAGE_BYTES_MAX,
            fifo: false,
            content_dedup: false,
            redrive: None,
            other: BTreeMap::new(),
        }
    }
}

/// Account of every queue.
pub(crate) const ACCOUNT: &str = "000000000000";

impl Settings {
    /// Sets one attribute.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        let number = |min: u32, max: u32| {
            value.parse::<u32>().ok().filter(|number| (min..=max).contains(number)).ok_or_else(|| {
                ApiError::new("InvalidAttributeValue", format!("Invalid value for the parameter {name}."))
            })
        };
        match name {
            "VisibilityTimeout" => self.visibility_s = number(0, 43_200)?,
            "DelaySeconds" => self.delay_s = number(0, 900)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_s = number(0, 20)?,
            "MessageRetentionPeriod" => self.retention_s = number(60, 1_209_600)?,
            "MaximumMessageSize" => self.message_bytes_max = number(1024, 1 << 20)? as usize,
            "FifoQueue" => self.fifo = value == "true",
            "ContentBasedDeduplication" => self.content_dedup = value == "true",
            "RedrivePolicy" => self.redrive = redrive(value)?,
            "Policy"
            | "RedriveAllowPolicy"
            | "KmsMasterKeyId"
            | "KmsDataKeyReusePeriodSeconds"
            | "SqsManagedSseEnabled"
            | "DeduplicationScope"
            | "FifoThroughputLimit" => {
                self.other.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(ApiError::new("InvalidAttributeName", format!("Unknown Attribute {name}."))),
        }
        Ok(())
    }

    /// All attributes that are settings, as GetQueueAttributes shows them.
    pub(crate) fn shown(&self) -> Vec<(String, String)> {
        let mut shown = vec![
            ("VisibilityTimeout".to_owned(), self.visibility_s.to_string()),
            ("DelaySeconds".to_owned(), self.delay_s.to_string()),
            ("ReceiveMessageWaitTimeSeconds".to_owned(), self.wait_s.to_string()),
            ("MessageRetentionPeriod".to_owned(), self.retention_s.to_string()),
            ("MaximumMessageSize".to_owned(), self.message_bytes_max.to_string()),
        ];
        if self.fifo {
            shown.push(("FifoQueue".to_owned(), "true".to_owned()));
            shown.push(("ContentBasedDeduplication".to_owned(), self.content_dedup.to_string()));
        }
        if let Some((name, count)) = &self.redrive {
            let policy = serde_json::json!({ "deadLetterTargetArn": arn(name), "maxReceiveCount": count });
            shown.push(("RedrivePolicy".to_owned(), policy.to_string()));
        }
        shown.extend(self.other.iter().map(|(name, value)| (name.clone(), value.clone())));
        shown
    }
}

/// ARN of a queue.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{name}")
}

fn redrive(value: &str) -> Result<Option<(String, u32)>, ApiError> {
    if value.is_empty() {
        return Ok(None);
    }
    let invalid =
        || ApiError::invalid_parameter(format!("Value {value} for parameter RedrivePolicy is invalid."));
    let policy: serde_json::Value = serde_json::from_str(value).map_err(|_| invalid())?;
    let target =
        policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next()).ok_or_else(invalid)?;
    let count = &policy["maxReceiveCount"];
    let count =
        count.as_u64().or_else(|| count.as_str().and_then(|text| text.parse().ok())).ok_or_else(invalid)?;
    let count = u32::try_from(count).ok().filter(|count| (1..=1000).contains(count)).ok_or_else(invalid)?;
    Ok(Some((target.to_owned(), count)))
}
