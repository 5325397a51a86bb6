//! Handoff between shards: bounded lock-free rings, one for each ordered pair.
//!
//! Level 4. Used when a pipeline has fewer producers than shards, or when equal keys must go through one
//! producer. Messages travel in parcels, a batch's worth at a time; so do the reports on their way back.
//! The receiving shard is woken through its ring. What a full ring does not take waits in the sender's
//! outbox, which is bounded by what its pipelines may hold.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::clock::Tick;
use crate::limits;
use crate::message::{Batch, KeyBytes};
use crate::net::WakeHandle;
use crate::pipeline::dead_letter::Reasons;

/// Where one record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A topic of the pipeline's route, by index.
    Topic(u16),
    /// The pipeline's dead-letter topic.
    DeadLetter,
}

/// One record of an order.
#[derive(Debug)]
pub(crate) struct Item {
    /// Position of the message in its batch.
    pub index: u8,
    /// Where it goes.
    pub target: Target,
    /// Its key.
    pub key: KeyBytes,
    /// Why it goes to the dead letter.
    pub reasons: Option<Box<Reasons>>,
}

/// Records of one batch for one producer.
#[derive(Debug)]
pub(crate) struct Order {
    /// Index of the pipeline, the same on every shard.
    pub pump: usize,
    /// The batch that the records point into.
    pub batch: Arc<Batch>,
    /// Bits of the lease token at position 0.
    pub token: u64,
    /// The records, in order.
    pub items: Vec<Item>,
}

/// What became of a record that another shard produced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// Index of the pipeline.
    pub pump: usize,
    /// Bits of the message's lease token.
    pub token: u64,
    /// `None`: acked. Otherwise the code, its class and whether it may be stored.
    pub refusal: Option<(&'static str, crate::error::Class, bool)>,
}

/// What travels between shards.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// Please produce.
    Order {
        /// The records.
        order: Order,
        /// The shard that holds their leases.
        origin: usize,
        /// When it was put into the ring.
        at: Tick,
    },
    /// What became of records that were handed over.
    Verdicts(Vec<Verdict>),
}

type Ring = Arc<ArrayQueue<Parcel>>;

/// All rings of an appliance, to be dealt out to its shards.
pub(crate) struct Mesh {
    rings: Vec<Vec<Ring>>,
}

impl Mesh {
    /// Rings for every ordered pair of `shards` shards.
    pub(crate) fn new(shards: usize) -> Mesh {
        let ring = || Arc::new(ArrayQueue::new(limits::HANDOFF_RING_MAX));
        Mesh { rings: (0..shards).map(|_| (0..shards).map(|_| ring()).collect()).collect() }
    }

    /// The ends of one shard. `wakes` has a handle for every shard.
    pub(crate) fn links(&self, shard: usize, wakes: Vec<WakeHandle>) -> Links {
        Links {
            inbound: self.rings.iter().map(|from| Arc::clone(&from[shard])).collect(),
            outbound: self.rings[shard].clone(),
            outboxes: self.rings.iter().map(|_| VecDeque::new()).collect(),
            wakes,
        }
    }
}

/// The ends of the rings that one shard holds.
pub(crate) struct Links {
    inbound: Vec<Ring>,
    outbound: Vec<Ring>,
    outboxes: Vec<VecDeque<Parcel>>,
    wakes: Vec<WakeHandle>,
}

impl Links {
    /// Sends a parcel to another shard; order is kept.
    pub(crate) fn send(&mut self, to: usize, parcel: Parcel) {
        self.outboxes[to].push_back(parcel);
        self.flush(to);
    }

    /// Moves what waits into the ring and wakes the other side.
    fn flush(&mut self, to: usize) {
        let mut moved = false;
        while let Some(parcel) = self.outboxes[to].pop_front() {
            if let Err(parcel) = self.outbound[to].push(parcel) {
                self.outboxes[to].push_front(parcel);
                break;
            }
            moved = true;
        }
        if moved {
            self.wakes[to].wake();
        }
    }

    /// Tries again what full rings did not take.
    pub(crate) fn flush_all(&mut self) {
        for to in 0..self.outboxes.len() {
            if !self.outboxes[to].is_empty() {
                self.flush(to);
            }
        }
    }

    /// The next parcel from any shard.
    pub(crate) fn receive(&mut self) -> Option<Parcel> {
        self.inbound.iter().find_map(|ring| ring.pop())
    }
}
