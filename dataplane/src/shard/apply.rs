//! A changed configuration on a running shard: taken whole between two messages, or refused whole.
//!
//! Level 4, synchronous. Everything that can fail is tried for every pipeline before anything changes. What is on its
//! way goes on under the settings that it was judged by.

use super::Shard;
use super::pump::Prepared;
use super::sink::Learnt;
use crate::clock::Tick;
use crate::config::Config;
use crate::control::Refused;

impl Shard {
    /// Takes a configuration, or says in the reports why not.
    pub(crate) fn apply(&self, epoch: u64, config: &Config, now: Tick) {
        let refused_epoch = self.refused.borrow().as_ref().map_or(0, |refused| refused.epoch);
        if epoch <= self.epoch.get().max(refused_epoch) {
            return;
        }
        match self.prepare(config) {
            Ok(prepared) => {
                for (cell, (prepared, learnt)) in self.cells.iter().zip(prepared) {
                    let (config, topics) = (prepared.config().clone(), prepared.topics().to_vec());
                    cell.calls.borrow_mut().set_polling(&config.queue);
                    cell.sink.borrow_mut().change(config, &topics, learnt);
                    cell.pump.borrow_mut().change(prepared, now);
                    // A larger budget may hold what waits.
                    cell.wake_waiting_answers();
                }
                self.drain_deadline_ms.set(config.drain.deadline.as_millis());
                self.epoch.set(epoch);
                self.refused.replace(None);
            }
            Err(reason) => {
                self.refused.replace(Some(Refused { epoch, reason }));
            }
        }
    }

    /// Everything that may fail.
    fn prepare(&self, config: &Config) -> Result<Vec<(Prepared, Option<Learnt>)>, String> {
        let prepare = |cell: &std::rc::Rc<super::PumpCell>| {
            let pump = cell.pump.borrow();
            let named = config.pipeline.iter().find(|pipeline| pipeline.name == pump.name());
            let new = named
                .ok_or_else(|| format!("pipeline.{}: it is missing; to remove it, restart", pump.name()))?;
            let prepared = pump.prepare(new)?;
            let learnt = cell.sink.borrow_mut().learn(prepared.config(), prepared.topics())?;
            Ok((prepared, learnt))
        };
        self.cells.iter().map(prepare).collect()
    }
}
