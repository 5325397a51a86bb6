//! Limits of one pipeline on one shard: messages, bytes and requests a second.
//!
//! Level 1, pure. Token buckets, looked at once for each receive and not at all where there is no limit. A receive is
//! charged with what it may bring and settled by what came; deletes and changes of visibility are charged and never
//! wait, so that a limit cannot cost a lease. A bucket may go into debt; receiving goes on when it is paid.

use super::budget::Reservation;
use crate::clock::Tick;
use crate::config;
use crate::limits;

/// What a bucket holds at most: this part of a second. An idle shard looks ten times a second and must not lose what
/// came in between; more would let a burst through.
const BURST_S: f64 = 0.25;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_s: f64,
    balance: f64,
}

impl Bucket {
    fn new(per_s: f64) -> Bucket {
        Bucket { per_s, balance: Bucket::burst(per_s) }
    }

    /// At least one, or nothing could ever be taken.
    fn burst(per_s: f64) -> f64 {
        (per_s * BURST_S).max(1.0)
    }

    fn add(&mut self, amount: f64) {
        self.balance = (self.balance + amount).min(Bucket::burst(self.per_s));
    }

    /// Takes of this size until the bucket is empty; the last one may take more than there is.
    fn takes(&self, size: f64) -> usize {
        // A float that is too large becomes the largest number, a negative one 0.
        (self.balance / size).ceil() as usize
    }
}

/// The limits of one pipeline on one shard. There is at least one.
#[derive(Debug)]
pub(crate) struct Rates {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    requests: Option<Bucket>,
    /// Up to when the buckets have been filled.
    filled: Tick,
    /// Calls that have been charged.
    calls: u64,
}

impl Rates {
    /// This shard's share of the limits; `None` when there are none. `calls` have been made so far.
    pub(crate) fn new(rate: &config::Rate, shards: u16, now: Tick, calls: u64) -> Option<Rates> {
        let bucket = |per_s: f64| Bucket::new(per_s / f64::from(shards.max(1)));
        (!rate.is_unlimited()).then(|| Rates {
            messages: rate.messages_per_s.map(|count| bucket(f64::from(count))),
            bytes: rate.bytes_per_s.map(|bytes| bucket(bytes.0 as f64)),
            requests: rate.requests_per_s.map(|count| bucket(f64::from(count))),
            filled: now,
            calls,
        })
    }

    /// Time passes, and `calls` deletes and changes of visibility have been made in all.
    pub(crate) fn advance(&mut self, now: Tick, calls: u64) {
        let passed_s = self.filled.until(now).as_secs_f64();
        self.filled = self.filled.max(now);
        for bucket in [&mut self.messages, &mut self.bytes, &mut self.requests].into_iter().flatten() {
            bucket.add(bucket.per_s * passed_s);
        }
        if let Some(requests) = &mut self.requests {
            requests.balance -= (calls - self.calls) as f64;
        }
        self.calls = calls;
    }

    /// Receives that may be sent now, each of which may bring `bytes`.
    pub(crate) fn receives(&self, bytes: u64) -> usize {
        let sizes = [limits::BATCH_ENTRIES_MAX as f64, bytes.max(1) as f64, 1.0];
        let buckets = [&self.messages, &self.bytes, &self.requests];
        let takes =
            buckets.into_iter().zip(sizes).filter_map(|(bucket, size)| Some(bucket.as_ref()?.takes(size)));
        takes.min().unwrap_or(usize::MAX)
    }

    /// A receive is sent.
    pub(crate) fn take(&mut self, reservation: &mut Reservation) {
        reservation.charged = reservation.bytes;
        self.change(-(reservation.messages as f64), -(reservation.bytes as f64));
        if let Some(requests) = &mut self.requests {
            requests.balance -= 1.0;
        }
    }

    /// A receive has brought so much, or nothing.
    pub(crate) fn settle(&mut self, reservation: &Reservation, messages: u64, bytes: u64) {
        // One that was sent before there was a limit counts with what it brings.
        let reserved = if reservation.charged > 0 { reservation.messages } else { 0 };
        self.change(reserved as f64 - messages as f64, reservation.charged as f64 - bytes as f64);
    }

    fn change(&mut self, messages: f64, bytes: f64) {
        for (bucket, amount) in [(&mut self.messages, messages), (&mut self.bytes, bytes)] {
            if let Some(bucket) = bucket {
                bucket.add(amount);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Bytes;

    const MS: u64 = 1_000_000;

    fn reservation() -> Reservation {
        Reservation { messages: 10, bytes: 16_384, charged: 0 }
    }

    /// A backlog at 10 messages of 500 bytes a receive, answered after 3 ms, looked at every 5 ms for a minute: messages
    /// received.
    fn run(rate: config::Rate, shards: u16) -> u64 {
        let mut rates = Rates::new(&rate, shards, Tick(0), 0).unwrap();
        let (mut received, mut calls) = (0, 0);
        for step in 0..12_000 {
            rates.advance(Tick(step * 5 * MS), calls);
            for _ in 0..rates.receives(16_384).min(192) {
                let mut reservation = reservation();
                rates.take(&mut reservation);
                rates.settle(&reservation, 10, 5_000);
                received += 10;
                calls += 1;
            }
        }
        received
    }

    fn is_within(received: u64, wanted: f64) {
        let ratio = received as f64 / wanted;
        assert!((0.98..=1.02).contains(&ratio), "{received} of {wanted}");
    }

    #[test]
    fn each_limit_holds_over_a_minute_and_is_used_up() {
        let none = config::Rate::default();
        is_within(run(config::Rate { messages_per_s: Some(3_000), ..none }, 1), 180_000.0);
        is_within(run(config::Rate { messages_per_s: Some(3_000), ..none }, 4), 45_000.0);
        is_within(run(config::Rate { bytes_per_s: Some(Bytes(1_000_000)), ..none }, 1), 120_000.0);
        // A receive and its delete.
        is_within(run(config::Rate { requests_per_s: Some(100), ..none }, 1), 30_000.0);
    }

    #[test]
    fn the_narrowest_of_several_counts() {
        let rate = config::Rate {
            messages_per_s: Some(100_000),
            bytes_per_s: Some(Bytes(100 << 20)),
            requests_per_s: Some(20),
        };
        is_within(run(rate, 1), 6_000.0);
    }

    #[test]
    fn less_than_one_receive_a_second_goes_on_all_the_same() {
        let received = run(config::Rate { messages_per_s: Some(1), ..config::Rate::default() }, 1);
        assert!(
            (60..=70).contains(&received),
            "{received}: the minute's share and the receive that begins it"
        );
    }

    #[test]
    fn what_did_not_come_is_given_back() {
        let rate = config::Rate { messages_per_s: Some(10), ..config::Rate::default() };
        let mut rates = Rates::new(&rate, 1, Tick(0), 0).unwrap();
        let mut first = reservation();
        rates.take(&mut first);
        assert_eq!(rates.receives(1), 0);
        rates.settle(&first, 0, 0);
        assert_eq!(rates.receives(1), 1, "an empty answer costs nothing but its request");
    }

    #[test]
    fn a_receive_from_before_the_limit_counts_with_what_it_brings() {
        let rate = config::Rate { messages_per_s: Some(40), ..config::Rate::default() };
        let mut rates = Rates::new(&rate, 1, Tick(0), 0).unwrap();
        rates.settle(&reservation(), 10, 5_000);
        assert_eq!(rates.receives(1), 0);
        rates.advance(Tick(250 * MS), 0);
        assert_eq!(rates.receives(1), 1);
    }

    #[test]
    fn without_a_limit_there_is_nothing_to_look_at() {
        assert!(Rates::new(&config::Rate::default(), 4, Tick(0), 0).is_none());
    }
}
