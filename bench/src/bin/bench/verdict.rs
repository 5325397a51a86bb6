//! What two ledgers say about a run: the SQS server's, and what was read back from Kafka.
//!
//! Proven: a deleted message that is not in the topic is lost, whatever the cluster. With a real broker also: a
//! message whose delete came before its record was appended was deleted early. With the mock cluster an early delete of
//! a message that arrived in the end does not show.

use std::collections::HashMap;

use bench::sqs::{Event, Kind};
use serde::{Deserialize, Serialize};

use crate::reader::Findings;

/// What is between the clock of the broker's process and that of this one, on one machine, and how finely the broker
/// tells: nanoseconds.
const CLOCK_NS: u128 = 1_000_000;

/// The checks of a run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Checks {
    /// Records read back.
    pub(crate) records: u64,
    /// Different messages among them.
    pub(crate) unique: u64,
    /// Records beyond the first of their message.
    pub(crate) duplicates: u64,
    /// Messages that SQS handed out again.
    pub(crate) redelivered: u64,
    /// Messages that were deleted and never read back; unknown where records were overrun.
    pub(crate) lost: Option<u64>,
    /// Deletes before the record was appended; known with a real broker only.
    pub(crate) deleted_early: Option<u64>,
    /// Records that are nobody's body.
    pub(crate) corrupt: u64,
    /// Records with fewer headers than their messages had attributes.
    #[serde(default)]
    pub(crate) bare: u64,
    /// Records out of their group's order.
    pub(crate) out_of_order: u64,
    /// Records that the mock cluster forgot before they were read.
    pub(crate) overrun: u64,
}

impl Checks {
    /// Whether something is wrong that no target may do. Duplicates are allowed: the promise is at least once. So are
    /// missing headers, which some peers cannot deliver; they are shown.
    pub(crate) fn are_good(&self) -> bool {
        self.lost.unwrap_or(0) + self.deleted_early.unwrap_or(0) + self.corrupt + self.out_of_order == 0
    }

    /// A few words for a table.
    pub(crate) fn summary(&self) -> String {
        let mut parts = match self.lost {
            Some(lost) => vec![format!("{lost} lost")],
            None => vec![format!("loss unknown, {} overrun", self.overrun)],
        };
        parts.push(format!("{} duplicates", self.duplicates));
        if let Some(early) = self.deleted_early {
            parts.push(format!("{early} early deletes"));
        }
        for (count, what) in [
            (self.corrupt, "corrupt"),
            (self.out_of_order, "out of order"),
            (self.bare, "without attributes"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }
}

/// Messages deleted between two times of the SQS server's clock.
pub(crate) fn deleted_within(ledger: &[Event], from_ns: u64, to_ns: u64) -> u64 {
    let is_one = |event: &&Event| event.kind == Kind::Deleted && (from_ns..to_ns).contains(&event.at_ns);
    ledger.iter().filter(is_one).count() as u64
}

/// Compares the ledgers. `ids` are the MessageIds by number; `epoch_ns` is the beginning of the SQS server's clock, `None` without
/// append times.
pub(crate) fn compare(ledger: &[Event], ids: &[u128], findings: &Findings, epoch_ns: Option<u128>) -> Checks {
    let numbers: HashMap<u128, usize> = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let times = |number: usize| findings.times.get(number).copied().unwrap_or(0);
    let (mut lost, mut early, mut redelivered) = (0, 0, 0);
    for event in ledger {
        redelivered += u64::from(event.kind == Kind::Received && event.count > 1);
        let Some(&number) = numbers.get(&event.id).filter(|_| event.kind == Kind::Deleted) else { continue };
        if times(number) == 0 {
            lost += 1;
        } else if let Some(epoch_ns) = epoch_ns {
            let appended_ms = findings.appended_ms.get(number).copied().unwrap_or(0).max(0).unsigned_abs();
            let deleted_ns = epoch_ns + u128::from(event.at_ns);
            early += u64::from(deleted_ns + CLOCK_NS < u128::from(appended_ms) * 1_000_000);
        }
    }
    let unique = findings.unique();
    Checks {
        records: findings.records,
        unique,
        duplicates: findings.records - findings.corrupt - unique,
        redelivered,
        lost: (findings.overrun == 0).then_some(lost),
        deleted_early: epoch_ns.map(|_| early),
        corrupt: findings.corrupt,
        bare: findings.bare,
        out_of_order: findings.out_of_order,
        overrun: findings.overrun,
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    fn findings(times: &[u8], appended_ms: &[i64]) -> Findings {
        Findings {
            records: times.iter().map(|&times| u64::from(times)).sum(),
            corrupt: 0,
            bare: 0,
            overrun: 0,
            out_of_order: 0,
            times: times.to_vec(),
            appended_ms: appended_ms.to_vec(),
            latency_us: Histogram::new(3).unwrap(),
        }
    }

    fn event(kind: Kind, id: u128, at_ns: u64, count: u32) -> Event {
        Event { id, at_ns, count, kind }
    }

    #[test]
    fn a_deleted_message_that_nobody_read_is_lost() {
        let ledger = [
            event(Kind::Deleted, 10, 5, 1),
            event(Kind::Deleted, 11, 6, 1),
            event(Kind::Received, 12, 7, 2),
            event(Kind::Deleted, 99, 7, 1),
        ];
        let mut read = findings(&[2, 0, 1], &[0, 0, 0]);
        let checks = compare(&ledger, &[10, 11, 12], &read, None);
        assert_eq!((checks.lost, checks.duplicates, checks.redelivered), (Some(1), 1, 1));
        assert_eq!(checks.deleted_early, None);
        assert!(!checks.are_good());
        read.bare = 2;
        assert!(compare(&ledger, &[10, 11, 12], &read, None).summary().ends_with(", 2 without attributes"));
        read.overrun = 3;
        let checks = compare(&ledger, &[10, 11, 12], &read, None);
        assert_eq!((checks.lost, checks.overrun), (None, 3), "what was forgotten may have been there");
        assert_eq!(deleted_within(&ledger, 5, 7), 2);
    }

    #[test]
    fn a_delete_before_the_append_is_early() {
        const MS: u64 = 1_000_000;
        let ledger = [event(Kind::Deleted, 10, 7 * MS, 1), event(Kind::Deleted, 11, 9 * MS, 1)];
        let read = findings(&[1, 1], &[1009, 1009]);
        let checks = compare(&ledger, &[10, 11], &read, Some(1000 * u128::from(MS)));
        assert_eq!((checks.deleted_early, checks.lost), (Some(1), Some(0)));
    }
}
