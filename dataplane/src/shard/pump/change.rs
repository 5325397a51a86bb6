//! Changes of a running pump: its configuration and its limits.
//!
//! What is held keeps the course that it was judged to. Only what waits for a topic that the route has no more goes back
//! to the queue, to be judged anew: it might wait for as long as leases can be extended.

use std::time::Duration;

use super::Pump;
use crate::clock::Tick;
use crate::config;
use crate::limits;
use crate::pipeline::Plan;
use crate::shard::rate::Rates;
use crate::sqs::lease::{Phase, Token};

/// A configuration that the pump can take, with all that could fail done.
pub(crate) struct Prepared {
    config: config::Pipeline,
    topics: Vec<String>,
    plan: Option<Plan>,
}

impl Prepared {
    /// The pipeline's settings after the change.
    pub(crate) fn config(&self) -> &config::Pipeline {
        &self.config
    }

    /// All topics after the change, in the order of their numbers.
    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }
}

/// The visibility timeout that is asked for, and the one that leases are reckoned by: never the longer of the two while
/// an answer may be on its way that was asked for with the other.
#[derive(Debug)]
pub(super) struct Visibility {
    asked: Duration,
    /// The shorter one, and until when it counts; known from the next look at the clock on.
    before: Option<(Duration, Option<Tick>)>,
}

/// After this long no answer is on its way that was asked for before.
const ANSWERED_MS: u64 = limits::WAIT_TIME_S_MAX as u64 * 1_000 + limits::REQUEST_MARGIN_MS;

impl Visibility {
    pub(super) fn new(asked: Duration) -> Visibility {
        Visibility { asked, before: None }
    }

    /// What requests ask for.
    pub(super) fn asked(&self) -> Duration {
        self.asked
    }

    /// What leases are reckoned by, before the next look at the clock.
    fn now_in_force(&self) -> Duration {
        self.before.map_or(self.asked, |(shorter, _)| shorter.min(self.asked))
    }

    fn ask(&mut self, asked: Duration) {
        if asked != self.asked {
            self.before = Some((self.now_in_force(), None));
            self.asked = asked;
        }
    }

    /// What leases are reckoned by at `now`.
    pub(super) fn in_force(&mut self, now: Tick) -> Duration {
        match &mut self.before {
            Some((_, Some(until))) if now >= *until => self.before = None,
            Some((_, until @ None)) => *until = Some(now.plus_ms(ANSWERED_MS)),
            _ => {}
        }
        self.now_in_force()
    }
}

impl Pump {
    /// Compiles the stages of a changed configuration; nothing changes yet.
    ///
    /// # Errors
    /// It contradicts the queue, or names more topics than a process may.
    pub(crate) fn prepare(&self, new: &config::Pipeline) -> Result<Prepared, String> {
        let config = self.config.adopting(new);
        let mut topics = self.topics.clone();
        for topic in config.route.all_topics() {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        if topics.len() > limits::TOPICS_MAX {
            return Err(format!(
                "pipeline.{}.route: more than {} topics were named since the start; restart to name others",
                self.name,
                limits::TOPICS_MAX
            ));
        }
        let mut plan = self.fifo.map(|fifo| Plan::new(&config, fifo)).transpose()?;
        if let Some(plan) = &mut plan {
            plan.number_topics(&topics);
        }
        Ok(Prepared { config, topics, plan })
    }

    /// Takes a prepared configuration.
    pub(crate) fn change(&mut self, prepared: Prepared, now: Tick) {
        let Prepared { config, topics, plan } = prepared;
        if config.rate != self.config.rate {
            self.set_rate(config.rate, now);
        }
        let (budget, breaker) = (&config.budget, &config.breaker);
        self.budget.resize(u64::from(budget.in_flight_messages_max), budget.in_flight_bytes_max.0);
        self.breaker.set(breaker.ack_stall.0, breaker.probe_min.0, breaker.probe_max.0);
        self.pollers.set_max(usize::from(config.queue.pollers_max));
        self.terms.hold_max = config.queue.hold_max.0;
        let is_rerouted = self.config.route.all_topics() != config.route.all_topics();
        self.config = config;
        self.topics = topics;
        self.set_visibility();
        if let Some(plan) = plan {
            if self.plan.is_none() {
                self.lanes = self.fifo.unwrap_or_default().then(Default::default);
            }
            self.source.contradiction.clear();
            self.plan = Some(plan);
            self.give_back_retired(now);
        }
        // What was broken was another route.
        if is_rerouted && self.breaker.forget(now) {
            self.unpark();
        }
    }

    /// What waits for a topic that the route has no more goes back to the queue.
    fn give_back_retired(&mut self, now: Tick) {
        let is_waiting = |&token: &Token| self.is_held(token) && self.is_retired(token);
        let retired: Vec<Token> = self.leases.unfinished().into_iter().filter(is_waiting).collect();
        for token in retired {
            self.release(token, 0, now);
        }
        if let Some(plan) = &self.plan {
            self.routes.retain(|topic| plan.has_topic(topic));
        }
    }

    /// Whether a message's topic is none of the route's any more.
    pub(super) fn is_retired(&self, token: Token) -> bool {
        let is_rejected = || self.rejection(token).is_some();
        self.plan.as_ref().is_some_and(|plan| !plan.has_topic(self.course(token).topic)) && !is_rejected()
    }

    /// Asks for the visibility timeout that the settings name, or for the queue's own.
    pub(super) fn set_visibility(&mut self) {
        let asked = self.config.queue.visibility_timeout.map_or(self.queue_visibility, |time| time.0);
        if self.plan.is_none() {
            // Nothing was asked for yet.
            self.visibility = Visibility::new(asked);
        }
        self.visibility.ask(asked);
        self.terms.visibility = self.visibility.now_in_force();
    }

    /// Shares the configured limits among so many shards.
    pub(crate) fn share_rate(&mut self, shards: u16, now: Tick) {
        self.shards = shards;
        self.set_rate(self.config.rate, now);
    }

    /// Other limits, of all shards together.
    pub(crate) fn set_rate(&mut self, rate: config::Rate, now: Tick) {
        if rate != self.rate {
            self.rate = rate;
            self.rates = Rates::new(&rate, self.shards, now, self.calls);
        }
    }

    /// The stages with their topics numbered as the courses name them.
    pub(super) fn numbered(&self, mut plan: Plan) -> Plan {
        plan.number_topics(&self.topics);
        plan
    }

    /// Whether a message still waits for its turn; one that is at a producer goes on.
    pub(super) fn is_held(&self, token: Token) -> bool {
        self.leases.get(token).is_some_and(|(lease, _)| lease.phase == Phase::Held)
    }
}
