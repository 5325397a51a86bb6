//! The clock task of a shard: everything that happens because time passes.
//!
//! Level 4. While anything is held it turns every 5 ms, otherwise ten times a second, which costs an idle
//! shard well under 1 % of its core.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future;
use glommio::timer::Timer;

use super::cell::PumpCell;
use super::pump::Mode;
use super::{Shard, at_ns};
use crate::clock::{self, Tick};
use crate::control::{Request, ShardReport};
use crate::failpoint;
use crate::net::ring;

/// Turn of a busy shard: a delete waits at most 10 ms for company, so half of that.
const BUSY_MS: u64 = 5;
/// Turn of an idle shard, and of the slower looks of a busy one.
const IDLE_MS: u64 = 100;
/// How often the report is published.
const REPORT_MS: u64 = 1_000;
/// Part of the drain's deadline that is kept for giving messages back: a tenth, at most this.
const RELEASE_MS_MAX: u64 = 2_000;
/// Most time for giving back after the second signal; what is not back then waits for its visibility timeout.
const ABORT_MS_MAX: u64 = 5_000;

/// How a shard ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShardEnd {
    /// Everything that was held is finished.
    Drained,
    /// The deadline passed; so many messages went back to the queue unfinished.
    DeadlinePassed(usize),
}

/// The two deadlines of a drain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    release_at: Tick,
    end_at: Tick,
    released: Option<usize>,
}

/// Turns until the shard is drained.
pub(crate) async fn run(shard: &Rc<Shard>) -> ShardEnd {
    let mut slow_at = Tick::default();
    let mut report_at = Tick::default();
    let mut turns = 0;
    let mut stall_us = 0;
    loop {
        let due = if shard.is_busy() { BUSY_MS } else { IDLE_MS };
        let began = clock::now();
        let timer = async {
            Timer::new(Duration::from_millis(due)).await;
        };
        if due == IDLE_MS {
            future::or(timer, shard.activity.wait()).await;
        } else {
            timer.await;
        }
        let now = clock::now();
        turns += 1;
        stall_us = stall_us.max(now.us_since(began).saturating_sub(due * 1_000));
        for cell in shard.cells().iter() {
            cell.pump.borrow_mut().tick(now);
            shard.dispatch(cell, now);
        }
        shard.links.borrow_mut().flush_all();
        if now >= slow_at {
            slow_at = now.plus_ms(IDLE_MS);
            slow_turn(shard, now);
        }
        let end = shard.drain_ended(now);
        if now >= report_at || end.is_some() {
            report_at = now.plus_ms(REPORT_MS);
            shard.publish(now, turns, stall_us, end.is_some());
            stall_us = 0;
        }
        if let Some(end) = end {
            shard.close_sinks();
            return end;
        }
    }
}

fn slow_turn(shard: &Rc<Shard>, now: Tick) {
    shard.watchdog.sweep(now);
    for cell in shard.cells().iter() {
        // librdkafka announces reports once; a look in between costs little and forgives a lost byte.
        shard.take_reports(cell);
        cell.pump.borrow_mut().tick_leases(now);
        cell.wake_waiting_answers();
        cell.thin_out();
        look_after_sink(cell);
        shard.ask(cell);
        shard.dispatch(cell, now);
    }
    shard.see_off(now);
}

/// Takes over a new producer, or begins to make one.
fn look_after_sink(cell: &PumpCell) {
    let mut sink = cell.sink.borrow_mut();
    let mut pump = cell.pump.borrow_mut();
    if pump.rebuild_wanted() {
        sink.purge();
        if sink.in_flight() == 0 {
            pump.sink_is_gone("the Kafka producer is made anew after a fatal error");
            pump.counters_mut().producer_rebuilds += 1;
            sink.rebuild();
        }
        return;
    }
    if let Err(trouble) = sink.adopt() {
        pump.sink_is_gone(&trouble);
    }
    match (sink.is_ready(), pump.has_sink()) {
        (true, false) => pump.sink_is_ready(),
        (false, true) => pump.sink_is_gone("another shard's Kafka producer is being made"),
        _ => {}
    }
    pump.counters_mut().unknown_reports = sink.unknown_reports();
    if pump.is_flushing() {
        sink.flush();
    }
}

impl Shard {
    /// The first signal: receive no more, finish what is held.
    pub(crate) fn begin_drain(&self, now: Tick) {
        if self.drain.get().is_some() {
            return;
        }
        let deadline_ms = self.drain_deadline_ms.get();
        let release_at = self.release_at(now);
        self.drain.set(Some(Deadlines { release_at, end_at: now.plus_ms(deadline_ms), released: None }));
        for cell in self.cells().iter() {
            cell.pump.borrow_mut().set_mode(Mode::Drain);
            cell.receive_gate.notify_all();
            cell.sink.borrow_mut().flush();
        }
        failpoint::pass("mid_drain");
    }

    /// When a drain that begins now gives back what is still held.
    pub(crate) fn release_at(&self, now: Tick) -> Tick {
        let deadline_ms = self.drain_deadline_ms.get();
        now.plus_ms(deadline_ms - (deadline_ms / 10).min(RELEASE_MS_MAX))
    }

    /// The second signal: give back at once and end.
    pub(crate) fn abort(&self, now: Tick) {
        self.begin_drain(now);
        let end_at = now.plus_ms(ABORT_MS_MAX);
        self.drain.set(self.drain.get().map(|drain| Deadlines { release_at: now, end_at, ..drain }));
    }

    fn drain_ended(&self, now: Tick) -> Option<ShardEnd> {
        let mut drain = self.drain.get()?;
        if now >= drain.release_at {
            let unfinished = |cell: &Rc<PumpCell>| cell.pump.borrow_mut().release_unfinished(now);
            let came_late: usize = self.cells().iter().map(unfinished).sum();
            drain.released = Some(drain.released.unwrap_or(0) + came_late);
            self.drain.set(Some(drain));
        }
        let done = self.cells().iter().all(|cell| cell.pump.borrow().is_done());
        // Past the release only the answers of idle long polls are missing; their connections are dropped.
        let is_left = |cell: &Rc<PumpCell>| {
            let pump = cell.pump.borrow();
            pump.held() == 0 && !pump.may_bring_messages(now)
        };
        let released = drain.released.is_some() && self.cells().iter().all(is_left);
        if !(done || released || now >= drain.end_at) {
            return None;
        }
        if !self.has_finished.replace(true) {
            self.finished.fetch_add(1, Ordering::AcqRel);
        }
        // Others may still hand records over, or wait for reports of what they handed over.
        let others_need_it = self.cells().iter().any(|cell| cell.sink.borrow().is_shared())
            && self.finished.load(Ordering::Acquire) < self.shards;
        if others_need_it && now < drain.end_at {
            return None;
        }
        let held: usize = self.cells().iter().map(|cell| cell.pump.borrow().held()).sum();
        Some(match drain.released.unwrap_or(0) + held {
            0 => ShardEnd::Drained,
            unfinished => ShardEnd::DeadlinePassed(unfinished),
        })
    }

    fn close_sinks(&self) {
        let closing: Vec<_> = self.cells().iter().filter_map(|cell| cell.sink.borrow_mut().close()).collect();
        for thread in closing {
            // A closer that panicked has nothing left to wait for.
            let _joined = thread.join();
        }
    }

    /// Asks the control plane for what a pump misses.
    fn ask(&self, cell: &PumpCell) {
        let pump = cell.pump.borrow();
        if pump.credentials_wanted() {
            let request = Request::Credentials { pipeline: pump.name().to_owned() };
            if let Ok(mut requests) = self.requests.try_lock()
                && !requests.contains(&request)
            {
                requests.push(request);
            }
        }
    }

    fn publish(&self, now: Tick, turns: u64, stall_us: u64, last: bool) {
        let report = ShardReport {
            shard: self.number as u16,
            core: self.core,
            cooperative_rings: ring::is_cooperative(),
            at_ns: at_ns(now),
            turns,
            stall_us,
            epoch: self.epoch.get(),
            refused: self.refused.borrow().clone(),
            pumps: self.cells().iter().map(|cell| cell.pump.borrow().report()).collect(),
        };
        if last {
            // The end is worth waiting for a reader.
            *self.report.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(report);
        } else if let Ok(mut slot) = self.report.try_lock() {
            *slot = Some(report);
        }
    }
}
