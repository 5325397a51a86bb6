//! The appliance's own counters against both ledgers: a wrong counter is a fault too.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use bench::sqs::{Event, Kind};
use serde_json::Value;

/// Counters of one pipeline, of a process that lived through the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Received.
    pub received: u64,
    /// Acked and deleted.
    pub delivered: u64,
    /// In the dead-letter topic and deleted.
    pub rejected: u64,
    /// Dropped by a rule and deleted.
    pub filtered: u64,
    /// Given back.
    pub released: u64,
    /// Run out.
    pub lease_lost: u64,
    /// Held now.
    pub in_flight: u64,
}

impl Totals {
    /// The totals of the first pipeline of a snapshot.
    ///
    /// # Errors
    /// A counter is missing.
    pub fn from(snapshot: &Value) -> Result<Totals> {
        let number = |name: &str| {
            let found = snapshot.pointer(&format!("/pipelines/0/totals/{name}")).and_then(Value::as_u64);
            found.with_context(|| format!("/snapshot has no counter {name}"))
        };
        Ok(Totals {
            received: number("received")?,
            delivered: number("delivered")?,
            rejected: number("rejected")?,
            filtered: number("filtered")?,
            released: number("released")?,
            lease_lost: number("lease_lost")?,
            in_flight: number("in_flight")?,
        })
    }
}

/// Compares counters with the SQS ledger of the same process' life, and with the messages that the
/// dead-letter topic holds.
///
/// # Errors
/// The law does not hold, or a counter differs from the ledgers.
pub fn check_totals(totals: &Totals, events: &[Event], dead: &HashSet<u128>) -> Result<()> {
    let ended = totals.delivered + totals.rejected + totals.filtered + totals.released + totals.lease_lost;
    ensure!(totals.received == ended + totals.in_flight, "the law does not hold: {totals:?}");
    let count = |kind: Kind| events.iter().filter(|event| event.kind == kind).count() as u64;
    ensure!(totals.received == count(Kind::Received), "{totals:?}, handed out {}", count(Kind::Received));
    let deleted = events.iter().filter(|event| event.kind == Kind::Deleted);
    let (rejected, delivered): (Vec<&Event>, Vec<&Event>) =
        deleted.partition(|event| dead.contains(&event.id));
    let by_ledger = (delivered.len() as u64, rejected.len() as u64);
    ensure!(
        (totals.delivered, totals.rejected) == by_ledger,
        "{totals:?}, deleted by the ledger {by_ledger:?}"
    );
    let given_back = events.iter().filter(|event| event.kind == Kind::VisibilityChanged && event.count == 0);
    let given_back = given_back.count() as u64;
    ensure!(totals.released == given_back, "{totals:?}, given back by the ledger {given_back}");
    Ok(())
}
