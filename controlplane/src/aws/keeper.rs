//! Keeps one pipeline in credentials and queue facts for as long as it runs.
//!
//! One task for each pipeline. Old credentials stay in use until new ones arrive. While AWS cannot be asked the
//! pipeline is not ready and says why; nothing here ever ends the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_sqs::types::QueueAttributeName;
use dataplane::control::{self, Command, QueueFacts};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::Access;
use super::explain::{self, Trouble};
use crate::board::{Board, Depth};

/// How often a queue's attributes are read: its settings rarely change, its depth is a gauge.
const FACTS_EVERY: Duration = Duration::from_secs(60);
/// Credentials are renewed this long before they expire. Instance metadata has new ones 5 minutes before.
const RENEW_BEFORE: Duration = Duration::from_secs(240);
/// Shortest time between two fetches, whoever asks.
const FETCH_EVERY_MIN: Duration = Duration::from_secs(10);
/// Pauses between tries while AWS cannot be asked: doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Keeps one pipeline supplied.
pub(crate) struct Keeper {
    /// Name of the pipeline.
    pub(crate) pipeline: String,
    /// How its queue is reached.
    pub(crate) access: Access,
    /// Where troubles and depths are shown.
    pub(crate) board: Arc<Board>,
    /// What goes down to the shards.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Rung when a shard asks for credentials.
    pub(crate) asked: Arc<Notify>,
}

impl Keeper {
    /// Runs until the pipeline is gone, or the receiver of the commands.
    pub(crate) async fn run(self) {
        let mut client: Option<(aws_sdk_sqs::Client, SystemTime)> = None;
        let mut pause = PAUSE_MIN;
        let mut renew_at = Instant::now();
        let mut facts_at = Instant::now();
        let mut fetched_at: Option<Instant> = None;
        let mut reached = false;
        loop {
            let due = renew_at.min(if client.is_some() { facts_at } else { renew_at });
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.asked.notified() => {
                    // A refused request wants fresh ones at once, but many refused requests want them once.
                    renew_at = fetched_at.map_or_else(Instant::now, |at| at + FETCH_EVERY_MIN);
                }
                () = self.commands.closed() => return,
            }
            if !self.board.has_pipeline(&self.pipeline) {
                return;
            }
            if Instant::now() >= renew_at {
                fetched_at = Some(Instant::now());
                match self.access.credentials().await {
                    Ok(credentials) => {
                        let expiry = credentials.expiry();
                        self.send(Command::Credentials {
                            pipeline: self.pipeline.clone(),
                            credentials: down(&credentials),
                        })
                        .await;
                        tracing::info!(event = "credentials", pipeline = %self.pipeline, expires_in_s = expiry.map(|at| left(at).as_secs()), "AWS credentials fetched");
                        client = Some((
                            self.access.sqs(credentials),
                            expiry.unwrap_or(SystemTime::UNIX_EPOCH + FAR),
                        ));
                        renew_at = Instant::now() + renewal(expiry.map(left));
                        facts_at = facts_at.min(Instant::now());
                    }
                    Err(error) => {
                        let trouble = explain::no_credentials(&self.access, &error);
                        // Old ones that are still good keep the pipeline going.
                        let still_good = client.as_ref().is_some_and(|(_, expiry)| !left(*expiry).is_zero());
                        self.tell(&trouble, !still_good);
                        renew_at = Instant::now() + next(&mut pause);
                        continue;
                    }
                }
            }
            if let Some((sqs, _)) = &client
                && Instant::now() >= facts_at
            {
                facts_at = match self.read_facts(sqs, &mut reached).await {
                    Ok(()) => {
                        pause = PAUSE_MIN;
                        Instant::now() + FACTS_EVERY
                    }
                    Err(trouble) => {
                        self.tell(&trouble, true);
                        Instant::now() + next(&mut pause)
                    }
                };
            }
        }
    }

    /// Asks for the queue's attributes; says so in the log the first time and after a trouble.
    async fn read_facts(&self, sqs: &aws_sdk_sqs::Client, reached: &mut bool) -> Result<(), Trouble> {
        let answer = sqs
            .get_queue_attributes()
            .queue_url(&self.access.url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await;
        let answer =
            answer.map_err(|error| explain::of_call(&self.access, "sqs:GetQueueAttributes", &error))?;
        let (facts, depth) = facts_of(answer.attributes());
        self.board.asked_attributes(&self.pipeline);
        self.board.depth(&self.pipeline, depth);
        if self.board.trouble(&self.pipeline, None) || !*reached {
            *reached = true;
            tracing::info!(event = "queue_reached", pipeline = %self.pipeline, "SQS answers");
        }
        self.send(Command::QueueFacts { pipeline: self.pipeline.clone(), facts }).await;
        Ok(())
    }

    /// Logs a trouble when it is news, and shows it when it keeps the pipeline from its work.
    fn tell(&self, trouble: &Trouble, shown: bool) {
        if !shown || self.board.trouble(&self.pipeline, Some(&trouble.to_string())) {
            tracing::warn!(event = "aws_trouble", pipeline = %self.pipeline, remedy = %trouble.remedy, "{}", trouble.text);
        }
    }

    async fn send(&self, command: Command) {
        // Closed only when the process ends, which the loop sees next.
        let _ended = self.commands.send(command).await;
    }
}

/// Longer than any process lives, for credentials that do not expire.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

fn left(expiry: SystemTime) -> Duration {
    expiry.duration_since(SystemTime::now()).unwrap_or_default()
}

/// When credentials that live so long are renewed: well before the end, at half of a short life, never in a hurry.
fn renewal(left: Option<Duration>) -> Duration {
    match left {
        None => FAR,
        Some(left) => left.saturating_sub(RENEW_BEFORE).max(left / 2).max(FETCH_EVERY_MIN),
    }
}

/// The pause now; the next one is twice as long.
fn next(pause: &mut Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(PAUSE_MAX);
    now
}

fn down(credentials: &Credentials) -> control::Credentials {
    control::Credentials {
        access_key: credentials.access_key_id().to_owned(),
        secret_key: credentials.secret_access_key().to_owned().into(),
        session_token: credentials.session_token().map(|token| token.to_owned().into()),
    }
}

/// Settings and depth from a queue's attributes; what is missing or odd gets SQS's own default.
pub(crate) fn facts_of(attributes: Option<&HashMap<QueueAttributeName, String>>) -> (QueueFacts, Depth) {
    let text = |name: QueueAttributeName| attributes.and_then(|all| all.get(&name)).map(String::as_str);
    let number = |name: QueueAttributeName| text(name).and_then(|text| text.parse::<u64>().ok());
    let policy = text(QueueAttributeName::RedrivePolicy)
        .and_then(|policy| serde_json::from_str::<serde_json::Value>(policy).ok());
    // AWS itself writes the count as a number or as a string, as it was given.
    let receive_count_max = policy.as_ref().and_then(|policy| {
        let count = &policy["maxReceiveCount"];
        count.as_u64().or_else(|| count.as_str()?.parse().ok())
    });
    let facts = QueueFacts {
        fifo: text(QueueAttributeName::FifoQueue) == Some("true"),
        visibility_timeout_s: number(QueueAttributeName::VisibilityTimeout)
            .and_then(|n| n.try_into().ok())
            .unwrap_or(30),
        receive_count_max: receive_count_max.and_then(|count| count.try_into().ok()),
        message_bytes_max: number(QueueAttributeName::MaximumMessageSize)
            .and_then(|n| n.try_into().ok())
            .unwrap_or(1 << 20),
    };
    let depth = Depth {
        visible: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or(0),
        in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
        delayed: number(QueueAttributeName::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
    };
    (facts, depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_from_the_attributes_with_sqs_defaults_for_the_rest() {
        let (facts, _) = facts_of(None);
        assert_eq!(
            facts,
            QueueFacts {
                fifo: false,
                visibility_timeout_s: 30,
                receive_count_max: None,
                message_bytes_max: 1 << 20
            }
        );
        let attributes = HashMap::from([
            (QueueAttributeName::FifoQueue, "true".to_owned()),
            (QueueAttributeName::VisibilityTimeout, "120".to_owned()),
            (
                QueueAttributeName::RedrivePolicy,
                r#"{"deadLetterTargetArn":"a","maxReceiveCount":"5"}"#.to_owned(),
            ),
            (QueueAttributeName::MaximumMessageSize, "262144".to_owned()),
            (QueueAttributeName::ApproximateNumberOfMessages, "7".to_owned()),
        ]);
        let (facts, depth) = facts_of(Some(&attributes));
        assert_eq!(
            facts,
            QueueFacts {
                fifo: true,
                visibility_timeout_s: 120,
                receive_count_max: Some(5),
                message_bytes_max: 262_144
            }
        );
        assert_eq!(depth.visible, 7);
    }

    #[test]
    fn credentials_are_renewed_before_they_expire_and_never_in_a_hurry() {
        let seconds = Duration::from_secs;
        assert_eq!(renewal(Some(seconds(3600))), seconds(3360));
        assert_eq!(renewal(Some(seconds(300))), seconds(150));
        assert_eq!(renewal(Some(seconds(0))), seconds(10));
        assert!(renewal(None) > seconds(1 << 28));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut pause = PAUSE_MIN;
        let pauses: Vec<u64> = (0..8).map(|_| next(&mut pause).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
