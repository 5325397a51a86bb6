//! What the demo measured and whether it proved its claim: one document for people, scripts and CI.
//!
//! Pure.

use std::collections::BTreeMap;

use dataplane::control::ShardReport;
use dataplane::stats::{Counters, Latency, Percentiles, STAGES};
use serde::Serialize;

use super::causes::UNEXPLAINED;
use super::reader::Findings;

/// A moment of the measuring window, with figures that belong together.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    /// Reports of the shards, all newer than the moment was asked for.
    pub(super) reports: Vec<ShardReport>,
    /// CPU time of the data plane's threads then, nanoseconds.
    pub(super) cpu_ns: u64,
}

/// What was measured between two edges.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Its length.
    pub(super) seconds: f64,
    /// Messages delivered in it.
    pub(super) delivered: u64,
    /// CPU time of the data plane's threads in it, nanoseconds.
    pub(super) cpu_ns: u64,
    /// Percentiles of each stage, microseconds, of what was recorded in it.
    pub(super) latency_us: BTreeMap<&'static str, Percentiles>,
}

impl Edge {
    fn delivered(&self) -> u64 {
        self.reports.iter().flat_map(|report| &report.pumps).map(|pump| pump.counters.delivered).sum()
    }

    fn latency(&self) -> Latency {
        let mut latency = Latency::new();
        for pump in self.reports.iter().flat_map(|report| &report.pumps) {
            latency.add(&pump.latency);
        }
        latency
    }
}

impl Window {
    /// The window between two edges. Time is the shards' own: reports are published once a second.
    pub(super) fn between(begin: &Edge, end: &Edge) -> Window {
        let spans =
            begin.reports.iter().zip(&end.reports).map(|(from, to)| to.at_ns.saturating_sub(from.at_ns));
        let shards = begin.reports.len().max(1) as f64;
        let (before, after) = (begin.latency(), end.latency());
        let latency_us = STAGES.into_iter().map(|stage| {
            let mut histogram = after.stage(stage).clone();
            // Counts only grow, so that nothing can be missing in the later one.
            let _grown = histogram.subtract(before.stage(stage));
            (stage.as_str(), Percentiles::of(&histogram))
        });
        Window {
            seconds: spans.sum::<u64>() as f64 / shards / 1e9,
            delivered: end.delivered() - begin.delivered(),
            cpu_ns: end.cpu_ns.saturating_sub(begin.cpu_ns),
            latency_us: latency_us.collect(),
        }
    }

    /// The window of a demo that never came to measure.
    pub(super) fn empty() -> Window {
        Window { seconds: 0.0, delivered: 0, cpu_ns: 0, latency_us: BTreeMap::new() }
    }

    /// Messages delivered a second.
    pub(super) fn per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.delivered as f64 / self.seconds } else { 0.0 }
    }

    /// CPU time of the data plane's threads for each message, microseconds.
    pub(super) fn cpu_us_per_message(&self) -> f64 {
        if self.delivered > 0 { self.cpu_ns as f64 / 1e3 / self.delivered as f64 } else { 0.0 }
    }
}

/// What the reader found, as the document shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Readback {
    /// Records read.
    pub(super) records: u64,
    /// Messages sent and never read.
    pub(super) missing: u64,
    /// Records beyond the first of their message.
    pub(super) duplicates: u64,
    /// First reads out of their group's order.
    pub(super) out_of_order: u64,
    /// Records whose body is not what was sent.
    pub(super) corrupt: u64,
    /// Records that the mock cluster dropped before they were read.
    pub(super) overrun: u64,
}

/// The whole outcome.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// Whether the claim is proved.
    pub(super) proved: bool,
    /// Why it is not.
    pub(super) failures: Vec<String>,
    /// Length of the measuring window.
    pub(super) seconds: f64,
    /// Number of shards.
    pub(super) shards: usize,
    /// Their cores.
    pub(super) cores: Vec<Option<u16>>,
    /// Messages put into the queue.
    pub(super) sent: u64,
    /// Counters of the data plane from its start to its end.
    #[serde(flatten)]
    pub(super) totals: Totals,
    /// Delivered in the window, by its length.
    pub(super) messages_per_second: f64,
    /// CPU of the data plane's threads, librdkafka's included, by messages delivered in the window.
    pub(super) cpu_us_per_message: f64,
    /// What the independent reader found.
    pub(super) readback: Readback,
    /// Duplicates by cause.
    pub(super) duplicate_causes: BTreeMap<&'static str, u64>,
    /// Percentiles of each stage in the window, microseconds.
    pub(super) latency_us: BTreeMap<&'static str, Percentiles>,
    /// Largest resident memory of the process, servers and load included.
    pub(super) rss_peak_bytes: u64,
    /// Time for which the open-loop schedule had to wait for the reader or for memory.
    pub(super) held_back_s: f64,
    /// Seed of bodies and faults.
    pub(super) seed: u64,
    /// Size of a body, bytes.
    pub(super) size: u32,
    /// Rate asked for: a number or `max`.
    pub(super) rate: String,
    /// Message groups, on a FIFO queue.
    pub(super) fifo: Option<u32>,
    /// Faults played.
    pub(super) chaos: Vec<String>,
    /// Version and commit.
    pub(super) version: &'static str,
    /// Commit.
    pub(super) commit: &'static str,
}

/// The ends of messages, under their own names in the document.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) received: u64,
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) filtered: u64,
    pub(super) released: u64,
    pub(super) lease_lost: u64,
    pub(super) in_flight: u64,
    pub(super) unaccounted: i64,
}

impl Totals {
    /// From the data plane's counters.
    pub(super) fn of(counters: &Counters) -> Totals {
        Totals {
            received: counters.received,
            delivered: counters.delivered,
            rejected: counters.rejected,
            filtered: counters.filtered,
            released: counters.released,
            lease_lost: counters.lease_lost,
            in_flight: counters.in_flight,
            unaccounted: i64::try_from(counters.unaccounted()).unwrap_or(i64::MAX),
        }
    }
}

/// Everything that speaks against the claim "each message is in Kafka, unharmed, and each duplicate has a cause".
pub(super) fn failures(
    sent: u64,
    totals: &Totals,
    findings: &Findings,
    causes: &BTreeMap<&'static str, u64>,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut must = |holds: bool, text: String| {
        if !holds {
            failures.push(text);
        }
    };
    let missing = sent.saturating_sub(findings.unique);
    must(sent > 0, "nothing was sent: nothing is proved".to_owned());
    must(
        missing == 0,
        format!("{missing} messages are missing in Kafka, the first are {:?}", findings.missing_first),
    );
    must(findings.corrupt == 0, format!("{} records are not what was sent", findings.corrupt));
    must(
        findings.out_of_order == 0,
        format!("{} records are out of their group's order", findings.out_of_order),
    );
    let unexplained = causes.get(UNEXPLAINED).copied().unwrap_or(0);
    must(unexplained == 0, format!("{unexplained} duplicates have no cause"));
    must(totals.unaccounted == 0, format!("{} received messages have no fate", totals.unaccounted));
    must(totals.in_flight == 0, format!("{} messages are still held after the end", totals.in_flight));
    must(
        findings.overrun == 0,
        format!(
            "the mock cluster dropped {} records before they were read; lower the rate",
            findings.overrun
        ),
    );
    must(
        findings.error.is_none(),
        format!("the reader failed: {}", findings.error.as_deref().unwrap_or_default()),
    );
    failures
}

#[cfg(test)]
mod tests {
    use dataplane::control::State;

    use super::*;
    use crate::board::fixture::report;

    fn judged(change: impl FnOnce(&mut Totals, &mut Findings)) -> Vec<String> {
        let mut totals = Totals { received: 5, delivered: 5, ..Totals::default() };
        let mut findings = Findings { records: 5, unique: 5, ..Findings::default() };
        change(&mut totals, &mut findings);
        failures(5, &totals, &findings, &BTreeMap::new())
    }

    #[test]
    fn the_claim_holds_only_if_nothing_speaks_against_it() {
        assert_eq!(judged(|_, _| {}), Vec::<String>::new());
        assert!(judged(|_, findings| findings.unique = 4)[0].contains("1 messages are missing"));
        assert!(judged(|_, findings| findings.corrupt = 1)[0].contains("not what was sent"));
        assert!(judged(|_, findings| findings.out_of_order = 1)[0].contains("order"));
        assert!(judged(|totals, _| totals.unaccounted = 1)[0].contains("no fate"));
        assert!(judged(|totals, _| totals.in_flight = 1)[0].contains("held"));
        assert!(judged(|_, findings| findings.overrun = 1)[0].contains("dropped"));
        assert!(judged(|_, findings| findings.error = Some("x".into()))[0].contains("reader failed: x"));
        let causes = BTreeMap::from([(UNEXPLAINED, 2)]);
        assert!(
            failures(5, &Totals::default(), &Findings { unique: 5, ..Findings::default() }, &causes)[0]
                .contains("no cause")
        );
        assert!(
            failures(0, &Totals::default(), &Findings::default(), &BTreeMap::new())[0]
                .contains("nothing was sent")
        );
    }

    #[test]
    fn a_window_holds_what_happened_in_it() {
        let at = |at_ns, delivered, cpu_ns| {
            let counters = Counters { delivered, ..Counters::default() };
            let mut report = report(0, 1, State::Running, counters);
            report.at_ns = at_ns;
            Edge { reports: vec![report], cpu_ns }
        };
        let window = Window::between(&at(1_000_000_000, 100, 5), &at(3_000_000_000, 400, 35));
        assert!((window.seconds - 2.0).abs() < 1e-9);
        assert_eq!((window.delivered, window.cpu_ns), (300, 30));
        assert_eq!(window.latency_us["produce_to_ack"].count, 300);
    }
}
