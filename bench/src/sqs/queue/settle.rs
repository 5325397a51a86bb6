//! What ends or changes a receive: delete, change of visibility, purge, replay of an attempt.

use super::handle::Handle;
use super::{ATTEMPT_NS, Depth, HOLD_NS_MAX, Queue, S, State};
use crate::sqs::error::ApiError;
use crate::sqs::ledger::{Kind, Ledger};

impl Queue {
    /// Deletes a message. A stale handle changes nothing; FIFO queues refuse it.
    pub(crate) fn delete(
        &mut self,
        text: &str,
        strict: bool,
        now_ns: u64,
        ledger: &mut Ledger,
    ) -> Result<(), ApiError> {
        let handle = Handle::parse(text).ok_or_else(|| ApiError::bad_handle(text))?;
        let Some(slot) = self.find(handle) else {
            ledger.push(Kind::DeleteAbsent, handle.id, now_ns, handle.ordinal);
            return Ok(());
        };
        let expired = slot.state != State::InFlight;
        if slot.ordinal != handle.ordinal || (self.settings.fifo && expired) {
            ledger.push(Kind::DeleteStale, handle.id, now_ns, handle.ordinal);
            if self.settings.fifo || strict {
                return Err(expired_handle(text));
            }
            return Ok(());
        }
        if expired {
            self.depth.visible -= 1;
        } else {
            self.depth.in_flight -= 1;
            self.leave_group(handle.slot);
        }
        ledger.push(Kind::Deleted, handle.id, now_ns, handle.ordinal);
        self.forget(handle.slot);
        Ok(())
    }

    /// Changes the visibility timeout of a message in flight.
    pub(crate) fn change_visibility(
        &mut self,
        text: &str,
        seconds: u32,
        now_ns: u64,
        ledger: &mut Ledger,
    ) -> Result<(), ApiError> {
        let handle = Handle::parse(text).ok_or_else(|| ApiError::bad_handle(text))?;
        let Some(slot) = self.find(handle) else { return Err(not_in_flight(text)) };
        if slot.ordinal != handle.ordinal {
            return Err(expired_handle(text));
        }
        if slot.state != State::InFlight {
            return Err(not_in_flight(text));
        }
        if now_ns + u64::from(seconds) * S > slot.first_hidden_ns + HOLD_NS_MAX {
            return Err(ApiError::invalid_parameter(format!(
                "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]."
            )));
        }
        ledger.push(Kind::VisibilityChanged, handle.id, now_ns, seconds);
        let slot = &mut self.slots[handle.slot as usize];
        slot.until_ns = now_ns + u64::from(seconds) * S;
        if seconds == 0 {
            self.show(handle.slot, now_ns, ledger);
        } else {
            self.set_timer(handle.slot, u64::from(seconds) * S, now_ns);
        }
        Ok(())
    }

    /// Makes messages in flight visible at once, as SQS may do at any time: a duplicate delivery.
    pub(crate) fn redeliver_early(&mut self, slots: &[u32], now_ns: u64, ledger: &mut Ledger) {
        for &slot in slots {
            if self.slots[slot as usize].state == State::InFlight {
                self.show(slot, now_ns, ledger);
            }
        }
    }

    /// Drops every message.
    pub(crate) fn purge(&mut self, now_ns: u64, ledger: &mut Ledger) {
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].state != State::Free
                && let Some(message) = self.forget(slot)
            {
                ledger.push(Kind::Purged, message.id, now_ns, 0);
            }
        }
        self.ready.clear();
        self.groups.clear();
        self.ready_groups.clear();
        self.timers.clear();
        self.next_timer_ns = u64::MAX;
        self.depth = Depth::default();
    }

    /// The messages that a receive attempt with this id brought before, if they are all still in flight;
    /// their visibility timeout starts anew.
    pub(crate) fn replay(&mut self, attempt: &str, visibility_s: u32, now_ns: u64) -> Option<Vec<u32>> {
        self.attempts.retain(|_, (at_ns, _)| *at_ns + ATTEMPT_NS > now_ns);
        let (_, brought) = self.attempts.get(attempt)?.clone();
        let same = |&(slot, generation, ordinal): &(u32, u32, u32)| {
            let found = &self.slots[slot as usize];
            found.generation == generation && found.ordinal == ordinal && found.state == State::InFlight
        };
        if !brought.iter().all(same) {
            return None;
        }
        let slots: Vec<u32> = brought.iter().map(|(slot, ..)| *slot).collect();
        for &slot in &slots {
            self.slots[slot as usize].until_ns = now_ns + u64::from(visibility_s) * S;
            self.set_timer(slot, u64::from(visibility_s) * S, now_ns);
        }
        Some(slots)
    }

    /// Remembers what a receive attempt brought.
    pub(crate) fn remember(&mut self, attempt: &str, slots: &[u32], now_ns: u64) {
        let brought = slots.iter().map(|&slot| {
            let found = &self.slots[slot as usize];
            (slot, found.generation, found.ordinal)
        });
        self.attempts.insert(attempt.to_owned(), (now_ns, brought.collect()));
    }
}

fn expired_handle(text: &str) -> ApiError {
    let shown: String = text.chars().take(64).collect();
    ApiError::invalid_parameter(format!(
        "Value {shown} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    ))
}

fn not_in_flight(text: &str) -> ApiError {
    let shown: String = text.chars().take(64).collect();
    let message = format!(
        "Value {shown} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change."
    );
    ApiError {
        code: "MessageNotInflight",
        query_code: "AWS.SimpleQueueService.MessageNotInflight",
        message,
        status: 400,
    }
}
