//! Topics of a route that are refused while others work: their messages wait, the others go on.
//!
//! Level 1, pure. Each refused topic has a pause of its own and sends one message as a probe when it is over.
//! What waits is bounded by the pump; beyond that, messages go back to the queue.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Tick;
use crate::retry::{Backoff, Random};
use crate::sqs::lease::Token;

/// Pauses between probes of a refused topic: a topic that is made is found within seconds, and one that is
/// not costs a record every half minute.
const PAUSE: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(30) };

/// A probe whose report does not come for this long is over; librdkafka may hold it for longer.
const PROBE_MS_MAX: u64 = 60_000;

/// The refused topics, by their index in the route.
#[derive(Debug, Default)]
pub(super) struct Routes {
    paused: BTreeMap<u16, Paused>,
}

#[derive(Debug)]
struct Paused {
    code: &'static str,
    attempt: u32,
    /// When the next probe may go.
    probe_at: Tick,
    /// A probe is under way.
    probing: bool,
    waiting: VecDeque<Token>,
}

impl Paused {
    fn may_probe(&self, now: Tick) -> bool {
        now >= if self.probing { self.probe_at.plus_ms(PROBE_MS_MAX) } else { self.probe_at }
    }

    fn probe(&mut self, now: Tick) {
        self.probing = true;
        self.probe_at = now;
    }
}

impl Routes {
    /// Whether any topic is refused.
    pub(super) fn is_any_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// Messages that wait.
    pub(super) fn waiting(&self) -> usize {
        self.paused.values().map(|paused| paused.waiting.len()).sum()
    }

    /// Whether a message for this topic must wait. One that need not, although the topic is refused, is the
    /// probe.
    pub(super) fn must_wait(&mut self, topic: u16, now: Tick) -> bool {
        let Some(paused) = self.paused.get_mut(&topic) else { return false };
        if !paused.may_probe(now) {
            return true;
        }
        paused.probe(now);
        false
    }

    /// A message waits for its topic.
    pub(super) fn wait(&mut self, topic: u16, token: Token) {
        if let Some(paused) = self.paused.get_mut(&topic) {
            paused.waiting.push_back(token);
        }
    }

    /// The topic was refused with this code. Refusals of records that were under way say nothing new.
    pub(super) fn refused(&mut self, topic: u16, code: &'static str, now: Tick, random: &mut Random) {
        let paused = self.paused.entry(topic).or_insert_with(|| Paused {
            code,
            attempt: 0,
            probe_at: now,
            probing: true,
            waiting: VecDeque::new(),
        });
        if paused.probing {
            paused.code = code;
            paused.attempt = paused.attempt.saturating_add(1);
            paused.probing = false;
            paused.probe_at = now.plus(PAUSE.wait(paused.attempt, random));
        }
    }

    /// The topic took a record: what waited for it may go.
    pub(super) fn accepted(&mut self, topic: u16) -> VecDeque<Token> {
        self.paused.remove(&topic).map(|paused| paused.waiting).unwrap_or_default()
    }

    /// For each topic whose pause is over, the message that tries it. What is not held any more is forgotten.
    pub(super) fn probes(&mut self, now: Tick, is_held: impl Fn(Token) -> bool, out: &mut Vec<Token>) {
        for paused in self.paused.values_mut().filter(|paused| paused.may_probe(now)) {
            paused.waiting.retain(|&token| is_held(token));
            if let Some(token) = paused.waiting.pop_front() {
                paused.probe(now);
                out.push(token);
            }
        }
    }

    /// Forgets the topics that the route has no more.
    pub(super) fn retain(&mut self, is_served: impl Fn(u16) -> bool) {
        self.paused.retain(|&topic, _| is_served(topic));
    }

    /// The refused topics: index, code, and how many messages wait.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (u16, &'static str, usize)> {
        self.paused.iter().map(|(&topic, paused)| (topic, paused.code, paused.waiting.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn token(n: u64) -> Token {
        Token::from_bits(n << 8)
    }

    #[test]
    fn a_refused_topic_is_probed_by_one_message_at_a_time() {
        let (mut routes, mut random) = (Routes::default(), Random::new(1));
        assert!(!routes.must_wait(3, Tick(0)));
        for _ in 0..500 {
            routes.refused(3, "UNKNOWN_TOPIC_OR_PART", Tick(0), &mut random);
        }
        assert!(routes.must_wait(3, Tick(499 * MS)) && !routes.must_wait(2, Tick(499 * MS)));
        assert!(!routes.must_wait(3, Tick(1_000 * MS)), "the probe");
        assert!(routes.must_wait(3, Tick(1_001 * MS)), "one is enough");
        routes.refused(3, "UNKNOWN_TOPIC_OR_PART", Tick(1_002 * MS), &mut random);
        assert!(routes.must_wait(3, Tick(2_000 * MS)), "the second pause is longer");
        assert!(!routes.must_wait(3, Tick(3_100 * MS)));
    }

    #[test]
    fn what_waits_goes_once_the_topic_takes_a_record() {
        let (mut routes, mut random) = (Routes::default(), Random::new(1));
        routes.refused(1, "TOPIC_AUTHORIZATION_FAILED", Tick(0), &mut random);
        for n in 0..4 {
            routes.wait(1, token(n));
        }
        let (mut probes, is_held) = (Vec::new(), |held: Token| held != token(0));
        routes.probes(Tick(1_000 * MS), is_held, &mut probes);
        routes.probes(Tick(1_100 * MS), is_held, &mut probes);
        assert_eq!((probes.as_slice(), routes.waiting()), ([token(1)].as_slice(), 2));
        assert_eq!(routes.accepted(1), [token(2), token(3)]);
        assert!(!routes.is_any_paused() && routes.accepted(1).is_empty());
    }
}
