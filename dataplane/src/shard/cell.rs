//! A pump with what its tasks share: its sink, its calls, and the gates that they wait at.
//!
//! Level 4. One thread only: borrows are taken for the length of one synchronous step and never held
//! across an await.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::task::Waker;

use super::Blueprint;
use super::pump::{Mode, Pump};
use super::sink::{Recipe, Sink};
use crate::clock::{self, Tick};
use crate::config;
use crate::kafka::threads::ThreadRegistry;
use crate::net::{Notify, Target, TlsClient, WakeHandle};
use crate::sqs::call::Calls;

/// What all pipelines of a shard are made with.
pub(crate) struct Workshop {
    /// Number of the shard.
    pub shard: usize,
    /// Shards of the appliance.
    pub shards: u16,
    /// Cores for librdkafka's threads of this shard.
    pub kafka_cores: Option<Vec<u16>>,
    /// librdkafka's threads.
    pub threads: Arc<ThreadRegistry>,
    /// Seed of all random choices.
    pub seed: u64,
}

/// A pipeline that is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// When it was told.
    pub since: Tick,
    /// The other shards know that nothing is held here.
    pub is_told: bool,
}

/// One pipeline on one shard, with everything around it.
pub(crate) struct PumpCell {
    /// Number of the pipeline, the same on every shard.
    pub number: usize,
    /// Shards that hold nothing of it any more, of a pipeline that is to go.
    pub idle: Arc<AtomicU16>,
    /// It is to go.
    pub leaving: Cell<Option<Leaving>>,
    /// It is gone: its tasks end.
    closed: Cell<bool>,
    /// The state machine.
    pub pump: RefCell<Pump>,
    /// Its producer.
    pub sink: RefCell<Sink>,
    /// Requests to SQS as bytes.
    pub calls: RefCell<Calls>,
    /// Where connections go.
    pub target: Target,
    /// TLS settings, when the endpoint is `https`.
    pub tls: Option<TlsClient>,
    /// Pollers that there are.
    pub pollers: Cell<u16>,
    /// Deleters that there are.
    pub deleters: Cell<u16>,
    /// Visibility tasks that there are.
    pub visiting: Cell<u16>,
    /// Where idle pollers wait.
    pub receive_gate: Notify,
    /// Where idle deleters wait.
    pub delete_gate: Notify,
    /// Where idle visibility tasks wait.
    pub visibility_gate: Notify,
    /// Answers that wait for room in the budget.
    pub waiting_answers: RefCell<Vec<Waker>>,
}

impl PumpCell {
    /// A pipeline that waits for its queue's facts, its credentials and its producer, which is begun here.
    pub(crate) fn new(
        workshop: &Workshop,
        number: usize,
        config: config::Pipeline,
        blueprint: Blueprint,
        wake: WakeHandle,
    ) -> PumpCell {
        let Workshop { shard, shards, .. } = *workshop;
        let mut calls = blueprint.calls;
        calls.set_seed(workshop.seed ^ (shard as u64) << 32);
        let seed = workshop.seed.wrapping_add((shard * 1000 + number) as u64);
        let recipe = Recipe {
            config: config.clone(),
            topics: config.route.all_topics().to_vec(),
            shards,
            producers: blueprint.producers,
            ready: blueprint.ready,
            threads: Arc::clone(&workshop.threads),
            cores: workshop.kafka_cores.clone(),
            seed,
        };
        let mut pump = Pump::new(config, seed);
        pump.share_rate(shards, clock::now());
        PumpCell {
            number,
            idle: blueprint.idle,
            leaving: Cell::new(None),
            closed: Cell::new(false),
            sink: RefCell::new(Sink::new(recipe, shard as u16, wake)),
            pump: RefCell::new(pump),
            calls: RefCell::new(calls),
            target: blueprint.target,
            tls: blueprint.tls,
            receive_gate: Notify::new(),
            delete_gate: Notify::new(),
            visibility_gate: Notify::new(),
            waiting_answers: RefCell::default(),
            pollers: Cell::default(),
            deleters: Cell::default(),
            visiting: Cell::default(),
        }
    }

    /// Ends its tasks and gives its producer up. It holds nothing.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.pump.borrow_mut().set_mode(Mode::Drain);
        for gate in [&self.receive_gate, &self.delete_gate, &self.visibility_gate] {
            gate.notify_all();
        }
        // On a thread of its own, which nobody waits for.
        drop(self.sink.borrow_mut().close());
    }

    /// Whether its tasks are to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Whether an idle task of a fleet of `count` may end, `wanted` of which should be at work. Twice as many
    /// stay: a fleet that breathes must not open connections with every breath.
    pub(crate) fn may_leave(&self, count: &Cell<u16>, wanted: usize) -> bool {
        let is_spare = usize::from(count.get()) > 2 * wanted;
        if is_spare {
            count.set(count.get() - 1);
        }
        is_spare
    }

    /// Wakes idle tasks that are too many, so that they end and their connections with them.
    pub(crate) fn thin_out(&self) {
        let pump = self.pump.borrow();
        let fleets = [
            (&self.receive_gate, &self.pollers, pump.pollers_wanted()),
            (&self.delete_gate, &self.deleters, pump.deleters_wanted()),
        ];
        for (gate, count, wanted) in fleets {
            gate.notify_oldest(usize::from(count.get()).saturating_sub(2 * wanted));
        }
    }

    /// Lets answers that wait for room look again.
    pub(crate) fn wake_waiting_answers(&self) {
        let wakers = std::mem::take(&mut *self.waiting_answers.borrow_mut());
        wakers.into_iter().for_each(Waker::wake);
    }
}
