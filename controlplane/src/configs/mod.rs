//! The configuration that runs, and how another takes its place: checked whole, sent to every shard, and taken back from
//! all of them if one refuses.
//!
//! Whoever changes it (SIGHUP, the API) comes through [`Configs::apply`]: one change at a time.

mod hiding;
pub(crate) mod versions;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dataplane::config::{Change, Config, Problem};
use dataplane::control::{Command, ShardReport};
use ring::digest::{SHA256, digest};
use tokio::time::{Instant, sleep};

use crate::appliance::Commands;
use crate::board::{Board, Phase};
use crate::exit::Failure;
use crate::settings::Sources;
use crate::supply::{Accesses, Supply};
pub(crate) use hiding::{hidden, revealed};

/// How long a change waits for the word of every shard: they publish once a second.
const SHARDS_TIME: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Hexadecimal digits of a version's tag.
const TAG_DIGITS: usize = 16;

/// The configuration in force, with its number and its tag.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) epoch: u64,
    pub(crate) config: Arc<Config>,
    pub(crate) tag: String,
}

/// Why a configuration was not taken. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot work.
    Problems(Vec<Problem>),
    /// These keys need a restart.
    NeedsRestart(Vec<Change>),
    /// Another one is in force than it was made from.
    Stale { tag: String },
    /// A shard refused it.
    Shards(String),
    /// The appliance is ending.
    Ending,
}

/// A configuration that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) epoch: u64,
    pub(crate) changes: Vec<Change>,
    /// Shards that have said so; the others are late.
    pub(crate) taken_by: usize,
    pub(crate) shards: usize,
}

/// Where the configuration is kept: cheap to clone.
#[derive(Clone)]
pub(crate) struct Configs(Arc<Inner>);

struct Inner {
    /// In force.
    current: Mutex<Version>,
    /// Highest number that was sent.
    sent: tokio::sync::Mutex<u64>,
    sources: Option<Sources>,
    board: Arc<Board>,
    commands: Commands,
    /// Who looks after the pipelines, when their shards are in this process.
    supply: OnceLock<Supply>,
}

impl Configs {
    /// Begins with the configuration of the start, as it was read. `sources` are asked again by [`Configs::reload`].
    pub(crate) fn new(
        config: Config,
        sources: Option<Sources>,
        board: Arc<Board>,
        commands: Commands,
    ) -> Configs {
        let current = Mutex::new(Version { epoch: 0, tag: tag(&config), config: Arc::new(config) });
        let sent = tokio::sync::Mutex::new(0);
        Configs(Arc::new(Inner { current, sent, sources, board, commands, supply: OnceLock::new() }))
    }

    /// The same, with who looks after pipelines that come.
    pub(crate) fn with(self, supply: Supply) -> Configs {
        // Set once, at the start.
        let _once = self.0.supply.set(supply);
        self
    }

    /// The configuration in force.
    pub(crate) fn current(&self) -> Version {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether another configuration could be taken: its changes, or why not.
    pub(crate) fn review(&self, new: &Config) -> Result<Vec<Change>, Refusal> {
        let problems = new.problems();
        if !problems.is_empty() {
            return Err(Refusal::Problems(problems));
        }
        let before = self.current().config;
        let lingering = self.lingering(&before, new);
        if !lingering.is_empty() {
            return Err(Refusal::Problems(lingering));
        }
        let changes = before.changes_to(new);
        let frozen: Vec<Change> = changes.iter().filter(|change| !change.live).cloned().collect();
        if frozen.is_empty() { Ok(changes) } else { Err(Refusal::NeedsRestart(frozen)) }
    }

    /// Puts another configuration into force. `made_from` is the tag that must be in force still.
    pub(crate) async fn apply(&self, new: Config, made_from: Option<&str>) -> Result<Applied, Refusal> {
        let mut sent = self.0.sent.lock().await;
        let before = self.current();
        if made_from.is_some_and(|tag| tag != before.tag) {
            return Err(Refusal::Stale { tag: before.tag });
        }
        let changes = self.review(&new)?;
        let shards = self.0.board.view().shards;
        let is_shared = self.0.board.view().fleet.as_ref().is_none_or(|fleet| !fleet.is_mixed);
        if changes.is_empty() && is_shared {
            return Ok(Applied { epoch: before.epoch, changes, taken_by: shards, shards });
        }
        if self.0.board.view().phase != Phase::Running {
            return Err(Refusal::Ending);
        }
        // A data plane in another process may have seen higher ones, from a control plane before this.
        *sent = (*sent).max(self.highest_seen()) + 1;
        let epoch = *sent;
        let (ready, accesses) = self.prepare(&before.config, &new).await?;
        self.send(epoch, &ready).await?;
        match self.wait_for_shards(epoch).await {
            Ok(taken_by) => {
                let config = Arc::new(new);
                self.put(Version { epoch, tag: tag(&config), config });
                self.keep(accesses);
                Ok(Applied { epoch, changes, taken_by, shards })
            }
            Err(reason) => {
                // Shards know the same queues and refuse alike; one that took it would be brought back here.
                *sent += 1;
                self.send(*sent, &before.config).await?;
                self.put(Version { epoch: *sent, ..before });
                Err(Refusal::Shards(reason))
            }
        }
    }

    /// Reads the sources again and puts what they say into force; tells the log what came of it. Whether another
    /// configuration is in force now.
    pub(crate) async fn reload(&self) -> bool {
        let Some(sources) = &self.0.sources else {
            tracing::warn!(event = "reload_refused", "there is no configuration file to be read again");
            return false;
        };
        match sources.load() {
            Ok(loaded) => {
                let outcome = self.apply(loaded.config, None).await;
                log(&outcome, &loaded.origin);
                outcome.is_ok_and(|applied| !applied.changes.is_empty())
            }
            Err(Failure { text, remedy, .. }) => {
                tracing::warn!(
                    event = "reload_refused",
                    reason = text,
                    remedy,
                    "the configuration cannot work; the one in force stays"
                );
                false
            }
        }
    }

    /// Takes what a control plane in another process orders: everything that pipelines and the drain have; what belongs
    /// to this process alone stays. Returns the configuration for the shards.
    ///
    /// # Errors
    /// Why it is not taken, in one sentence.
    pub(crate) async fn follow(&self, epoch: u64, ordered: &Config) -> Result<Arc<Config>, String> {
        // One change at a time, whoever orders it.
        let _turn = self.0.sent.lock().await;
        let before = self.current();
        if epoch <= before.epoch {
            return Err(format!("number {epoch} is not higher than {}, which is in force", before.epoch));
        }
        let (pipeline, drain) = (ordered.pipeline.clone(), ordered.drain.clone());
        let new = Config { pipeline, drain, ..(*before.config).clone() };
        let in_words = |refusal| match refusal {
            Refusal::Problems(problems) => problems[0].to_string(),
            Refusal::NeedsRestart(changes) => format!("{}: a change needs a restart", fields(&changes)),
            other => format!("{other:?}"),
        };
        self.review(&new).map_err(in_words)?;
        let (ready, accesses) = self.prepare(&before.config, &new).await.map_err(in_words)?;
        let config = Arc::new(new);
        self.put(Version { epoch, tag: tag(&config), config });
        self.keep(accesses);
        Ok(ready)
    }

    /// New pipelines whose name another one has that is about to go.
    fn lingering(&self, before: &Config, new: &Config) -> Vec<Problem> {
        let view = self.0.board.view();
        let is_known = |name: &String| before.pipeline.iter().any(|pipeline| pipeline.name == *name);
        let fresh = new.pipeline.iter().map(|pipeline| &pipeline.name).filter(|name| !is_known(name));
        let problem = |name: &String| Problem {
            field: format!("pipeline.{name}"),
            text: "the one of this name that was removed is still finishing; wait until it is gone"
                .to_owned(),
        };
        fresh.filter(|name| view.pipelines.contains(name)).map(problem).collect()
    }

    /// What the shards are given for a configuration, and how the queues are reached that it brings.
    async fn prepare(&self, before: &Config, new: &Config) -> Result<(Arc<Config>, Accesses), Refusal> {
        match self.0.supply.get() {
            Some(supply) => {
                supply.prepare(before, new).await.map_err(|problem| Refusal::Problems(vec![problem]))
            }
            // Each data plane finds out for itself.
            None => Ok((Arc::new(new.clone()), Vec::new())),
        }
    }

    fn keep(&self, accesses: Accesses) {
        if let Some(supply) = self.0.supply.get() {
            supply.keep(accesses);
        }
    }

    /// The highest number that this process or any shard knows of.
    fn highest_seen(&self) -> u64 {
        let view = self.0.board.view();
        let of = |report: &ShardReport| {
            report.epoch.max(report.refused.as_ref().map_or(0, |refused| refused.epoch))
        };
        view.reports.iter().map(of).max().unwrap_or(0).max(self.current().epoch)
    }

    async fn send(&self, epoch: u64, config: &Arc<Config>) -> Result<(), Refusal> {
        let command = Command::Apply { epoch, config: Arc::clone(config) };
        self.0.commands.send(command).await.map_err(|_| Refusal::Ending)
    }

    /// How many shards have taken it, when all have said or the time is up.
    async fn wait_for_shards(&self, epoch: u64) -> Result<usize, String> {
        let end = Instant::now() + SHARDS_TIME;
        loop {
            let view = self.0.board.view();
            let mut refused = view.reports.iter().filter_map(|report| report.refused.as_ref());
            if let Some(refused) = refused.find(|refused| refused.epoch == epoch) {
                return Err(refused.reason.clone());
            }
            let taken_by = view.reports.iter().filter(|report| report.epoch >= epoch).count();
            if taken_by == view.shards || Instant::now() >= end {
                return Ok(taken_by);
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn put(&self, version: Version) {
        self.0.board.configured(&version.config);
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }
}

/// Tells a configuration from every other one.
pub(crate) fn tag(config: &Config) -> String {
    use std::fmt::Write as _;
    // A config that was read can be written.
    let text = serde_json::to_vec(config).unwrap_or_default();
    let mut tag = String::with_capacity(TAG_DIGITS);
    for byte in &digest(&SHA256, &text).as_ref()[..TAG_DIGITS / 2] {
        // Writing to a String does not fail.
        let _infallible = write!(tag, "{byte:02x}");
    }
    tag
}

/// The fields of some changes, in a line.
fn fields(changes: &[Change]) -> String {
    changes.iter().map(|change| change.field.as_str()).collect::<Vec<_>>().join(", ")
}

fn log(outcome: &Result<Applied, Refusal>, origin: &str) {
    let kept = "the configuration in force stays";
    match outcome {
        Ok(applied) => {
            for change in &applied.changes {
                let (before, after) = (change.before.as_deref(), change.after.as_deref());
                tracing::info!(
                    event = "config_changed",
                    field = change.field,
                    before,
                    after,
                    "{} changed",
                    change.field
                );
            }
            tracing::info!(
                event = "reloaded",
                config = origin,
                epoch = applied.epoch,
                changes = applied.changes.len(),
                taken_by = applied.taken_by,
                shards = applied.shards,
                "{} keys changed, on {} of {} shards",
                applied.changes.len(),
                applied.taken_by,
                applied.shards
            );
        }
        Err(Refusal::Problems(problems)) => {
            for problem in problems {
                tracing::warn!(event = "config_problem", field = problem.field, "{problem}");
            }
            tracing::warn!(event = "reload_refused", problems = problems.len(), "{kept}");
        }
        Err(Refusal::NeedsRestart(changes)) => {
            tracing::warn!(
                event = "reload_refused",
                fields = fields(changes),
                "these keys need a restart; {kept}"
            );
        }
        Err(Refusal::Shards(reason)) => {
            tracing::warn!(event = "reload_refused", reason, "the data plane refuses it; {kept}");
        }
        Err(Refusal::Stale { .. } | Refusal::Ending) => {
            tracing::warn!(event = "reload_refused", "the appliance is ending; {kept}");
        }
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::Time;
    use dataplane::control::{Refused, State};
    use tokio::sync::mpsc;

    use super::*;
    use crate::board::fixture::{config, counters, report};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// A data plane of two shards that answers every configuration as `answer` says.
    fn world(answer: impl Fn(u64, &mut ShardReport) + Send + 'static) -> (Configs, Arc<Board>) {
        let board = Arc::new(Board::new(&config(), 2));
        let (commands, mut taken) = mpsc::channel(8);
        let shown = Arc::clone(&board);
        tokio::spawn(async move {
            while let Some(command) = taken.recv().await {
                let Command::Apply { epoch, .. } = command else { continue };
                let reports = (0..2).map(|shard| {
                    let mut report = report(shard, 5, State::Running, counters());
                    answer(epoch, &mut report);
                    report
                });
                shown.publish(reports.collect(), Vec::new());
            }
        });
        (Configs::new(config(), None, Arc::clone(&board), commands), board)
    }

    fn longer(config: &Config) -> Config {
        let mut new = config.clone();
        new.drain.deadline = Time::from_secs(new.drain.deadline.0.as_secs() + 1);
        new
    }

    #[test]
    fn a_change_is_in_force_when_every_shard_has_said_so() {
        block_on(async {
            let (configs, _) = world(|epoch, report| report.epoch = epoch);
            let before = configs.current();
            let applied = configs.apply(longer(&before.config), Some(&before.tag)).await.unwrap();
            assert_eq!((applied.epoch, applied.taken_by, applied.shards), (1, 2, 2));
            assert_eq!(applied.changes[0].field, "drain.deadline");
            let now = configs.current();
            assert_ne!(now.tag, before.tag);
            let stale = configs.apply(longer(&now.config), Some(&before.tag)).await.unwrap_err();
            assert_eq!(stale, Refusal::Stale { tag: now.tag.clone() });
            let again = configs.apply((*now.config).clone(), None).await.unwrap();
            assert_eq!((again.epoch, again.changes.len()), (1, 0), "the same again changes nothing");
        });
    }

    #[test]
    fn what_a_shard_refuses_is_taken_back_from_all() {
        block_on(async {
            let (configs, board) = world(|epoch, report| {
                if epoch == 1 && report.shard == 1 {
                    report.refused = Some(Refused { epoch, reason: "the queue is FIFO".into() });
                } else {
                    report.epoch = epoch;
                }
            });
            let before = configs.current();
            let refused = configs.apply(longer(&before.config), None).await.unwrap_err();
            assert_eq!(refused, Refusal::Shards("the queue is FIFO".into()));
            let now = configs.current();
            assert_eq!((now.epoch, now.config.drain.deadline), (2, before.config.drain.deadline));
            // The next one has a number of its own.
            let applied = configs.apply(longer(&now.config), None).await.unwrap();
            assert_eq!(applied.epoch, 3);
            assert!(board.view().reports.iter().all(|report| report.epoch == 3));
        });
    }

    #[test]
    fn what_cannot_work_or_needs_a_restart_never_reaches_a_shard() {
        block_on(async {
            let (configs, board) = world(|_, _| panic!("nothing may come here"));
            let mut wrong = config();
            wrong.pipeline[0].queue.wait_time = Time::from_secs(99);
            let Err(Refusal::Problems(problems)) = configs.apply(wrong, None).await else { panic!() };
            assert_eq!(problems[0].field, "pipeline.orders.queue.wait_time");
            let mut frozen = longer(&config());
            frozen.pipeline[0].kafka.brokers = vec!["elsewhere:9092".into()];
            let Err(Refusal::NeedsRestart(changes)) = configs.apply(frozen, None).await else { panic!() };
            assert_eq!(fields(&changes), "pipeline.orders.kafka.brokers");
            assert_eq!(configs.current().epoch, 0);
            board.enter(Phase::Draining);
            assert_eq!(configs.apply(longer(&config()), None).await.unwrap_err(), Refusal::Ending);
        });
    }

    #[test]
    fn shards_that_are_late_are_counted_and_not_waited_for_for_ever() {
        block_on(async {
            let (configs, _) =
                world(|epoch, report| report.epoch = if report.shard == 0 { epoch } else { 0 });
            let applied = configs.apply(longer(&config()), None).await.unwrap();
            assert_eq!((applied.taken_by, applied.shards), (1, 2));
        });
    }
}
