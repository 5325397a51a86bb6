//! The pump: one pipeline on one shard, as a pure state machine.
//!
//! Level 1: events and time go in, decisions come out; the tasks of `shard` do the reading and writing.
//! Whatever happens to a message happens here, so the promises are kept in one place: a message is only
//! queued for deletion by an ack, and it leaves the lease table in exactly one counted way.

mod change;
mod finish;
mod produce;
mod receive;
mod rest;
mod routes;
#[cfg(test)]
mod tests;
mod tick;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

pub(crate) use change::Prepared;
pub(crate) use finish::EntryOutcome;
pub(crate) use produce::CORRUPT;
pub(crate) use receive::{Permit, Received};

use super::budget::Budget;
use super::deletes::Deletes;
use super::lanes::Lanes;
use super::pollers::Pollers;
use super::rate::Rates;
use crate::clock::Tick;
use crate::config;
use crate::control::{PumpReport, QueueFacts, State};
use crate::error::Rejection;
use crate::limits;
use crate::message::Batch;
use crate::pipeline::{Plan, Types};
use crate::retry::{Backoff, Breaker, Random};
use crate::sqs::lease::{Due, Inserted, Leases, Terms, Token};
use crate::stats::{Codes, Counters, Latency};
use rest::Rest;
use routes::Routes;

/// What the pump has been told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Receive and deliver.
    Run,
    /// Finish what is held, receive nothing.
    Pause,
    /// As `Pause`; what is still held at this time goes back.
    Stop(Tick),
    /// As `Pause`, for good.
    Drain,
}

/// How the three kinds of calls to SQS fare: each rests by itself after a failure.
#[derive(Debug, Default)]
struct Source {
    receiving: Rest,
    deleting: Rest,
    visibility: Rest,
    /// The config contradicts the queue, in words; nothing is received.
    contradiction: String,
    /// Empty answers that came at once, one after another: a hot loop to be slowed.
    quick_empties: u32,
}

/// One pipeline on one shard.
pub(crate) struct Pump {
    name: String,
    config: config::Pipeline,
    /// Known once SQS has told about the queue.
    plan: Option<Plan>,
    /// Whether the queue is FIFO, once that is known.
    fifo: Option<bool>,
    /// The queue's own visibility timeout, once it is known.
    queue_visibility: Duration,
    visibility: change::Visibility,
    /// All topics that the pipeline has named so far; courses number them by their place.
    topics: Vec<String>,
    /// Limits as they were set, of all shards together.
    rate: config::Rate,
    /// This shard's share of them; `None` without any.
    rates: Option<Rates>,
    /// Shards that share the limits.
    shards: u16,
    /// Deletes and changes of visibility that were sent.
    calls: u64,
    types: Types,
    terms: Terms,
    leases: Leases,
    lanes: Option<Lanes>,
    budget: Budget,
    breaker: Breaker,
    pollers: Pollers,
    deletes: Deletes,
    /// Kept messages whose turn to be produced has come.
    to_produce: Vec<Token>,
    /// Messages that wait for the breaker or the producer, in order.
    parked: VecDeque<Token>,
    retries: BTreeMap<(Tick, u64), Token>,
    retry_order: u64,
    extends: VecDeque<Token>,
    releases: VecDeque<(Token, u32)>,
    /// Rejected messages of a pipeline without a dead letter, about to go back.
    releases_wanted: Vec<Token>,
    /// Rejections by the broker: found after the batch was shared.
    late_rejections: HashMap<Token, Rejection>,
    /// Topics that are refused while others of the route work.
    routes: Routes,
    /// Records at a producer, here or on another shard.
    producing: usize,
    /// Receives in flight.
    receiving: usize,
    /// When the newest of them was allowed.
    received_at: Tick,
    /// When a limit of the pipeline last held a receive up.
    limited_at: Option<Tick>,
    /// The last look at the clock.
    looked_at: Tick,
    /// Delete calls in flight.
    deleting: usize,
    /// Visibility calls in flight.
    visiting: usize,
    mode: Mode,
    sink_ready: bool,
    sink_reason: String,
    rebuild_wanted: bool,
    credentials_wanted: bool,
    has_credentials: bool,
    source: Source,
    random: Random,
    counters: Counters,
    latency: Latency,
    sqs_errors: Codes,
    kafka_errors: Codes,
    rejections: Codes,
    clock_skew_s: i64,
    /// Reused by `insert` and `due`.
    inserted: Inserted,
    due: Due,
    spare: Vec<Batch>,
}

/// Back-off of records that Kafka refused in passing.
const PRODUCE_RETRY: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };
/// Back-off of calls to SQS that failed in passing.
const SOURCE_RETRY: Backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(5) };
/// Back-off while rights, queue or credentials are missing: nobody mends these within seconds, and each
/// request costs money.
const SOURCE_PAUSE: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(30) };
/// Back-off of a queue that answers long polls at once with nothing.
const QUICK_EMPTY: Backoff = Backoff { min: Duration::from_millis(20), max: Duration::from_secs(1) };
/// A receive without an answer for so long is a long poll of an empty queue.
const ANSWER_MS: u64 = 1_000;
/// Visibility timeout until SQS tells the queue's; nothing is received before.
const FIRST_VISIBILITY: Duration = Duration::from_secs(30);
/// How long a limit that held a receive up is told.
const LIMITED_MS: u64 = 1_000;
/// Batches kept for their memory.
const SPARE_BATCHES_MAX: usize = 256;
/// A larger batch is freed instead of kept.
const SPARE_BATCH_BYTES_MAX: usize = 256 << 10;

impl Pump {
    /// A pump that waits for its queue's facts, its credentials and its producer.
    pub(crate) fn new(config: config::Pipeline, seed: u64) -> Pump {
        let budget = Budget::new(
            u64::from(config.budget.in_flight_messages_max),
            config.budget.in_flight_bytes_max.0,
            limits::IN_FLIGHT_BYTES_MIN,
        );
        let breaker = &config.breaker;
        let breaker = Breaker::new(breaker.ack_stall.0, breaker.probe_min.0, breaker.probe_max.0);
        Pump {
            name: config.name.clone(),
            plan: None,
            fifo: None,
            queue_visibility: FIRST_VISIBILITY,
            visibility: change::Visibility::new(FIRST_VISIBILITY),
            topics: config.route.all_topics().to_vec(),
            rate: config::Rate::default(),
            rates: None,
            shards: 1,
            calls: 0,
            types: Types::new(),
            terms: Terms { visibility: FIRST_VISIBILITY, hold_max: config.queue.hold_max.0 },
            leases: Leases::default(),
            lanes: None,
            budget,
            breaker,
            pollers: Pollers::new(usize::from(config.queue.pollers_max)),
            deletes: Deletes::default(),
            to_produce: Vec::new(),
            parked: VecDeque::new(),
            retries: BTreeMap::new(),
            retry_order: 0,
            extends: VecDeque::new(),
            releases: VecDeque::new(),
            releases_wanted: Vec::new(),
            late_rejections: HashMap::new(),
            routes: Routes::default(),
            producing: 0,
            receiving: 0,
            received_at: Tick::default(),
            limited_at: None,
            looked_at: Tick::default(),
            deleting: 0,
            visiting: 0,
            mode: Mode::Run,
            sink_ready: false,
            sink_reason: "the Kafka producer is being made".to_owned(),
            rebuild_wanted: false,
            credentials_wanted: false,
            has_credentials: false,
            source: Source::default(),
            random: Random::new(seed),
            counters: Counters::default(),
            latency: Latency::new(),
            sqs_errors: Codes::default(),
            kafka_errors: Codes::default(),
            rejections: Codes::default(),
            clock_skew_s: 0,
            inserted: Inserted::default(),
            due: Due::default(),
            spare: Vec::new(),
            config,
        }
    }

    /// Name of the pipeline.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The pipeline's settings.
    pub(crate) fn config(&self) -> &config::Pipeline {
        &self.config
    }

    /// The compiled stages, once the queue is known.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// SQS told about the queue. The first time this opens the source; later it adopts a changed timeout.
    ///
    /// # Errors
    /// The config contradicts the queue; the text says how. Nothing is received then.
    pub(crate) fn facts(&mut self, facts: &QueueFacts) -> Result<(), String> {
        self.queue_visibility = Duration::from_secs(u64::from(facts.visibility_timeout_s.max(1)));
        self.set_visibility();
        if self.plan.is_none() {
            self.fifo = Some(facts.fifo);
            match Plan::new(&self.config, facts.fifo) {
                Ok(plan) => {
                    self.source.contradiction.clear();
                    self.plan = Some(self.numbered(plan));
                }
                Err(text) => {
                    self.source.contradiction.clone_from(&text);
                    return Err(text);
                }
            }
            self.lanes = facts.fifo.then(Lanes::default);
        }
        Ok(())
    }

    /// Credentials arrived.
    pub(crate) fn credentials_arrived(&mut self) {
        self.has_credentials = true;
        self.credentials_wanted = false;
        // What failed with the old ones is tried at once.
        for rest in [&mut self.source.receiving, &mut self.source.deleting, &mut self.source.visibility] {
            rest.end();
        }
        self.deletes.hold(Tick::default());
    }

    /// The producer is ready to take records.
    pub(crate) fn sink_is_ready(&mut self) {
        self.sink_ready = true;
        self.rebuild_wanted = false;
        self.sink_reason.clear();
        self.unpark();
    }

    /// The producer is gone or being rebuilt.
    pub(crate) fn sink_is_gone(&mut self, reason: &str) {
        self.sink_ready = false;
        reason.clone_into(&mut self.sink_reason);
    }

    /// Whether the pump believes that it can produce.
    pub(crate) fn has_sink(&self) -> bool {
        self.sink_ready
    }

    /// Changes what the pump does. A drain is final; what is stopped is neither paused nor resumed.
    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = match (self.mode, mode) {
            (Mode::Drain, _) => Mode::Drain,
            // Told again: the first deadline holds.
            (Mode::Stop(at), Mode::Pause | Mode::Stop(_)) => Mode::Stop(at),
            (_, mode) => mode,
        };
    }

    /// Ends a pause. What is stopped must be started.
    pub(crate) fn resume(&mut self) {
        if self.mode == Mode::Pause {
            self.mode = Mode::Run;
        }
    }

    /// Whether nothing is held and nothing will come: the end of a drain.
    pub(crate) fn is_done(&self) -> bool {
        self.mode == Mode::Drain && self.leases.len() == 0 && self.receiving == 0
    }

    /// Whether a receive is in flight that is too young to be an idle long poll: SQS may have handed out
    /// messages that are on their way here, and nobody else gives them back.
    pub(crate) fn may_bring_messages(&self, now: Tick) -> bool {
        self.receiving > 0 && now < self.received_at.plus_ms(ANSWER_MS)
    }

    /// Whether a limit held receiving up within the last second: between two receives it does so for moments only.
    fn is_rate_limited(&self) -> bool {
        let lately = |at: Tick| self.looked_at < at.plus_ms(LIMITED_MS);
        self.mode == Mode::Run && self.rates.is_some() && self.limited_at.is_some_and(lately)
    }

    /// Messages held.
    pub(crate) fn held(&self) -> usize {
        self.leases.len()
    }

    /// Whether the shard must look at this pump often.
    pub(crate) fn is_busy(&self) -> bool {
        self.leases.len() > 0
    }

    /// Whether the producer must be made anew.
    pub(crate) fn rebuild_wanted(&self) -> bool {
        self.rebuild_wanted && self.sink_ready
    }

    /// Whether fresh credentials should be asked for.
    pub(crate) fn credentials_wanted(&self) -> bool {
        self.credentials_wanted
    }

    /// Whether fewer messages than usual should wait for company: the pump is about to end.
    pub(crate) fn is_flushing(&self) -> bool {
        self.mode != Mode::Run
    }

    /// Read access for the tasks.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Counts of this pump, for tasks that count their own calls.
    pub(crate) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Latencies of this pump.
    pub(crate) fn latency_mut(&mut self) -> &mut Latency {
        &mut self.latency
    }

    /// An arena to decode into.
    pub(crate) fn spare_batch(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    fn keep_batch(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE_BATCHES_MAX && batch.bytes.capacity() <= SPARE_BATCH_BYTES_MAX {
            batch.clear();
            self.spare.push(batch);
        }
    }

    /// State and the sentence that explains it.
    pub(crate) fn state(&self) -> (State, String) {
        if matches!(self.mode, Mode::Drain | Mode::Stop(_)) {
            let is_over = self.leases.len() == 0 && self.receiving == 0;
            return (if is_over { State::Stopped } else { State::Draining }, String::new());
        }
        if self.mode == Mode::Pause {
            return (State::Paused, String::new());
        }
        if self.plan.is_none() {
            let reason = "waits for the queue's attributes";
            let contradiction = &self.source.contradiction;
            let reason = if contradiction.is_empty() { reason } else { contradiction };
            return (State::Starting, reason.to_owned());
        }
        if !self.has_credentials {
            return (State::Starting, "waits for AWS credentials".to_owned());
        }
        if !self.sink_ready {
            return (State::Starting, self.sink_reason.clone());
        }
        if let Some(reason) = self.breaker.reason() {
            return (State::Broken, reason.to_owned());
        }
        if let Some(failing) =
            [&self.source.deleting, &self.source.receiving].into_iter().find(|rest| rest.is_failing())
        {
            return (State::Broken, failing.reason().to_owned());
        }
        // These hold up a part only; the rest runs.
        let reason = self.paused_topics().unwrap_or_else(|| self.source.visibility.reason().to_owned());
        (State::Running, reason)
    }

    /// A copy of everything that is shown.
    pub(crate) fn report(&self) -> PumpReport {
        let (state, reason) = self.state();
        let mut counters = self.counters.clone();
        counters.in_flight = self.leases.len() as u64;
        counters.in_flight_bytes = self.budget.bytes_held();
        counters.breaker_opened = self.breaker.opened();
        PumpReport {
            pipeline: self.name.clone(),
            state,
            reason,
            counters,
            latency: self.latency.clone(),
            types: self.types.reports(),
            sqs_errors: self.sqs_errors.clone(),
            kafka_errors: self.kafka_errors.clone(),
            rejections: self.rejections.clone(),
            pollers: self.receiving as u32,
            clock_skew_s: self.clock_skew_s,
            rate: self.rate,
            rate_limited: self.is_rate_limited(),
        }
    }
}
