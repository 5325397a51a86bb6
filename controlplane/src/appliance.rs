//! The appliance: a running data plane, tended from start to end.
//!
//! Shared by `run` and `demo`. Carries commands down and reports up, ten times and once a second; decides nothing
//! about messages. What ends it comes as a command, so that a signal and the demo's own end are one path.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataplane::config::Config;
use dataplane::control::{Command, Request, ShardReport, State};
use dataplane::start::{self, DataPlane, End, Placement, StartError};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::board::{Board, Phase};
use crate::exit::{self, Failure};
use crate::snapshot;

/// How often requests of the shards are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks between two publications.
const LOOKS_PER_PUBLICATION: u32 = 10;
/// Commands that may wait before their sender does.
const COMMANDS_MAX: usize = 64;
/// A data plane that has not ended this long after its drain's deadline never will.
const LATE: Duration = Duration::from_secs(10);
/// Time for the other shards to end once one has died.
const JOIN_MAX: Duration = Duration::from_secs(3);

/// A running data plane.
pub(crate) struct Appliance {
    plane: DataPlane,
    board: Arc<Board>,
    asked: Asked,
    /// Milliseconds; a changed configuration may change it.
    drain_deadline_ms: AtomicU64,
}

/// Bells by pipeline, rung when a shard asks for credentials. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<BTreeMap<String, Arc<Notify>>>>);

impl Asked {
    /// The bell of a pipeline.
    pub(crate) fn of(&self, pipeline: &str) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry(pipeline.to_owned()).or_default())
    }
}

/// Where commands for the data plane are put.
pub(crate) type Commands = mpsc::Sender<Command>;

impl Appliance {
    /// Asks the platform; the control plane's own threads must not be confined yet.
    ///
    /// # Errors
    /// Exit code 78: what the platform refuses and how to mend it.
    pub(crate) fn preflight(config: &Config) -> Result<Placement, Failure> {
        let placement = start::preflight(&config.shards).map_err(refused)?;
        for warning in &placement.warnings {
            tracing::warn!(event = "placement", "{warning}");
        }
        Ok(placement)
    }

    /// Starts the shards and then confines the calling thread to the cores that they leave.
    ///
    /// # Errors
    /// Exit code 78: the config cannot work.
    pub(crate) fn start(config: &Config, placement: &Placement) -> Result<Appliance, Failure> {
        let plane = start::start(config.clone(), placement).map_err(refused)?;
        crate::cores::confine_to(&crate::cores::left_by(placement));
        Ok(Appliance {
            plane,
            board: Arc::new(Board::new(config, placement.cores.len())),
            asked: Asked::default(),
            drain_deadline_ms: AtomicU64::new(config.drain.deadline.as_millis()),
        })
    }

    /// What the data plane last published.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// What is rung when a shard asks for credentials.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// A channel of commands for [`Appliance::tend`].
    pub(crate) fn channel() -> (Commands, mpsc::Receiver<Command>) {
        mpsc::channel(COMMANDS_MAX)
    }

    /// Puts the shards' figures of this moment on the board.
    pub(crate) fn publish(&self) {
        self.board.publish(self.plane.reports(), self.plane.threads());
    }

    /// What each shard last published.
    pub(crate) fn reports(&self) -> Vec<ShardReport> {
        self.plane.reports()
    }

    /// Whether the data plane has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.plane.is_finished()
    }

    /// CPU time of the data plane's threads so far, nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.plane.threads().iter().map(|thread| thread.cpu_ns).sum()
    }

    /// Carries commands and reports until the data plane has ended.
    pub(crate) async fn tend(&self, mut commands: mpsc::Receiver<Command>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0_u32;
        let mut waiting = VecDeque::new();
        let mut late_at: Option<Instant> = None;
        let mut states = BTreeMap::new();
        loop {
            tokio::select! {
                _ = look.tick() => {
                    self.pass_requests_on();
                    looks += 1;
                    if looks.is_multiple_of(LOOKS_PER_PUBLICATION) {
                        self.publish();
                        self.tell_changes(&mut states);
                    }
                }
                Some(command) = commands.recv() => {
                    if let Command::Apply { config, .. } = &command {
                        self.drain_deadline_ms.store(config.drain.deadline.as_millis(), Ordering::Relaxed);
                    }
                    if matches!(command, Command::Drain | Command::Abort) {
                        // Readiness first: whoever sends work here looks at it.
                        self.board.enter(Phase::Draining);
                        let deadline = Duration::from_millis(self.drain_deadline_ms.load(Ordering::Relaxed));
                        late_at.get_or_insert(Instant::now() + deadline + LATE);
                    }
                    waiting.push_back(command);
                }
            }
            // A full mailbox takes the same command at the next look.
            while let Some(command) = waiting.front()
                && self.plane.send(command).is_ok()
            {
                waiting.pop_front();
            }
            if self.plane.is_finished() || late_at.is_some_and(|at| Instant::now() > at) {
                break;
            }
        }
        self.publish();
        self.tell_changes(&mut states);
        self.board.enter(Phase::Ended);
    }

    fn pass_requests_on(&self) {
        for Request::Credentials { pipeline } in self.plane.requests() {
            tracing::warn!(
                event = "credentials_refused",
                pipeline,
                "SQS refuses the credentials; fetching fresh ones"
            );
            self.asked.of(&pipeline).notify_one();
        }
    }

    /// Logs each pipeline whose state has changed.
    fn tell_changes(&self, states: &mut BTreeMap<String, (State, String)>) {
        let view = self.board.view();
        for name in &view.pipelines {
            let pumps = snapshot::pumps(&view, name).map(|(_, pump)| (pump.state, pump.reason.as_str()));
            let (state, reason) = snapshot::merge_state(pumps);
            let now = (state, reason.unwrap_or_default().to_owned());
            if states.get(name) == Some(&now) {
                continue;
            }
            let (text, reason) = (snapshot::state_text(state), &now.1);
            if state == State::Broken {
                tracing::warn!(
                    event = "pipeline_state",
                    pipeline = name,
                    state = text,
                    reason,
                    "receiving has stopped"
                );
            } else {
                tracing::info!(
                    event = "pipeline_state",
                    pipeline = name,
                    state = text,
                    reason,
                    "pipeline is {text}"
                );
            }
            states.insert(name.clone(), now);
        }
    }

    /// Waits for the shards' threads and says how it all ended.
    pub(crate) fn end(self) -> End {
        let (sender, receiver) = std::sync::mpsc::channel();
        let plane = self.plane;
        let joiner =
            std::thread::Builder::new().name("join".to_owned()).spawn(move || sender.send(plane.join()));
        let late = || End::Failed { text: "a shard died or did not end; see the lines above".to_owned() };
        joiner.ok().and_then(|_| receiver.recv_timeout(JOIN_MAX).ok()).unwrap_or_else(late)
    }
}

/// Logs an end and gives its exit code.
pub(crate) fn exit_code(end: &End) -> u8 {
    match end {
        End::Drained => {
            tracing::info!(event = "drained", "everything that was held is finished");
            exit::OK
        }
        End::DeadlinePassed { released } => {
            tracing::warn!(
                event = "drain_deadline",
                released,
                "the drain's deadline passed; the rest went back to the queue"
            );
            exit::DRAIN_DEADLINE
        }
        End::Failed { text } => {
            tracing::error!(event = "shard_died", "{text}");
            exit::BUG
        }
    }
}

/// Writes the port of the HTTP listener for whoever started us; a reader never sees half a number.
///
/// # Errors
/// Exit code 78: the file cannot be written.
pub(crate) fn write_port(file: Option<&Path>, port: u16) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let part = file.with_extension("part");
    std::fs::write(&part, format!("{port}\n")).and_then(|()| std::fs::rename(&part, file)).map_err(|error| {
        Failure::config(
            format!("--port-file {}: {error}", file.display()),
            "name a file in a writable folder",
        )
    })
}

fn refused(error: StartError) -> Failure {
    Failure::new(error.exit_code, error.text, error.remedy)
}
