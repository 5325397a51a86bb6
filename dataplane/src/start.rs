//! Starts the shards and keeps the door to them.
//!
//! Level 5. Executors are made once per process life; a shard that dies takes the appliance down, because
//! its leases lapse and SQS hands its messages out again, while a half-dead appliance would only lose time.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use glommio::{LocalExecutorBuilder, Placement as Pin};

use crate::blueprints::{self, Arrivals};
use crate::config::Config;
use crate::control::{Command, Request, ShardReport, ThreadCpu};
use crate::handoff::Mesh;
use crate::kafka::ffi;
use crate::kafka::threads::ThreadRegistry;
use crate::net::{Resolver, Target, WakePair};
pub use crate::placement::{Placement, StartError, preflight};
use crate::shard::{self, Blueprint, Context, Letter, Mailbox, ShardEnd};

/// glommio's registered buffers for files; a shard does no file I/O, and the default costs 10 MiB each.
const IO_MEMORY_BYTES: usize = 64 << 10;

/// How the data plane ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything that was held is finished.
    Drained,
    /// The drain's deadline passed; so many messages went back to the queue unfinished.
    DeadlinePassed {
        /// Messages given back.
        released: usize,
    },
    /// A shard died.
    Failed {
        /// What is known about it.
        text: String,
    },
}

/// A mailbox was full: the command reached none or only some of the shards. Send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull;

impl fmt::Display for MailboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shard's mailbox is full; send the command again")
    }
}

impl std::error::Error for MailboxFull {}

/// The running data plane.
pub struct DataPlane {
    mailboxes: Vec<Arc<Mailbox>>,
    reports: Vec<Arc<Mutex<Option<ShardReport>>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    threads: Arc<ThreadRegistry>,
    shards: Vec<JoinHandle<Result<ShardEnd, String>>>,
    /// The end has been asked for: a shard that is gone has finished, not died.
    ending: AtomicBool,
    /// Pipelines that came since the start.
    arrivals: Mutex<Arrivals>,
    resolver: Arc<Resolver>,
}

/// Starts the shards. Pipelines wait until their credentials and queue facts arrive and a producer is
/// ready; nothing is received before.
///
/// # Errors
/// The config cannot work: an endpoint, a certificate file, a secret. The text names the field.
pub fn start(config: Config, placement: &Placement) -> Result<DataPlane, StartError> {
    ffi::tune_malloc();
    let config = Arc::new(config);
    let shards = placement.cores.len();
    let seed = seed();
    let blueprints: Result<Vec<Blueprint>, StartError> =
        config.pipeline.iter().map(|pipeline| blueprints::of(pipeline, shards, seed)).collect();
    let blueprints = blueprints?;
    let targets: Vec<Target> = blueprints.iter().map(|blueprint| blueprint.target.clone()).collect();
    let resolver = Resolver::start(&targets).map_err(|error| out_of("threads", &error))?;
    let resolver = Arc::new(resolver);
    let threads = Arc::new(ThreadRegistry::default());
    let requests = Arc::new(Mutex::default());
    let finished = Arc::default();
    let wakes: Result<Vec<WakePair>, _> = (0..shards).map(|_| WakePair::new()).collect();
    let wakes = wakes.map_err(|error| out_of("file descriptors", &error))?;
    let handles: Vec<_> = wakes.iter().map(WakePair::handle).collect();
    let mesh = Mesh::new(shards);
    let mut plane = DataPlane {
        mailboxes: handles.iter().map(|handle| Arc::new(Mailbox::new(handle.clone()))).collect(),
        reports: (0..shards).map(|_| Arc::default()).collect(),
        requests: Arc::clone(&requests),
        threads: Arc::clone(&threads),
        shards: Vec::new(),
        ending: AtomicBool::new(false),
        arrivals: Mutex::new(Arrivals::new(&config, shards, seed)),
        resolver: Arc::clone(&resolver),
    };
    for (number, wake) in wakes.into_iter().enumerate() {
        let core = placement.cores[number];
        let context = Context {
            number,
            core,
            kafka_cores: placement.kafka_cores.clone().or_else(|| core.map(|core| vec![core])),
            shards: shards as u16,
            config: Arc::clone(&config),
            blueprints: blueprints.clone(),
            mailbox: Arc::clone(&plane.mailboxes[number]),
            links: mesh.links(number, handles.clone()),
            wake,
            resolver: Arc::clone(&resolver),
            threads: Arc::clone(&threads),
            report: Arc::clone(&plane.reports[number]),
            requests: Arc::clone(&requests),
            finished: Arc::clone(&finished),
            seed,
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || run_shard(context))
            .map_err(|error| out_of("threads", &error))?;
        plane.shards.push(thread);
    }
    Ok(plane)
}

fn run_shard(context: Context) -> Result<ShardEnd, String> {
    let number = context.number;
    let pin = context.core.map_or(Pin::Unbound, |core| Pin::Fixed(usize::from(core)));
    context.threads.started_here(&format!("shard-{number}"));
    let executor = LocalExecutorBuilder::new(pin)
        .name(&format!("shard-{number}"))
        .io_memory(IO_MEMORY_BYTES)
        .make()
        .map_err(|error| format!("shard {number}: {error}"))?;
    executor.run(shard::run(context)).map_err(|error| format!("shard {number}: {error}"))
}

/// The process has run out of something that the operator can raise.
pub(crate) fn out_of(what: &str, error: &dyn fmt::Display) -> StartError {
    StartError::new(format!("the process is out of {what}: {error}"), "raise its limits (ulimit, pids.max)")
}

/// Differs between two starts; only back-off jitter and attempt ids depend on it.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()) << 32
}

impl DataPlane {
    /// Puts a command into every shard's mailbox.
    ///
    /// # Errors
    /// A mailbox is full.
    pub fn send(&self, command: &Command) -> Result<(), MailboxFull> {
        if matches!(command, Command::Drain | Command::Abort) {
            self.ending.store(true, Ordering::Release);
        }
        let put = match command {
            Command::Apply { epoch, config } => self.post(*epoch, config),
            _ => {
                self.mailboxes.iter().filter(|mailbox| mailbox.put(Letter::Command(command.clone()))).count()
            }
        };
        if put == self.mailboxes.len() { Ok(()) } else { Err(MailboxFull) }
    }

    /// Puts a configuration into the mailboxes, with what its new pipelines need. In how many there was room.
    fn post(&self, epoch: u64, config: &Arc<Config>) -> usize {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.prepare(epoch, config, &self.resolver);
        let letter = |newcomers| Letter::Configuration { epoch, config: Arc::clone(config), newcomers };
        let letters = arrivals.newcomers().into_iter().map(letter);
        self.mailboxes
            .iter()
            .zip(letters)
            .filter_map(|(mailbox, letter)| mailbox.put(letter).then_some(()))
            .count()
    }

    /// The last published report of each shard; a shard that has not published yet is missing.
    pub fn reports(&self) -> Vec<ShardReport> {
        let read = |slot: &Arc<Mutex<Option<ShardReport>>>| {
            slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
        };
        self.reports.iter().filter_map(read).collect()
    }

    /// CPU time of the shards' and librdkafka's threads.
    pub fn threads(&self) -> Vec<ThreadCpu> {
        self.threads.cpu()
    }

    /// What the shards have asked for since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether all shards have ended, or one has died.
    pub fn is_finished(&self) -> bool {
        self.shards.iter().all(JoinHandle::is_finished)
            || self.shards.iter().any(|shard| shard.is_finished()) && !self.ending.load(Ordering::Acquire)
    }

    /// Waits for the shards and says how they ended. A shard that died is reported at once.
    pub fn join(self) -> End {
        let mut released = 0;
        for shard in self.shards {
            match shard.join() {
                Ok(Ok(ShardEnd::Drained)) => {}
                Ok(Ok(ShardEnd::DeadlinePassed(count))) => released += count,
                Ok(Err(text)) => return End::Failed { text },
                Err(_) => return End::Failed { text: "a shard panicked; its message is above".to_owned() },
            }
        }
        if released == 0 { End::Drained } else { End::DeadlinePassed { released } }
    }
}
