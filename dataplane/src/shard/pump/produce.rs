//! Events of the sink: what is to be produced, what Kafka said, what then.

use super::{PRODUCE_RETRY, Pump};
use crate::clock::Tick;
use crate::error::{Class, Rejection};
use crate::failpoint;
use crate::message::Course;
use crate::retry::Gate;
use crate::sqs::lease::{Destiny, Phase, Token};
use crate::stats::Stage;

/// Code of a message whose MD5 does not match its body: never produced, given back.
pub(crate) const CORRUPT: &str = "body_md5_mismatch";

/// Longest delay of a staged release.
const RELEASE_DELAY_S_MAX: u32 = 900;

impl Pump {
    /// The message's turn has come: hand it to the producer, or park it until there is one.
    pub(super) fn produce(&mut self, token: Token, now: Tick) {
        if self.routes.is_any_paused() && self.must_wait_for_topic(token, now) {
            self.wait_for_topic(token, now);
        } else if self.sink_ready && self.breaker.reason().is_none() {
            self.to_produce.push(token);
        } else {
            self.parked.push_back(token);
        }
    }

    fn must_wait_for_topic(&mut self, token: Token, now: Tick) -> bool {
        let topic = self.course(token).topic;
        self.rejection(token).is_none() && self.routes.must_wait(topic, now)
    }

    /// What waits for refused topics takes a quarter of the budget at most; the others go on.
    fn wait_for_topic(&mut self, token: Token, now: Tick) {
        let waiting_max = self.config.budget.in_flight_messages_max as usize / 4;
        if self.routes.waiting() < waiting_max && self.budget.has_ample_room() {
            self.routes.wait(self.course(token).topic, token);
        } else {
            self.give_back(token, now);
        }
    }

    /// The topics that are refused while others work, in a sentence; `None` when there are none.
    pub(super) fn paused_topics(&self) -> Option<String> {
        let topics = &self.topics;
        let sentences: Vec<String> = self
            .routes
            .reasons()
            .filter_map(|(index, code, waiting)| {
                let topic = topics.get(usize::from(index))?;
                Some(format!("topic {topic} is refused: {code}; {waiting} of its messages wait"))
            })
            .collect();
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    /// Moves the messages to produce now into `out`, in order, and marks them as being produced.
    pub(crate) fn take_to_produce(&mut self, now: Tick, out: &mut Vec<Token>) {
        out.clear();
        if self.to_produce.is_empty() {
            return;
        }
        if self.producing == 0 && self.breaker.reason().is_none() {
            self.breaker.started(now);
        }
        for token in self.to_produce.drain(..) {
            let rejected = match self.leases.get(token) {
                Some((lease, batch)) if lease.phase == Phase::Held => {
                    batch.messages[token.index() as usize].defect.is_some()
                        || self.late_rejections.contains_key(&token)
                }
                _ => continue,
            };
            if rejected && self.config.dead_letter.is_none() {
                self.releases_wanted.push(token);
                continue;
            }
            if let Some(lease) = self.leases.get_mut(token) {
                lease.phase = Phase::Producing;
                lease.destiny = if rejected { Destiny::Rejected } else { Destiny::Delivered };
                lease.stage_at = now;
            }
            self.producing += 1;
            out.push(token);
        }
        self.counters.produced += out.len() as u64;
        self.release_unwanted(now);
    }

    /// Rejected messages of a pipeline without a dead letter go back to the queue, later each time, so that
    /// the queue's own redrive policy takes them out.
    fn release_unwanted(&mut self, now: Tick) {
        while let Some(token) = self.releases_wanted.pop() {
            if let Some(code) = self.rejection(token).map(|rejection| rejection.code) {
                self.rejections.count(code);
            }
            self.give_back(token, now);
        }
    }

    /// Why a message goes to the dead letter.
    pub(crate) fn rejection(&self, token: Token) -> Option<&Rejection> {
        let (_, batch) = self.leases.get(token)?;
        self.late_rejections.get(&token).or(batch.messages[token.index() as usize].defect.as_ref())
    }

    /// Kafka stored the record of this message.
    pub(crate) fn acked(&mut self, token: Token, now: Tick) {
        self.producing -= 1;
        if self.breaker.acked(now) {
            self.unpark();
        }
        let Some(lease) = self.leases.get_mut(token).filter(|lease| lease.phase == Phase::Producing) else {
            // The lease ran out or was given back while the record was on its way: SQS hands it out again.
            return;
        };
        let waited_us = now.us_since(lease.stage_at);
        lease.phase = Phase::Acked;
        lease.attempts = 0;
        lease.stage_at = now;
        let rejected = lease.destiny == Destiny::Rejected;
        if self.routes.is_any_paused() && !rejected {
            self.topic_works(token, now);
        }
        self.latency.record(Stage::ProduceToAck, waited_us, 1);
        if let Some(received_at) = self.leases.received_at(token) {
            self.latency.record(Stage::ReceivedToAcked, now.us_since(received_at), 1);
        }
        if rejected {
            self.counters.dead_lettered += 1;
            failpoint::pass("after_dlq_before_delete");
        }
        failpoint::pass("after_ack_before_delete");
        match self.lanes.as_mut().map(|lanes| lanes.advance(token)) {
            None => self.deletes.push(token, now),
            Some(Some(next)) => {
                self.deletes.push(token, now);
                self.produce(next, now);
            }
            Some(None) => self.deletes.push_urgent(token),
        }
    }

    /// A record of the same topic is stored: what waited for it goes, in the order in which it came.
    fn topic_works(&mut self, token: Token, now: Tick) {
        let topic = self.course(token).topic;
        let mut waiting = self.routes.accepted(topic);
        let leases = &self.leases;
        waiting.make_contiguous().sort_by_key(|&token| (leases.received_at(token), token));
        for token in waiting {
            if self.is_held(token) {
                self.produce(token, now);
            }
        }
    }

    /// Kafka or librdkafka refused the record of this message.
    pub(crate) fn refused(
        &mut self,
        token: Token,
        code: &'static str,
        class: Class,
        possibly_stored: bool,
        now: Tick,
    ) {
        self.producing -= 1;
        self.kafka_errors.count(code);
        let Some(lease) = self.leases.get_mut(token).filter(|lease| lease.phase == Phase::Producing) else {
            return;
        };
        lease.phase = Phase::Held;
        lease.attempts = lease.attempts.saturating_add(1);
        let (attempts, destiny) = (lease.attempts, lease.destiny);
        self.counters.ambiguous += u64::from(possibly_stored && class == Class::Release);
        match (class, destiny) {
            (Class::Reject, Destiny::Delivered) => self.reject_late(token, code, now),
            (Class::Reject, Destiny::Rejected) | (Class::Release | Class::LeaseLost, _) => {
                if self.breaker.reason().is_some() {
                    self.breaker.failed(now, code, &mut self.random);
                }
                self.give_back(token, now);
            }
            (Class::Rebuild, _) => {
                self.rebuild_wanted = true;
                self.parked.push_back(token);
            }
            // Records that a purge brings back wait for the next producer, in order.
            (Class::Retry | Class::Throttled, _) if self.rebuild_wanted => self.parked.push_back(token),
            (Class::Pause | Class::RefreshCredentials | Class::ClockSkew, Destiny::Delivered) => {
                self.route_refused(token, code, now);
            }
            _ => self.retry(token, attempts, now),
        }
    }

    /// The whole route is refused: with one topic that is the breaker's business, with several only the
    /// messages of this topic wait, so that the others go on.
    fn route_refused(&mut self, token: Token, code: &'static str, now: Tick) {
        if self.is_retired(token) {
            self.give_back(token, now);
            return;
        }
        if self.plan.as_ref().is_none_or(|plan| plan.topics().len() == 1) {
            self.breaker.failed(now, code, &mut self.random);
            self.parked.push_back(token);
            return;
        }
        self.routes.refused(self.course(token).topic, code, now, &mut self.random);
        self.wait_for_topic(token, now);
    }

    fn reject_late(&mut self, token: Token, code: &'static str, now: Tick) {
        let reason = format!("Kafka refuses the record for good: {code}");
        self.late_rejections.insert(token, Rejection { stage: "produce", code, reason });
        self.produce(token, now);
    }

    fn retry(&mut self, token: Token, attempts: u8, now: Tick) {
        self.counters.produce_retries += 1;
        let wait = PRODUCE_RETRY.wait(u32::from(attempts), &mut self.random);
        self.retry_order += 1;
        self.retries.insert((now.plus(wait), self.retry_order), token);
    }

    /// Gives a message back that cannot be delivered now: the later the oftener it came.
    pub(super) fn give_back(&mut self, token: Token, now: Tick) {
        let count = self
            .leases
            .get(token)
            .map_or(1, |(_, batch)| batch.messages[token.index() as usize].system.receive_count.max(1));
        let ceiling = (1_u32 << count.min(10)).min(RELEASE_DELAY_S_MAX);
        let delay_s = ceiling / 2 + self.random.below(u64::from(ceiling / 2 + 1)) as u32;
        // A drain wants nothing to stay invisible.
        self.release(token, if self.is_flushing() { 0 } else { delay_s }, now);
    }

    /// Sends everything that waited for the breaker or the producer, in the order in which it came.
    pub(super) fn unpark(&mut self) {
        if !self.sink_ready {
            return;
        }
        // A purge brings back what was queued before what was on the wire: sort by age.
        let leases = &self.leases;
        self.parked.make_contiguous().sort_by_key(|&token| (leases.received_at(token), token));
        while let Some(token) = self.parked.pop_front() {
            if self.is_held(token) {
                self.to_produce.push(token);
            }
        }
    }

    /// Looks after retries, probes and the stall clock.
    pub(super) fn tick_produce(&mut self, now: Tick) {
        while let Some(entry) = self.retries.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let token = entry.remove();
            if self.is_held(token) {
                self.produce(token, now);
            }
        }
        self.probe_topics(now);
        self.breaker.watch(now, self.producing, &mut self.random);
        if self.sink_ready && self.breaker.gate(now) == Gate::Probe {
            self.probe_with_held();
        }
    }

    fn probe_topics(&mut self, now: Tick) {
        if !self.routes.is_any_paused() || !self.sink_ready || self.breaker.reason().is_some() {
            return;
        }
        let mut probes = Vec::new();
        let leases = &self.leases;
        let is_held = |token| leases.get(token).is_some_and(|(lease, _)| lease.phase == Phase::Held);
        self.routes.probes(now, is_held, &mut probes);
        self.to_produce.append(&mut probes);
    }

    fn probe_with_held(&mut self) {
        while let Some(token) = self.parked.pop_front() {
            if self.is_held(token) {
                self.breaker.probe_sent();
                self.to_produce.push(token);
                return;
            }
        }
    }

    /// Records waited in a ring between two shards.
    pub(crate) fn handed_off(&mut self, waited_us: u64, count: u64) {
        self.latency.record(Stage::Handoff, waited_us, count);
        self.counters.handed_off += count;
    }

    /// Where a held message goes.
    pub(crate) fn course(&self, token: Token) -> Course {
        let found = self.leases.get(token).and_then(|(_, batch)| batch.courses.get(token.index() as usize));
        found.copied().unwrap_or_default()
    }

    /// librdkafka told of trouble that is no message's report.
    pub(crate) fn kafka_trouble(&mut self, code: &str) {
        self.kafka_errors.count(code);
    }

    /// The producer can never deliver again: everything comes back and waits for the next one.
    pub(crate) fn producer_is_fatal(&mut self) {
        self.rebuild_wanted = true;
    }
}
