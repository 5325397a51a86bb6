//! The figures as text, for pipes and scripts that people read.

use std::fmt::Write;

use super::model::{AlertRow, Screen};
use crate::term;

/// A rate per second, or that it is not known.
pub(super) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "–".to_owned(), |rate| term::thousands(rate.round() as u64))
}

/// A count, or that it is not known.
pub(super) fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), term::thousands)
}

/// What is said about an alert besides its text.
pub(super) fn remark(alert: &AlertRow) -> String {
    match (&alert.acknowledged_by, alert.is_silenced) {
        (Some(by), _) => format!(" (taken on by {by})"),
        (None, true) => " (silenced)".to_owned(),
        (None, false) => String::new(),
    }
}

/// The whole screen.
pub(super) fn text(screen: &Screen) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<20} {:<9} {:>12} {:>12} {:>12} {:>10} {:>12} {:>7}",
        "pipeline", "state", "received/s", "delivered/s", "rejected/s", "in flight", "waiting", "polls"
    );
    for row in &screen.pipelines {
        let _ = writeln!(
            text,
            "{:<20} {:<9} {:>12} {:>12} {:>12} {:>10} {:>12} {:>7}",
            row.name,
            row.state,
            rate(row.received_per_s),
            rate(row.delivered_per_s),
            rate(row.rejected_per_s),
            term::thousands(row.in_flight),
            known(row.waiting),
            row.pollers
        );
        if !row.reason.is_empty() {
            let _ = writeln!(text, "  {}", row.reason);
        }
    }
    let _ =
        writeln!(text, "\n{:<6} {:>5} {:>6} {:>10} {:>10}", "shard", "core", "busy", "in flight", "stall");
    for row in &screen.shards {
        let busy = row.busy_ratio.map_or_else(|| "–".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
        let (held, stall) = (term::thousands(row.in_flight), term::micros(row.stall_us));
        let _ = writeln!(text, "{:<6} {:>5} {busy:>6} {held:>10} {stall:>10}", row.shard, known(row.core));
    }
    let of = screen.stages_of.as_deref().unwrap_or("all pipelines");
    let _ = writeln!(text, "\nlast minute of {of}");
    let _ = writeln!(
        text,
        "{:<18} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "stage", "count", "p50", "p90", "p99", "p99.9", "max"
    );
    for row in &screen.stages {
        let [p50, p90, p99, p999, max] =
            [row.p50_us, row.p90_us, row.p99_us, row.p999_us, row.max_us].map(term::micros);
        let count = term::thousands(row.count);
        let _ = writeln!(text, "{:<18} {count:>10} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {max:>9}", row.stage);
    }
    let cost = screen.usd_per_day.map_or_else(|| "not known".to_owned(), |usd| format!("{usd:.2} USD a day"));
    let _ = writeln!(text, "\nSQS requests: {cost}\nalerts: {}", screen.alerts.len());
    for alert in &screen.alerts {
        let _ = writeln!(
            text,
            "  {} {} {}: {}{}",
            alert.state,
            alert.severity,
            alert.rule,
            alert.text,
            remark(alert)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::model::fixture;
    use super::*;

    #[test]
    fn the_text_has_every_part() {
        let text = text(&fixture::model().screen());
        for part in [
            "orders",
            "1 000",
            "refunds",
            "900",
            "produce_to_ack",
            "12.50 USD a day",
            "breaker-open",
            "taken on by ada",
            "40 %",
        ] {
            assert!(text.replace(['\u{202f}', ','], " ").contains(part), "no `{part}` in:\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    }

    #[test]
    fn what_is_not_known_is_a_dash() {
        assert_eq!((rate(None), known(None)), ("–".to_owned(), "–".to_owned()));
    }
}
