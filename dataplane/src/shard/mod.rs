//! One shard: one core, one executor, and everything that a message meets on its way.
//!
//! Level 4. A shard polls every queue of the appliance, so no queue has a single owner. Its tasks live as
//! long as the shard (glommio leaks cancelled tasks) and do nothing but read and write; what happens to a
//! message is decided by the [`pump`], synchronously.

mod apply;
mod budget;
mod cell;
mod clockwork;
mod deletes;
mod deleting;
mod dispatch;
mod lanes;
mod line;
mod mailbox;
mod members;
mod pollers;
pub(crate) mod pump;
mod rate;
mod receiving;
mod sink;
mod visibility;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future;
use glommio::timer::Timer;

use crate::clock::{self, Tick};
use crate::config::Config;
use crate::control::{Refused, Request, ShardReport};
use crate::handoff::Links;
use crate::kafka::threads::ThreadRegistry;
use crate::limits;
use crate::net::{Notify, ReceiveBuffer, Resolver, Target, TlsClient, WakePair, WakeReader, Watchdog};
use crate::sqs::call::Calls;
use crate::sqs::lease::Token;
use cell::{PumpCell, Workshop};
pub(crate) use clockwork::ShardEnd;
pub(crate) use mailbox::{Letter, Mailbox};
pub(crate) use members::{Made, Newcomer};
use sink::Told;

/// What one pipeline needs on every shard, prepared once.
#[derive(Clone)]
pub(crate) struct Blueprint {
    /// Where its connections go.
    pub target: Target,
    /// TLS settings, when the endpoint is `https`.
    pub tls: Option<TlsClient>,
    /// Requests to its queue.
    pub calls: Calls,
    /// Shards that make a producer.
    pub producers: u16,
    /// Producers that are ready.
    pub ready: Arc<AtomicU16>,
    /// Shards that hold nothing of it any more, once it is to go.
    pub idle: Arc<AtomicU16>,
}

/// Everything that a shard is given at its start.
pub(crate) struct Context {
    /// Number of the shard.
    pub number: usize,
    /// Core that it is pinned to.
    pub core: Option<u16>,
    /// Cores for librdkafka's threads of this shard.
    pub kafka_cores: Option<Vec<u16>>,
    /// Shards of the appliance.
    pub shards: u16,
    /// The configuration.
    pub config: Arc<Config>,
    /// One for each pipeline.
    pub blueprints: Vec<Blueprint>,
    /// Commands.
    pub mailbox: Arc<Mailbox>,
    /// Ends of the handoff rings.
    pub links: Links,
    /// What wakes this shard.
    pub wake: WakePair,
    /// Name look-ups.
    pub resolver: Arc<Resolver>,
    /// librdkafka's threads.
    pub threads: Arc<ThreadRegistry>,
    /// Where the report is put once a second.
    pub report: Arc<Mutex<Option<ShardReport>>>,
    /// What the shards ask of the control plane.
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// Shards that have nothing left to do, in a drain.
    pub finished: Arc<AtomicU16>,
    /// Seed of all random choices.
    pub seed: u64,
}

/// One shard.
pub(crate) struct Shard {
    number: usize,
    core: Option<u16>,
    workshop: Workshop,
    /// Replaced whole when a pipeline comes or goes, so that a walk through them sees one state.
    cells: RefCell<Rc<[Rc<PumpCell>]>>,
    links: RefCell<Links>,
    receive_buffer: ReceiveBuffer,
    watchdog: Watchdog,
    resolver: Arc<Resolver>,
    mailbox: Arc<Mailbox>,
    /// Time of a drain, and of stopping a pipeline.
    drain_deadline_ms: Cell<u64>,
    /// The configuration in force, by its number.
    epoch: Cell<u64>,
    refused: RefCell<Option<Refused>>,
    report: Arc<Mutex<Option<ShardReport>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    activity: Notify,
    /// Reused by `dispatch`.
    tokens: Cell<Vec<Token>>,
    told: Cell<Vec<Told>>,
    drain: Cell<Option<clockwork::Deadlines>>,
    /// Shards of the appliance.
    shards: u16,
    finished: Arc<AtomicU16>,
    /// This shard is among the finished ones.
    has_finished: Cell<bool>,
}

/// Runs a shard on the current executor until it is drained.
///
/// # Errors
/// A socket pair that cannot be made: the process is out of file descriptors.
pub(crate) async fn run(context: Context) -> std::io::Result<ShardEnd> {
    let workshop = Workshop {
        shard: context.number,
        shards: context.shards,
        kafka_cores: context.kafka_cores,
        threads: context.threads,
        seed: context.seed,
    };
    let shard = Rc::new(Shard {
        number: context.number,
        core: context.core,
        workshop,
        cells: RefCell::new(Rc::default()),
        links: RefCell::new(context.links),
        receive_buffer: ReceiveBuffer::new(),
        watchdog: Watchdog::new(),
        resolver: context.resolver,
        mailbox: context.mailbox,
        drain_deadline_ms: Cell::new(context.config.drain.deadline.as_millis()),
        epoch: Cell::new(0),
        refused: RefCell::default(),
        report: context.report,
        requests: context.requests,
        activity: Notify::new(),
        tokens: Cell::default(),
        told: Cell::default(),
        drain: Cell::new(None),
        shards: context.shards,
        finished: context.finished,
        has_finished: Cell::new(false),
    });
    for (number, blueprint) in context.blueprints.into_iter().enumerate() {
        let config = context.config.pipeline[number].clone();
        shard.welcome(number, config, blueprint, WakePair::new()?);
    }
    spawn(inbox(Rc::clone(&shard), context.wake.into_reader()));
    Ok(clockwork::run(&shard).await)
}

/// The one place that spawns: tasks live as long as the shard.
///
/// glommio runs a new task at once, on top of the one that made it. Where each adds the next, a whole fleet would
/// lie on one stack, so every task begins with a turn of its own.
fn spawn(task: impl Future<Output = ()> + 'static) {
    let in_turn = async {
        future::yield_now().await;
        task.await;
    };
    glommio::spawn_local(in_turn).detach();
}

fn spawn_tasks(shard: &Rc<Shard>, cell: &Rc<PumpCell>, wake: WakePair) {
    shard.add_poller(cell);
    let deleters_max = cell.pump.borrow().config().queue.deleters_max;
    for _ in 0..deleters_max.min(limits::DELETERS_SMALL) {
        shard.add_deleter(cell);
    }
    shard.add_visibility(cell);
    spawn(reports(Rc::clone(shard), Rc::clone(cell), wake.into_reader()));
}

/// Waits for librdkafka's word that reports are there.
async fn reports(shard: Rc<Shard>, cell: Rc<PumpCell>, mut wake: WakeReader) {
    while wake.wait().await.is_ok() && !cell.is_closed() {
        shard.take_reports(&cell);
    }
}

/// Waits for commands and for parcels of other shards.
async fn inbox(shard: Rc<Shard>, mut wake: WakeReader) {
    while wake.wait().await.is_ok() {
        shard.take_commands();
        shard.take_parcels();
    }
}

impl Shard {
    /// The pipelines of this moment.
    fn cells(&self) -> Rc<[Rc<PumpCell>]> {
        Rc::clone(&self.cells.borrow())
    }

    /// Lets `ms` milliseconds pass.
    async fn pause(&self, ms: u64) {
        Timer::new(Duration::from_millis(ms)).await;
    }

    /// Adds a poller while there are fewer than receives wanted in flight. Tasks are counted, not those that wait:
    /// one that was woken and has not run yet is neither waiting nor receiving.
    fn grow_pollers(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        let wanted = cell.pump.borrow().pollers_wanted();
        if usize::from(cell.pollers.get()) < wanted {
            self.add_poller(cell);
        }
    }

    /// Adds a deleter when more deletes could be sent and there are fewer deleters than may be in flight.
    fn grow_deleters(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        let pump = cell.pump.borrow();
        let is_wanted = pump.deletes_wanted(clock::now()) > 0;
        let may_be_more = usize::from(cell.deleters.get()) < pump.deleters_wanted();
        drop(pump);
        if is_wanted && may_be_more {
            self.add_deleter(cell);
        }
    }

    /// Adds a visibility task when one more call could be sent and none is idle.
    fn grow_visibility(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        let wanted = cell.pump.borrow().visibility_calls_wanted(clock::now());
        let is_room = usize::from(cell.visiting.get()) < limits::VISIBILITY_CALLS_MAX;
        if is_room && wanted > cell.visibility_gate.waiting() {
            self.add_visibility(cell);
        }
    }

    fn add_poller(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        cell.pollers.set(cell.pollers.get() + 1);
        spawn(receiving::poller(Rc::clone(self), Rc::clone(cell)));
    }

    fn add_deleter(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        cell.deleters.set(cell.deleters.get() + 1);
        spawn(deleting::deleter(Rc::clone(self), Rc::clone(cell)));
    }

    fn add_visibility(self: &Rc<Shard>, cell: &Rc<PumpCell>) {
        cell.visiting.set(cell.visiting.get() + 1);
        spawn(visibility::visibility(Rc::clone(self), Rc::clone(cell)));
    }

    /// Something is held: the clock must tick quickly from now on.
    fn became_busy(&self) {
        self.activity.notify(1);
    }

    fn is_busy(&self) -> bool {
        self.drain.get().is_some() || self.cells().iter().any(|cell| cell.pump.borrow().is_busy())
    }
}

/// Monotonic time as the reports carry it.
fn at_ns(now: Tick) -> u64 {
    now.0
}

#[cfg(test)]
mod tests {
    use glommio::{LocalExecutorBuilder, Placement};

    use super::*;

    #[test]
    fn a_new_task_does_not_run_on_the_stack_of_the_one_that_made_it() {
        let ran = Rc::new(Cell::new(0));
        let executor = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10).make().unwrap();
        executor.run(async {
            let (count, chain) = (Rc::clone(&ran), Rc::clone(&ran));
            spawn(async move {
                count.set(1);
                spawn(async move { chain.set(2) });
                assert_eq!(count.get(), 1);
            });
            assert_eq!(ran.get(), 0);
            while ran.get() < 2 {
                future::yield_now().await;
            }
        });
    }
}
