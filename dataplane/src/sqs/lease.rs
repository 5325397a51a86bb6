//! The lease table: every message that one pipeline holds on one shard, and until when.
//!
//! Level 1, pure. A lease is the right to a message until a deadline: a receipt handle and a visibility
//! timeout. The newest handle per MessageId wins; our own deadline decides, not SQS's reply. Messages of
//! one receive share a slot and an arena, so that the table costs one entry a receive and a few words a
//! message. What leaves the table has ended in exactly one way, and the caller counts it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Tick;
use crate::message::Batch;

/// Names one lease: slot of its receive, generation of the slot, position in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(u64);

impl Token {
    fn new(slot: usize, generation: u32, index: u8) -> Token {
        Token((slot as u64) << 40 | u64::from(generation) << 8 | u64::from(index))
    }

    /// The lease at another position of the same receive.
    pub(crate) fn at(self, index: u8) -> Token {
        Token(self.0 & !0xff | u64::from(index))
    }

    /// Position of the message in its batch.
    pub(crate) fn index(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// As a number, for the producer to carry.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// From the number that the producer carried.
    pub(crate) fn from_bits(bits: u64) -> Token {
        Token(bits)
    }

    fn slot(self) -> usize {
        (self.0 >> 40) as usize
    }

    fn generation(self) -> u32 {
        (self.0 >> 8) as u32
    }
}

/// What is being done with a held message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waits: for its group's head, for a retry, for the producer.
    Held,
    /// The producer has it, bound for its topic or for the dead letter.
    Producing,
    /// Kafka has it; the delete waits or is under way.
    Acked,
    /// Is being given back.
    Releasing,
    /// Ended; the slot waits for its neighbours.
    Ended,
}

/// How an acked message will be counted once its delete is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destiny {
    /// In its topic.
    Delivered,
    /// In the dead-letter topic.
    Rejected,
}

/// One held message.
#[derive(Debug)]
pub(crate) struct Lease {
    /// What is being done with it.
    pub phase: Phase,
    /// Whether it goes to its topic or to the dead letter.
    pub destiny: Destiny,
    /// Attempts of the current step after the first: produce, then delete.
    pub attempts: u8,
    /// When the producer took it, then when Kafka acked it.
    pub stage_at: Tick,
    /// When our right to it ends.
    deadline: Tick,
    /// When it should be extended; [`Tick`] of `u64::MAX` while an extension is under way or none will come.
    extend_at: Tick,
    key: u128,
    /// A newer receipt handle than the batch's own.
    newer: Option<(Arc<Batch>, u8)>,
    /// Counts the handles: a delete that succeeded with an older one proves nothing.
    pub version: u8,
}

/// The messages of one receive.
#[derive(Debug)]
struct Receive {
    batch: Arc<Batch>,
    received_at: Tick,
    live: u16,
    leases: Vec<Lease>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    receive: Option<Receive>,
}

/// When leases end and when they are extended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Visibility timeout of each receive and extension.
    pub visibility: Duration,
    /// Longest time that a message is held in all.
    pub hold_max: Duration,
}

impl Terms {
    /// Our deadline lies before SQS's by a tenth of the timeout, at least 100 ms and at most 2 s: time for
    /// a delete to travel, and for clocks that tick apart.
    fn deadline(&self, from: Tick) -> Tick {
        let margin = (self.visibility / 10).clamp(Duration::from_millis(100), Duration::from_secs(2));
        from.plus(self.visibility.saturating_sub(margin))
    }
}

/// What came of inserting a receive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// Leases that are new, to be produced.
    pub fresh: Vec<Token>,
    /// Messages that were already held and got a newer handle; acked ones among them wait for a delete.
    pub renewed: u64,
    /// Acked leases that got a newer handle: their delete is asked for again.
    pub delete_again: Vec<Token>,
}

/// What the periodic look found.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Leases at half their life.
    pub extend: Vec<Token>,
    /// Leases that ended; they have left the table.
    pub lost: Vec<Token>,
}

/// All leases of one pipeline on one shard.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    slots: Vec<Slot>,
    free: Vec<usize>,
    by_key: HashMap<u128, Token, BuildHasherDefault<KeyHasher>>,
    spare: Vec<Vec<Lease>>,
}

/// MessageIds are random already; their bits are the hash.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        // One multiplication spreads ids that a test server counts up.
        self.0 = ((key ^ (key >> 64)) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

const NEVER: Tick = Tick(u64::MAX);

impl Leases {
    /// Messages held: the table's own length.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Takes the messages of one receive. `fresh` and the like are appended to `out`, which is cleared.
    pub(crate) fn insert(&mut self, batch: Arc<Batch>, now: Tick, terms: &Terms, out: &mut Inserted) {
        out.fresh.clear();
        out.delete_again.clear();
        out.renewed = 0;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let generation = self.slots[slot].generation;
        let mut leases = self.spare.pop().unwrap_or_default();
        for (index, message) in batch.messages.iter().enumerate() {
            let index = index as u8;
            let held = self.by_key.get(&message.key).copied();
            let twin = held.is_some_and(|token| token.slot() == slot);
            let mut phase = Phase::Held;
            if twin {
                // Twice in one answer: the later handle is the newer one.
                if let Some(lease) = leases.get_mut(held.map_or(0, Token::index) as usize) {
                    lease.renew(&batch, index, now, terms);
                }
                phase = Phase::Ended;
            } else if let Some(token) = held {
                self.renew(token, &batch, index, now, terms, out);
                phase = Phase::Ended;
            }
            if phase == Phase::Ended {
                out.renewed += 1;
            } else {
                let token = Token::new(slot, generation, index);
                self.by_key.insert(message.key, token);
                out.fresh.push(token);
            }
            leases.push(Lease {
                phase,
                destiny: Destiny::Delivered,
                attempts: 0,
                stage_at: now,
                deadline: terms.deadline(now),
                extend_at: now.plus(terms.visibility / 2),
                key: message.key,
                newer: None,
                version: 0,
            });
        }
        let live = out.fresh.len() as u16;
        let receive = Receive { batch, received_at: now, live, leases };
        if live == 0 {
            self.recycle(receive);
            self.free.push(slot);
        } else {
            self.slots[slot].receive = Some(receive);
        }
    }

    fn renew(
        &mut self,
        token: Token,
        batch: &Arc<Batch>,
        index: u8,
        now: Tick,
        terms: &Terms,
        out: &mut Inserted,
    ) {
        if let Some(lease) = self.get_mut(token) {
            lease.renew(batch, index, now, terms);
            if lease.phase == Phase::Acked {
                out.delete_again.push(token);
            }
        }
    }

    /// The lease, if it is still held.
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Lease> {
        let slot = self.slots.get_mut(token.slot()).filter(|slot| slot.generation == token.generation())?;
        let lease = slot.receive.as_mut()?.leases.get_mut(token.index() as usize)?;
        (lease.phase != Phase::Ended).then_some(lease)
    }

    /// The lease and the batch that it came with, if it is still held.
    pub(crate) fn get(&self, token: Token) -> Option<(&Lease, &Arc<Batch>)> {
        let slot = self.slots.get(token.slot()).filter(|slot| slot.generation == token.generation())?;
        let receive = slot.receive.as_ref()?;
        let lease = receive.leases.get(token.index() as usize)?;
        (lease.phase != Phase::Ended).then_some((lease, &receive.batch))
    }

    /// When the message was received.
    pub(crate) fn received_at(&self, token: Token) -> Option<Tick> {
        let slot = self.slots.get(token.slot()).filter(|slot| slot.generation == token.generation())?;
        slot.receive.as_ref().map(|receive| receive.received_at)
    }

    /// The newest receipt handle of a held message.
    pub(crate) fn receipt(&self, token: Token) -> Option<&[u8]> {
        let (lease, batch) = self.get(token)?;
        let (batch, index) =
            lease.newer.as_ref().map_or((batch, token.index()), |(batch, index)| (batch, *index));
        batch.messages.get(index as usize).map(|message| batch.slice(message.receipt))
    }

    /// Ends a lease. Returns its batch when that was the last message of its receive, and its lease state.
    /// `None`: it had ended before.
    pub(crate) fn end(&mut self, token: Token) -> Option<Ended> {
        let lease = self.get_mut(token)?;
        lease.phase = Phase::Ended;
        let (key, stage_at, destiny) = (lease.key, lease.stage_at, lease.destiny);
        lease.newer = None;
        self.by_key.remove(&key);
        let slot = &mut self.slots[token.slot()];
        let receive = slot.receive.as_mut()?;
        receive.live -= 1;
        let mut ended = Ended { received_at: receive.received_at, stage_at, destiny, batch: None };
        if receive.live == 0 {
            slot.generation = slot.generation.wrapping_add(1);
            if let Some(receive) = slot.receive.take() {
                self.free.push(token.slot());
                ended.batch = Some(self.recycle(receive));
            }
        }
        Some(ended)
    }

    fn recycle(&mut self, mut receive: Receive) -> Arc<Batch> {
        receive.leases.clear();
        if self.spare.len() < 64 {
            self.spare.push(receive.leases);
        }
        receive.batch
    }

    /// Finds leases to extend and leases that are over. Lost ones stay in the table until the caller has
    /// ended them, so that it can count each.
    pub(crate) fn due(&mut self, now: Tick, terms: &Terms, due: &mut Due) {
        due.extend.clear();
        due.lost.clear();
        for (slot_index, slot) in self.slots.iter_mut().enumerate() {
            let generation = slot.generation;
            let Some(receive) = &mut slot.receive else { continue };
            let hold_until = receive.received_at.plus(terms.hold_max);
            for (index, lease) in receive.leases.iter_mut().enumerate() {
                let token = Token::new(slot_index, generation, index as u8);
                if lease.phase == Phase::Ended {
                    continue;
                }
                if now >= lease.deadline {
                    due.lost.push(token);
                } else if now >= lease.extend_at && now < hold_until && lease.may_extend() {
                    lease.extend_at = NEVER;
                    due.extend.push(token);
                }
            }
        }
    }

    /// Every lease that is neither acked nor on its way back: what a drain gives back at its deadline.
    pub(crate) fn unfinished(&self) -> Vec<Token> {
        let mut found = Vec::new();
        for (slot_index, slot) in self.slots.iter().enumerate() {
            let Some(receive) = &slot.receive else { continue };
            for (index, lease) in receive.leases.iter().enumerate() {
                if matches!(lease.phase, Phase::Held | Phase::Producing) {
                    found.push(Token::new(slot_index, slot.generation, index as u8));
                }
            }
        }
        found
    }
}

/// What an ended lease leaves behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When it was received.
    pub received_at: Tick,
    /// When its last stage began: the ack, for a deleted message.
    pub stage_at: Tick,
    /// Where it went.
    pub destiny: Destiny,
    /// The batch, when no message of it is held any more.
    pub batch: Option<Arc<Batch>>,
}

impl Lease {
    fn renew(&mut self, batch: &Arc<Batch>, index: u8, now: Tick, terms: &Terms) {
        self.newer = Some((Arc::clone(batch), index));
        self.version = self.version.wrapping_add(1);
        self.deadline = terms.deadline(now);
        self.extend_at = now.plus(terms.visibility / 2);
    }

    /// Acked messages are about to be deleted, released ones given back: neither is extended.
    fn may_extend(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Producing)
    }

    /// SQS confirmed an extension that was asked for at `asked_at`.
    pub(crate) fn extended(&mut self, asked_at: Tick, terms: &Terms) {
        self.deadline = self.deadline.max(terms.deadline(asked_at));
        self.extend_at = asked_at.plus(terms.visibility / 2);
    }

    /// An extension failed in passing: ask again at `at`.
    pub(crate) fn extend_again(&mut self, at: Tick) {
        self.extend_at = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Span};

    const TERMS: Terms = Terms { visibility: Duration::from_secs(30), hold_max: Duration::from_secs(600) };
    const S: u64 = 1_000_000_000;

    fn batch(keys: &[u128], receipt: &[u8]) -> Arc<Batch> {
        let mut batch = Batch { bytes: receipt.to_vec(), ..Batch::default() };
        let receipt = Span { start: 0, len: receipt.len() as u32 };
        batch.messages = keys.iter().map(|&key| Message { key, receipt, ..Message::default() }).collect();
        Arc::new(batch)
    }

    fn insert(leases: &mut Leases, keys: &[u128], receipt: &[u8], at_s: u64) -> Inserted {
        let mut out = Inserted::default();
        leases.insert(batch(keys, receipt), Tick(at_s * S), &TERMS, &mut out);
        out
    }

    #[test]
    fn a_receive_frees_its_batch_with_its_last_message() {
        let mut leases = Leases::default();
        let fresh = insert(&mut leases, &[1, 2], b"r", 1).fresh;
        assert_eq!(leases.len(), 2);
        assert!(leases.end(fresh[0]).unwrap().batch.is_none());
        assert!(leases.end(fresh[0]).is_none(), "a lease ends once");
        assert!(leases.end(fresh[1]).unwrap().batch.is_some());
        assert_eq!(leases.len(), 0);
        let again = insert(&mut leases, &[1], b"r", 2).fresh;
        assert_ne!(again[0], fresh[0], "a reused slot gives another token");
        assert!(leases.get(fresh[0]).is_none());
    }

    #[test]
    fn the_newest_handle_wins_and_an_acked_message_is_deleted_again() {
        let mut leases = Leases::default();
        let fresh = insert(&mut leases, &[1], b"old", 1).fresh;
        leases.get_mut(fresh[0]).unwrap().phase = Phase::Acked;
        let again = insert(&mut leases, &[1], b"new", 20);
        assert_eq!((again.fresh.len(), again.renewed), (0, 1));
        assert_eq!(again.delete_again, fresh);
        assert_eq!(leases.receipt(fresh[0]), Some(&b"new"[..]));
        assert_eq!(leases.get(fresh[0]).unwrap().0.version, 1);
        assert_eq!(leases.len(), 1);
    }

    #[test]
    fn twins_in_one_answer_are_one_lease() {
        let mut leases = Leases::default();
        let inserted = insert(&mut leases, &[7, 7, 8], b"r", 1);
        assert_eq!((inserted.fresh.len(), inserted.renewed), (2, 1));
        for token in inserted.fresh {
            leases.end(token).unwrap();
        }
        assert_eq!(leases.len(), 0);
    }

    #[test]
    fn leases_are_extended_at_half_life_and_lost_before_sqs_takes_them() {
        let mut leases = Leases::default();
        let fresh = insert(&mut leases, &[1, 2], b"r", 100).fresh;
        let mut due = Due::default();
        leases.due(Tick(114 * S), &TERMS, &mut due);
        assert!(due.extend.is_empty());
        leases.get_mut(fresh[1]).unwrap().phase = Phase::Acked;
        leases.due(Tick(115 * S), &TERMS, &mut due);
        assert_eq!(due.extend, &fresh[..1], "an acked message is not extended");
        leases.due(Tick(116 * S), &TERMS, &mut due);
        assert!(due.extend.is_empty(), "one extension at a time");
        leases.get_mut(fresh[0]).unwrap().extended(Tick(115 * S), &TERMS);
        leases.due(Tick(128 * S), &TERMS, &mut due);
        assert_eq!(due.lost, &fresh[1..], "two seconds before the visibility timeout");
    }

    #[test]
    fn no_message_is_held_longer_than_allowed() {
        let mut leases = Leases::default();
        let fresh = insert(&mut leases, &[1], b"r", 0).fresh;
        let mut due = Due::default();
        let mut now = 0;
        loop {
            now += 1;
            leases.due(Tick(now * S), &TERMS, &mut due);
            if !due.lost.is_empty() {
                break;
            }
            for &token in &due.extend {
                leases.get_mut(token).unwrap().extended(Tick(now * S), &TERMS);
            }
        }
        assert!((600..=630).contains(&now), "lost after {now} s");
        assert_eq!(due.lost, fresh);
    }
}
