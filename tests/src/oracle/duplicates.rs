//! Every extra record of a message needs a cause that the SQS ledger knows. Pure.
//!
//! One receive can bring one record. A message with more records than receives was produced twice from one
//! receive, which only an ambiguous failure of Kafka may excuse.

use std::collections::HashMap;
use std::fmt;

use bench::sqs::{Event, Kind};

use super::{Copies, Evidence, Finding, Verdict};

/// Why SQS handed a message out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The appliance was killed while it held the message.
    Kill,
    /// The appliance gave it back.
    Release,
    /// The server was told to hand it out early.
    Redelivery,
    /// Its visibility ran out while the appliance lived.
    Lapse,
    /// Kafka left it open whether the record was stored.
    Ambiguity,
}

/// Extra records by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(pub HashMap<Cause, usize>);

impl Causes {
    /// Extra records of a cause.
    pub fn of(&self, cause: Cause) -> usize {
        self.0.get(&cause).copied().unwrap_or(0)
    }

    /// All extra records.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut causes: Vec<_> = self.0.iter().collect();
        causes.sort();
        write!(f, "{}", self.total())?;
        causes.iter().try_for_each(|(cause, count)| write!(f, " {cause:?}={count}"))
    }
}

pub(super) fn check(evidence: &Evidence, copies: &Copies<'_>, verdict: &mut Verdict) {
    let mut history: HashMap<u128, Vec<&Event>> = HashMap::new();
    for event in evidence.events.iter().flatten().filter(|event| copies.contains_key(&event.id)) {
        history.entry(event.id).or_default().push(event);
    }
    for (&id, records) in copies.iter().filter(|(_, records)| records.len() > 1) {
        let causes = redeliveries(evidence, history.get(&id).map(Vec::as_slice).unwrap_or_default());
        let extra = records.len() - 1;
        let unexplained = extra.saturating_sub(causes.len());
        for cause in causes.into_iter().take(extra) {
            *verdict.duplicates.0.entry(cause).or_default() += 1;
        }
        if unexplained > 0 && evidence.kafka_ambiguous {
            *verdict.duplicates.0.entry(Cause::Ambiguity).or_default() += unexplained;
        } else if unexplained > 0 {
            verdict.findings.push(Finding::UnexplainedDuplicate(id, records.len()));
        }
    }
}

/// The cause of each receive of one message but its first.
fn redeliveries(evidence: &Evidence, history: &[&Event]) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut last_receive_ns = None;
    let mut released = false;
    for event in history {
        match event.kind {
            Kind::VisibilityChanged => released = event.count == 0,
            Kind::Received => {
                if let Some(since_ns) = last_receive_ns {
                    causes.push(cause(evidence, released, since_ns, event.at_ns));
                }
                last_receive_ns = Some(event.at_ns);
                released = false;
            }
            _ => {}
        }
    }
    causes
}

fn cause(evidence: &Evidence, released: bool, since_ns: u64, until_ns: u64) -> Cause {
    if released {
        Cause::Release
    } else if evidence.kills_ns.iter().any(|kill| (since_ns..=until_ns).contains(kill)) {
        Cause::Kill
    } else if evidence.server_redelivers {
        Cause::Redelivery
    } else {
        Cause::Lapse
    }
}
