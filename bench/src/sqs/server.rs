//! The server's thread: sockets, long polls, faults; and its handle.

mod answers;
mod connection;
mod pages;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use super::calls::{Outcome, State, spread, wall_ms};
use super::error::ApiError;
use super::faults::{FaultPlan, Faults};
use super::http;
use super::ledger::Event;
use super::message::{OutMessage, prepare};
use super::query;
use super::queue::{Depth, S};
use super::sign::{self, Keys};
use super::tls::Identity;
use connection::{Connection, Pending};

/// How a server is set up.
#[derive(Debug)]
pub struct ServerConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Time added to every answer: a simulated round trip.
    pub latency: Duration,
    /// Whether the ledger keeps events.
    pub ledger: bool,
    /// Whether standard queues refuse deletes with stale handles, as FIFO queues do.
    pub strict_handles: bool,
    /// Seed of MessageIds.
    pub seed: u64,
    /// Keys that every call must be signed with; without them nobody is asked.
    pub keys: Option<Keys>,
    /// Speaks HTTPS with this certificate; plain HTTP without.
    pub tls: Option<Identity>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            latency: Duration::ZERO,
            ledger: true,
            strict_handles: false,
            seed: 1,
            keys: None,
            tls: None,
        }
    }
}

/// Counts of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls by action.
    pub calls: BTreeMap<String, u64>,
    /// Hits of each rule of the fault plan.
    pub fault_hits: Vec<u64>,
}

struct Shared {
    state: Mutex<State>,
    waker: Waker,
    stop: AtomicBool,
    /// Long polls that wait.
    waiting: AtomicUsize,
    /// Something may have become visible.
    dirty: AtomicBool,
    clock_offset_s: AtomicI64,
    /// What calls must be signed with; empty when nobody is asked.
    keys: Mutex<Vec<Keys>>,
    thread_id: AtomicUsize,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; it stops when dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    endpoint: String,
    thread: Option<JoinHandle<()>>,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
/// Connections at once.
const CONNECTIONS_MAX: usize = 4096;

impl Server {
    /// Starts a server on a thread of its own.
    ///
    /// # Errors
    /// The address cannot be bound, or no thread or descriptor is left.
    pub fn start(config: ServerConfig) -> io::Result<Server> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(config.listen)?;
        let address = listener.local_addr()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let mut state = State::new(config.seed, config.ledger, config.strict_handles);
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{address}");
        state.base_url.clone_from(&endpoint);
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            waker: Waker::new(poll.registry(), WAKER)?,
            stop: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            dirty: AtomicBool::new(false),
            clock_offset_s: AtomicI64::new(0),
            keys: Mutex::new(config.keys.into_iter().collect()),
            thread_id: AtomicUsize::new(0),
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            waiting: Vec::new(),
            later: BinaryHeap::new(),
            serial: 0,
            latency_ns: config.latency.as_nanos() as u64,
            tls: config.tls,
            date: (0, String::new()),
        };
        let thread = std::thread::Builder::new().name("sqs-server".to_owned()).spawn(move || worker.run())?;
        Ok(Server { shared, address, endpoint, thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, or with `https`.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of a queue.
    pub fn queue_url(&self, name: &str) -> String {
        self.shared.state().queue_url(name)
    }

    /// Creates a queue.
    ///
    /// # Errors
    /// As CreateQueue.
    pub fn create_queue(&self, name: &str, attributes: &[(&str, &str)]) -> Result<(), ApiError> {
        let attributes =
            attributes.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.shared.state().create_queue(name, &attributes, BTreeMap::new()).map(|_| ())
    }

    /// Deletes a queue with all that it holds. Returns whether there was one.
    pub fn delete_queue(&self, name: &str) -> bool {
        let found = self.shared.state().delete_queue(name);
        // Long polls on it are to be told.
        self.nudge();
        found
    }

    /// Sends messages without HTTP; returns their MessageIds as numbers. Serialising happens on the
    /// caller's thread, so that the server's own figures are those of its clients.
    ///
    /// # Errors
    /// As SendMessage, for the first message that is refused; those before it are stored.
    pub fn send(&self, queue: &str, messages: Vec<OutMessage>) -> Result<Vec<u128>, ApiError> {
        let (first, content_dedup) = {
            let mut state = self.shared.state();
            let dedup = state.queues.get(queue).ok_or_else(ApiError::no_queue)?.settings.content_dedup;
            (state.take_ids(messages.len()), dedup)
        };
        let numbered = messages.into_iter().enumerate();
        let prepared: Result<Vec<_>, ApiError> = numbered
            .map(|(index, message)| prepare(message, spread(first + index as u128), content_dedup))
            .collect();
        let prepared = prepared?;
        let mut ids = Vec::with_capacity(prepared.len());
        let mut state = self.shared.state();
        for message in prepared {
            ids.push(state.store(queue, message)?.id);
        }
        drop(state);
        self.nudge();
        Ok(ids)
    }

    fn nudge(&self) {
        self.shared.dirty.store(true, Ordering::Release);
        if self.shared.waiting.load(Ordering::Acquire) > 0 {
            // Only a closed poll fails, and then nobody waits.
            let _nobody_waits = self.shared.waker.wake();
        }
    }

    /// How many messages a queue holds.
    pub fn depth(&self, queue: &str) -> Option<Depth> {
        self.shared.state().queues.get(queue).map(super::queue::Queue::depth)
    }

    /// A copy of the ledger from entry `from` on.
    pub fn ledger(&self, from: usize) -> Vec<Event> {
        self.shared.state().ledger.events().get(from..).unwrap_or_default().to_vec()
    }

    /// Takes the ledger's entries so far out; [`Server::ledger`] counts from 0 again.
    pub fn take_ledger(&self) -> Vec<Event> {
        self.shared.state().ledger.take()
    }

    /// Nanoseconds since the server's start, as in the ledger.
    pub fn now_ns(&self) -> u64 {
        self.shared.state().now_ns()
    }

    /// Counts.
    pub fn stats(&self) -> Stats {
        stats(&self.shared.state())
    }

    /// Replaces the fault plan.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.shared.state().faults = Faults::new(plan);
    }

    /// Replaces the keys that calls must be signed with: a rotation, or the loss of a right.
    pub fn set_keys(&self, keys: Vec<Keys>) {
        *self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Moves the server's clock, by which signatures are judged and which `Date` shows.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.shared.clock_offset_s.store(seconds, Ordering::Relaxed);
    }

    /// CPU time of the server's thread, nanoseconds; 0 where /proc does not tell.
    pub fn thread_cpu_ns(&self) -> u64 {
        let id = self.shared.thread_id.load(Ordering::Acquire);
        let text = std::fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
    }

    /// Linux thread id of the server's thread, once it runs.
    pub fn thread_id(&self) -> usize {
        self.shared.thread_id.load(Ordering::Acquire)
    }

    /// Stops the server and closes its connections.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _already_gone = self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stats(state: &State) -> Stats {
    Stats {
        calls: state.counts.calls.iter().map(|(name, count)| (name.clone(), *count)).collect(),
        fault_hits: state.faults.hits().to_vec(),
    }
}

/// What the server's thread owns.
struct Worker {
    shared: Arc<Shared>,
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Connections with a long poll.
    waiting: Vec<usize>,
    /// Answers that are due later: (when, connection, its serial number).
    later: BinaryHeap<Reverse<(u64, usize, u64)>>,
    /// Counts answers that are due later: one of a former connection is told apart.
    serial: u64,
    latency_ns: u64,
    tls: Option<Identity>,
    date: (u64, String),
}

impl Worker {
    fn run(mut self) {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
        let id = link.file_name().and_then(|name| name.to_str()).and_then(|id| id.parse().ok()).unwrap_or(0);
        self.shared.thread_id.store(id, Ordering::Release);
        let mut events = Events::with_capacity(1024);
        while !self.shared.stop.load(Ordering::Acquire) {
            let timeout = self.next_timeout();
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return;
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(number) => self.ready(number, event.is_read_closed()),
                }
            }
            self.send_due();
            self.serve_waiting();
        }
    }

    /// Until the next answer is due, a long poll ends, or a message becomes visible for one that waits.
    fn next_timeout(&self) -> Duration {
        let state = self.shared.state();
        let now_ns = state.now_ns();
        let mut next = now_ns + S;
        if let Some(Reverse((at, ..))) = self.later.peek() {
            next = next.min(*at);
        }
        for &number in &self.waiting {
            let Some(Pending::Receive { call, ends_ns, .. }) = self.pending(number) else { continue };
            next = next.min(*ends_ns);
            if let Some(queue) = state.queues.get(call.queue_name()) {
                // A redrive that another long poll has caused just now needs no timer.
                next = if queue.has_visible() { now_ns } else { next.min(queue.next_timer_ns()) };
            }
        }
        // A look too early costs a turn, a look too late a millisecond: round up.
        Duration::from_nanos(next.saturating_sub(now_ns))
            + Duration::from_micros(if next > now_ns { 50 } else { 0 })
    }

    fn pending(&self, number: usize) -> Option<&Pending> {
        self.connections.get(number)?.as_ref()?.pending.as_ref()
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let number = self.free.pop().unwrap_or(self.connections.len());
            if number >= CONNECTIONS_MAX {
                continue;
            }
            let _slower_only = stream.set_nodelay(true);
            let Ok(tls) = self.tls.as_ref().map(Identity::accept).transpose() else {
                self.free.push(number);
                continue;
            };
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(number), interest).is_err() {
                self.free.push(number);
                continue;
            }
            if number == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[number] = Some(Connection::new(stream, tls));
        }
    }

    fn ready(&mut self, number: usize, read_closed: bool) {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        // A short read does not see the end that came with it, and no other event tells of it.
        connection.ended |= read_closed;
        if connection.read().is_err() || connection.flush().is_err() || connection.is_finished() {
            self.close(number);
            return;
        }
        self.process(number);
    }

    fn close(&mut self, number: usize) {
        if let Some(slot) = self.connections.get_mut(number)
            && slot.take().is_some()
        {
            self.free.push(number);
            self.waiting.retain(|&other| other != number);
            self.shared.waiting.store(self.waiting.len(), Ordering::Release);
        }
    }

    /// Does the requests that a connection holds, one after another.
    fn process(&mut self, number: usize) {
        loop {
            let Some(Some(connection)) = self.connections.get_mut(number) else { return };
            if connection.pending.is_some() || connection.close_after || connection.is_clogged() {
                return;
            }
            let request = match http::parse(&connection.input) {
                Ok(Some(request)) => request,
                Ok(None) if connection.ended => return self.close(number),
                Ok(None) => return,
                Err(text) => {
                    connection.close_after = true;
                    connection.input.clear();
                    let mut out = Vec::new();
                    http::answer(&mut out, 400, "", "\r\nConnection: close", "text/plain", text.as_bytes());
                    if !self.answer_now(number, out) {
                        self.close(number);
                    }
                    return;
                }
            };
            let input = std::mem::take(&mut connection.input);
            connection.close_after |= request.close;
            let keep = self.serve(number, &request, &input);
            let Some(Some(connection)) = self.connections.get_mut(number) else { return };
            connection.input = input;
            connection.input.drain(..request.len);
            if !keep {
                return self.close(number);
            }
        }
    }

    /// Does one request. `false`: the connection is to be closed.
    fn serve(&mut self, number: usize, request: &http::Request, input: &[u8]) -> bool {
        let body = &input[request.body.clone()];
        let form = query::call(request, body);
        let (operation, body) = match (&request.operation, &form) {
            (Some(operation), _) => (operation.as_str(), body),
            (None, Some((action, json))) => (action.as_str(), json.as_slice()),
            (None, None) => {
                let (status, answer) = self.own_page(request, body);
                let mut out = Vec::new();
                let date = self.date();
                http::answer(&mut out, status, &date, "", "application/json", &answer);
                return self.answer_now(number, out);
            }
        };
        if let Some(Some(connection)) = self.connections.get_mut(number) {
            connection.form_action = request.operation.is_none().then(|| operation.to_owned());
        }
        if let Err(error) = self.authenticate(&input[..request.len]) {
            return self.give(number, Err(error), None);
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let fault = state.faults.choose(operation);
        if let Some(refused) = self.refuse_before(number, fault.as_ref()) {
            return refused;
        }
        let outcome = state.call(operation, body, fault.as_ref());
        let now_ns = state.now_ns();
        drop(state);
        if operation.starts_with("Send") || operation.starts_with("Change") || operation.starts_with("Delete")
        {
            // What was sent, given back, or unlocks its group may be what somebody waits for.
            self.shared.dirty.store(true, Ordering::Release);
        }
        let answer = match outcome {
            Ok(Outcome::Answer(answer)) => Ok(answer),
            Ok(Outcome::Wait(call)) => {
                let seconds = call.wait_s();
                let ends_ns = now_ns + seconds * S;
                if let Some(Some(connection)) = self.connections.get_mut(number) {
                    connection.pending = Some(Pending::Receive { call, ends_ns, fault });
                    self.waiting.push(number);
                    self.shared.waiting.store(self.waiting.len(), Ordering::Release);
                }
                return true;
            }
            Err(error) => Err(error),
        };
        self.give(number, answer, fault.as_ref())
    }

    fn authenticate(&self, request: &[u8]) -> Result<(), ApiError> {
        let keys = self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() { Ok(()) } else { sign::verify(request, &keys, self.clock_s()) }
    }

    /// Ends long polls that have something to bring, or whose time is up.
    fn serve_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let dirty = shared.dirty.swap(false, Ordering::AcqRel);
        let mut state = shared.state();
        let now_ns = state.now_ns();
        let mut served = Vec::new();
        for &number in &self.waiting {
            let Some(Pending::Receive { call, ends_ns, fault }) = self.pending(number) else { continue };
            let over = now_ns >= *ends_ns;
            let timer = state
                .queues
                .get(call.queue_name())
                .is_none_or(|queue| queue.next_timer_ns() <= now_ns || queue.has_visible());
            if !(over || dirty || timer) {
                continue;
            }
            match state.try_receive(call, fault.as_ref()) {
                Ok(None) if !over => {}
                Ok(None) => served.push((number, Ok(b"{}".to_vec()), fault.clone())),
                Ok(Some(answer)) => served.push((number, Ok(answer), fault.clone())),
                // Source: ReceiveMessage, `OverLimit`: long polls are not refused, they wait.
                Err(error) if error.code == "OverLimit" && !over => {}
                Err(error) => served.push((number, Err(error), fault.clone())),
            }
        }
        drop(state);
        for (number, answer, fault) in served {
            self.waiting.retain(|&other| other != number);
            if let Some(Some(connection)) = self.connections.get_mut(number) {
                connection.pending = None;
            }
            if !self.give(number, answer, fault.as_ref()) {
                self.close(number);
            } else {
                self.process(number);
            }
        }
        self.shared.waiting.store(self.waiting.len(), Ordering::Release);
    }

    /// Seconds since 1970 by the server's clock.
    fn clock_s(&self) -> u64 {
        (wall_ms() / 1000).saturating_add_signed(self.shared.clock_offset_s.load(Ordering::Relaxed))
    }

    fn date(&mut self) -> String {
        let now_s = self.clock_s();
        if self.date.0 != now_s {
            self.date = (now_s, http::date(now_s));
        }
        self.date.1.clone()
    }
}
