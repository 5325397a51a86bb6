//! The table of a sweep: a row for each rate of each target, in the order of the runs.

use super::{Row, caption, row, rows};
use crate::results::{Line, Measured};

const HEAD: [&str; 12] = [
    "target",
    "messages/s",
    "of closed loop",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "missing",
    "received → acked p99 / p99.9 ms",
    "CPU µs/message",
    "checked",
];

/// The table. `all` has the closed loops of the same suite, where there were any.
pub(super) fn table(lines: &[&Line], all: &[Line]) -> String {
    let first = lines[0];
    let mut shown = (*first).clone();
    shown.workload.rate = None;
    let mut text = caption(&shown).replacen(", ", ", open loop at rising rates, ", 1);
    row(&mut text, HEAD.iter().map(|&cell| cell.to_owned()));
    row(&mut text, HEAD.iter().map(|_| "---".to_owned()));
    for line in lines {
        let rate = line.workload.rate.unwrap_or(f64::NAN);
        let closed = closed_loop(line, all).map(|run| format!("{:.0} %", rate / run.messages_per_s * 100.0));
        let mut cells =
            vec![line.target.clone(), format!("{rate:.0}"), closed.unwrap_or_else(|| "–".to_owned())];
        for target in rows(&[line]) {
            cells[0].clone_from(&target.name);
            cells.extend(latencies(&target));
        }
        row(&mut text, cells);
    }
    text.push_str(
        "\nLatency from the planned send to the reader, one run a row. The last row of a target is where it \
         saturates, unless all rates were run.\n",
    );
    text
}

fn latencies(target: &Row<'_>) -> Vec<String> {
    if target.runs.is_empty() {
        let error = target.error.unwrap_or("no run").lines().next().unwrap_or_default();
        return vec![format!("failed: {error}")];
    }
    let ms = |percentile| format!("{:.1}", target.latency(percentile));
    let missing = |run: &Measured| run.latency.as_ref().map_or(0.0, |latency| latency.missing as f64);
    let mut cells: Vec<String> = ["p50", "p90", "p99", "p99.9", "max"].map(ms).into();
    cells.push(format!("{}", target.median(missing)));
    cells.push(target.acked_tail());
    cells.push(format!("{:.1}", target.median(|run| run.cpu_us)));
    cells.push(target.checks());
    cells
}

fn closed_loop<'a>(line: &Line, all: &'a [Line]) -> Option<&'a Measured> {
    let is_it = |other: &&Line| {
        let same = (&other.suite, &other.target) == (&line.suite, &line.target);
        same && other.workload.rate.is_none()
    };
    all.iter().find(is_it)?.measured.as_ref()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::markdown;
    use crate::results::tests::line;
    use crate::results::{Latency, Line};
    use crate::stages::Percentiles;

    fn open(target: &str, rate: f64, p99_ms: f64) -> Line {
        let mut open = line("a", target, 1, rate, 15.0);
        open.workload.rate = Some(rate);
        let run = open.measured.as_mut().unwrap();
        let percentiles_ms = BTreeMap::from([("p99".to_owned(), p99_ms)]);
        run.latency = Some(Latency { percentiles_ms, ..Latency::default() });
        open
    }

    #[test]
    fn rates_are_rows_and_shares_of_the_closed_loop() {
        let closed = line("a", "millrace", 1, 80_000.0, 9.0);
        let mut half = open("millrace", 40_000.0, 7.25);
        let stage = Percentiles { count: 100, p99: 6200, p999: 9000, ..Percentiles::default() };
        half.measured.as_mut().unwrap().stages_us =
            Some(BTreeMap::from([("received_to_acked".to_owned(), stage)]));
        let text = markdown(&[closed, half, open("millrace", 88_000.0, 400.0)]);
        assert_eq!(text.matches("| target |").count(), 2, "{text}");
        let row = text.lines().find(|line| line.contains("| 40000 |")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!((cells[3], cells[6], cells[10]), ("50 %", "7.2", "6.2 / 9.0"));
        assert!(text.lines().any(|line| line.contains("| 88000 | 110 % |")), "{text}");
    }

    #[test]
    fn a_single_rate_has_the_usual_table() {
        let text = markdown(&[open("millrace", 10.0, 7.0), open("floor", 10.0, 8.0)]);
        assert!(text.contains("| × floor |") && text.contains("open loop at 10"), "{text}");
    }
}
