//! What the demo shows: a view of twelve lines while it runs, and the block at its end.
//!
//! Pure: figures in, text out.

use std::collections::BTreeMap;
use std::fmt::Write;

use dataplane::stats::Percentiles;

use super::outcome::Outcome;
use crate::board::View;
use crate::snapshot;
use crate::term::{bytes, micros, thousands};

/// Stages shown, with the name in the first column.
const SHOWN: [(&str, &str); 7] = [
    ("receive", "receive"),
    ("decode", "decode"),
    ("pipeline", "pipeline"),
    ("handoff", "handoff"),
    ("produce_to_ack", "produce→ack"),
    ("ack_to_deleted", "ack→deleted"),
    ("end_to_end", "end→end"),
];

/// Lines of the live view.
pub(super) const LIVE_LINES: usize = 12;

/// What is not in the figures.
pub(super) struct Scene<'a> {
    /// Address of the page.
    pub(super) address: &'a str,
    /// Address of the embedded SQS server.
    pub(super) sqs: String,
    /// Brokers of the mock cluster.
    pub(super) brokers: i32,
    /// Cores of the shards.
    pub(super) cores: &'a [Option<u16>],
    /// Locked memory limit.
    pub(super) memlock_bytes: u64,
}

impl Scene<'_> {
    /// The two lines that say what runs where.
    pub(super) fn header(&self) -> String {
        let shards = self.cores.len();
        let noun = if shards == 1 { "shard" } else { "shards" };
        let cores: Vec<String> = self.cores.iter().flatten().map(u16::to_string).collect();
        let cores =
            if cores.is_empty() { "unpinned".to_owned() } else { format!("on core {}", cores.join(",")) };
        format!(
            "millrace demo: in memory, not for production                    figures  http://{}/\n\
             {shards} {noun} {cores}   io_uring ok   memlock {}   SQS fake {}   Kafka mock {} brokers\n",
            self.address,
            bytes(self.memlock_bytes),
            self.sqs.trim_start_matches("http://"),
            self.brokers
        )
    }
}

/// What changes from one live view to the next.
pub(super) struct Moment {
    /// Messages put into the queue.
    pub(super) sent: u64,
    /// Messages read back.
    pub(super) unique: u64,
    /// Records read.
    pub(super) records: u64,
    /// Delivered since the last view, a second.
    pub(super) rate: f64,
    /// What the demo is doing.
    pub(super) doing: String,
}

/// The live view.
pub(super) fn live(view: &View, pipeline: &str, moment: &Moment) -> String {
    let totals = snapshot::totals(view, pipeline);
    let latency = snapshot::percentiles(&snapshot::latency(view, pipeline));
    let law = if totals.unaccounted() == 0 { "✓ adds up" } else { "✗ does not add up" };
    let mut text = format!(
        "\n  {}   {}/s   {}\n  sent {}   received {}   delivered {}   in flight {}   {law}\n  read back {} of {} records\n",
        moment.doing,
        thousands(moment.rate as u64),
        bytes(view.process.rss_bytes),
        thousands(moment.sent),
        thousands(totals.received),
        thousands(totals.delivered),
        thousands(totals.in_flight),
        thousands(moment.unique),
        thousands(moment.records),
    );
    text.push_str(&table(&latency));
    text
}

/// The block at the end.
pub(super) fn block(outcome: &Outcome) -> String {
    let totals = &outcome.totals;
    let mut text = String::from("\n");
    let mark =
        |good: bool, yes: &str, no: &str| if good { format!("✓ {yes}") } else { format!("✗ {no}") };
    let _ = writeln!(
        text,
        "  sent {}   received {}   delivered {}   rejected {}   lease lost {}   in flight {}   {}",
        thousands(outcome.sent),
        thousands(totals.received),
        thousands(totals.delivered),
        thousands(totals.rejected),
        thousands(totals.lease_lost),
        thousands(totals.in_flight),
        mark(totals.unaccounted == 0, "adds up", "does not add up"),
    );
    let read = &outcome.readback;
    let _ = writeln!(
        text,
        "  read back from Kafka {}   missing {}   duplicates {}   out of order {}   corrupt {}   {}\n",
        thousands(read.records),
        thousands(read.missing),
        thousands(read.duplicates),
        thousands(read.out_of_order),
        thousands(read.corrupt),
        mark(outcome.proved, "proved", "NOT proved"),
    );
    text.push_str(&table(&outcome.latency_us));
    let _ = writeln!(
        text,
        "  rate {}/s   {:.2} µs CPU per message   {:.1} s measured   peak memory {} (servers and load included)",
        thousands(outcome.messages_per_second as u64),
        outcome.cpu_us_per_message,
        outcome.seconds,
        bytes(outcome.rss_peak_bytes),
    );
    for (cause, count) in &outcome.duplicate_causes {
        let _ = writeln!(text, "  duplicates: {} {cause}", thousands(*count));
    }
    if outcome.held_back_s >= 0.1 {
        let _ = writeln!(
            text,
            "  the load waited {:.1} s for the reader or for memory: the rate asked for was not kept",
            outcome.held_back_s
        );
    }
    for failure in &outcome.failures {
        let _ = writeln!(text, "  ✗ {failure}");
    }
    text.push_str(
        "\nnext:  millrace demo --rate max --for 20s · millrace demo --chaos broker-down --for 20s ·\n       \
         millrace config default > millrace.toml && millrace check --config millrace.toml\n",
    );
    text
}

fn table(latency: &BTreeMap<&'static str, Percentiles>) -> String {
    let mut text = format!(
        "  {:<12}{:>10}{:>10}{:>10}{:>10}{:>10}   ▏50%   90%   99%   max\n",
        "stage", "p50", "p90", "p99", "p99.9", "max"
    );
    let scale = latency.values().map(|row| row.max).max().unwrap_or(0);
    for (stage, name) in SHOWN {
        let row = latency.get(stage).copied().unwrap_or_default();
        let cells = [row.p50, row.p90, row.p99, row.p999, row.max];
        let _ = write!(text, "  {name:<12}");
        for us in cells {
            let _ = write!(text, "{:>10}", if row.count == 0 { "–".to_owned() } else { micros(us) });
        }
        let _ = writeln!(text, "   ▏{}", if row.count == 0 { String::new() } else { curve(cells, scale) });
    }
    text
}

/// The percentiles as a line, on log axes both ways: each decade of a percentile is as wide as the last.
fn curve(cells: [u64; 5], scale: u64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const STEPS: usize = 5;
    let log = |us: u64| (us.max(1) as f64).ln();
    let top = log(scale).max(1.0);
    let mut line = String::new();
    for pair in cells.windows(2) {
        for step in 0..STEPS {
            let part = step as f64 / STEPS as f64;
            let height = log(pair[0]) + (log(pair[1]) - log(pair[0])) * part;
            line.push(LEVELS[((height / top * 7.0).round() as usize).min(7)]);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use dataplane::stats::STAGES;

    use super::*;
    use crate::board::fixture::running;
    use crate::demo::outcome::{Readback, Totals};

    fn outcome() -> Outcome {
        Outcome {
            proved: true,
            failures: Vec::new(),
            seconds: 20.0,
            shards: 1,
            cores: vec![Some(1)],
            sent: 500_000,
            totals: Totals { received: 500_000, delivered: 500_000, ..Totals::default() },
            messages_per_second: 25_000.4,
            cpu_us_per_message: 9.126,
            readback: Readback { records: 500_000, ..Readback::default() },
            duplicate_causes: BTreeMap::new(),
            latency_us: BTreeMap::from([(
                "produce_to_ack",
                Percentiles { count: 5, p50: 3_000, p90: 5_000, p99: 8_000, p999: 20_000, max: 90_000 },
            )]),
            rss_peak_bytes: 64 << 20,
            held_back_s: 0.0,
            seed: 1,
            size: 1024,
            rate: "max".into(),
            fifo: None,
            chaos: Vec::new(),
            version: "0",
            commit: "0",
        }
    }

    #[test]
    fn the_block_says_what_was_proved() {
        let text = block(&outcome());
        for part in [
            "sent 500 000",
            "✓ adds up",
            "missing 0",
            "✓ proved",
            "25 000/s",
            "9.13 µs",
            "64.0 MiB",
            "3.00 ms",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_failed_proof_names_why() {
        let failed = Outcome { proved: false, failures: vec!["3 messages are missing".into()], ..outcome() };
        let text = block(&failed);
        assert!(text.contains("✗ NOT proved") && text.contains("✗ 3 messages are missing"), "{text}");
    }

    #[test]
    fn the_live_view_has_its_lines_and_every_stage_is_one_of_the_walk() {
        let moment = Moment { sent: 9, unique: 7, records: 8, rate: 3.0, doing: "running 5 s".into() };
        let text = live(&running().view(), "orders", &moment);
        assert_eq!(text.lines().count(), LIVE_LINES, "{text}");
        for (stage, _) in SHOWN {
            assert!(STAGES.iter().any(|known| known.as_str() == stage), "{stage}");
        }
    }

    #[test]
    fn a_curve_rises_with_its_percentiles() {
        assert_eq!(curve([1, 1, 1, 1, 1], 1_000_000), "▁".repeat(20));
        let line: Vec<char> = curve([100, 1_000, 10_000, 100_000, 1_000_000], 1_000_000).chars().collect();
        assert!(line.windows(2).all(|pair| pair[0] <= pair[1]), "{line:?}");
        assert_eq!(line.len(), 20);
    }

    #[test]
    fn the_document_has_the_agreed_names() {
        let json = serde_json::to_value(outcome()).unwrap();
        for name in [
            "seconds",
            "shards",
            "sent",
            "received",
            "delivered",
            "rejected",
            "filtered",
            "released",
            "lease_lost",
            "in_flight",
            "messages_per_second",
            "cpu_us_per_message",
            "duplicate_causes",
            "rss_peak_bytes",
            "seed",
            "size",
            "rate",
        ] {
            assert!(json.get(name).is_some(), "{name}");
        }
        for name in ["records", "missing", "duplicates", "out_of_order", "corrupt"] {
            assert!(json["readback"].get(name).is_some(), "{name}");
        }
        for name in ["count", "p50", "p90", "p99", "p999", "max"] {
            assert!(json["latency_us"]["produce_to_ack"].get(name).is_some(), "{name}");
        }
    }
}
