//! The two-ledger oracle: judges a run, message by message, from what the SQS server wrote down and from
//! what an independent reader finds in Kafka.
//!
//! It knows nothing of the appliance but its promises. How early a delete before the ack is seen depends on
//! the evidence, and two rules are applied together:
//!
//! - **Append rule**, resolution 2 ms: on a topic with `message.timestamp.type=LogAppendTime` each record
//!   carries the leader's clock at its append, which on one machine is the clock of the SQS ledger too. A
//!   delete more than 2 ms older than the earliest append of its message came before the ack.
//! - **Watermark rule**, resolution one look of the [`Watch`] (about 25 ms): a look notes how long the SQS
//!   ledger is and *then* asks for the high watermarks, below which everything is on all replicas in sync.
//!   Every message deleted in that part of the ledger must have a record below them. An ack is never sent
//!   before the watermark passes the record, so that a late look excuses nothing and a right delete is never
//!   accused.
//!
//! Neither rule sees a delete between the append and the ack on one broker within its resolution; scenarios
//! that kill the appliance or the leader right there do.

mod duplicates;
mod order;
mod records;
#[cfg(test)]
mod tests;
mod totals;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fmt;

use bench::sqs::{Event, Kind, OutMessage};

use crate::reader::Record;

pub use duplicates::{Cause, Causes};
pub use records::KeyRule;
pub use totals::{Totals, check_totals};
pub use watch::{Look, Watch};

/// One message as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// MessageId as a number.
    pub id: u128,
    /// What was sent.
    pub message: OutMessage,
}

/// Everything that is known about a run.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Messages in the order in which they were sent.
    pub sent: Vec<Sent>,
    /// Ledger of the SQS server; `None` for a server that keeps none, whose queue was found empty.
    pub events: Option<Vec<Event>>,
    /// Wall time at the ledger's 0, milliseconds since 1970.
    pub ledger_began_ms: f64,
    /// Records of all topics.
    pub records: Vec<Record>,
    /// Topic of rejected messages.
    pub dead_letter: Option<String>,
    /// Whether the records' timestamps are the leader's append time rather than SentTimestamp.
    pub append_time: bool,
    /// Looks of a [`Watch`].
    pub looks: Vec<Look>,
    /// Where keys come from.
    pub key: KeyRule,
    /// When the appliance was killed, nanoseconds of the ledger.
    pub kills_ns: Vec<u64>,
    /// Whether the server was told to hand messages out again early.
    pub server_redelivers: bool,
    /// Whether Kafka was made to fail in ways that leave it open whether a record was stored.
    pub kafka_ambiguous: bool,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Sent, gone from the queue, in no topic.
    Lost(u128),
    /// Deleted before its record was acked; by how many milliseconds, as far as can be told.
    DeletedEarly(u128, i64),
    /// Its record differs from what was sent; what differs.
    Changed(u128, String),
    /// More records than causes.
    UnexplainedDuplicate(u128, usize),
    /// The first delivery of the second stands after that of the first's successor in the group.
    Overtaken(u128, u128),
    /// A group in two partitions.
    SplitGroup(String),
    /// A record that nobody sent.
    Stranger(String),
    /// A record in the dead-letter topic that does not tell why.
    NoReason(u128, String),
}

/// What the oracle found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Broken promises.
    pub findings: Vec<Finding>,
    /// Messages with a record in a main topic.
    pub delivered: usize,
    /// Messages with a record in the dead-letter topic only.
    pub rejected: usize,
    /// Messages that the server still has.
    pub queued: usize,
    /// Extra records, by cause.
    pub duplicates: Causes,
    /// Deletes that the append rule or the watermark rule could judge.
    pub deletes_judged: usize,
}

impl Verdict {
    /// Fails unless every promise was kept.
    ///
    /// # Errors
    /// The first findings, in words.
    pub fn clean(&self) -> anyhow::Result<&Verdict> {
        anyhow::ensure!(self.findings.is_empty(), "{self}");
        Ok(self)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} delivered, {} rejected, {} queued, {} deletes judged, duplicates: {}",
            self.delivered, self.rejected, self.queued, self.deletes_judged, self.duplicates
        )?;
        for finding in self.findings.iter().take(20) {
            write!(f, "\n  {finding:x?}")?;
        }
        if self.findings.len() > 20 {
            write!(f, "\n  and {} more", self.findings.len() - 20)?;
        }
        Ok(())
    }
}

/// The records of each message, in the order of the log.
type Copies<'a> = HashMap<u128, Vec<&'a Record>>;

/// Judges a run.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let copies = sort(evidence, &mut verdict);
    loss(evidence, &copies, &mut verdict);
    early_deletes(evidence, &copies, &mut verdict);
    records::check(evidence, &copies, &mut verdict);
    duplicates::check(evidence, &copies, &mut verdict);
    order::check(evidence, &copies, &mut verdict);
    verdict
}

fn sort<'a>(evidence: &'a Evidence, verdict: &mut Verdict) -> Copies<'a> {
    let known: HashSet<u128> = evidence.sent.iter().map(|sent| sent.id).collect();
    let mut copies = Copies::new();
    for record in &evidence.records {
        match record.message_id().filter(|id| known.contains(id)) {
            Some(id) => copies.entry(id).or_default().push(record),
            None => verdict.findings.push(Finding::Stranger(format!(
                "{}/{}@{} with id `{}`",
                record.topic,
                record.partition,
                record.offset,
                record.text("sqs.message_id")
            ))),
        }
    }
    copies
}

/// No loss: every message is in a topic, or still in the queue or in the queue's own dead-letter queue.
fn loss(evidence: &Evidence, copies: &Copies<'_>, verdict: &mut Verdict) {
    let deleted: Option<HashSet<u128>> = evidence.events.as_ref().map(|events| {
        let gone = events.iter().filter(|event| matches!(event.kind, Kind::Deleted | Kind::Purged));
        gone.map(|event| event.id).collect()
    });
    for sent in &evidence.sent {
        let is_dead = |record: &&Record| Some(&record.topic) == evidence.dead_letter.as_ref();
        match copies.get(&sent.id) {
            Some(records) if records.iter().all(is_dead) => verdict.rejected += 1,
            Some(_) => verdict.delivered += 1,
            // A server without a ledger was found empty: what is in no topic is nowhere.
            None if deleted.as_ref().is_none_or(|deleted| deleted.contains(&sent.id)) => {
                verdict.findings.push(Finding::Lost(sent.id));
            }
            None => verdict.queued += 1,
        }
    }
}

/// Clock reading and rounding of the append rule, milliseconds.
const APPEND_SLACK_MS: f64 = 2.0;

/// No delete before the ack: both rules of the module's doc.
fn early_deletes(evidence: &Evidence, copies: &Copies<'_>, verdict: &mut Verdict) {
    let events = evidence.events.as_deref().unwrap_or_default();
    for (index, event) in events.iter().enumerate().filter(|(_, event)| event.kind == Kind::Deleted) {
        let Some(records) = copies.get(&event.id) else { continue };
        // Looks from before a topic was watched say nothing about it.
        let knows = |look: &Look| records.iter().all(|record| look.knows(record));
        let look = evidence.looks.iter().find(|look| look.events > index && knows(look));
        verdict.deletes_judged += usize::from(evidence.append_time || look.is_some());
        if let Some(early_ms) = before_append(evidence, event, records).filter(|_| evidence.append_time) {
            verdict.findings.push(Finding::DeletedEarly(event.id, early_ms));
        } else if look.is_some_and(|look| !records.iter().any(|record| look.has(record))) {
            verdict.findings.push(Finding::DeletedEarly(event.id, 0));
        }
    }
}

fn before_append(evidence: &Evidence, event: &Event, records: &[&Record]) -> Option<i64> {
    let appended_ms = records.iter().filter_map(|record| record.timestamp_ms).min()?;
    let deleted_ms = evidence.ledger_began_ms + event.at_ns as f64 / 1e6;
    let early_ms = appended_ms as f64 - deleted_ms;
    (early_ms > APPEND_SLACK_MS).then_some(early_ms as i64)
}
