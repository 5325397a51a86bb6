//! The board: what the data plane last published, where HTTP, logs and the demo read it.
//!
//! One writer (the loop that reads the shards once a second), any number of readers, who get one
//! consistent view and never wait for a shard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataplane::config::{Config, Pipeline};
use dataplane::control::{ShardReport, ThreadCpu};
use serde::{Deserialize, Serialize};

use crate::process::{self, Usage};

/// What the appliance as a whole is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Up, or coming up.
    #[default]
    Running,
    /// A signal has asked for the end.
    Draining,
    /// The shards have ended.
    Ended,
}

/// What SQS says about the depth of a queue. Source: GetQueueAttributes; approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Depth {
    /// `ApproximateNumberOfMessages`.
    pub(crate) visible: u64,
    /// `ApproximateNumberOfMessagesNotVisible`.
    pub(crate) in_flight: u64,
    /// `ApproximateNumberOfMessagesDelayed`.
    pub(crate) delayed: u64,
}

/// One consistent look at the appliance, or at all data planes that are attached; what a data plane sends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct View {
    /// What the appliance does.
    pub(crate) phase: Phase,
    /// Time since the process started its data plane.
    pub(crate) uptime: Duration,
    /// Names of the configured pipelines, in the order of the file, and of those that are about to go.
    pub(crate) pipelines: Vec<String>,
    /// Number of shards that were started.
    pub(crate) shards: usize,
    /// Last report of each shard that has published one.
    pub(crate) reports: Vec<ShardReport>,
    /// Time since each of those shards last turned.
    pub(crate) still: Vec<Duration>,
    /// CPU of the data plane's threads.
    pub(crate) threads: Vec<ThreadCpu>,
    /// The process as a whole.
    pub(crate) process: Usage,
    /// By pipeline: why the control plane cannot do its part, in one sentence.
    pub(crate) troubles: BTreeMap<String, String>,
    /// By pipeline: how deep its queue is.
    pub(crate) depths: BTreeMap<String, Depth>,
    /// By pipeline: GetQueueAttributes calls that were answered; SQS bills them too.
    pub(crate) attribute_calls: BTreeMap<String, u64>,
    /// By pipeline: bytes that its budget allows on one shard.
    pub(crate) budgets: BTreeMap<String, u64>,
    /// Of a control plane that attaches data planes: whose shards these are.
    #[serde(skip)]
    pub(crate) fleet: Option<Merged>,
}

/// What a view of several data planes knows about them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged {
    /// By number of a shard in this view: the data plane and the number that the shard has there.
    pub(crate) owners: BTreeMap<u16, (Arc<str>, u16)>,
    /// Data planes that do not answer, and what is known about it.
    pub(crate) absent: Vec<(String, String)>,
    /// Whether one of those that answer works by another configuration than the control plane's.
    pub(crate) is_mixed: bool,
}

impl View {
    /// The data plane that a shard belongs to, and the number that it has there.
    pub(crate) fn owner(&self, shard: u16) -> (&str, u16) {
        let owner = self.fleet.as_ref().and_then(|fleet| fleet.owners.get(&shard));
        owner.map_or((process::host(), shard), |(name, number)| (name, *number))
    }

    /// Forgets pipelines that neither the configuration nor a shard has any more.
    fn forget_gone(&mut self) {
        let View { pipelines, budgets, reports, .. } = self;
        let is_at_work = |name: &String| {
            reports.iter().flat_map(|report| &report.pumps).any(|pump| pump.pipeline == *name)
        };
        let gone = |name: &String| !budgets.contains_key(name) && !is_at_work(name);
        pipelines.retain(|name| !gone(name));
        let is_known = |name: &String| pipelines.contains(name);
        self.troubles.retain(|name, _| is_known(name));
        self.depths.retain(|name, _| is_known(name));
        self.attribute_calls.retain(|name, _| is_known(name));
    }

    /// Whether a shard has published.
    pub(crate) fn has_shard(&self, shard: u16) -> bool {
        self.reports.iter().any(|report| report.shard == shard)
    }
}

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    view: Arc<View>,
    turned: BTreeMap<u16, (u64, Instant)>,
}

impl Board {
    /// An empty board for a data plane of so many shards.
    pub(crate) fn new(config: &Config, shards: usize) -> Board {
        let view = View { pipelines: names(config), shards, budgets: budgets(config), ..View::default() };
        Board {
            started: Instant::now(),
            inner: Mutex::new(Inner { view: Arc::new(view), turned: BTreeMap::new() }),
        }
    }

    /// The latest view.
    pub(crate) fn view(&self) -> Arc<View> {
        self.with(|inner| Arc::clone(&inner.view))
    }

    /// Whether a pipeline is configured, or about to go.
    pub(crate) fn has_pipeline(&self, name: &str) -> bool {
        self.view().pipelines.iter().any(|known| known == name)
    }

    /// Takes what the shards published.
    pub(crate) fn publish(&self, reports: Vec<ShardReport>, threads: Vec<ThreadCpu>) {
        let process = process::usage();
        let now = Instant::now();
        self.change(|view, turned| {
            view.still = reports
                .iter()
                .map(|report| {
                    let last = turned.entry(report.shard).or_insert((report.turns, now));
                    if last.0 != report.turns {
                        *last = (report.turns, now);
                    }
                    now.duration_since(last.1)
                })
                .collect();
            view.reports = reports;
            view.forget_gone();
            view.threads = threads;
            view.process = process;
        });
    }

    /// Shows a view that was made elsewhere: of the data planes that are attached.
    pub(crate) fn replace(&self, view: View) {
        self.change(|shown, _| *shown = View { uptime: shown.uptime, ..view });
    }

    /// The appliance does something else now.
    pub(crate) fn enter(&self, phase: Phase) {
        self.change(|view, _| view.phase = phase);
    }

    /// The control plane's part for a pipeline works, or does not. Returns whether that is news.
    pub(crate) fn trouble(&self, pipeline: &str, trouble: Option<&str>) -> bool {
        let mut news = false;
        self.change(|view, _| {
            let before = match trouble {
                Some(text) => view.troubles.insert(pipeline.to_owned(), text.to_owned()),
                None => view.troubles.remove(pipeline),
            };
            news = before.as_deref() != trouble;
        });
        news
    }

    /// Another configuration is in force.
    pub(crate) fn configured(&self, config: &Config) {
        self.change(|view, _| {
            view.budgets = budgets(config);
            let before = std::mem::replace(&mut view.pipelines, names(config));
            let leaving = before.into_iter().filter(|name| !view.budgets.contains_key(name));
            view.pipelines.extend(leaving);
            view.forget_gone();
        });
    }

    /// A queue is this deep.
    pub(crate) fn depth(&self, pipeline: &str, depth: Depth) {
        self.change(|view, _| {
            view.depths.insert(pipeline.to_owned(), depth);
        });
    }

    /// SQS was asked for a queue's attributes, which it bills.
    pub(crate) fn asked_attributes(&self, pipeline: &str) {
        self.change(|view, _| *view.attribute_calls.entry(pipeline.to_owned()).or_default() += 1);
    }

    fn change(&self, change: impl FnOnce(&mut View, &mut BTreeMap<u16, (u64, Instant)>)) {
        self.with(|inner| {
            // A copy is made only while a reader still holds the old view.
            let view = Arc::make_mut(&mut inner.view);
            view.uptime = self.started.elapsed();
            change(view, &mut inner.turned);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        // The view is replaced whole, so a reader's panic elsewhere leaves it readable.
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn names(config: &Config) -> Vec<String> {
    config.pipeline.iter().map(|pipeline| pipeline.name.clone()).collect()
}

fn budgets(config: &Config) -> BTreeMap<String, u64> {
    let budget = |pipeline: &Pipeline| (pipeline.name.clone(), pipeline.budget.in_flight_bytes_max.0);
    config.pipeline.iter().map(budget).collect()
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Reports as a data plane would publish them.

    use dataplane::config::Rate;
    use dataplane::control::{PumpReport, State, TypeReport};
    use dataplane::stats::{Codes, Counters, Latency, Stage};

    use super::*;

    pub(crate) fn config() -> Config {
        let url = "https://sqs.eu-west-1.amazonaws.com/1/orders";
        Config { pipeline: vec![Pipeline::new("orders", url, &["b:9092"], "orders")], ..Config::default() }
    }

    pub(crate) fn report(shard: u16, turns: u64, state: State, counters: Counters) -> ShardReport {
        let mut latency = Latency::new();
        latency.record(Stage::ProduceToAck, 3_000, counters.delivered);
        latency.record(Stage::EndToEnd, 12_000, counters.delivered);
        let mut codes = Codes::default();
        codes.count("delete:ThrottlingException");
        let reason = if state == State::Running { String::new() } else { "no ack from Kafka for 5 s".into() };
        ShardReport {
            shard,
            core: Some(shard),
            cooperative_rings: true,
            at_ns: 1,
            turns,
            stall_us: 120,
            epoch: 0,
            refused: None,
            pumps: vec![PumpReport {
                pipeline: "orders".into(),
                state,
                reason,
                counters,
                latency,
                types: vec![TypeReport { name: "paid \"x\"\n".into(), count: 7, bytes: 70, errors: 1 }],
                sqs_errors: codes,
                kafka_errors: Codes::default(),
                rejections: Codes::default(),
                pollers: 4,
                clock_skew_s: 0,
                rate: Rate::default(),
                rate_limited: false,
            }],
        }
    }

    pub(crate) fn counters() -> Counters {
        Counters { received: 100, delivered: 90, in_flight: 10, receives: 12, ..Counters::default() }
    }

    pub(crate) fn running() -> Board {
        let board = Board::new(&config(), 2);
        let reports =
            vec![report(0, 5, State::Running, counters()), report(1, 5, State::Running, counters())];
        board.publish(reports, vec![ThreadCpu { name: "shard-0".into(), cpu_ns: 2_000_000_000 }]);
        board
    }
}

#[cfg(test)]
mod tests {
    use dataplane::control::State;

    use super::fixture::{config, counters, report};
    use super::*;

    #[test]
    fn a_reader_keeps_its_view_while_a_new_one_is_published() {
        let board = Board::new(&config(), 1);
        let before = board.view();
        board.publish(vec![report(0, 1, State::Running, counters())], Vec::new());
        assert!(before.reports.is_empty());
        assert_eq!(board.view().reports.len(), 1);
    }

    #[test]
    fn a_shard_that_no_longer_turns_grows_still() {
        let board = Board::new(&config(), 1);
        board.publish(vec![report(0, 1, State::Running, counters())], Vec::new());
        std::thread::sleep(Duration::from_millis(2));
        board.publish(vec![report(0, 1, State::Running, counters())], Vec::new());
        assert!(board.view().still[0] >= Duration::from_millis(2));
        board.publish(vec![report(0, 2, State::Running, counters())], Vec::new());
        assert_eq!(board.view().still[0], Duration::ZERO);
    }

    #[test]
    fn a_trouble_is_news_once() {
        let board = Board::new(&config(), 1);
        assert!(board.trouble("orders", Some("no credentials")));
        assert!(!board.trouble("orders", Some("no credentials")));
        assert!(board.trouble("orders", None));
        assert!(!board.trouble("orders", None));
    }
}
