//! The watch: what the appliance did, second by second; what it costs; what is wrong with it, and who is told.
//!
//! Fed with the board's views beside the appliance's own loop, and never in its way: figures are taken under a lock that
//! is held for microseconds, the store is written to by a task of its own, and receivers of alerts have queues.
//! The parts are pure and take the time as an argument; this file joins them to clock, store and board.

pub(crate) mod alerts;
pub(crate) mod cost;
pub(crate) mod emf;
pub(crate) mod flows;
pub(crate) mod growth;
pub(crate) mod history;
pub(crate) mod latency;
pub(crate) mod notify;
mod otlp;
pub(crate) mod rows;
pub(crate) mod sampler;
pub(crate) mod system;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataplane::config::{Config, Time};
use tokio::time::{MissedTickBehavior, interval};

use self::alerts::readings::{SPAN_MS, Sight};
use self::alerts::rule::{self, Rule, Severity, Source};
use self::alerts::{Book, Notice, Origin};
use self::cost::{Bill, QueueKind, Usage};
use self::growth::Growth;
use self::history::{History, Minutes};
use self::latency::LatencyLog;
use self::notify::sns::Topic;
use self::notify::webhook::Hook;
use self::notify::{Notifiers, Shown, Way};
use self::sampler::{Cell, Moment, Sampler, Subject};
use self::system::System;
use self::writer::{Work, Writer};
use crate::board::{Board, View};
use crate::configs::Configs;
use crate::exit::Failure;
use crate::snapshot;
use crate::store::{Store, StoreError, now_ms};

/// How often the board is looked at. Shards publish once a second; half of it keeps the delay small.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often rules are looked at.
const EVALUATE_EVERY_MS: u64 = 1_000;
/// How often the kernel is asked. Hundreds of small files: some milliseconds.
const SYSTEM_EVERY_MS: u64 = 5_000;
/// Largest file of rules.
const RULES_BYTES_MAX: u64 = 1 << 20;

/// The watch, as its users hold it: cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    config: Arc<Config>,
    store: Store,
    state: Mutex<State>,
    notifiers: Notifiers,
    writer: Writer,
    restored: AtomicU64,
    started: Instant,
}

/// Everything that is looked at and changed under the lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    sampler: Sampler,
    /// Seconds.
    pub(crate) history: History,
    minutes: Minutes,
    /// Latencies.
    pub(crate) latency: LatencyLog,
    /// Rules, silences, alerts.
    pub(crate) book: Book,
    /// The process and its machine.
    pub(crate) system: System,
    /// Bills of the last minute, by pipeline.
    pub(crate) bills: BTreeMap<String, Bill>,
    /// Bills since the start, by pipeline.
    pub(crate) bills_total: BTreeMap<String, Bill>,
    throttled: Growth,
    attributes: Growth,
    whole_at: Option<u64>,
    evaluated_at: Option<u64>,
    system_at: Option<u64>,
}

/// What `/metrics` and the exports need, in one piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Bills since the start, by pipeline.
    pub(crate) bills: BTreeMap<String, Bill>,
    /// The process and its machine.
    pub(crate) system: System,
    /// Alerts that are pending or firing, by rule and severity.
    pub(crate) alerts: BTreeMap<(String, &'static str, &'static str), u64>,
    /// Receivers of alerts.
    pub(crate) receivers: Vec<Shown>,
    /// Minutes of history that could not be stored, in a row.
    pub(crate) store_lost_minutes: u64,
}

/// The rules that hold without the API: those that ship, a budget, and the file's.
///
/// # Errors
/// The file cannot be read or is wrong: exit code 78.
fn rules_of(config: &Config) -> Result<(Vec<Rule>, Vec<Rule>), Failure> {
    let mut defaults = rule::defaults();
    if let Some(budget) = config.cost.requests_per_minute_max {
        defaults.push(Rule {
            name: "request-budget".to_owned(),
            summary: "SQS is asked more often than the budget allows.".to_owned(),
            source: Source::RequestsPerMinute,
            stage: None,
            quantile: None,
            pipeline: "*".to_owned(),
            above: Some(budget as f64),
            below: None,
            clear: None,
            hold: Time::from_secs(120),
            clear_for: Time::from_secs(120),
            severity: Severity::Ticket,
            labels: BTreeMap::new(),
            runbook: None,
            enabled: true,
        });
    }
    let Some(file) = &config.alerts.rules_file else { return Ok((defaults, Vec::new())) };
    let wrong = |text: String| {
        Failure::config(
            format!("alerts.rules_file {}: {text}", file.display()),
            "docs/runbooks has the form and the rules that ship",
        )
    };
    let text = read_rules(file).map_err(wrong)?;
    Ok((defaults, rule::parse(&text).map_err(wrong)?))
}

fn read_rules(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(RULES_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > RULES_BYTES_MAX { Err("larger than 1 MiB".to_owned()) } else { Ok(text) }
}

impl Watch {
    /// Puts the watch together and starts its receivers and its writer; to be called within the runtime.
    ///
    /// # Errors
    /// A file of rules or a receiver that cannot work: exit code 78.
    pub(crate) async fn new(config: Arc<Config>, store: Store) -> Result<Watch, Failure> {
        let (defaults, file) = rules_of(&config)?;
        let mut notifiers = Notifiers::default();
        for hook in &config.alerts.webhook {
            let way =
                Hook::new(hook).map_err(|text| Failure::config(text, "docs/alerts.md has an example"))?;
            notifiers.add(&hook.name, hook.pages_only, Way::Hook(way));
        }
        for sns in &config.alerts.sns {
            notifiers.add(&sns.name, sns.pages_only, Way::Topic(Topic::new(sns).await));
        }
        if let Some(otlp) = &config.export.otlp {
            otlp::Exporter::new(otlp)
                .map_err(|text| Failure::config(text, "see the comment of that field"))?;
        }
        let mut state = State::default();
        state.book.set_rules(Origin::Default, defaults);
        state.book.set_rules(Origin::File, file);
        let parts = Parts {
            writer: Writer::start(store.clone()),
            restored: AtomicU64::new(store.restored()),
            started: Instant::now(),
            state: Mutex::new(state),
            notifiers,
            config,
            store,
        };
        let watch = Watch(Arc::new(parts));
        watch.load(true).await;
        Ok(watch)
    }

    /// A watch that looks at nothing by itself and writes nothing: for tests of what shows it.
    #[cfg(test)]
    pub(crate) fn detached(config: Arc<Config>, store: Store) -> Watch {
        let mut state = State::default();
        state.book.set_rules(Origin::Default, rule::defaults());
        Watch(Arc::new(Parts {
            writer: Writer::detached(),
            restored: AtomicU64::new(0),
            started: Instant::now(),
            state: Mutex::new(state),
            notifiers: Notifiers::default(),
            config,
            store,
        }))
    }

    /// Reads what the store has of rules, silences and, at the start, firing alerts. Without a store there is none of them.
    async fn load(&self, first: bool) {
        let read = self.0.store.call(|connection| {
            Ok((
                alerts::rows::rules(connection)?,
                alerts::rows::silences(connection)?,
                alerts::rows::active(connection)?,
            ))
        });
        match read.await {
            Ok((rules, silences, active)) => self.with(|state| {
                state.book.set_rules(Origin::Api, rules.into_iter().map(|stored| stored.rule).collect());
                state.book.set_silences(silences);
                if first {
                    state.book.restore(active, self.now());
                }
            }),
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => {
                tracing::warn!(event = "alerts_unread", reason = %error, "rules and silences of the store cannot be read");
            }
        }
    }

    /// Reads rules and silences again after they were changed.
    pub(crate) async fn reload(&self) {
        self.load(false).await;
    }

    /// Looks at the board until the process ends.
    pub(crate) async fn run(self, board: Arc<Board>, configs: Configs) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut exporting = emf::Exporter::new(self.0.config.export.emf.clone());
        // It worked at the start, so it works now unless a secret has gone meanwhile.
        let pushing = self.0.config.export.otlp.as_ref().and_then(|otlp| otlp::Exporter::new(otlp).ok());
        if let Some(exporter) = pushing {
            tokio::spawn(exporter.run(self.clone(), Arc::clone(&board)));
        }
        loop {
            look.tick().await;
            let restored = self.0.store.restored();
            if self.0.restored.swap(restored, Ordering::AcqRel) != restored {
                self.reload().await;
            }
            let (view, now) = (board.view(), self.now());
            self.look(&view, now, &configs.current().config);
            if let Some(exporter) = &mut exporting {
                self.with(|state| exporter.look(&view, &state.history, now));
            }
        }
    }

    /// Takes one view.
    pub(crate) fn look(&self, view: &View, now: Moment, config: &Config) {
        let proc = Path::new("/proc");
        let is_due = self.with(|state| is_due(&mut state.system_at, now, SYSTEM_EVERY_MS));
        // The kernel is asked outside the lock.
        let system = is_due.then(|| system::read(proc, self.disk().as_deref()));
        let (lost, failed) = (self.0.writer.lost_minutes(), self.0.notifiers.failed_in_a_row());
        let (work, notices) = self.with(|state| {
            if let Some(system) = system {
                state.system = system;
            }
            let mut work = state.take(view, now, config);
            let notices = state.evaluate(view, now, lost, failed, &mut work);
            (work, notices)
        });
        for piece in work {
            self.0.writer.write(piece);
        }
        for notice in &notices {
            self.0.notifiers.tell(notice);
        }
    }

    fn disk(&self) -> Option<PathBuf> {
        self.0.store.folder().map(Path::to_owned)
    }

    /// Tells a notice now.
    pub(crate) fn tell(&self, notice: &Notice) {
        self.0.notifiers.tell(notice);
    }

    /// Writes what fires and what happened.
    pub(crate) fn keep(&self, events: Vec<alerts::Event>) {
        let kept = self.with(|state| state.book.kept());
        self.0.writer.write(Work::Alerts { kept, events });
    }

    /// Receivers of alerts.
    pub(crate) fn receivers(&self) -> Vec<Shown> {
        self.0.notifiers.shown()
    }

    /// Minutes of history that could not be stored, in a row.
    pub(crate) fn lost_minutes(&self) -> u64 {
        self.0.writer.lost_minutes()
    }

    /// This moment on both clocks.
    pub(crate) fn now(&self) -> Moment {
        Moment { wall_ms: now_ms(), mono_ms: self.0.started.elapsed().as_millis() as u64 }
    }

    /// Looks at the state, for microseconds.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Whoever panicked with the lock left figures behind, not promises.
        act(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `/metrics` and the exports need.
    pub(crate) fn figures(&self) -> Figures {
        let (bills, system, active) =
            self.with(|state| (state.bills_total.clone(), state.system.clone(), state.book.active(now_ms())));
        let mut alerts = BTreeMap::new();
        for alert in active {
            let text = match alert.state {
                alerts::AlertState::Pending => "pending",
                alerts::AlertState::Firing => "firing",
                alerts::AlertState::Resolved => continue,
            };
            *alerts.entry((alert.key.rule, alert.severity.as_str(), text)).or_default() += 1;
        }
        Figures {
            bills,
            system,
            alerts,
            receivers: self.receivers(),
            store_lost_minutes: self.lost_minutes(),
        }
    }
}

fn is_due(last: &mut Option<u64>, now: Moment, every_ms: u64) -> bool {
    let due = last.is_none_or(|last| now.mono_ms.saturating_sub(last) >= every_ms);
    if due {
        *last = Some(now.mono_ms);
    }
    due
}

impl State {
    /// Takes a frame, if there is one; returns what the store should keep of it.
    fn take(&mut self, view: &View, now: Moment, config: &Config) -> Vec<Work> {
        let Some(frame) = self.sampler.take(view, now) else { return Vec::new() };
        if matches!(frame.cells.get(&Subject::Appliance), Some(Cell::Point(_))) {
            self.whole_at = Some(now.mono_ms);
        }
        self.history.push(&frame);
        let rows = self.minutes.push(&frame);
        let is_gap = |name: &str| {
            let cell = frame.cells.get(&Subject::Pipeline(name.to_owned()));
            // Silence of one shard leaves the counts of the others, which belong to this second all the same.
            matches!(
                cell,
                None | Some(Cell::Gap(sampler::Gap::Start | sampler::Gap::Missed | sampler::Gap::Reset))
            )
        };
        let columns = self.latency.push(view, frame.at_ms, is_gap);
        let throttled = view.pipelines.iter().map(|name| {
            let pumps = snapshot::pumps(view, name);
            (name.clone(), pumps.map(|(_, pump)| crate::metrics::throttled(&pump.sqs_errors)).sum())
        });
        self.throttled.push(now.mono_ms, throttled.collect());
        self.attributes.push(now.mono_ms, view.attribute_calls.clone());
        self.bill(view, now, config);
        if rows.is_empty() && columns.is_empty() { Vec::new() } else { vec![Work::Minute { rows, columns }] }
    }

    fn bill(&mut self, view: &View, now: Moment, config: &Config) {
        let attributes = self.attributes.over();
        self.bills.clear();
        self.bills_total.clear();
        for pipeline in config.pipeline.iter().filter(|pipeline| view.pipelines.contains(&pipeline.name)) {
            let name = &pipeline.name;
            let price = cost::usd_per_million(&config.cost, QueueKind::of_url(&pipeline.queue.url));
            let (flow, covers_ms) = self.history.over(&Subject::Pipeline(name.clone()), now.wall_ms, SPAN_MS);
            let usage = Usage::of(&flow, attributes.get(name).copied().unwrap_or(0), covers_ms);
            self.bills.insert(name.clone(), cost::bill(&usage, price));
            let flow = flows::flow_of(&snapshot::totals(view, name));
            let calls = view.attribute_calls.get(name).copied().unwrap_or(0);
            let usage = Usage::of(&flow, calls, view.uptime.as_millis() as u64);
            self.bills_total.insert(name.clone(), cost::bill(&usage, price));
        }
    }

    /// Looks at the rules, once a second.
    fn evaluate(
        &mut self,
        view: &View,
        now: Moment,
        lost: u64,
        failed: u64,
        work: &mut Vec<Work>,
    ) -> Vec<Notice> {
        if !is_due(&mut self.evaluated_at, now, EVALUATE_EVERY_MS) {
            return Vec::new();
        }
        let sight = Sight {
            view,
            history: &self.history,
            latency: &self.latency,
            bills: &self.bills,
            throttled: &self.throttled.over(),
            system: &self.system,
            stale_ms: self.whole_at.map(|at| now.mono_ms.saturating_sub(at)),
            store_lost_minutes: lost,
            notices_failed: failed,
            now,
        };
        let outcome = self.book.evaluate(&|rule: &Rule| sight.read(rule), now);
        if outcome.changed {
            work.push(Work::Alerts { kept: self.book.kept(), events: outcome.events });
        }
        outcome.notices
    }
}

#[cfg(test)]
mod tests;
