//! An SNS topic: a notice as a message with a short subject.
//!
//! By the AWS SDK with the default credential chain, in the region of the topic's ARN.

use aws_config::{BehaviorVersion, Region};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::{DisplayErrorContext, SdkError};
use dataplane::config::Sns;

use super::Failure;
use crate::watch::alerts::{Notice, NoticeKind};

/// Longest subject. Source: SNS, Publish: "up to 100 characters long", ASCII, no line breaks.
const SUBJECT_CHARS_MAX: usize = 100;

/// An SNS topic that is told.
#[derive(Debug)]
pub(crate) struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// Sets the client up; nothing is asked yet.
    pub(crate) async fn new(config: &Sns) -> Topic {
        let region = config.topic_arn.split(':').nth(3).unwrap_or_default().to_owned();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region))
            .http_client(crate::aws::https_client());
        if let Some(endpoint) = &config.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        Topic { client: Client::new(&loader.load().await), arn: config.topic_arn.clone() }
    }

    /// Tells it once.
    ///
    /// # Errors
    /// It did not arrive.
    pub(super) async fn deliver(&self, notice: &Notice) -> Result<(), Failure> {
        let text =
            serde_json::to_string_pretty(notice).map_err(|error| Failure::lasting(error.to_string()))?;
        let sent =
            self.client.publish().topic_arn(&self.arn).subject(subject(notice)).message(text).send().await;
        sent.map(drop).map_err(|error| {
            let text = DisplayErrorContext(&error).to_string();
            // A refusal of the caller's making stays one: rights, a topic that is not there.
            let lasting = matches!(&error, SdkError::ServiceError(refusal) if refusal.raw().status().as_u16() < 500
                && refusal.raw().status().as_u16() != 429);
            if lasting { Failure::lasting(text) } else { Failure::passing(text) }
        })
    }
}

fn subject(notice: &Notice) -> String {
    let word = match notice.kind {
        NoticeKind::Firing => "FIRING",
        NoticeKind::Reminder => "STILL FIRING",
        NoticeKind::Resolved => "resolved",
        NoticeKind::Test => "test",
    };
    let key = &notice.alert.key;
    let whole = format!("[{word}] {} {} {}", notice.alert.severity.as_str(), key.rule, key.subject);
    // A subject begins with a printable character and has no others than ASCII.
    whole.trim_end().chars().filter(|letter| (' '..='~').contains(letter)).take(SUBJECT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::notice;
    use super::*;

    #[test]
    fn a_subject_is_short_ascii_and_says_what_matters_first() {
        let mut notice = notice(NoticeKind::Firing);
        assert_eq!(subject(&notice), "[FIRING] page breaker-open orders");
        notice.alert.key.subject = format!("ö\n{}", "x".repeat(200));
        let long = subject(&notice);
        assert!(long.is_ascii() && !long.contains('\n') && long.len() == SUBJECT_CHARS_MAX, "{long}");
    }
}
