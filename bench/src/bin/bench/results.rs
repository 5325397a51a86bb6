//! The results store: one JSON line a run, appended and never changed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::stages::Stages;
use crate::syscalls::Syscalls;
use crate::verdict::Checks;
use crate::workload::Workload;

/// One run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Version of this form.
    pub(crate) schema: u32,
    /// Seconds since 1970 at the start.
    pub(crate) at_s: u64,
    /// Same for all runs of one call: runs with it were interleaved.
    pub(crate) suite: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// Cores of the servers.
    pub(crate) server_cores: Vec<u16>,
    /// Cores of the target.
    pub(crate) target_cores: Vec<u16>,
    /// Parameters.
    pub(crate) workload: Workload,
    /// Program.
    pub(crate) target: String,
    /// Settings that differ from its defaults.
    pub(crate) settings: Vec<String>,
    /// Round, from 1.
    pub(crate) round: u32,
    /// What was measured.
    pub(crate) measured: Option<Measured>,
    /// Why nothing was.
    pub(crate) error: Option<String>,
}

/// What was measured within the window.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Measured {
    /// Length of the window.
    pub(crate) window_s: f64,
    /// Messages delivered and deleted, by the SQS server's ledger.
    pub(crate) messages: u64,
    /// The same, a second.
    pub(crate) messages_per_s: f64,
    /// CPU time a message in user mode.
    pub(crate) user_us: f64,
    /// CPU time a message in the kernel.
    pub(crate) system_us: f64,
    /// Both.
    pub(crate) cpu_us: f64,
    /// CPU time a message by name of thread.
    pub(crate) threads_us: BTreeMap<String, f64>,
    /// Times a message that a thread waited.
    pub(crate) voluntary_switches: f64,
    /// Times a message that a thread was preempted.
    pub(crate) involuntary_switches: f64,
    /// Largest resident memory since the target's start.
    pub(crate) rss_peak_bytes: u64,
    /// Resident memory at the ends of the window's tenths: whether it grows.
    #[serde(default)]
    pub(crate) rss_tenths_bytes: Vec<u64>,
    /// Share of its cores that the target used.
    pub(crate) target_busy: f64,
    /// Share of their cores that SQS server, Kafka, feed and reader used.
    pub(crate) servers_busy: f64,
    /// Share of the target's cores that anything else used: what makes a figure noise.
    pub(crate) foreign_busy: f64,
    /// Payload bytes a message on the target's connections.
    pub(crate) wires: Option<PerMessage>,
    /// Messages that were put into the queue within the window.
    pub(crate) topped_up: u64,
    /// Exit code after SIGTERM: 137 when it had to be killed, none when it let the signal end it.
    pub(crate) exit_code: Option<i32>,
    /// Loss, duplicates and so on, over the whole run; none for what is no pump.
    pub(crate) checks: Option<Checks>,
    /// Open loop only.
    pub(crate) latency: Option<Latency>,
    /// Counted after the window, when asked for.
    #[serde(default)]
    pub(crate) syscalls: Option<Syscalls>,
    /// Millrace's own latencies by stage within the window, microseconds.
    #[serde(default)]
    pub(crate) stages_us: Option<Stages>,
}

/// Payload bytes a message.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct PerMessage {
    /// To SQS.
    pub(crate) sqs_sent: f64,
    /// From SQS.
    pub(crate) sqs_received: f64,
    /// To Kafka.
    pub(crate) kafka_sent: f64,
    /// From Kafka.
    pub(crate) kafka_received: f64,
}

/// From the planned send to the arrival at the reader.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Latency {
    /// Messages that arrived.
    pub(crate) arrived: u64,
    /// Messages that had not arrived ten seconds after the window.
    pub(crate) missing: u64,
    /// Percentiles by name, milliseconds: p50, p90, p99, p99.9, p99.99, max.
    pub(crate) percentiles_ms: BTreeMap<String, f64>,
    /// Longest time from plan to queue: the harness's own lateness, a part of what is above.
    pub(crate) feed_late_ms_max: f64,
    /// HDR histogram, V2 encoding, compressed, in Base64; microseconds.
    pub(crate) histogram: String,
}

/// Form of [`Line`].
pub(crate) const SCHEMA: u32 = 1;

/// Appends a line.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn append(path: &Path, line: &Line) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads all lines.
///
/// # Errors
/// The file is missing, or a line is not one of this form.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |(number, line)| {
        serde_json::from_str(line).with_context(|| format!("{}:{number} is no result", path.display()))
    };
    (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()).map(parse).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::workload::tests::parsed;

    /// A run with the figures that a table shows.
    pub(crate) fn line(suite: &str, target: &str, round: u32, rate: f64, cpu_us: f64) -> Line {
        let measured = Measured {
            window_s: 8.0,
            messages: (rate * 8.0) as u64,
            messages_per_s: rate,
            user_us: cpu_us / 2.0,
            system_us: cpu_us / 2.0,
            cpu_us,
            threads_us: BTreeMap::new(),
            voluntary_switches: 0.25,
            involuntary_switches: 0.01,
            rss_peak_bytes: 50 << 20,
            rss_tenths_bytes: vec![50 << 20; 10],
            target_busy: 0.99,
            servers_busy: 0.7,
            foreign_busy: 0.0,
            wires: None,
            topped_up: 0,
            exit_code: Some(0),
            checks: Some(Checks { lost: Some(0), ..Checks::default() }),
            latency: None,
            syscalls: None,
            stages_us: None,
        };
        Line {
            schema: SCHEMA,
            at_s: 0,
            suite: suite.to_owned(),
            machine: Machine::default(),
            server_cores: vec![0],
            target_cores: vec![1],
            workload: parsed(&[]),
            target: target.to_owned(),
            settings: Vec::new(),
            round,
            measured: Some(measured),
            error: None,
        }
    }

    #[test]
    fn lines_are_appended_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results/a.jsonl");
        let lines = [line("a", "floor", 1, 60_000.0, 15.0), line("a", "millrace", 1, 90_000.0, 9.5)];
        lines.iter().for_each(|line| append(&path, line).unwrap());
        assert_eq!(read(&path).unwrap(), lines);
        fs::write(&path, "{}\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains(":1 is no result"));
    }
}
