//! The data plane's end of a socket: tells attached control planes what its shards publish, and takes their orders.
//!
//! A control plane that dies, hangs or floods costs its own connection and nothing else: views are dropped for who
//! does not read, orders are bounded, and the shards never wait for anyone here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dataplane::config::Door;
use dataplane::control::Command;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::socket::{Connection, Listener};
use super::wire::{self, Down, Hello, PROTOCOL, Up};
use crate::appliance::Commands;
use crate::board::{Board, Phase};
use crate::configs::{Configs, hidden};
use crate::exit::Failure;
use crate::process;

/// Control planes that may be attached at a time.
const ATTACHED_MAX: usize = 8;
/// Orders of one control plane that may wait.
const ORDERS_MAX: usize = 16;
/// How often a new view is looked for; the shards publish once a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pause after a failed accept: out of descriptors, another try at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What attached control planes see and steer: cheap to clone.
#[derive(Clone)]
pub(crate) struct Seat {
    /// Name of this data plane.
    name: Arc<str>,
    configs: Configs,
    board: Arc<Board>,
    commands: Commands,
}

/// The door of a data plane, taken and not yet open.
pub(crate) struct Gate {
    listener: Listener,
    name: Arc<str>,
}

impl Gate {
    /// Takes the address; to be called within the runtime.
    ///
    /// # Errors
    /// The address or a certificate cannot be used. Exit code 78.
    pub(crate) fn bind(door: &Door) -> Result<Gate, Failure> {
        let name = door.name.as_deref().unwrap_or(process::host()).into();
        Ok(Gate { listener: Listener::bind(door)?, name })
    }

    /// The address with its real port.
    pub(crate) fn address(&self) -> &str {
        &self.listener.address
    }

    /// Serves control planes until the process ends.
    pub(crate) async fn serve(self, configs: Configs, board: Arc<Board>, commands: Commands) {
        let seat = Seat { name: self.name, configs, board, commands };
        let places = Arc::new(Semaphore::new(ATTACHED_MAX));
        loop {
            let arrival = match self.listener.accept().await {
                Ok(arrival) => arrival,
                Err(error) => {
                    tracing::warn!(event = "door_accept_failed", %error, "a control plane could not be let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!(
                    event = "door_full",
                    "{ATTACHED_MAX} control planes are attached; one more is refused"
                );
                continue;
            };
            let (seat, admission) = (seat.clone(), self.listener.admission());
            tokio::spawn(async move {
                let _place = place;
                match admission.admit(arrival).await {
                    Ok(connection) => seat.attend(connection).await,
                    Err(error) => {
                        tracing::warn!(event = "door_refused", reason = %error, "a control plane was refused");
                    }
                }
            });
        }
    }
}

impl Seat {
    async fn attend(self, connection: Connection) {
        let (mut from, mut to) = split(connection);
        if let Err(error) = greet(&mut from, &mut to).await {
            tracing::warn!(event = "door_refused", reason = %error, "a control plane was refused");
            return;
        }
        tracing::info!(event = "attached", "a control plane has attached");
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let reader = Reader(tokio::spawn(read_orders(from, orders)));
        let ended = self.talk(&mut to, taken).await;
        drop(reader);
        let reason = ended.err().map(|error| error.to_string()).unwrap_or_default();
        tracing::info!(event = "detached", reason, "a control plane has gone; the data plane goes on");
    }

    /// Sends views and answers until the control plane is gone.
    async fn talk(
        &self,
        to: &mut WriteHalf<Connection>,
        mut orders: mpsc::Receiver<io::Result<(u64, Command)>>,
    ) -> io::Result<()> {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut told, mut shown) = (None, None);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                order = orders.recv() => {
                    let Some(order) = order else { return Ok(()) };
                    let (id, command) = order?;
                    let refused = self.obey(command).await.err();
                    wire::write(to, &Up::Answer { id, refused }).await?;
                }
            }
            let version = self.configs.current();
            if told.as_ref() != Some(&version.tag) {
                wire::write(to, &Up::Hello(Box::new(self.hello()))).await?;
                told = Some(version.tag);
            }
            let view = self.board.view();
            if shown != Some(view.uptime) {
                shown = Some(view.uptime);
                wire::write(to, &Up::View(Box::new((*view).clone()))).await?;
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            name: self.name.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("MILLRACE_COMMIT").to_owned(),
            config: hidden(&self.configs.current().config),
        }
    }

    /// Passes an order on; why not otherwise.
    async fn obey(&self, command: Command) -> Result<(), String> {
        tracing::info!(event = "ordered", order = word(&command), "a control plane gives an order");
        if self.board.view().phase != Phase::Running {
            return Err("it is draining and takes no more commands".to_owned());
        }
        let command = match command {
            Command::Apply { epoch, config } => {
                Command::Apply { epoch, config: self.configs.follow(epoch, &config).await? }
            }
            // As at a signal: readiness first.
            Command::Drain | Command::Abort => {
                self.board.enter(Phase::Draining);
                command
            }
            other => other,
        };
        self.commands.try_send(command).map_err(|_| "too many commands wait".to_owned())
    }
}

/// What an order is called in the log: its own text may hold a whole configuration.
fn word(command: &Command) -> &'static str {
    match command {
        Command::Credentials { .. } | Command::QueueFacts { .. } => "none",
        Command::Pause { .. } => "pause",
        Command::Resume { .. } => "resume",
        Command::Stop { .. } => "stop",
        Command::Start { .. } => "start",
        Command::Rate { .. } => "rate",
        Command::Apply { .. } => "apply",
        Command::Drain => "drain",
        Command::Abort => "abort",
    }
}

/// Both sides say which protocol they speak before anything else.
async fn greet(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it has not said who it is");
    let said = timeout(wire::PATIENCE, wire::read::<Down>(from, 1_024)).await.map_err(late)??;
    wire::write(to, &Up::Protocol(PROTOCOL)).await?;
    match said {
        Down::Protocol(PROTOCOL) => Ok(()),
        Down::Protocol(other) => Err(wire::other_protocol(other)),
        Down::Order { .. } => Err(io::Error::new(io::ErrorKind::InvalidData, "an order before the protocol")),
    }
}

async fn read_orders(mut from: ReadHalf<Connection>, orders: mpsc::Sender<io::Result<(u64, Command)>>) {
    loop {
        let read = match wire::read::<Down>(&mut from, wire::ORDER_BYTES_MAX).await {
            Ok(Down::Order { id, command }) => Ok((id, command)),
            Ok(Down::Protocol(_)) => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            Err(error) => Err(error),
        };
        let is_end = read.is_err();
        if orders.send(read).await.is_err() || is_end {
            return;
        }
    }
}

/// A task that ends with its connection.
pub(super) struct Reader(pub(super) JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}
