//! The producer of one pipeline on one shard: made off the shard, used on it, made anew when it dies.
//!
//! Level 4. Making a producer means waiting for brokers, so a plain thread does it and hands it over
//! once it is warm; nothing is received before. A producer that reports a fatal error is purged: every
//! record comes back, waits in order, and goes out through the next one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::config;
use crate::error::Class;
use crate::failpoint;
use crate::handoff::{Order, Target};
use crate::kafka::options::{InFlight, Options, Secrets};
use crate::kafka::partition;
use crate::kafka::producer::{Outcome, Producer, ProducerEvent, Record, Report, TopicId};
use crate::kafka::threads::ThreadRegistry;
use crate::message::KeyBytes;
use crate::net::WakeHandle;
use crate::pipeline::headers::HeaderRules;
use crate::retry::{Backoff, Random};
use crate::sqs::lease::Token;

/// Wait between attempts to make a producer.
const BUILD_RETRY: Backoff = Backoff { min: Duration::from_millis(500), max: Duration::from_secs(10) };
/// How long one attempt waits for the brokers' answer.
const WARM_UP: Duration = Duration::from_secs(10);
/// How long a producer that is given up may take to be torn down, on its own thread.
const CLOSE: Duration = Duration::from_secs(5);
/// Bit of a producer token that marks records of another shard.
const FOREIGN: u64 = 1 << 63;

/// What a builder thread has come to.
#[derive(Default)]
struct Workbench {
    built: Option<Producer>,
    /// The last failure, for the state's reason.
    trouble: Option<String>,
    /// What the next attempt goes by, when the configuration has changed since this one.
    changed: Option<Recipe>,
    cancelled: bool,
}

/// Records of one order of another shard.
struct Foreign {
    origin: usize,
    token: u64,
    pending: usize,
}

/// A report of the producer, told apart by whose record it was.
pub(crate) enum Told {
    /// A record of this shard.
    Own(Token, Outcome),
    /// A record of another shard.
    Foreign {
        /// The shard that holds its lease.
        origin: usize,
        /// Bits of its lease token.
        token: u64,
        /// What became of it.
        outcome: Outcome,
    },
}

/// The sink of one pipeline on one shard.
pub(crate) struct Sink {
    recipe: Recipe,
    workbench: Arc<Mutex<Workbench>>,
    producer: Option<Producer>,
    topics: Vec<TopicId>,
    dead_letter: Option<TopicId>,
    wake: WakeHandle,
    foreign: HashMap<u64, Foreign>,
    foreign_next: u64,
}

/// What a producer knows of a changed route, to be used once every pipeline of the shard takes the change.
pub(crate) struct Learnt {
    topics: Vec<TopicId>,
    dead_letter: Option<TopicId>,
}

/// What it takes to make a producer.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The pipeline's settings.
    pub config: config::Pipeline,
    /// All topics that the pipeline has named so far, in the order of their numbers.
    pub topics: Vec<String>,
    /// Shards that may hand records to this producer, itself included.
    pub shards: u16,
    /// Shards that make a producer for this pipeline.
    pub producers: u16,
    /// Producers of this pipeline that are ready, on any shard.
    pub ready: Arc<AtomicU16>,
    /// Where librdkafka's threads are told.
    pub threads: Arc<ThreadRegistry>,
    /// Cores for librdkafka's threads.
    pub cores: Option<Vec<u16>>,
    /// Seed of the back-off.
    pub seed: u64,
}

impl Recipe {
    /// Whether every shard has a producer of its own and uses only that.
    fn stays_home(&self) -> bool {
        self.producers >= self.shards && !self.config.kafka.key_owner
    }

    /// Makes a producer; `options` are those of the one before, if it learnt to send smaller batches.
    fn make(&self, options: Option<&Options>) -> Result<Producer, String> {
        let secrets = Secrets::read(&self.config.kafka.security).map_err(|error| error.to_string())?;
        // The pumps' budgets bound what is in flight. They may be raised while this producer lives.
        let in_flight = InFlight::of(&config::Budget::LARGEST, self.shards);
        let fresh = || Options::new(&self.config.kafka, &secrets, in_flight);
        let options = options.cloned().unwrap_or_else(fresh);
        let rules = HeaderRules::from(&self.config.headers);
        let mut producer = Producer::create(&options, rules, &self.threads, self.cores.as_deref())
            .map_err(|error| error.to_string())?;
        let mut trouble = String::new();
        // With several topics a missing one pauses only itself, so one that answers is enough. The dead
        // letter is not asked: it must not keep the main route from running.
        for topic in self.config.route.all_topics() {
            match producer.warm_up(&[topic.as_str()], WARM_UP) {
                Ok(_) => return Ok(producer),
                Err(error) => trouble = error.to_string(),
            }
        }
        producer.close(CLOSE);
        Err(trouble)
    }
}

impl Sink {
    /// Begins to make the first producer, if this shard (`shard`) is to have one. Reports are announced
    /// through `wake`.
    pub(crate) fn new(recipe: Recipe, shard: u16, wake: WakeHandle) -> Sink {
        let produces = shard < recipe.producers;
        let sink = Sink {
            recipe,
            workbench: Arc::default(),
            producer: None,
            topics: Vec::new(),
            dead_letter: None,
            wake,
            foreign: HashMap::new(),
            foreign_next: 0,
        };
        if produces {
            sink.build(None);
        }
        sink
    }

    /// Makes a producer on a thread of its own; `old` is torn down first.
    fn build(&self, old: Option<Producer>) {
        let recipe = self.recipe.clone();
        let workbench = Arc::clone(&self.workbench);
        let name = format!("build-{}", recipe.config.name);
        let spawned = thread::Builder::new().name(name).spawn(move || build_loop(&recipe, &workbench, old));
        if let Err(error) = spawned {
            lock(&self.workbench).trouble = Some(format!("no thread for the Kafka producer: {error}"));
        }
    }

    /// Takes over a producer that has become ready. Returns whether there is a new one, and the trouble of
    /// the builder otherwise.
    pub(crate) fn adopt(&mut self) -> Result<bool, String> {
        if self.producer.is_some() {
            return Ok(false);
        }
        let mut workbench = lock(&self.workbench);
        let Some(mut producer) = workbench.built.take() else {
            return workbench.trouble.take().map_or(Ok(false), Err);
        };
        drop(workbench);
        let Learnt { topics, dead_letter } = learn(&mut producer, &self.recipe.config, &self.recipe.topics)?;
        (self.topics, self.dead_letter) = (topics, dead_letter);
        // Built before a change of the headers, perhaps.
        producer.set_rules(HeaderRules::from(&self.recipe.config.headers));
        producer.attach(self.wake.descriptor());
        self.producer = Some(producer);
        self.recipe.ready.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    /// Makes the topics of a changed route known to the producer. Nothing uses them before [`Sink::change`].
    ///
    /// # Errors
    /// A name that Kafka does not allow.
    pub(crate) fn learn(
        &mut self,
        config: &config::Pipeline,
        topics: &[String],
    ) -> Result<Option<Learnt>, String> {
        self.producer.as_mut().map(|producer| learn(producer, config, topics)).transpose()
    }

    /// Takes a changed configuration and what was learnt of it. `topics` are all topics by their numbers.
    pub(crate) fn change(&mut self, config: config::Pipeline, topics: &[String], learnt: Option<Learnt>) {
        if let (Some(producer), Some(learnt)) = (&mut self.producer, learnt) {
            (self.topics, self.dead_letter) = (learnt.topics, learnt.dead_letter);
            producer.set_rules(HeaderRules::from(&config.headers));
        }
        self.recipe.topics = topics.to_vec();
        self.recipe.config = config;
        if self.producer.is_none() {
            // It may wait for a topic that the route has no more.
            lock(&self.workbench).changed = Some(self.recipe.clone());
        }
    }

    /// Whether records of one shard may go to the producer of another.
    pub(crate) fn is_shared(&self) -> bool {
        !self.recipe.stays_home()
    }

    /// Whether this pipeline's records can be sent: by the shard's own producer, or by every producer when
    /// records may go to any of them.
    pub(crate) fn is_ready(&self) -> bool {
        if self.recipe.stays_home() {
            self.producer.is_some()
        } else {
            self.recipe.ready.load(Ordering::Acquire) >= self.recipe.producers
        }
    }

    /// The shard whose producer a record goes to.
    pub(crate) fn owner(&self, shard: usize, key: Option<&[u8]>) -> usize {
        if self.recipe.stays_home() {
            return shard;
        }
        let producers = self.recipe.producers;
        key.map_or(shard % usize::from(producers), |key| usize::from(partition::owner(key, producers)))
    }

    /// Sends an order of this shard. Refusals go to `refused` with the record's lease token.
    pub(crate) fn send_own(&mut self, order: &Order, constant_key: Option<&[u8]>, told: &mut Vec<Told>) {
        self.send(order, order.token, constant_key, &mut |index, outcome| {
            told.push(Told::Own(Token::from_bits(order.token).at(index), outcome));
        });
    }

    /// Sends an order of another shard.
    pub(crate) fn send_foreign(
        &mut self,
        order: &Order,
        origin: usize,
        constant_key: Option<&[u8]>,
        told: &mut Vec<Told>,
    ) {
        let token = order.token;
        let refuse = |index: u8, outcome: Outcome| Told::Foreign {
            origin,
            token: Token::from_bits(token).at(index).to_bits(),
            outcome,
        };
        if self.producer.is_none() {
            told.extend(order.items.iter().map(|item| refuse(item.index, not_ready())));
            return;
        }
        let number = self.foreign_next;
        // The low byte is the record's index; the number must leave it free.
        self.foreign_next = (self.foreign_next + 1) & ((1 << 54) - 1);
        let mut pending = order.items.len();
        self.send(order, FOREIGN | number << 8, constant_key, &mut |index, outcome| {
            pending -= 1;
            told.push(refuse(index, outcome));
        });
        if pending > 0 {
            self.foreign.insert(number, Foreign { origin, token, pending });
        }
    }

    fn send(
        &mut self,
        order: &Order,
        token: u64,
        constant_key: Option<&[u8]>,
        refused: &mut dyn FnMut(u8, Outcome),
    ) {
        let Some(producer) = &mut self.producer else {
            order.items.iter().for_each(|item| refused(item.index, not_ready()));
            return;
        };
        failpoint::pass("before_produce");
        let key = |key: KeyBytes| match key {
            KeyBytes::Arena(span) => order.batch.field(span),
            KeyBytes::Constant => constant_key,
            KeyBytes::None => None,
        };
        let mut records = Vec::with_capacity(order.items.len());
        let mut dead = Vec::new();
        for item in &order.items {
            let topic = match item.target {
                Target::Topic(number) => match self.topics.get(usize::from(number)) {
                    Some(&topic) => topic,
                    // Another shard is ahead of this one in taking a change; the record comes again.
                    None => {
                        refused(item.index, not_ready());
                        continue;
                    }
                },
                Target::DeadLetter => {
                    dead.push(item);
                    continue;
                }
            };
            records.push(Record { index: item.index, topic, key: key(item.key), extra: &[] });
        }
        producer.send(&order.batch, &records, token).each_refused(&mut *refused);
        for item in dead {
            let Some(topic) = self.dead_letter else {
                refused(item.index, not_ready());
                continue;
            };
            failpoint::pass("before_dlq");
            let extra = item.reasons.as_ref().map(|reasons| reasons.headers()).unwrap_or_default();
            let record = Record { index: item.index, topic, key: key(item.key), extra: &extra };
            producer.send(&order.batch, &[record], token).each_refused(&mut *refused);
        }
        failpoint::pass("after_enqueue");
    }

    /// Takes all reports that are there.
    pub(crate) fn poll(&mut self, told: &mut Vec<Told>, mut trouble: impl FnMut(&'static str)) {
        let Some(producer) = &mut self.producer else { return };
        let foreign = &mut self.foreign;
        producer.poll(
            &mut |report: Report| {
                if report.token & FOREIGN == 0 {
                    told.push(Told::Own(Token::from_bits(report.token).at(report.index), report.outcome));
                    return;
                }
                let number = (report.token & !FOREIGN) >> 8;
                let Some(entry) = foreign.get_mut(&number) else { return };
                let token = Token::from_bits(entry.token).at(report.index).to_bits();
                told.push(Told::Foreign { origin: entry.origin, token, outcome: report.outcome });
                entry.pending -= 1;
                if entry.pending == 0 {
                    foreign.remove(&number);
                }
            },
            &mut |event| match event {
                ProducerEvent::Fault(error) => trouble(error.name()),
                ProducerEvent::Log { .. } => {}
            },
        );
    }

    /// Whether the producer can never deliver again.
    pub(crate) fn is_fatal(&self) -> bool {
        self.producer.as_ref().is_some_and(|producer| producer.fatal().is_some())
    }

    /// Takes every record back from the producer; the reports follow through `poll`.
    pub(crate) fn purge(&mut self) {
        if let Some(producer) = &mut self.producer {
            producer.purge();
        }
    }

    /// Records at the producer.
    pub(crate) fn in_flight(&self) -> usize {
        self.producer.as_ref().map_or(0, Producer::in_flight)
    }

    /// Reports that named no record in flight: a bug, to be counted.
    pub(crate) fn unknown_reports(&self) -> u64 {
        self.producer.as_ref().map_or(0, Producer::unknown_reports)
    }

    /// Does not let records wait for company: a drain.
    pub(crate) fn flush(&mut self) {
        if let Some(producer) = &mut self.producer {
            producer.flush_now();
        }
    }

    /// Gives the producer up and begins to make another. It must have reported everything.
    pub(crate) fn rebuild(&mut self) {
        self.topics.clear();
        self.dead_letter = None;
        let old = self.producer.take();
        if old.is_some() {
            self.recipe.ready.fetch_sub(1, Ordering::AcqRel);
        }
        self.build(old);
    }

    /// Gives the producer to a thread that closes it, within a bound. Wakes whoever waits for its reports.
    pub(crate) fn close(&mut self) -> Option<thread::JoinHandle<()>> {
        let built = {
            let mut workbench = lock(&self.workbench);
            workbench.cancelled = true;
            workbench.built.take()
        };
        self.wake.wake();
        let producer = self.producer.take().or(built)?;
        // The producer writes to this socket until it is closed.
        let wake = self.wake.clone();
        let closer = thread::Builder::new().name("close".to_owned()).spawn(move || {
            producer.close(CLOSE);
            drop(wake);
        });
        closer.ok()
    }
}

fn learn(producer: &mut Producer, config: &config::Pipeline, topics: &[String]) -> Result<Learnt, String> {
    let known: Result<Vec<TopicId>, _> = topics.iter().map(|name| producer.topic(name)).collect();
    let dead_letter =
        config.dead_letter.as_ref().map(|dead_letter| producer.topic(&dead_letter.topic)).transpose();
    Ok(Learnt {
        topics: known.map_err(|error| error.to_string())?,
        dead_letter: dead_letter.map_err(|error| error.to_string())?,
    })
}

/// There is no producer for a record yet.
pub(super) fn not_ready() -> Outcome {
    Outcome::Failed { code: "producer_not_ready", class: Class::Retry, possibly_persisted: false }
}

fn lock(workbench: &Mutex<Workbench>) -> std::sync::MutexGuard<'_, Workbench> {
    workbench.lock().unwrap_or_else(PoisonError::into_inner)
}

fn build_loop(recipe: &Recipe, workbench: &Mutex<Workbench>, old: Option<Producer>) {
    let options = old.map(|old| {
        let options = old.options_for_rebuild();
        old.close(CLOSE);
        options
    });
    let mut random = Random::new(recipe.seed ^ clock::now().0);
    let mut recipe = recipe.clone();
    for attempt in 1.. {
        let mut state = lock(workbench);
        if state.cancelled {
            return;
        }
        if let Some(changed) = state.changed.take() {
            recipe = changed;
        }
        drop(state);
        match recipe.make(options.as_ref()) {
            Ok(producer) => {
                let mut state = lock(workbench);
                if state.cancelled {
                    drop(state);
                    producer.close(CLOSE);
                } else {
                    state.built = Some(producer);
                }
                return;
            }
            Err(text) => lock(workbench).trouble = Some(text),
        }
        thread::sleep(BUILD_RETRY.wait(attempt, &mut random));
    }
}
