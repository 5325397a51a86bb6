//! The control plane's end of a socket: one data plane, attached again and again for as long as the process lives.
//!
//! What a data plane last said is kept with its age, never guessed further.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataplane::config::{Config, MutualTls};
use dataplane::control::Command;
use rustls::pki_types::ServerName;
use tokio::io::{ReadHalf, WriteHalf, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::gate::Reader;
use super::socket::Connection;
use super::wire::{self, Down, Hello, PROTOCOL, Up};
use super::{Failure, merge, tls};
use crate::board::View;
use crate::configs::{Version, hidden};

/// A data plane that has said nothing for this long is not attached any more.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Pauses between tries: doubled up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Orders that may wait for one data plane.
const ORDERS_MAX: usize = 64;
/// Frames that may wait to be looked at.
const FRAMES_MAX: usize = 4;

/// Where a data plane is reached.
#[derive(Clone)]
pub(super) enum Target {
    /// Path of its socket.
    Unix(std::path::PathBuf),
    /// Address, and TLS with the name that its certificate must hold.
    Tcp(std::net::SocketAddr, Option<(TlsConnector, ServerName<'static>)>),
}

impl Target {
    /// TLS of a TCP address.
    ///
    /// # Errors
    /// A file cannot be used, or a name is none. Exit code 78.
    pub(super) fn tls(files: &MutualTls, host: &str) -> Result<(TlsConnector, ServerName<'static>), Failure> {
        let name = files.peer_names.first().map_or(host, String::as_str);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Failure::config(format!("attach.tls.peer_names: `{name}` is no name"), "give a DNS name")
        })?;
        Ok((tls::connector(files)?, name))
    }

    async fn connect(&self) -> io::Result<Connection> {
        match self {
            Target::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Target::Tcp(address, tls) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                match tls {
                    None => Ok(Box::new(stream)),
                    Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), stream).await?)),
                }
            }
        }
    }
}

/// What is known of a data plane.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Its name; the address before it has said one.
    pub(super) name: Arc<str>,
    /// Version of Millrace.
    pub(super) version: String,
    /// Commit that it was built from.
    pub(super) commit: String,
    /// The configuration that it works by.
    pub(super) config: Option<Arc<Config>>,
    /// Its last view.
    pub(super) view: Option<Arc<View>>,
    /// When that came.
    pub(super) at: Option<Instant>,
    /// Why it is not attached.
    pub(super) trouble: Option<String>,
}

impl Seen {
    /// Time since it last said how it does.
    pub(super) fn age(&self) -> Option<Duration> {
        self.at.map(|at| at.elapsed())
    }
}

/// One data plane, attached or to be attached.
pub(super) struct Link {
    /// Where it is, for people.
    pub(super) address: String,
    target: Target,
    seen: Mutex<Seen>,
    compared: Mutex<Option<Compared>>,
    orders: Mutex<Option<mpsc::Sender<Command>>>,
}

/// Two configurations and the keys in which they differ: views are merged far more often than either changes.
struct Compared {
    own_tag: String,
    theirs: Arc<Config>,
    keys: Vec<String>,
}

/// Why a data plane was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// It is not attached.
    Absent,
    /// Too many orders wait.
    Busy,
}

impl Link {
    pub(super) fn new(address: String, target: Target) -> Link {
        let seen = Seen {
            name: address.as_str().into(),
            trouble: Some("not attached yet".to_owned()),
            ..Seen::default()
        };
        Link { address, target, seen: Mutex::new(seen), compared: Mutex::default(), orders: Mutex::default() }
    }

    /// What is known of it.
    pub(super) fn seen(&self) -> Seen {
        self.with(|seen| seen.clone())
    }

    /// Keys in which its configuration differs from the one in force here.
    pub(super) fn differs(&self, own: &Version) -> Vec<String> {
        let Some(theirs) = self.with(|seen| seen.config.clone()) else { return Vec::new() };
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*compared
            && known.own_tag == own.tag
            && Arc::ptr_eq(&known.theirs, &theirs)
        {
            return known.keys.clone();
        }
        let keys = merge::differences(&hidden(&own.config), &theirs);
        *compared = Some(Compared { own_tag: own.tag.clone(), theirs, keys: keys.clone() });
        keys
    }

    /// Puts an order on its way.
    ///
    /// # Errors
    /// It is not attached, or too many orders wait.
    pub(super) fn tell(&self, command: Command) -> Result<(), Untold> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        orders.ok_or(Untold::Absent)?.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Untold::Busy,
            mpsc::error::TrySendError::Closed(_) => Untold::Absent,
        })
    }

    /// Attaches and stays attached until the task is aborted.
    pub(super) async fn run(self: Arc<Self>) {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            let error = self.session().await.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
            self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
            let text = explain(&error);
            let is_news = self.with(|seen| seen.trouble.replace(text.clone()).as_ref() != Some(&text));
            if is_news {
                let name = self.seen().name;
                tracing::warn!(event = "data_plane_absent", name = %name, address = self.address, reason = text, "a data plane is not attached");
            }
            pause = if began.elapsed() > SILENCE_MAX { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            sleep(pause).await;
        }
    }

    async fn session(&self) -> io::Result<()> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let connection = timeout(wire::PATIENCE, self.target.connect()).await.map_err(late)??;
        let (mut from, mut to) = split(connection);
        wire::write(&mut to, &Down::Protocol(PROTOCOL)).await?;
        match timeout(wire::PATIENCE, wire::read_up(&mut from)).await.map_err(late)?? {
            Up::Protocol(PROTOCOL) => {}
            Up::Protocol(other) => return Err(wire::other_protocol(other)),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it has not said its protocol")),
        }
        let (frames, taken) = mpsc::channel(FRAMES_MAX);
        let _reader = Reader(tokio::spawn(read_frames(from, frames)));
        let (orders, waiting) = mpsc::channel(ORDERS_MAX);
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(orders);
        self.listen(&mut to, taken, waiting).await
    }

    /// Takes what the data plane says, and passes orders on.
    async fn listen(
        &self,
        to: &mut WriteHalf<Connection>,
        mut frames: mpsc::Receiver<io::Result<Up>>,
        mut orders: mpsc::Receiver<Command>,
    ) -> io::Result<()> {
        let mut id = 0;
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "it is connected and says nothing");
        loop {
            tokio::select! {
                frame = timeout(SILENCE_MAX, frames.recv()) => match frame.map_err(|_| silent())? {
                    Some(frame) => self.take(frame?),
                    None => return Ok(()),
                },
                Some(command) = orders.recv() => {
                    id += 1;
                    wire::write(to, &Down::Order { id, command }).await?;
                }
            }
        }
    }

    fn take(&self, frame: Up) {
        match frame {
            Up::Hello(hello) => self.greet(*hello),
            Up::View(view) => {
                let back = self.with(|seen| {
                    seen.view = Some(Arc::new(*view));
                    seen.at = Some(Instant::now());
                    seen.trouble.take().is_some()
                });
                if back {
                    tracing::info!(event = "data_plane_attached", name = %self.seen().name, address = self.address, "a data plane is attached");
                }
            }
            Up::Answer { refused: Some(reason), .. } => {
                tracing::warn!(event = "order_refused", name = %self.seen().name, reason, "a data plane refused an order");
            }
            Up::Answer { refused: None, .. } | Up::Protocol(_) => {}
        }
    }

    fn greet(&self, hello: Hello) {
        self.with(|seen| {
            seen.name = hello.name.into();
            seen.version = hello.version;
            seen.commit = hello.commit;
            seen.config = Some(Arc::new(hello.config));
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn read_frames(mut from: ReadHalf<Connection>, frames: mpsc::Sender<io::Result<Up>>) {
    loop {
        let frame = wire::read_up(&mut from).await;
        let is_end = frame.is_err();
        if frames.send(frame).await.is_err() || is_end {
            return;
        }
    }
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it has closed the connection".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket; is the data plane running?".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there; is the data plane running?".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}
