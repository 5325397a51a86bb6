//! Who is told about alerts: the log, web hooks, SNS topics.
//!
//! Each receiver has a bounded queue and a task of its own, so that one that does not answer delays no other. A
//! delivery that fails is tried again with growing pauses and then given up; that is counted, logged and shown, and
//! a rule watches the count.

pub(crate) mod sns;
pub(crate) mod target;
pub(crate) mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;
use utoipa::ToSchema;

use self::sns::Topic;
use self::webhook::Hook;
use super::alerts::rule::Severity;
use super::alerts::{Notice, NoticeKind};

/// Notices that may wait for one receiver.
const QUEUE_MAX: usize = 64;
/// Tries of one notice.
const TRIES_MAX: u32 = 6;
/// Pause after the first failure; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Longest text of an error that is kept.
const ERROR_CHARS_MAX: usize = 300;

/// Why a delivery failed, and whether another try can help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In one sentence, without secrets.
    pub(crate) text: String,
    /// Whether to try again.
    pub(crate) passing: bool,
}

impl Failure {
    /// One that another try may mend.
    pub(crate) fn passing(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), passing: true }
    }

    /// One that stays.
    pub(crate) fn lasting(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), passing: false }
    }
}

/// How a receiver does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Deliveries {
    /// Notices that arrived.
    pub(crate) delivered: u64,
    /// Notices that were given up.
    pub(crate) failed: u64,
    /// Notices for which the queue had no room.
    pub(crate) dropped: u64,
    /// Tries that failed and were followed by another.
    pub(crate) retried: u64,
    /// Notices in a row that did not arrive.
    pub(crate) failed_in_a_row: u64,
    /// What the last failure was.
    pub(crate) last_error: Option<String>,
    /// When a notice last arrived, milliseconds since 1970.
    pub(crate) last_delivered_ms: Option<i64>,
}

/// Where a receiver is.
#[derive(Debug)]
pub(crate) enum Way {
    /// A web hook.
    Hook(Hook),
    /// An SNS topic.
    Topic(Topic),
}

impl Way {
    /// `webhook` or `sns`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Way::Hook(_) => "webhook",
            Way::Topic(_) => "sns",
        }
    }

    async fn deliver(&self, notice: &Notice) -> Result<(), Failure> {
        match self {
            Way::Hook(hook) => hook.deliver(notice).await,
            Way::Topic(topic) => topic.deliver(notice).await,
        }
    }
}

/// One receiver, as the watch holds it.
#[derive(Debug)]
struct Receiver {
    name: String,
    kind: &'static str,
    pages_only: bool,
    queue: mpsc::Sender<Notice>,
    deliveries: Arc<Mutex<Deliveries>>,
}

/// All receivers.
#[derive(Debug, Default)]
pub(crate) struct Notifiers {
    receivers: Vec<Receiver>,
}

/// A receiver as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReceiverShown)]
pub(crate) struct Shown {
    /// Its name.
    pub(crate) name: String,
    /// `webhook` or `sns`.
    pub(crate) kind: &'static str,
    /// Whether it is told pages only.
    pub(crate) pages_only: bool,
    /// How it does.
    pub(crate) deliveries: Deliveries,
}

impl Notifiers {
    /// Adds a receiver and starts its task; to be called within the runtime.
    pub(crate) fn add(&mut self, name: &str, pages_only: bool, way: Way) {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let deliveries = Arc::new(Mutex::new(Deliveries::default()));
        let kind = way.kind();
        tokio::spawn(work(name.to_owned(), way, waiting, Arc::clone(&deliveries), PAUSE));
        self.receivers.push(Receiver { name: name.to_owned(), kind, pages_only, queue, deliveries });
    }

    /// Tells everybody, and never waits.
    pub(crate) fn tell(&self, notice: &Notice) {
        log(notice);
        for receiver in &self.receivers {
            let wanted = !receiver.pages_only
                || notice.alert.severity == Severity::Page
                || notice.kind == NoticeKind::Test;
            if wanted && receiver.queue.try_send(notice.clone()).is_err() {
                change(&receiver.deliveries, |deliveries| {
                    deliveries.dropped += 1;
                    deliveries.failed_in_a_row += 1;
                });
                tracing::warn!(
                    event = "notice_dropped",
                    receiver = receiver.name,
                    rule = notice.alert.key.rule,
                    "a notice was dropped: {QUEUE_MAX} wait for this receiver already"
                );
            }
        }
    }

    /// How each receiver does.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let of = |receiver: &Receiver| Shown {
            name: receiver.name.clone(),
            kind: receiver.kind,
            pages_only: receiver.pages_only,
            deliveries: receiver.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        self.receivers.iter().map(of).collect()
    }

    /// Notices in a row that did not arrive, of the worst receiver.
    pub(crate) fn failed_in_a_row(&self) -> u64 {
        self.shown().iter().map(|shown| shown.deliveries.failed_in_a_row).max().unwrap_or(0)
    }
}

fn change(deliveries: &Mutex<Deliveries>, change: impl FnOnce(&mut Deliveries)) {
    change(&mut deliveries.lock().unwrap_or_else(PoisonError::into_inner));
}

/// The log is told first: it is there when nothing else is.
fn log(notice: &Notice) {
    let alert = &notice.alert;
    let (rule, subject) = (&alert.key.rule, &alert.key.subject);
    let (severity, text) = (alert.severity.as_str(), &alert.description);
    match notice.kind {
        NoticeKind::Resolved => {
            tracing::info!(
                event = "alert_resolved",
                rule,
                subject,
                severity,
                "{} is over: {text}",
                alert.summary
            );
        }
        NoticeKind::Test => tracing::info!(event = "alert_test", rule, severity, "{text}"),
        NoticeKind::Firing | NoticeKind::Reminder => {
            let runbook = &alert.runbook;
            tracing::warn!(
                event = "alert_firing",
                rule,
                subject,
                severity,
                runbook,
                "{} {text}",
                alert.summary
            );
        }
    }
}

/// Delivers to one receiver until the watch is gone.
async fn work(
    name: String,
    way: Way,
    mut waiting: mpsc::Receiver<Notice>,
    deliveries: Arc<Mutex<Deliveries>>,
    pause: Duration,
) {
    while let Some(notice) = waiting.recv().await {
        let outcome = persist(&way, &notice, &deliveries, pause).await;
        change(&deliveries, |deliveries| match &outcome {
            Ok(()) => {
                deliveries.delivered += 1;
                deliveries.failed_in_a_row = 0;
                deliveries.last_delivered_ms = Some(crate::store::now_ms());
            }
            Err(failure) => {
                deliveries.failed += 1;
                deliveries.failed_in_a_row += 1;
                deliveries.last_error = Some(failure.text.chars().take(ERROR_CHARS_MAX).collect());
            }
        });
        if let Err(failure) = outcome {
            tracing::warn!(
                event = "notice_failed",
                receiver = name,
                rule = notice.alert.key.rule,
                reason = failure.text,
                "a notice could not be delivered and was given up"
            );
        }
    }
}

async fn persist(
    way: &Way,
    notice: &Notice,
    deliveries: &Mutex<Deliveries>,
    pause: Duration,
) -> Result<(), Failure> {
    let mut tries = 1;
    loop {
        match way.deliver(notice).await {
            Err(failure) if failure.passing && tries < TRIES_MAX => {
                change(deliveries, |deliveries| deliveries.retried += 1);
                sleep(wait(pause, tries)).await;
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Doubles with each try; half of it is left to chance, so that receivers are not asked in step.
fn wait(pause: Duration, tries: u32) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let whole = pause.saturating_mul(1 << (tries - 1).min(16)).min(PAUSE_MAX);
    let chance = RandomState::new().hash_one(tries) as f64 / u64::MAX as f64;
    whole.mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests;
