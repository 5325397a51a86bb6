//! Export in CloudWatch's embedded metric format: a JSON line for each pipeline and interval, from which CloudWatch makes
//! metrics without a call of ours.
//!
//! Opt-in. A line that cannot be written is counted out in the log once and given up: figures are not worth a queue.
//! Source of the form: "Specification: Embedded metric format", Amazon CloudWatch user guide.

use std::fs::OpenOptions;
use std::io::Write;

use dataplane::config::Emf;
use serde_json::{Value, json};

use super::flows::{FLOWS, Gauge};
use super::history::History;
use super::sampler::{Cell, Moment, Subject};
use crate::board::View;

/// Flows that are exported, with CloudWatch's name and unit.
const EXPORTED: [(&str, &str, &str); 9] = [
    ("received", "MessagesReceived", "Count"),
    ("delivered", "MessagesDelivered", "Count"),
    ("rejected", "MessagesRejected", "Count"),
    ("released", "MessagesReleased", "Count"),
    ("lease_lost", "LeasesLost", "Count"),
    ("received_bytes", "BytesReceived", "Bytes"),
    ("empty_receives", "EmptyReceives", "Count"),
    ("request_errors", "RequestErrors", "Count"),
    ("receive_chunks", "BilledReceives", "Count"),
];

/// Gauges that are exported, with CloudWatch's name and unit.
const GAUGES: [(Gauge, &str, &str); 4] = [
    (Gauge::InFlight, "MessagesInFlight", "Count"),
    (Gauge::InFlightBytes, "BytesInFlight", "Bytes"),
    // What an autoscaling policy divides by the number of appliances.
    (Gauge::QueueVisible, "QueueVisibleMessages", "Count"),
    (Gauge::StallSeconds, "LongestStall", "Seconds"),
];

/// Writes lines when they are due.
#[derive(Debug)]
pub(crate) struct Exporter {
    emf: Emf,
    written_at: Option<u64>,
    is_failing: bool,
}

impl Exporter {
    /// An exporter, if one was asked for.
    pub(crate) fn new(emf: Option<Emf>) -> Option<Exporter> {
        emf.map(|emf| Exporter { emf, written_at: None, is_failing: false })
    }

    /// Writes the lines of an interval if it is over.
    pub(crate) fn look(&mut self, view: &View, history: &History, now: Moment) {
        let every_ms = self.emf.every.0.as_millis() as u64;
        // The first interval is a whole one: before it there is nothing to tell.
        let since = *self.written_at.get_or_insert(now.mono_ms);
        if now.mono_ms.saturating_sub(since) < every_ms {
            return;
        }
        self.written_at = Some(now.mono_ms);
        let lines: String = view
            .pipelines
            .iter()
            .filter_map(|name| line(&self.emf.namespace, name, history, now, every_ms as i64))
            .map(|line| format!("{line}\n"))
            .collect();
        match self.write(&lines) {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                let file = self.emf.file.as_ref().map_or("stdout".into(), |file| file.display().to_string());
                tracing::warn!(event = "emf_unwritten", file, %error, "figures could not be exported");
            }
            Err(_) => {}
        }
    }

    fn write(&self, lines: &str) -> std::io::Result<()> {
        match &self.emf.file {
            // One write for each file, so that lines of several processes do not mix.
            Some(file) => {
                OpenOptions::new().append(true).create(true).open(file)?.write_all(lines.as_bytes())
            }
            None => std::io::stdout().lock().write_all(lines.as_bytes()),
        }
    }
}

/// The line of one pipeline; `None` when nothing is known of the interval.
fn line(namespace: &str, pipeline: &str, history: &History, now: Moment, span_ms: i64) -> Option<Value> {
    let subject = Subject::Pipeline(pipeline.to_owned());
    let (counts, covers_ms) = history.over(&subject, now.wall_ms, span_ms);
    if covers_ms == 0 {
        return None;
    }
    let mut metrics = Vec::new();
    let mut line = json!({ "pipeline": pipeline });
    for (flow, name, unit) in EXPORTED {
        let index = FLOWS.iter().position(|(known, _)| *known == flow)?;
        metrics.push(json!({ "Name": name, "Unit": unit }));
        line[name] = counts[index].into();
    }
    if let Some((_, Cell::Point(point))) = history.last(&subject) {
        for (gauge, name, unit) in GAUGES {
            if let Some(value) = point.gauges.of(gauge) {
                metrics.push(json!({ "Name": name, "Unit": unit }));
                line[name] = value.into();
            }
        }
    }
    line["_aws"] = json!({
        "Timestamp": now.wall_ms,
        "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [["pipeline"]], "Metrics": metrics }],
    });
    Some(line)
}

#[cfg(test)]
mod tests {
    use dataplane::config::Time;

    use super::*;
    use crate::board::fixture::running;
    use crate::watch::sampler::{Frame, Point};

    fn history(at_ms: i64) -> History {
        let mut history = History::default();
        let mut point = Point { covers_ms: 1_000, ..Point::default() };
        point.counts[0] = 42;
        point.gauges.set(Gauge::QueueVisible, 7.0);
        let cells = [(Subject::Pipeline("orders".to_owned()), Cell::Point(point))].into();
        history.push(&Frame { at_ms, cells });
        history
    }

    fn at(mono_ms: u64) -> Moment {
        Moment { wall_ms: 1_700_000_000_000, mono_ms }
    }

    #[test]
    fn a_line_names_every_metric_that_it_has_and_has_every_one_that_it_names() {
        let line = line("Millrace", "orders", &history(1_700_000_000_000), at(0), 60_000).unwrap();
        assert_eq!((&line["MessagesReceived"], &line["QueueVisibleMessages"]), (&json!(42), &json!(7.0)));
        let metrics = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(metrics["Dimensions"], json!([["pipeline"]]));
        let names: Vec<&str> = metrics["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap())
            .collect();
        for name in &names {
            assert!(line[*name].is_number(), "{name}");
        }
        // `_aws` and the dimension besides.
        assert_eq!(line.as_object().unwrap().len(), names.len() + 2);
        assert!(names.len() <= 100, "CloudWatch takes 100 metrics in a line");
    }

    #[test]
    fn nothing_known_is_no_line_of_zeros() {
        assert_eq!(line("Millrace", "orders", &History::default(), at(0), 60_000), None);
    }

    #[test]
    fn lines_are_appended_once_in_each_interval() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("metrics.json");
        let emf = Emf { file: Some(file.clone()), every: Time::from_secs(10), ..Emf::default() };
        let mut exporter = Exporter::new(Some(emf)).unwrap();
        let view = running().view();
        for second in 0..25 {
            exporter.look(&view, &history(1_700_000_000_000), at(second * 1_000));
        }
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            assert_eq!(serde_json::from_str::<Value>(line).unwrap()["pipeline"], "orders");
        }
        assert!(Exporter::new(None).is_none());
    }

    #[test]
    fn a_file_that_cannot_be_written_is_not_tried_in_vain_forever() {
        let emf =
            Emf { file: Some("/nowhere/metrics.json".into()), every: Time::from_secs(10), ..Emf::default() };
        let mut exporter = Exporter::new(Some(emf)).unwrap();
        let view = running().view();
        exporter.look(&view, &history(1_700_000_000_000), at(0));
        exporter.look(&view, &history(1_700_000_000_000), at(10_000));
        assert!(exporter.is_failing);
    }
}
