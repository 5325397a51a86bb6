//! What the live view shows, made from answers of the API.
//!
//! Pure; the clock is an argument. Rates are differences of two looks: a counter that fell has none.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

/// Answers of one look.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) pipelines: Value,
    pub(super) shards: Value,
    pub(super) alerts: Value,
    pub(super) cost: Value,
    pub(super) curves: Value,
}

/// Column that the pipelines are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// As in the file.
    #[default]
    File,
    /// Deliveries, most first.
    Delivered,
    /// Messages in flight, most first.
    InFlight,
    /// Depth of the queue, deepest first.
    Waiting,
}

impl Sort {
    /// For the head of the table.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Sort::File => "file",
            Sort::Delivered => "delivered/s",
            Sort::InFlight => "in flight",
            Sort::Waiting => "waiting",
        }
    }
}

/// One pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct PipelineRow {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) reason: String,
    pub(super) received_per_s: Option<f64>,
    pub(super) delivered_per_s: Option<f64>,
    pub(super) rejected_per_s: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) waiting: Option<u64>,
    pub(super) pollers: u64,
    pub(super) unaccounted: i64,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ShardRow {
    pub(super) shard: u64,
    pub(super) core: Option<u64>,
    pub(super) busy_ratio: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) stall_us: u64,
    pub(super) still_s: f64,
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct StageRow {
    pub(super) stage: String,
    pub(super) count: u64,
    pub(super) p50_us: u64,
    pub(super) p90_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) max_us: u64,
}

/// One alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct AlertRow {
    pub(super) state: String,
    pub(super) severity: String,
    pub(super) rule: String,
    pub(super) text: String,
    pub(super) is_silenced: bool,
    pub(super) acknowledged_by: Option<String>,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Screen {
    pub(super) pipelines: Vec<PipelineRow>,
    pub(super) shards: Vec<ShardRow>,
    pub(super) stages: Vec<StageRow>,
    /// Whose stages these are.
    pub(super) stages_of: Option<String>,
    pub(super) alerts: Vec<AlertRow>,
    pub(super) usd_per_day: Option<f64>,
}

/// The view's state.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    now: Answers,
    before: Option<Answers>,
    at: Option<Instant>,
    span_s: Option<f64>,
    selected: usize,
    /// Order of the pipelines.
    pub(super) sort: Sort,
    frozen: bool,
    /// Why there is nothing new.
    pub(super) trouble: Option<String>,
}

impl Model {
    /// Takes the answers of a look.
    pub(super) fn adopt(&mut self, mut answers: Answers, at: Instant) {
        self.span_s =
            self.at.map(|before| at.duration_since(before).as_secs_f64()).filter(|span| *span > 0.0);
        answers.curves = std::mem::take(&mut self.now.curves);
        self.before = self.at.map(|_| std::mem::replace(&mut self.now, answers.clone()));
        if self.before.is_none() {
            self.now = answers;
        }
        self.at = Some(at);
    }

    /// Takes the stages of the selected pipeline.
    pub(super) fn adopt_curves(&mut self, curves: Value) {
        self.now.curves = curves;
    }

    /// Moves the selection.
    pub(super) fn select(&mut self, by: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
    }

    /// Number of the selected row.
    pub(super) fn selected(&self) -> usize {
        self.selected.min(self.rows().len().saturating_sub(1))
    }

    /// Name of the selected pipeline.
    pub(super) fn selected_name(&self) -> Option<String> {
        self.rows().into_iter().nth(self.selected()).map(|row| row.name)
    }

    /// Sorts by the next column.
    pub(super) fn sort_next(&mut self) {
        self.sort = match self.sort {
            Sort::File => Sort::Delivered,
            Sort::Delivered => Sort::InFlight,
            Sort::InFlight => Sort::Waiting,
            Sort::Waiting => Sort::File,
        };
    }

    /// Stops looking, or goes on.
    pub(super) fn freeze(&mut self) {
        self.frozen = !self.frozen;
    }

    /// Whether it has stopped looking.
    pub(super) fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Everything that is shown.
    pub(super) fn screen(&self) -> Screen {
        Screen {
            pipelines: self.rows(),
            shards: self.shards(),
            stages: stages(&self.now.curves),
            stages_of: self.selected_name(),
            alerts: alerts(&self.now.alerts),
            usd_per_day: self.now.cost["usd_per_day"].as_f64(),
        }
    }

    fn rows(&self) -> Vec<PipelineRow> {
        let before: BTreeMap<&str, &Value> = self
            .before
            .iter()
            .flat_map(|before| items(&before.pipelines))
            .filter_map(|item| Some((item["name"].as_str()?, item)))
            .collect();
        let row = |item: &Value| {
            let name = text(item, "name");
            let earlier = before.get(name.as_str()).copied();
            let rate = |field: &str| {
                let grown = count(&item["totals"], field).checked_sub(count(&earlier?["totals"], field))?;
                Some(grown as f64 / self.span_s?)
            };
            PipelineRow {
                state: text(item, "state"),
                reason: text(item, "reason"),
                received_per_s: rate("received"),
                delivered_per_s: rate("delivered"),
                rejected_per_s: rate("rejected"),
                in_flight: count(&item["totals"], "in_flight"),
                waiting: item["queue"]["visible"].as_u64(),
                pollers: count(item, "pollers"),
                unaccounted: item["unaccounted"].as_i64().unwrap_or(0),
                name,
            }
        };
        let mut rows: Vec<PipelineRow> = items(&self.now.pipelines).map(row).collect();
        let rank = |row: &PipelineRow| match self.sort {
            Sort::File => 0.0,
            Sort::Delivered => row.delivered_per_s.unwrap_or(0.0),
            Sort::InFlight => row.in_flight as f64,
            Sort::Waiting => row.waiting.unwrap_or(0) as f64,
        };
        rows.sort_by(|one, two| rank(two).total_cmp(&rank(one)));
        rows
    }

    fn shards(&self) -> Vec<ShardRow> {
        let cpu = |answers: &Answers, shard: u64| {
            let name = format!("shard-{shard}");
            let threads = answers.shards["threads"].as_array()?;
            threads.iter().find(|thread| thread["name"] == name.as_str())?["cpu_seconds"].as_f64()
        };
        let row = |item: &Value| {
            let shard = count(item, "shard");
            let used = || Some(cpu(&self.now, shard)? - cpu(self.before.as_ref()?, shard)?);
            ShardRow {
                shard,
                core: item["core"].as_u64(),
                busy_ratio: used().zip(self.span_s).map(|(used, span)| (used / span).clamp(0.0, 1.0)),
                in_flight: count(item, "in_flight"),
                stall_us: count(item, "stall_us"),
                still_s: item["still_s"].as_f64().unwrap_or(0.0),
            }
        };
        items(&self.now.shards).map(row).collect()
    }
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

fn count(item: &Value, field: &str) -> u64 {
    item[field].as_u64().unwrap_or(0)
}

/// A text without what would move a terminal's cursor.
fn text(item: &Value, field: &str) -> String {
    item[field].as_str().unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect()
}

fn stages(curves: &Value) -> Vec<StageRow> {
    let row = |item: &Value| {
        let percentiles = &item["percentiles"];
        StageRow {
            stage: text(item, "stage"),
            count: count(percentiles, "count"),
            p50_us: count(percentiles, "p50_us"),
            p90_us: count(percentiles, "p90_us"),
            p99_us: count(percentiles, "p99_us"),
            p999_us: count(percentiles, "p999_us"),
            max_us: count(percentiles, "max_us"),
        }
    };
    curves["stages"].as_array().into_iter().flatten().map(row).collect()
}

fn alerts(answer: &Value) -> Vec<AlertRow> {
    let row = |item: &Value| AlertRow {
        state: text(item, "state"),
        severity: text(item, "severity"),
        rule: text(item, "rule"),
        text: text(item, "description"),
        is_silenced: item["silenced_by"].as_array().is_some_and(|ids| !ids.is_empty()),
        acknowledged_by: item["acknowledged"]["by"].as_str().map(str::to_owned),
    };
    items(answer).filter(|item| item["state"] != "resolved").map(row).collect()
}

#[cfg(test)]
pub(super) mod fixture {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn pipeline(name: &str, delivered: u64, visible: u64) -> Value {
        json!({
            "name": name, "state": "running", "reason": "", "pollers": 4, "unaccounted": 0,
            "totals": { "received": delivered + 5, "delivered": delivered, "rejected": 1, "in_flight": 5 },
            "queue": { "visible": visible, "in_flight": 5, "delayed": 0 },
        })
    }

    fn answers(second: u64) -> Answers {
        Answers {
            pipelines: json!({ "items": [pipeline("orders", 1_000 * second, 7), pipeline("refunds", 20 * second, 900)] }),
            shards: json!({
                "items": [{ "shard": 0, "core": 1, "stall_us": 120, "still_s": 0.0, "in_flight": 10 }],
                "threads": [{ "name": "shard-0", "cpu_seconds": 0.4 * second as f64 }],
            }),
            alerts: json!({ "items": [
                { "rule": "breaker-open", "state": "firing", "severity": "page", "description": "pipeline orders: \u{1b}[2Jbad",
                  "silenced_by": [3], "acknowledged": { "by": "ada" } },
                { "rule": "old", "state": "resolved", "severity": "page", "description": "x", "silenced_by": [] },
            ] }),
            cost: json!({ "usd_per_day": 12.5 }),
            curves: Value::Null,
        }
    }

    /// Two looks, two seconds apart.
    pub(crate) fn model() -> Model {
        let mut model = Model::default();
        let start = Instant::now();
        model.adopt(answers(1), start);
        model.adopt(answers(3), start + Duration::from_secs(2));
        let percentiles = json!({ "count": 50, "p50_us": 900, "p90_us": 2_000, "p99_us": 5_000, "p999_us": 8_000, "max_us": 9_000 });
        model.adopt_curves(json!({ "stages": [{ "stage": "produce_to_ack", "percentiles": percentiles }] }));
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_of_two_looks() {
        let screen = fixture::model().screen();
        assert_eq!(screen.pipelines[0].delivered_per_s, Some(1_000.0));
        assert_eq!(screen.pipelines[0].rejected_per_s, Some(0.0));
        assert_eq!(screen.pipelines[1].waiting, Some(900));
        let busy = screen.shards[0].busy_ratio.unwrap();
        assert!((busy - 0.4).abs() < 1e-9, "{busy}");
        assert_eq!(screen.stages[0].p99_us, 5_000);
        assert_eq!(screen.usd_per_day, Some(12.5));
    }

    #[test]
    fn one_look_has_no_rates_and_a_counter_that_fell_neither() {
        let mut model = fixture::model();
        let (now, before) = (model.now.clone(), model.before.clone().unwrap());
        model.now = before;
        model.before = Some(now);
        assert_eq!(model.screen().pipelines[0].delivered_per_s, None);
        model.before = None;
        assert_eq!(model.screen().pipelines[0].delivered_per_s, None);
        assert_eq!(model.screen().pipelines[0].in_flight, 5);
    }

    #[test]
    fn rows_are_sorted_by_the_next_column() {
        let mut model = fixture::model();
        let names =
            |model: &Model| model.screen().pipelines.into_iter().map(|row| row.name).collect::<Vec<_>>();
        for (sort, first) in [
            (Sort::Delivered, "orders"),
            (Sort::InFlight, "orders"),
            (Sort::Waiting, "refunds"),
            (Sort::File, "orders"),
        ] {
            model.sort_next();
            assert_eq!((model.sort, names(&model)[0].as_str()), (sort, first));
        }
    }

    #[test]
    fn what_is_resolved_is_not_shown_and_nothing_moves_the_cursor() {
        let screen = fixture::model().screen();
        assert_eq!(screen.alerts.len(), 1);
        assert!(!screen.alerts[0].text.contains('\u{1b}'), "{:?}", screen.alerts);
        assert_eq!(
            (screen.alerts[0].is_silenced, screen.alerts[0].acknowledged_by.as_deref()),
            (true, Some("ada"))
        );
    }

    #[test]
    fn an_appliance_without_anything_is_an_empty_screen() {
        let mut model = Model::default();
        model.adopt(Answers::default(), Instant::now());
        model.select(1);
        assert_eq!(model.screen(), Screen::default());
        assert_eq!(model.selected_name(), None);
    }
}
