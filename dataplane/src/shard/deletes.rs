//! Messages that Kafka has and SQS does not know it yet, on their way into delete batches.
//!
//! Level 1, pure. Ten to a call; fewer once the oldest has waited its linger. Messages that end a FIFO
//! group go first and do not wait, because SQS holds the group back until they are gone.

use std::collections::VecDeque;

use crate::clock::Tick;
use crate::limits;
use crate::sqs::lease::Token;

/// The waiting deletes of one pipeline on one shard.
#[derive(Debug, Default)]
pub(crate) struct Deletes {
    urgent: VecDeque<Token>,
    waiting: VecDeque<Token>,
    /// When the oldest of `waiting` came.
    since: Tick,
    /// Not before this time: the last call failed.
    not_before: Tick,
}

impl Deletes {
    /// An acked message waits for its delete.
    pub(crate) fn push(&mut self, token: Token, now: Tick) {
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting.push_back(token);
    }

    /// An acked message that ends its group.
    pub(crate) fn push_urgent(&mut self, token: Token) {
        self.urgent.push_back(token);
    }

    /// Nothing is sent before `until`.
    pub(crate) fn hold(&mut self, until: Tick) {
        self.not_before = until;
    }

    /// Waiting messages.
    pub(crate) fn len(&self) -> usize {
        self.urgent.len() + self.waiting.len()
    }

    /// Full batches that could be sent at once: how many connections have work.
    pub(crate) fn full_batches(&self) -> usize {
        self.len() / limits::BATCH_ENTRIES_MAX
    }

    /// Whether a batch should be sent now. `flush` does not wait for more.
    pub(crate) fn ready(&self, now: Tick, flush: bool) -> bool {
        let waited = now >= self.since.plus_ms(limits::DELETE_LINGER_MS);
        let enough = self.len() >= limits::BATCH_ENTRIES_MAX || !self.urgent.is_empty();
        now >= self.not_before && (enough || (!self.waiting.is_empty() && (waited || flush)))
    }

    /// Takes up to ten messages, urgent ones first.
    pub(crate) fn take(&mut self, now: Tick, flush: bool, out: &mut Vec<Token>) {
        out.clear();
        if !self.ready(now, flush) {
            return;
        }
        while out.len() < limits::BATCH_ENTRIES_MAX {
            let Some(token) = self.urgent.pop_front().or_else(|| self.waiting.pop_front()) else { break };
            out.push(token);
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn token(n: u64) -> Token {
        Token::from_bits(n << 8)
    }

    fn take(deletes: &mut Deletes, at_ms: u64, flush: bool) -> Vec<Token> {
        let mut out = Vec::new();
        deletes.take(Tick(at_ms * MS), flush, &mut out);
        out
    }

    #[test]
    fn ten_go_at_once_and_fewer_after_their_linger() {
        let mut deletes = Deletes::default();
        for n in 0..13 {
            deletes.push(token(n), Tick(100 * MS));
        }
        assert_eq!(take(&mut deletes, 100, false).len(), 10);
        assert!(take(&mut deletes, 101, false).is_empty());
        assert_eq!(take(&mut deletes, 110, false).len(), 3);
        deletes.push(token(20), Tick(200 * MS));
        assert_eq!(take(&mut deletes, 200, true).len(), 1, "a drain does not wait");
    }

    #[test]
    fn the_end_of_a_group_goes_first_and_takes_others_along() {
        let mut deletes = Deletes::default();
        deletes.push(token(1), Tick(100 * MS));
        deletes.push_urgent(token(2));
        assert_eq!(take(&mut deletes, 100, false), [token(2), token(1)]);
    }

    #[test]
    fn a_failed_call_makes_the_next_one_wait() {
        let mut deletes = Deletes::default();
        deletes.push_urgent(token(1));
        deletes.hold(Tick(50 * MS));
        assert!(take(&mut deletes, 49, true).is_empty());
        assert_eq!(take(&mut deletes, 50, true).len(), 1);
    }
}
