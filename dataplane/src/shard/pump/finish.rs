//! Events of leases: deleted, extended, given back, lost.

use super::{Mode, Pump};
use crate::clock::Tick;
use crate::error::Class;
use crate::limits;
use crate::sqs::lease::{Destiny, Ended, Phase, Token};
use crate::stats::Stage;

/// What SQS said about one entry of a batch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryOutcome {
    /// Done.
    Done,
    /// Refused.
    Refused(Class),
    /// The request failed as a whole, or the answer does not name the entry.
    Unknown,
}

/// Wait before an extension that failed in passing is asked for again.
const EXTEND_AGAIN_MS: u64 = 500;

impl Pump {
    /// Deletes that may be in flight: as many as receives, since each full receive becomes one full delete.
    /// After a failure one finds out alone.
    pub(crate) fn deleters_wanted(&self) -> usize {
        if self.source.deleting.is_failing() {
            return 1;
        }
        self.pollers
            .target()
            .max(usize::from(limits::DELETERS_SMALL))
            .min(usize::from(self.config.queue.deleters_max))
    }

    /// Delete calls that could be sent now.
    pub(crate) fn deletes_wanted(&self, now: Tick) -> usize {
        if !self.deletes.ready(now, self.is_flushing()) {
            return 0;
        }
        self.deletes.full_batches().max(1).min(self.deleters_wanted().saturating_sub(self.deleting))
    }

    /// Takes up to ten acked messages for a delete call, with the version of the handle to be used. Each call
    /// with messages is answered for once, by `delete_answered` or `delete_call_failed`.
    pub(crate) fn take_deletes(&mut self, now: Tick, out: &mut Vec<(Token, u8)>) {
        out.clear();
        if self.deleting >= self.deleters_wanted() {
            return;
        }
        let flush = self.is_flushing();
        let mut tokens = Vec::with_capacity(limits::BATCH_ENTRIES_MAX);
        // Messages whose lease ran out while they waited leave holes; they do not end the search.
        while out.is_empty() && self.deletes.ready(now, flush) {
            self.deletes.take(now, flush, &mut tokens);
            for &token in &tokens {
                if let Some((lease, _)) = self.leases.get(token)
                    && lease.phase == Phase::Acked
                    && out.iter().all(|(other, _)| *other != token)
                {
                    out.push((token, lease.version));
                }
            }
        }
        self.deleting += usize::from(!out.is_empty());
        self.calls += u64::from(!out.is_empty());
    }

    /// A delete call was answered.
    pub(crate) fn delete_answered(&mut self) {
        self.deleting -= 1;
        self.counters.deletes += 1;
        self.source.deleting.works();
    }

    /// SQS answered a delete entry.
    pub(crate) fn deleted(&mut self, token: Token, version: u8, outcome: EntryOutcome, now: Tick) {
        let Some(lease) = self.leases.get_mut(token) else { return };
        if lease.version != version {
            // The message came again meanwhile: only its newest handle proves a delete.
            self.deletes.push(token, now);
            return;
        }
        match outcome {
            EntryOutcome::Done => self.finish(token, now),
            EntryOutcome::Refused(Class::LeaseLost) => {
                self.counters.delete_entries_failed += 1;
                self.lose(token);
            }
            EntryOutcome::Refused(_) | EntryOutcome::Unknown => {
                self.counters.delete_entries_failed += 1;
                lease.attempts = lease.attempts.saturating_add(1);
                // Past the limit it waits for its deadline; SQS hands it out again.
                if lease.attempts < limits::DELETE_ATTEMPTS_MAX {
                    self.deletes.push(token, now);
                }
            }
        }
    }

    /// A delete call failed as a whole; its entries are idempotent and are tried again with what is theirs.
    pub(crate) fn delete_call_failed(
        &mut self,
        entries: &[(Token, u8)],
        code: &str,
        class: Class,
        now: Tick,
    ) {
        self.deleting -= 1;
        self.source_failed("delete", code, class, now);
        self.deletes.hold(self.source.deleting.not_before());
        for &(token, _) in entries {
            if self.leases.get(token).is_some() {
                self.deletes.push(token, now);
            }
        }
    }

    fn finish(&mut self, token: Token, now: Tick) {
        let Some((_, batch)) = self.leases.get(token) else { return };
        let body_bytes = u64::from(batch.messages[token.index() as usize].body.len);
        let code = self.rejection(token).map(|rejection| rejection.code);
        let Some(ended) = self.end(token) else { return };
        match ended.destiny {
            Destiny::Delivered => {
                self.counters.delivered += 1;
                self.counters.delivered_bytes += body_bytes;
            }
            Destiny::Rejected => {
                self.counters.rejected += 1;
                self.rejections.count(code.unwrap_or("unknown"));
            }
        }
        self.latency.record(Stage::AckToDeleted, now.us_since(ended.stage_at), 1);
        self.latency.record(Stage::EndToEnd, now.us_since(ended.received_at), 1);
    }

    /// Takes a message out of the table; the caller counts how it ended.
    fn end(&mut self, token: Token) -> Option<EndedLease> {
        let Ended { received_at, stage_at, destiny, batch } = self.leases.end(token)?;
        if !self.late_rejections.is_empty() {
            self.late_rejections.remove(&token);
        }
        self.budget.release_messages(1);
        if let Some(batch) = batch {
            self.budget.release_bytes(batch.bytes.len() as u64);
            if let Some(batch) = std::sync::Arc::into_inner(batch) {
                self.keep_batch(batch);
            }
        }
        Some(EndedLease { received_at, stage_at, destiny })
    }

    /// The lease ran out first.
    pub(super) fn lose(&mut self, token: Token) {
        if self.end(token).is_some() {
            self.counters.lease_lost += 1;
            self.break_lane(token);
        }
    }

    /// Later messages of the same group go back too: they must not overtake.
    fn break_lane(&mut self, token: Token) {
        let Some(lanes) = &mut self.lanes else { return };
        for follower in lanes.break_off(token) {
            self.mark_released(follower, 0);
        }
    }

    /// Gives a message back to the queue, to be visible after `delay_s` seconds.
    pub(crate) fn release(&mut self, token: Token, delay_s: u32, _now: Tick) {
        self.mark_released(token, delay_s);
        self.break_lane(token);
    }

    fn mark_released(&mut self, token: Token, delay_s: u32) {
        if let Some(lease) = self.leases.get_mut(token).filter(|lease| lease.phase != Phase::Releasing) {
            lease.phase = Phase::Releasing;
            lease.attempts = 0;
            self.releases.push_back((token, delay_s.min(limits::VISIBILITY_S_MAX)));
        }
    }

    /// Takes up to ten messages to give back, with their delays in seconds. Each call with messages is
    /// answered for once, by `visibility_answered` or `visibility_call_failed`; so are those of `take_extends`.
    pub(crate) fn take_releases(&mut self, now: Tick, out: &mut Vec<(Token, u32)>) {
        out.clear();
        if self.visibility_room(now) == 0 {
            return;
        }
        while out.len() < limits::BATCH_ENTRIES_MAX {
            let Some((token, delay_s)) = self.releases.pop_front() else { break };
            if self.leases.get(token).is_some() {
                out.push((token, delay_s));
            }
        }
        self.visiting += usize::from(!out.is_empty());
        self.calls += u64::from(!out.is_empty());
    }

    /// SQS answered a release entry.
    pub(crate) fn released(&mut self, token: Token, delay_s: u32, outcome: EntryOutcome) {
        match outcome {
            EntryOutcome::Done => {
                if self.end(token).is_some() {
                    self.counters.released += 1;
                }
            }
            EntryOutcome::Refused(Class::LeaseLost) => self.lose(token),
            EntryOutcome::Refused(_) | EntryOutcome::Unknown => {
                let Some(lease) = self.leases.get_mut(token) else { return };
                lease.attempts = lease.attempts.saturating_add(1);
                if lease.attempts < limits::DELETE_ATTEMPTS_MAX {
                    self.releases.push_back((token, delay_s));
                }
            }
        }
    }

    /// Takes up to ten leases to extend.
    pub(crate) fn take_extends(&mut self, now: Tick, out: &mut Vec<Token>) {
        out.clear();
        if self.visibility_room(now) == 0 {
            return;
        }
        while out.len() < limits::BATCH_ENTRIES_MAX {
            let Some(token) = self.extends.pop_front() else { break };
            // Acked meanwhile: its delete is on the way, an extension would only race it.
            if self
                .leases
                .get(token)
                .is_some_and(|(lease, _)| matches!(lease.phase, Phase::Held | Phase::Producing))
            {
                out.push(token);
            }
        }
        self.visiting += usize::from(!out.is_empty());
        self.calls += u64::from(!out.is_empty());
    }

    /// A visibility call was answered.
    pub(crate) fn visibility_answered(&mut self) {
        self.visiting -= 1;
        self.source.visibility.works();
    }

    /// A visibility call (`operation` is `release` or `extend`) failed as a whole.
    pub(crate) fn visibility_call_failed(&mut self, operation: &str, code: &str, class: Class, now: Tick) {
        self.visiting -= 1;
        self.source_failed(operation, code, class, now);
    }

    /// SQS answered an extension entry that was asked for at `asked_at`.
    pub(crate) fn extended(&mut self, token: Token, outcome: EntryOutcome, asked_at: Tick, now: Tick) {
        let terms = self.terms;
        let Some(lease) = self.leases.get_mut(token) else { return };
        match outcome {
            EntryOutcome::Done => {
                lease.extended(asked_at, &terms);
                self.counters.leases_extended += 1;
            }
            // It may just have been deleted, or it is lost: its deadline decides.
            EntryOutcome::Refused(Class::LeaseLost) => {}
            EntryOutcome::Refused(_) | EntryOutcome::Unknown => {
                lease.extend_again(now.plus_ms(EXTEND_AGAIN_MS));
            }
        }
    }

    /// Seconds of visibility that an extension asks for.
    pub(crate) fn visibility_s(&self) -> u32 {
        u32::try_from(self.visibility.asked().as_secs())
            .unwrap_or(limits::VISIBILITY_S_MAX)
            .clamp(1, limits::VISIBILITY_S_MAX)
    }

    /// Calls for releases and extensions that could be sent now.
    pub(crate) fn visibility_calls_wanted(&self, now: Tick) -> usize {
        let calls = |count: usize| count.div_ceil(limits::BATCH_ENTRIES_MAX);
        let waiting = calls(self.releases.len()) + calls(self.extends.len());
        waiting.min(self.visibility_room(now))
    }

    /// Visibility calls that may be added now. After a failure one finds out alone; at the end of a drain there
    /// is no time to rest.
    fn visibility_room(&self, now: Tick) -> usize {
        let rest = &self.source.visibility;
        if now < rest.not_before() && self.mode != Mode::Drain {
            return 0;
        }
        let room = if rest.is_failing() { 1 } else { limits::VISIBILITY_CALLS_MAX };
        room.saturating_sub(self.visiting)
    }
}

struct EndedLease {
    received_at: Tick,
    stage_at: Tick,
    destiny: Destiny,
}

impl From<Result<(), Class>> for EntryOutcome {
    fn from(result: Result<(), Class>) -> Self {
        result.map_or_else(EntryOutcome::Refused, |()| EntryOutcome::Done)
    }
}
