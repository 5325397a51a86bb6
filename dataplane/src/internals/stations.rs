//! What happens to a batch between its decode and its delete: stages, ring, leases, and the pump around them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::config;
use crate::control::{PumpReport, QueueFacts};
use crate::handoff::{Item, Links, Mesh, Order, Parcel, Target};
use crate::message::Batch;
use crate::net::WakePair;
use crate::pipeline::{Plan, Types};
use crate::shard::pump::{EntryOutcome, Permit, Pump, Received};
use crate::sqs::lease::{Due, Inserted, Leases, Phase, Terms, Token};
use crate::sqs::protocol::decode;
use crate::stats::Stage;

const START: Tick = Tick(1_000_000_000);

/// The stages of a pipeline.
pub struct Judge {
    plan: Plan,
    types: Types,
}

impl Judge {
    /// Compiles the stages for a standard queue.
    ///
    /// # Errors
    /// The settings contradict each other.
    pub fn new(pipeline: &config::Pipeline) -> Result<Judge, String> {
        Ok(Judge { plan: Plan::new(pipeline, false)?, types: Types::new() })
    }

    /// Gives each message of a batch its course; how many have no defect.
    pub fn judge(&mut self, batch: &mut Batch) -> usize {
        self.plan.judge(batch, &mut self.types);
        batch.messages.iter().filter(|message| message.defect.is_none()).count()
    }
}

/// The rings between two shards, and an order that goes from one to the other.
pub struct Ring {
    sender: Links,
    receiver: Links,
    parcel: Option<Parcel>,
    /// Kept open: a wake writes to them.
    _wakes: [WakePair; 2],
}

impl Ring {
    /// With an order for all messages of a judged batch.
    ///
    /// # Errors
    /// No file descriptors are left.
    pub fn new(batch: Batch) -> io::Result<Ring> {
        let wakes = [WakePair::new()?, WakePair::new()?];
        let handles = || wakes.iter().map(WakePair::handle).collect();
        let mesh = Mesh::new(2);
        let item = |(index, course): (u8, &crate::message::Course)| Item {
            index,
            target: Target::Topic(course.topic),
            key: course.key,
            reasons: None,
        };
        let items = (0..).zip(&batch.courses).map(item).collect();
        let order = Order { pump: 0, batch: Arc::new(batch), token: 0, items };
        Ok(Ring {
            sender: mesh.links(0, handles()),
            receiver: mesh.links(1, handles()),
            parcel: Some(Parcel::Order { order, origin: 0, at: START }),
            _wakes: wakes,
        })
    }

    /// The order goes into the ring and out at the other end. The receiver has been woken already and has not
    /// looked, as on a busy shard: no system call.
    pub fn pass(&mut self) -> bool {
        let Some(parcel) = self.parcel.take() else { return false };
        self.sender.send(1, parcel);
        self.parcel = self.receiver.receive();
        self.parcel.is_some()
    }
}

/// A lease table under a clock that stands still.
pub struct LeaseTable {
    leases: Leases,
    terms: Terms,
    inserted: Inserted,
    due: Due,
}

impl LeaseTable {
    /// An empty table; leases of 30 seconds.
    #[allow(clippy::new_without_default, reason = "its terms are a choice, not a default")]
    pub fn new() -> LeaseTable {
        let terms = Terms { visibility: Duration::from_secs(30), hold_max: Duration::from_secs(600) };
        LeaseTable { leases: Leases::default(), terms, inserted: Inserted::default(), due: Due::default() }
    }

    /// Takes the messages of a receive.
    pub fn insert(&mut self, batch: &Arc<Batch>) -> usize {
        self.leases.insert(Arc::clone(batch), START, &self.terms, &mut self.inserted);
        self.inserted.fresh.len()
    }

    /// Acks and ends what the last insert brought; how many ended.
    pub fn ack_and_end(&mut self) -> usize {
        let mut ended = 0;
        for &token in &self.inserted.fresh {
            if let Some(lease) = self.leases.get_mut(token) {
                lease.phase = Phase::Acked;
            }
            ended += usize::from(self.leases.end(token).is_some());
        }
        ended
    }

    /// Looks through the table before anything is due; messages held.
    pub fn look(&mut self) -> usize {
        self.leases.due(START, &self.terms, &mut self.due);
        self.leases.len() - self.due.lost.len() - self.due.extend.len()
    }
}

/// One pipeline on one shard, from the answer of a receive to the answer of its delete: everything but sockets
/// and librdkafka.
pub struct Walk {
    pump: Pump,
    now: Tick,
    tokens: Vec<Token>,
    deletes: Vec<(Token, u8)>,
}

impl Walk {
    /// A running pipeline of a standard queue.
    ///
    /// # Errors
    /// The settings contradict the queue.
    pub fn new(pipeline: config::Pipeline) -> Result<Walk, String> {
        let mut pump = Pump::new(pipeline, 1);
        pump.facts(&QueueFacts {
            fifo: false,
            visibility_timeout_s: 30,
            receive_count_max: None,
            message_bytes_max: 1 << 20,
        })?;
        pump.credentials_arrived();
        pump.sink_is_ready();
        Ok(Walk { pump, now: START, tokens: Vec::new(), deletes: Vec::new() })
    }

    /// One receive of ten and its delete, a second after the last. Receive, ack and delete take `took_us` each,
    /// by a clock that is moved by hand. The messages deleted.
    pub fn round(&mut self, answer: &[u8], took_us: u64) -> usize {
        self.now = self.now.plus_ms(1_000);
        let now = self.now;
        let acked_at = now.plus(Duration::from_micros(took_us));
        let deleted_at = acked_at.plus(Duration::from_micros(took_us));
        let Permit::Go { messages: asked, reservation } = self.pump.may_receive(now) else { return 0 };
        let mut batch = self.pump.spare_batch();
        let Ok(decoded) = decode::receive_response(answer, &mut batch) else { return 0 };
        self.pump.judge(&mut batch);
        let count = batch.messages.len() as u64;
        self.pump.latency_mut().record(Stage::Decode, took_us / 100, count);
        self.pump.latency_mut().record(Stage::Pipeline, took_us / 1000, count);
        let wall_ms = batch.messages.first().map_or(0, |message| message.system.sent_at_ms + took_us / 1000);
        let received = Received { batch, asked, unusable: decoded.unusable, took_us, wall_ms };
        self.pump.received(received, reservation, now);

        self.pump.take_to_produce(now, &mut self.tokens);
        for &token in &self.tokens {
            self.pump.acked(token, acked_at);
        }
        self.pump.take_deletes(acked_at, &mut self.deletes);
        self.pump.delete_answered();
        for &(token, version) in &self.deletes {
            self.pump.deleted(token, version, EntryOutcome::Done, deleted_at);
        }
        self.deletes.len()
    }

    /// What the shard publishes once a second.
    pub fn report(&self) -> PumpReport {
        self.pump.report()
    }
}
