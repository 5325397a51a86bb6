//! The passing of time: leases to extend, leases that are over, retries, probes, the end of a drain.

use super::{Mode, Pump};
use crate::clock::Tick;

impl Pump {
    /// The quick look, every few milliseconds while anything is held.
    pub(crate) fn tick(&mut self, now: Tick) {
        self.looked_at = now;
        self.tick_produce(now);
        if let Some(rates) = &mut self.rates {
            rates.advance(now, self.calls);
        }
    }

    /// The slow look, ten times a second: walks the whole lease table.
    pub(crate) fn tick_leases(&mut self, now: Tick) {
        let mut due = std::mem::take(&mut self.due);
        self.leases.due(now, &self.terms, &mut due);
        for &token in &due.lost {
            self.lose(token);
        }
        self.extends.extend(due.extend.iter().copied());
        self.due = due;
        self.terms.visibility = self.visibility.in_force(now);
        if matches!(self.mode, Mode::Stop(at) if now >= at) {
            self.release_unfinished(now);
        }
    }

    /// The drain's deadline: everything that Kafka has not confirmed goes back to the queue now. Called again,
    /// it gives back what came since.
    pub(crate) fn release_unfinished(&mut self, now: Tick) -> usize {
        let unfinished = self.leases.unfinished();
        for &token in &unfinished {
            self.release(token, 0, now);
        }
        unfinished.len()
    }
}
