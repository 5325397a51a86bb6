//! Which partition the next record without a key goes to: one that waits for no ack, for a linger's time.
//!
//! Level 1, no unsafe code. An idempotent producer of librdkafka has one batch of a partition on the wire at a
//! time (`rd_kafka_toppar_producer_serve` of 2.12.1 subtracts *messages* in flight from the five requests that it
//! allows). What lingers behind that batch longer than its linger makes the broker's thread poll without
//! waiting until the ack comes, which was a quarter of all CPU beside a real broker. So records gather at a
//! partition only until its batch is due, and then at one that has nothing on the wire.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Tick;

/// Partitions that are told apart; those of a larger topic share places.
const PLACES: usize = 256;
/// A partition counts as free again so long after its last record, whatever is owed to it: its reports may
/// have been lost with a partition that was deleted.
const OWED_MAX: Duration = Duration::from_secs(30);

/// The choice for one topic of one producer. Made for one thread; another may look in, since librdkafka places
/// records that came before it knew the topic on a thread of its own.
#[derive(Debug)]
pub(super) struct Spread {
    window: Duration,
    bytes_max: u64,
    now: AtomicU64,
    /// -1: none yet.
    current: AtomicI32,
    opened: AtomicU64,
    bytes: AtomicU64,
    places: Vec<Place>,
}

/// What is under way to one partition.
#[derive(Debug, Default)]
struct Place {
    pending: AtomicU32,
    /// When a record was last sent.
    used: AtomicU64,
}

impl Spread {
    /// Changes partitions after `window` or `bytes_max`, whichever comes first. `seed` chooses the first one.
    pub(super) fn new(window: Duration, bytes_max: u64, seed: u64) -> Spread {
        let places = (0..PLACES).map(|_| Place::default()).collect();
        Spread {
            window,
            bytes_max,
            now: AtomicU64::new(0),
            // Lossless: less than PLACES. Becomes a partition once their number is known.
            current: AtomicI32::new((seed % PLACES as u64) as i32),
            opened: AtomicU64::new(0),
            bytes: AtomicU64::new(u64::MAX),
            places,
        }
    }

    /// The time of the records that follow.
    pub(super) fn look(&self, now: Tick) {
        self.now.store(now.0, Ordering::Relaxed);
    }

    /// So many bytes go to the current partition.
    pub(super) fn took(&self, bytes: usize) {
        let before = self.bytes.load(Ordering::Relaxed);
        self.bytes.store(before.saturating_add(bytes as u64), Ordering::Relaxed);
    }

    /// The partition of the next record without a key, among `partitions`, which is at least 1.
    pub(super) fn next(&self, partitions: i32, is_available: impl Fn(i32) -> bool) -> i32 {
        let now = Tick(self.now.load(Ordering::Relaxed));
        let current = self.current.load(Ordering::Relaxed);
        let opened = Tick(self.opened.load(Ordering::Relaxed));
        let is_open = now < opened.plus(self.window).max(Tick(opened.0 + 1))
            && self.bytes.load(Ordering::Relaxed) < self.bytes_max;
        if current < partitions && is_open {
            return current;
        }
        let chosen = self.other(current, partitions, now, is_available);
        self.current.store(chosen, Ordering::Relaxed);
        self.opened.store(now.0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        chosen
    }

    /// The next free partition; the next available one when none is free; the next one when none is available.
    fn other(&self, current: i32, partitions: i32, now: Tick, is_available: impl Fn(i32) -> bool) -> i32 {
        let order =
            || (1..=partitions).map(|step| (i64::from(current) + i64::from(step)) % i64::from(partitions));
        // Lossless: less than `partitions`.
        let order = || order().map(|partition| partition as i32);
        let free = order().find(|&partition| self.place(partition).is_free(now) && is_available(partition));
        free.or_else(|| order().find(|&partition| is_available(partition)))
            .or_else(|| order().next())
            .unwrap_or(0)
    }

    fn place(&self, partition: i32) -> &Place {
        &self.places[partition.unsigned_abs() as usize % PLACES]
    }

    /// A record is on its way to a partition, with or without a key.
    pub(super) fn sent(&self, partition: i32) {
        let place = self.place(partition);
        place.pending.fetch_add(1, Ordering::Relaxed);
        place.used.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// A record was reported. One that never got a partition (-1) is owed by none.
    pub(super) fn reported(&self, partition: i32) {
        if partition >= 0 {
            let pending = &self.place(partition).pending;
            pending.store(pending.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }
}

impl Place {
    fn is_free(&self, now: Tick) -> bool {
        self.pending.load(Ordering::Relaxed) == 0
            || now > Tick(self.used.load(Ordering::Relaxed)).plus(OWED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn spread() -> Spread {
        Spread::new(Duration::from_millis(5), 1000, 2)
    }

    fn send(spread: &Spread, at_ms: u64, partitions: i32) -> i32 {
        spread.look(Tick(at_ms * MS));
        let partition = spread.next(partitions, |_| true);
        spread.sent(partition);
        partition
    }

    #[test]
    fn a_window_stays_at_one_partition_and_the_next_begins_at_another() {
        let spread = spread();
        assert_eq!([100, 102, 104].map(|at| send(&spread, at, 4)), [3, 3, 3]);
        assert_eq!(send(&spread, 105, 4), 0);
    }

    #[test]
    fn a_full_batch_ends_the_window() {
        let spread = spread();
        assert_eq!(send(&spread, 100, 4), 3);
        spread.took(1000);
        assert_eq!(send(&spread, 100, 4), 0);
        spread.took(999);
        assert_eq!(send(&spread, 100, 4), 0);
    }

    #[test]
    fn partitions_that_wait_for_acks_are_passed_over_until_they_have_them() {
        let spread = spread();
        assert_eq!([100, 105, 110].map(|at| send(&spread, at, 4)), [3, 0, 1]);
        spread.reported(0);
        assert_eq!(send(&spread, 115, 4), 2);
        assert_eq!(send(&spread, 120, 4), 0, "3 is still owed an ack");
        // None is free: they take turns.
        assert_eq!([125, 130].map(|at| send(&spread, at, 4)), [1, 2]);
    }

    #[test]
    fn what_is_never_reported_is_forgotten() {
        let spread = spread();
        assert_eq!(send(&spread, 100, 2), 1);
        assert_eq!(send(&spread, 200, 2), 0);
        spread.reported(0);
        assert_eq!(send(&spread, 30_000, 2), 0);
        spread.reported(0);
        assert_eq!(send(&spread, 30_200, 2), 1);
    }

    #[test]
    fn partitions_without_a_leader_are_avoided_while_others_have_one() {
        let spread = spread();
        spread.look(Tick(100 * MS));
        assert_eq!(spread.next(4, |partition| partition == 1), 1);
        spread.look(Tick(200 * MS));
        assert_eq!(spread.next(4, |_| false), 2);
    }

    #[test]
    fn a_topic_may_shrink_and_grow_beyond_the_places() {
        let spread = spread();
        assert_eq!(send(&spread, 100, 1000), 3);
        assert_eq!(send(&spread, 101, 2), 0);
        for at in 0..2000 {
            let partition = send(&spread, 200 + 5 * at, 1000);
            assert!((0..1000).contains(&partition));
            spread.reported(partition);
        }
        spread.reported(-1);
    }

    #[test]
    fn without_a_window_each_look_is_a_window_of_its_own() {
        let spread = Spread::new(Duration::ZERO, 1000, 0);
        assert_eq!([100, 100, 101].map(|at| send(&spread, at, 4)), [1, 1, 2]);
    }
}
