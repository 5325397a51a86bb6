//! Events of the source: may a receive be sent, what did it bring, why did it fail.

use std::sync::Arc;

use super::{Mode, Pump, QUICK_EMPTY};
use crate::clock::Tick;
use crate::error::Class;
use crate::failpoint;
use crate::limits;
use crate::message::{Batch, message_key};
use crate::retry::Gate;
use crate::shard::budget::Reservation;
use crate::shard::pollers::Answer;
use crate::sqs::lease::Token;
use crate::stats::Stage;

/// Whether a poller may send a receive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Send one for this many messages.
    Go {
        /// Most messages to ask for.
        messages: usize,
        /// Room set aside for the answer.
        reservation: Reservation,
    },
    /// Not now; ask again when woken.
    Wait,
    /// Never again.
    Stop,
}

/// A decoded receive response and how it came.
pub(crate) struct Received {
    /// The messages, judged by the stages.
    pub batch: Batch,
    /// Most messages that were asked for.
    pub asked: usize,
    /// Messages of the response that could not be taken.
    pub unusable: usize,
    /// From the request's last byte to the response.
    pub took_us: u64,
    /// Wall time of the response, milliseconds since 1970.
    pub wall_ms: u64,
}

/// An empty answer that came sooner than this is no long poll.
const QUICK_EMPTY_US: u64 = 200_000;

impl Pump {
    /// May one more receive be sent?
    pub(crate) fn may_receive(&mut self, now: Tick) -> Permit {
        if self.mode == Mode::Drain {
            return Permit::Stop;
        }
        if let Some(rates) = &mut self.rates {
            rates.advance(now, self.calls);
        }
        if self.receives_wanted(now) == 0 {
            if self.receives_allowed() == 0 {
                self.limited_at = Some(now);
            }
            return Permit::Wait;
        }
        let messages = match self.breaker.gate(now) {
            // What cannot be deleted would be delivered again and again.
            Gate::Open if self.source.deleting.is_failing() => 1,
            Gate::Open => limits::BATCH_ENTRIES_MAX,
            Gate::Probe if self.may_probe_by_receive() => 1,
            Gate::Probe | Gate::Shut => return Permit::Wait,
        };
        let Some(mut reservation) = self.budget.reserve(messages as u64) else { return Permit::Wait };
        if let Some(rates) = &mut self.rates {
            rates.take(&mut reservation);
        }
        // Without effect on a closed breaker.
        if messages == 1 {
            self.breaker.probe_sent();
        }
        self.receiving += 1;
        self.received_at = now;
        Permit::Go { messages, reservation }
    }

    /// Receives that should be in flight when nothing holds them up.
    pub(crate) fn pollers_wanted(&self) -> usize {
        self.pollers.target()
    }

    /// How many more receives should be in flight now.
    pub(crate) fn receives_wanted(&self, now: Tick) -> usize {
        let ready = self.mode == Mode::Run && self.plan.is_some() && self.has_credentials && self.sink_ready;
        if !ready || now < self.source.receiving.not_before() || self.breaker.gate(now) == Gate::Shut {
            return 0;
        }
        if self.deletes_are_behind() || !self.may_find_out_about_deletes(now) {
            return 0;
        }
        // After a failure one poller tries alone.
        let is_failing = self.source.receiving.is_failing() || self.source.deleting.is_failing();
        let target = if is_failing { 1 } else { self.pollers.target() };
        target.saturating_sub(self.receiving).min(self.receives_allowed())
    }

    /// Receives that the pipeline's limits allow now.
    pub(super) fn receives_allowed(&self) -> usize {
        self.rates.as_ref().map_or(usize::MAX, |rates| rates.receives(self.budget.bytes_expected()))
    }

    /// A receive has brought so much, or nothing.
    fn settle_rates(&mut self, reservation: &Reservation, messages: u64, bytes: u64) {
        if let Some(rates) = &mut self.rates {
            rates.settle(reservation, messages, bytes);
        }
    }

    /// Whether more messages wait for their delete than the deleters can have under way twice. What would be
    /// received now could not leave soon; it is better off in the queue than held here.
    fn deletes_are_behind(&self) -> bool {
        self.deletes.len() >= 2 * self.deleters_wanted() * limits::BATCH_ENTRIES_MAX
    }

    /// While deletes fail, what is held finds out when they work again. Once all of it is over, one message
    /// after each rest does.
    fn may_find_out_about_deletes(&self, now: Tick) -> bool {
        let deleting = &self.source.deleting;
        !deleting.is_failing() || (self.leases.len() == 0 && now >= deleting.not_before())
    }

    /// Held messages are the better probes; only without any is one more received.
    fn may_probe_by_receive(&self) -> bool {
        self.parked.is_empty() && self.producing == 0 && self.retries.is_empty() && self.receiving == 0
    }

    /// Whether the answer of a waiting receive may be read: its true size is known now.
    pub(crate) fn admit(&mut self, reservation: &mut Reservation, bytes: u64) -> bool {
        let fits = self.budget.raise(reservation, bytes);
        if !fits {
            self.budget.lower(reservation);
        }
        fits
    }

    /// Judges a decoded batch: every message gets a course or a defect.
    pub(crate) fn judge(&mut self, batch: &mut Batch) {
        if let Some(plan) = &self.plan {
            plan.judge(batch, &mut self.types);
        }
    }

    /// A receive was answered. `now` is the time of the answer.
    pub(crate) fn received(&mut self, received: Received, reservation: Reservation, now: Tick) {
        self.receiving -= 1;
        self.source.receiving.works();
        self.counters.receives += 1;
        self.counters.unusable += received.unusable as u64;
        let count = received.batch.messages.len();
        let room = self.budget.has_ample_room() && !self.deletes_are_behind();
        let (asked, took_us) = (received.asked, received.took_us);
        self.pollers.received(Answer { came: count, asked, took_us, room });
        if count == 0 {
            self.received_nothing(received, reservation, now);
            return;
        }
        self.source.quick_empties = 0;
        self.latency.record(Stage::Receive, received.took_us, count as u64);
        let bytes = received.batch.bytes.len() as u64;
        let mut body_bytes = 0;
        for message in &received.batch.messages {
            body_bytes += u64::from(message.body.len);
            let sent_at_ms = message.system.sent_at_ms;
            if sent_at_ms != 0 {
                self.latency.record(
                    Stage::SentToReceived,
                    received.wall_ms.saturating_sub(sent_at_ms) * 1_000,
                    1,
                );
            }
        }
        self.counters.received += count as u64;
        self.counters.received_bytes += body_bytes;
        self.counters.receive_chunks += body_bytes.div_ceil(limits::BILLED_CHUNK_BYTES).max(1);
        self.settle_rates(&reservation, count as u64, body_bytes);
        let batch = Arc::new(received.batch);
        let mut inserted = std::mem::take(&mut self.inserted);
        self.leases.insert(Arc::clone(&batch), now, &self.terms, &mut inserted);
        // A redelivery ends the earlier receive of the same message: that lease ran out first.
        self.counters.lease_lost += inserted.renewed;
        self.counters.redelivered_while_held += inserted.renewed;
        let fresh = inserted.fresh.len() as u64;
        self.budget.settle(reservation, fresh, if fresh > 0 { bytes } else { 0 });
        failpoint::pass("after_receive");
        for &token in &inserted.delete_again {
            self.deletes.push(token, now);
        }
        for &token in &inserted.fresh {
            self.begin(token, &batch, now);
        }
        self.inserted = inserted;
    }

    fn received_nothing(&mut self, received: Received, reservation: Reservation, now: Tick) {
        self.counters.empty_receives += 1;
        self.counters.receive_chunks += 1;
        self.settle_rates(&reservation, 0, 0);
        self.budget.settle(reservation, 0, 0);
        self.keep_batch(received.batch);
        self.breaker.probe_void(now, &mut self.random);
        if received.took_us < QUICK_EMPTY_US {
            self.source.quick_empties = self.source.quick_empties.saturating_add(1);
            let wait = QUICK_EMPTY.wait(self.source.quick_empties, &mut self.random);
            self.source.receiving.until(now.plus(wait));
        }
    }

    /// Sends a fresh message on its way.
    fn begin(&mut self, token: Token, batch: &Batch, now: Tick) {
        let message = &batch.messages[token.index() as usize];
        if message.defect.as_ref().is_some_and(|defect| defect.code == super::CORRUPT) {
            self.counters.corrupt += 1;
            // Later each time: what is corrupt at rest stays so.
            self.give_back(token, now);
            return;
        }
        if let Some(lanes) = &mut self.lanes {
            let group = message_key(batch.slice(message.system.group));
            if !lanes.push(group, token) {
                return;
            }
        }
        self.produce(token, now);
    }

    /// A receive failed or its connection did.
    pub(crate) fn receive_failed(&mut self, code: &str, class: Class, reservation: Reservation, now: Tick) {
        self.receiving -= 1;
        self.settle_rates(&reservation, 0, 0);
        self.budget.settle(reservation, 0, 0);
        self.breaker.probe_void(now, &mut self.random);
        self.source_failed("receive", code, class, now);
    }

    /// Counts a failed call of the source; its kind rests.
    pub(crate) fn source_failed(&mut self, operation: &str, code: &str, class: Class, now: Tick) {
        self.counters.request_errors += 1;
        self.sqs_errors.count(&format!("{operation}:{code}"));
        self.credentials_wanted |= class == Class::RefreshCredentials;
        let source = &mut self.source;
        let (rest, what) = match operation {
            "receive" => {
                self.pollers.failed();
                (&mut source.receiving, "receiving fails")
            }
            "delete" => (&mut source.deleting, "deleting fails"),
            _ => (&mut source.visibility, "changing visibility fails"),
        };
        rest.failed(what, code, class, now, &mut self.random);
    }

    /// Counts the codes of refused batch entries.
    pub(crate) fn entries_refused<'a>(&mut self, operation: &str, codes: impl Iterator<Item = &'a str>) {
        for code in codes {
            self.sqs_errors.count(&format!("{operation}_entry:{code}"));
        }
    }

    /// AWS's clock differs from ours by this much; requests are signed with the difference.
    pub(crate) fn set_clock_skew(&mut self, seconds: i64) {
        self.clock_skew_s = seconds;
    }
}
