//! Pipelines that come and go while the shard runs.
//!
//! Level 4, synchronous. A pipeline that goes receives no more, finishes what it holds, gives the rest back at the drain's
//! deadline, and is taken down once no shard holds anything of it: until then others may hand records to its producer.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::cell::{Leaving, PumpCell};
use super::pump::Mode;
use super::{Blueprint, Shard, spawn_tasks};
use crate::clock::Tick;
use crate::config;
use crate::control::State;
use crate::net::WakePair;

/// A pipeline that goes can come back for this long, as when another shard refuses the configuration without it: longer
/// than a control plane waits for the shards' word.
const RETURN_MS: u64 = 10_000;

/// A pipeline that may be new to a shard.
pub(crate) struct Newcomer {
    /// Its name.
    pub name: String,
    /// What it needs, or why that could not be made.
    pub made: Result<Made, String>,
}

/// What a new pipeline needs: everything that could fail is in hand.
pub(crate) struct Made {
    /// Its number, the same on every shard.
    pub number: usize,
    /// Its endpoint and requests.
    pub blueprint: Blueprint,
    /// What librdkafka wakes this shard by.
    pub wake: WakePair,
}

impl Shard {
    /// Takes a pipeline in.
    pub(super) fn welcome(
        self: &Rc<Shard>,
        number: usize,
        config: config::Pipeline,
        blueprint: Blueprint,
        wake: WakePair,
    ) {
        let cell = Rc::new(PumpCell::new(&self.workshop, number, config, blueprint, wake.handle()));
        let cells = self.cells().iter().chain([&cell]).map(Rc::clone).collect();
        self.cells.replace(cells);
        spawn_tasks(self, &cell, wake);
    }

    /// Bids a pipeline go.
    pub(super) fn dismiss(&self, cell: &PumpCell, now: Tick) {
        cell.leaving.set(Some(Leaving { since: now, is_told: false }));
        cell.pump.borrow_mut().set_mode(Mode::Stop(self.release_at(now)));
    }

    /// Keeps a pipeline that was to go.
    pub(super) fn keep(&self, cell: &PumpCell) {
        if let Some(leaving) = cell.leaving.take() {
            if leaving.is_told {
                cell.idle.fetch_sub(1, Ordering::AcqRel);
            }
            cell.pump.borrow_mut().set_mode(Mode::Run);
        }
    }

    /// Takes down the pipelines that are to go and of which no shard holds anything.
    pub(super) fn see_off(&self, now: Tick) {
        let cells = self.cells();
        if cells.iter().all(|cell| cell.leaving.get().is_none()) {
            return;
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            cells.iter().map(Rc::clone).partition(|cell| self.is_over(cell, now));
        if !gone.is_empty() {
            self.cells.replace(kept.into());
            gone.iter().for_each(|cell| cell.close());
        }
    }

    fn is_over(&self, cell: &PumpCell, now: Tick) -> bool {
        let Some(leaving) = cell.leaving.get() else { return false };
        if cell.pump.borrow().state().0 != State::Stopped {
            return false;
        }
        if !leaving.is_told {
            cell.leaving.set(Some(Leaving { is_told: true, ..leaving }));
            cell.idle.fetch_add(1, Ordering::AcqRel);
        }
        now >= leaving.since.plus_ms(RETURN_MS) && cell.idle.load(Ordering::Acquire) >= self.shards
    }
}
