//! A pump with what its tasks share: its sink, its calls, and the gates that they wait at.
//!
//! Level 4. One thread only: borrows are taken for the length of one synchronous step and never held
//! across an await.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use super::pump::Pump;
use super::sink::Sink;
use crate::net::{Notify, Target, TlsClient};
use crate::sqs::call::Calls;

/// One pipeline on one shard, with everything around it.
pub(crate) struct PumpCell {
    /// Index of the pipeline, the same on every shard.
    pub number: usize,
    /// The state machine.
    pub pump: RefCell<Pump>,
    /// Its producer.
    pub sink: RefCell<Sink>,
    /// Requests to SQS as bytes.
    pub calls: RefCell<Calls>,
    /// Where connections go.
    pub target: Target,
    /// TLS settings, when the endpoint is `https`.
    pub tls: Option<TlsClient>,
    /// Pollers that there are.
    pub pollers: Cell<u16>,
    /// Deleters that there are.
    pub deleters: Cell<u16>,
    /// Visibility tasks that there are.
    pub visiting: Cell<u16>,
    /// Where idle pollers wait.
    pub receive_gate: Notify,
    /// Where idle deleters wait.
    pub delete_gate: Notify,
    /// Where idle visibility tasks wait.
    pub visibility_gate: Notify,
    /// Answers that wait for room in the budget.
    pub waiting_answers: RefCell<Vec<Waker>>,
}

impl PumpCell {
    /// Whether an idle task of a fleet of `count` may end, `wanted` of which should be at work. Twice as many
    /// stay: a fleet that breathes must not open connections with every breath.
    pub(crate) fn may_leave(&self, count: &Cell<u16>, wanted: usize) -> bool {
        let is_spare = usize::from(count.get()) > 2 * wanted;
        if is_spare {
            count.set(count.get() - 1);
        }
        is_spare
    }

    /// Wakes idle tasks that are too many, so that they end and their connections with them.
    pub(crate) fn thin_out(&self) {
        let pump = self.pump.borrow();
        let fleets = [
            (&self.receive_gate, &self.pollers, pump.pollers_wanted()),
            (&self.delete_gate, &self.deleters, pump.deleters_wanted()),
        ];
        for (gate, count, wanted) in fleets {
            gate.notify_oldest(usize::from(count.get()).saturating_sub(2 * wanted));
        }
    }

    /// Lets answers that wait for room look again.
    pub(crate) fn wake_waiting_answers(&self) {
        let wakers = std::mem::take(&mut *self.waiting_answers.borrow_mut());
        wakers.into_iter().for_each(Waker::wake);
    }
}
