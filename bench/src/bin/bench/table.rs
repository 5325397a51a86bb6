//! Tables: medians and spreads of the runs of a results file, with ratios to `floor`, as Markdown.

mod sweep;

use std::fmt::Write as _;

use crate::results::{Line, Measured};
use crate::stages::{Percentiles, received_to_acked_us};
use crate::syscalls::Counter;
use crate::workload::Workload;

/// Name of the target that ratios refer to.
const REFERENCE: &str = "floor";
/// Above it, something else than the target took part of the target's cores: the row is marked.
const FOREIGN_SHARE_MAX: f64 = 0.03;
/// Below it, a closed loop did not use its cores up: something else was the bound.
const BUSY_SHARE_MIN: f64 = 0.95;
/// Columns of an open loop.
const OPEN_HEAD: &[&str] = &[
    "target",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "max ms",
    "missing",
    "received → acked p99 / p99.9 ms",
    "CPU µs/message",
    "× floor",
    "checked",
];
/// Columns of a closed loop.
const CLOSED_HEAD: &[&str] = &[
    "target",
    "messages/s",
    "× floor",
    "CPU µs/message",
    "user + kernel",
    "× floor",
    "RSS peak",
    "switches/message",
    "syscalls/message",
    "bytes SQS / Kafka",
    "checked",
];

/// All tables of these runs as one text.
pub(crate) fn markdown(lines: &[Line]) -> String {
    tables(lines).join("\n")
}

/// All tables of these runs: one for each workload and suite, in the order in which they were made. Open loops that
/// differ in their rate alone share one.
pub(crate) fn tables(lines: &[Line]) -> Vec<String> {
    let mut groups: Vec<Vec<&Line>> = Vec::new();
    for line in lines {
        let is_same = |group: &&mut Vec<&Line>| {
            let first = group[0];
            first.suite == line.suite
                && first.machine == line.machine
                && first.target_cores == line.target_cores
                && but_for_rate(&first.workload) == but_for_rate(&line.workload)
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    let text = |group: &Vec<&Line>| {
        let rate = group[0].workload.rate;
        let is_sweep = rate.is_some() && group.iter().any(|line| line.workload.rate != rate);
        if is_sweep { sweep::table(group, lines) } else { table(group) }
    };
    groups.iter().map(text).collect()
}

/// The workload, its rate blurred to whether there is one.
fn but_for_rate(workload: &Workload) -> Workload {
    Workload { rate: workload.rate.map(|_| 1.0), ..workload.clone() }
}

/// What a table is about.
fn caption(first: &Line) -> String {
    format!(
        "{} ({}; target on core {}, servers on {})\n\n",
        first.workload.summary(),
        first.machine.summary(),
        list(&first.target_cores),
        list(&first.server_cores)
    )
}

fn table(lines: &[&Line]) -> String {
    let first = lines[0];
    let mut text = caption(first);
    let is_open = first.workload.rate.is_some();
    let head = if is_open { OPEN_HEAD } else { CLOSED_HEAD };
    row(&mut text, head.iter().map(|&cell| cell.to_owned()));
    row(&mut text, head.iter().map(|_| "---".to_owned()));
    let mut rows = rows(lines);
    let key = |row: &Row<'_>| if is_open { row.latency("p99") } else { row.median(|run| run.cpu_us) };
    rows.sort_by(|a, b| key(a).total_cmp(&key(b)));
    let reference: Vec<(u32, &Measured)> =
        rows.iter().find(|row| row.name == REFERENCE).map(|row| row.runs.clone()).unwrap_or_default();
    for target in &rows {
        if target.runs.is_empty() {
            let error = target.error.unwrap_or("no run").lines().next().unwrap_or_default();
            row(&mut text, [target.name.clone(), format!("failed: {error}")]);
        } else if is_open {
            row(&mut text, target.open(&reference));
        } else {
            row(&mut text, target.closed(&reference));
        }
    }
    let rounds = rows.iter().map(|row| row.runs.len()).max().unwrap_or(0);
    let _infallible = writeln!(
        text,
        "\nMedians of {rounds} interleaved rounds (least–most); ratios are medians of the rounds' own ratios.{}",
        if rows.iter().any(|row| row.name.ends_with('*')) {
            " \\*: see the notes of `bench run`."
        } else {
            ""
        }
    );
    text
}

/// The runs of one target.
struct Row<'a> {
    name: String,
    runs: Vec<(u32, &'a Measured)>,
    error: Option<&'a str>,
}

fn rows<'a>(lines: &[&'a Line]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for line in lines {
        let name = name(line);
        let at = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            rows.push(Row { name, runs: Vec::new(), error: None });
            rows.len() - 1
        });
        rows[at].runs.extend(line.measured.iter().map(|measured| (line.round, measured)));
        rows[at].error = rows[at].error.or(line.error.as_deref());
    }
    rows
}

fn name(line: &Line) -> String {
    let mut name = line.target.clone();
    if !line.settings.is_empty() {
        let _infallible = write!(name, " ({})", line.settings.join(", "));
    }
    name
}

impl Row<'_> {
    fn closed(&self, reference: &[(u32, &Measured)]) -> Vec<String> {
        vec![
            self.name.clone(),
            self.spread(|run| run.messages_per_s, |value| format!("{:.1} k", value / 1000.0)),
            self.ratio(reference, |run| run.messages_per_s),
            self.spread(|run| run.cpu_us, |value| format!("{value:.1}")),
            format!("{:.1} + {:.1}", self.median(|run| run.user_us), self.median(|run| run.system_us)),
            self.ratio(reference, |run| run.cpu_us),
            format!("{:.0} MiB", self.median(|run| run.rss_peak_bytes as f64) / f64::from(1 << 20)),
            format!(
                "{:.3} + {:.3}",
                self.median(|run| run.voluntary_switches),
                self.median(|run| run.involuntary_switches)
            ),
            self.syscalls(),
            self.wires(),
            self.checks(),
        ]
    }

    fn open(&self, reference: &[(u32, &Measured)]) -> Vec<String> {
        let mut cells = vec![self.name.clone()];
        for percentile in ["p50", "p99", "p99.9", "max"] {
            cells.push(self.spread(|run| of(run, percentile), |value| format!("{value:.1}")));
        }
        let missing = |run: &Measured| run.latency.as_ref().map_or(0.0, |latency| latency.missing as f64);
        cells.push(format!("{}", self.median(missing)));
        cells.push(self.acked_tail());
        cells.push(self.spread(|run| run.cpu_us, |value| format!("{value:.1}")));
        cells.push(self.ratio(reference, |run| run.cpu_us));
        cells.push(self.checks());
        cells
    }

    /// The target's own time from the receive to the ack, 99th and 99.9th percentile, milliseconds.
    fn acked_tail(&self) -> String {
        format!("{} / {}", self.acked(|stage| stage.p99), self.acked(|stage| stage.p999))
    }

    fn acked(&self, percentile: impl Fn(&Percentiles) -> u64) -> String {
        let us = self.median(|run| {
            let us = run.stages_us.as_ref().and_then(|stages| received_to_acked_us(stages, &percentile));
            us.map_or(f64::NAN, |us| us as f64)
        });
        if us.is_nan() { "–".to_owned() } else { format!("{:.1}", us / 1000.0) }
    }

    fn syscalls(&self) -> String {
        let calls = self.median(|run| run.syscalls.map_or(f64::NAN, |calls| calls.per_message));
        let whole = |run: &Measured| run.syscalls.is_none_or(|calls| calls.counter == Counter::Perf);
        match (calls.is_nan(), self.runs.iter().all(|(_, run)| whole(run))) {
            (true, _) => "–".to_owned(),
            (false, true) => format!("{calls:.2}"),
            (false, false) => format!("{calls:.2}, reads and writes only"),
        }
    }

    fn latency(&self, percentile: &str) -> f64 {
        self.median(|run| of(run, percentile))
    }

    fn values(&self, value: impl Fn(&Measured) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(|(_, run)| value(run)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        median(&self.values(value))
    }

    /// `median (least–most)`.
    fn spread(&self, value: impl Fn(&Measured) -> f64, shown: impl Fn(f64) -> String) -> String {
        let values = self.values(value);
        let (Some(least), Some(most)) = (values.first(), values.last()) else { return String::new() };
        if values.len() == 1 {
            return shown(*least);
        }
        format!("{} ({}–{})", shown(median(&values)), shown(*least), shown(*most))
    }

    /// Median over the rounds of this target's value by the reference's value of the same round.
    fn ratio(&self, reference: &[(u32, &Measured)], value: impl Fn(&Measured) -> f64) -> String {
        let pair = |(round, run): &(u32, &Measured)| {
            let (_, other) = reference.iter().find(|(other, _)| other == round)?;
            Some(value(run) / value(other))
        };
        let mut ratios: Vec<f64> = self.runs.iter().filter_map(pair).collect();
        ratios.sort_by(f64::total_cmp);
        if ratios.is_empty() { "–".to_owned() } else { format!("{:.2}", median(&ratios)) }
    }

    /// Bytes a message of both directions.
    fn wires(&self) -> String {
        let sum = |run: &Measured, sqs: bool| {
            run.wires.map_or(f64::NAN, |wires| {
                if sqs {
                    wires.sqs_sent + wires.sqs_received
                } else {
                    wires.kafka_sent + wires.kafka_received
                }
            })
        };
        let (sqs, kafka) = (self.median(|run| sum(run, true)), self.median(|run| sum(run, false)));
        if sqs.is_nan() || kafka.is_nan() { "–".to_owned() } else { format!("{sqs:.0} / {kafka:.0}") }
    }

    /// What is wrong in any run, or that nothing is.
    fn checks(&self) -> String {
        let all: Vec<_> = self.runs.iter().filter_map(|(_, run)| run.checks.as_ref()).collect();
        if all.is_empty() {
            return "no pump".to_owned();
        }
        let worst = all
            .iter()
            .find(|checks| !checks.are_good())
            .or(all.iter().max_by_key(|checks| checks.duplicates));
        worst.map(|checks| checks.summary()).unwrap_or_default()
    }
}

fn of(run: &Measured, percentile: &str) -> f64 {
    run.latency
        .as_ref()
        .and_then(|latency| latency.percentiles_ms.get(percentile))
        .copied()
        .unwrap_or(f64::NAN)
}

/// What makes a run's figures doubtful.
pub(crate) fn doubts(run: &Measured, is_open: bool) -> Vec<String> {
    let mut doubts = Vec::new();
    if run.foreign_busy > FOREIGN_SHARE_MAX {
        doubts.push(format!("others used {:.0} % of the target's cores", run.foreign_busy * 100.0));
    }
    if !is_open && run.target_busy < BUSY_SHARE_MIN && run.foreign_busy + run.target_busy < BUSY_SHARE_MIN {
        doubts.push(format!(
            "the target was {:.0} % busy (servers {:.0} %): messages/s is not its bound",
            run.target_busy * 100.0,
            run.servers_busy * 100.0
        ));
    }
    if let Some(code) = run.exit_code.filter(|code| *code != 0) {
        doubts.push(format!("it ended with code {code} when told to"));
    }
    if let Some(latency) = &run.latency
        && latency.missing > 0
    {
        doubts.push(format!(
            "{} messages did not arrive in time: the rate is too high for it",
            latency.missing
        ));
    }
    doubts
}

/// Of sorted values; the mean of the middle two of an even number.
fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => f64::NAN,
        count if count.is_multiple_of(2) => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        count => sorted[count / 2],
    }
}

fn list(cores: &[u16]) -> String {
    cores.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) {
    text.push('|');
    for cell in cells {
        let _infallible = write!(text, " {cell} |");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::line;

    #[test]
    fn ratios_are_those_of_the_same_round() {
        // The machine is twice as slow in round 2: medians of each would say 0.75, the rounds say 0.5.
        let lines = [
            line("a", "floor", 1, 60_000.0, 16.0),
            line("a", "millrace", 1, 120_000.0, 8.0),
            line("a", "floor", 2, 30_000.0, 32.0),
            line("a", "millrace", 2, 60_000.0, 16.0),
            line("a", "millrace", 3, 60_000.0, 16.0),
        ];
        let text = markdown(&lines);
        let row = text.lines().find(|line| line.starts_with("| millrace")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2..5], ["60.0 k (60.0 k–120.0 k)", "2.00", "16.0 (8.0–16.0)"]);
        assert_eq!(cells[6], "0.50");
        assert_eq!(cells[8..12], ["0.250 + 0.010", "–", "–", "0 lost, 0 duplicates"]);
    }

    #[test]
    fn other_workloads_and_suites_have_tables_of_their_own() {
        let mut large = line("a", "floor", 1, 60_000.0, 16.0);
        large.workload.size = 4096;
        let lines = [line("a", "floor", 1, 6.0, 16.0), large, line("b", "floor", 1, 6.0, 16.0)];
        assert_eq!(markdown(&lines).matches("| target |").count(), 3);
    }

    #[test]
    fn a_defeat_is_kept() {
        let mut failed = line("a", "connect", 1, 6.0, 16.0);
        (failed.measured, failed.error) = (None, Some("ended\nlog".to_owned()));
        assert!(markdown(&[failed]).contains("| connect | failed: ended |"));
        let mut lossy = line("a", "python", 1, 6.0, 16.0);
        lossy.measured.as_mut().unwrap().checks.as_mut().unwrap().lost = Some(7);
        assert!(markdown(&[line("a", "python", 2, 6.0, 16.0), lossy]).contains("7 lost"));
    }

    #[test]
    fn doubtful_runs_are_told() {
        let mut run = line("a", "floor", 1, 6.0, 16.0).measured.unwrap();
        assert!(doubts(&run, false).is_empty());
        (run.foreign_busy, run.target_busy) = (0.2, 0.7);
        assert_eq!(doubts(&run, false).len(), 2);
        assert_eq!(doubts(&run, true).len(), 1);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
