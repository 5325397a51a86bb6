//! A changed configuration on a running shard: taken whole between two messages, or refused whole.
//!
//! Level 4, synchronous. Everything that can fail is tried for every pipeline before anything changes. What is on its
//! way goes on under the settings that it was judged by.

use std::rc::Rc;

use super::members::{Made, Newcomer};
use super::pump::Prepared;
use super::sink::Learnt;
use super::{PumpCell, Shard};
use crate::clock::Tick;
use crate::config::{self, Config};
use crate::control::Refused;

/// A configuration with all that could fail done.
struct Plan {
    changes: Vec<(Rc<PumpCell>, Prepared, Option<Learnt>)>,
    comes: Vec<(config::Pipeline, Made)>,
    goes: Vec<Rc<PumpCell>>,
}

impl Shard {
    /// Takes a configuration, or says in the reports why not. `newcomers` are the pipelines that may be new here.
    pub(crate) fn apply(self: &Rc<Shard>, epoch: u64, config: &Config, newcomers: Vec<Newcomer>, now: Tick) {
        let refused_epoch = self.refused.borrow().as_ref().map_or(0, |refused| refused.epoch);
        if epoch <= self.epoch.get().max(refused_epoch) {
            return;
        }
        match self.prepare(config, newcomers) {
            Ok(plan) => {
                // Before pipelines go: their time to finish is the new one.
                self.drain_deadline_ms.set(config.drain.deadline.as_millis());
                self.carry_out(plan, now);
                self.epoch.set(epoch);
                self.refused.replace(None);
            }
            Err(reason) => {
                self.refused.replace(Some(Refused { epoch, reason }));
            }
        }
    }

    fn carry_out(self: &Rc<Shard>, plan: Plan, now: Tick) {
        for (cell, prepared, learnt) in plan.changes {
            let (config, topics) = (prepared.config().clone(), prepared.topics().to_vec());
            cell.calls.borrow_mut().set_polling(&config.queue);
            cell.sink.borrow_mut().change(config, &topics, learnt);
            cell.pump.borrow_mut().change(prepared, now);
            self.keep(&cell);
            // A larger budget may hold what waits.
            cell.wake_waiting_answers();
        }
        for cell in plan.goes {
            self.dismiss(&cell, now);
        }
        for (config, Made { number, blueprint, wake }) in plan.comes {
            self.welcome(number, config, blueprint, wake);
        }
    }

    /// Everything that may fail.
    fn prepare(&self, config: &Config, mut newcomers: Vec<Newcomer>) -> Result<Plan, String> {
        let mut plan = Plan { changes: Vec::new(), comes: Vec::new(), goes: Vec::new() };
        let cells = self.cells();
        for new in &config.pipeline {
            match cells.iter().find(|cell| cell.pump.borrow().name() == new.name) {
                Some(cell) => plan.changes.push(prepare_change(cell, new)?),
                None => {
                    let place = newcomers.iter().position(|newcomer| newcomer.name == new.name);
                    let place = place.ok_or_else(|| format!("pipeline.{}: it is not prepared", new.name))?;
                    plan.comes.push((new.clone(), newcomers.swap_remove(place).made?));
                }
            }
        }
        let is_kept = |cell: &&Rc<PumpCell>| {
            let pump = cell.pump.borrow();
            config.pipeline.iter().any(|new| new.name == pump.name())
        };
        let goes = cells.iter().filter(|cell| !is_kept(cell) && cell.leaving.get().is_none());
        plan.goes = goes.map(Rc::clone).collect();
        if self.drain.get().is_some() && !plan.comes.is_empty() {
            return Err("the appliance is ending: no pipeline can come".to_owned());
        }
        Ok(plan)
    }
}

fn prepare_change(
    cell: &Rc<PumpCell>,
    new: &config::Pipeline,
) -> Result<(Rc<PumpCell>, Prepared, Option<Learnt>), String> {
    let prepared = cell.pump.borrow().prepare(new)?;
    let learnt = cell.sink.borrow_mut().learn(prepared.config(), prepared.topics())?;
    Ok((Rc::clone(cell), prepared, learnt))
}
