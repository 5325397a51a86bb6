//! Claims about connections, driven against hostile servers on loopback.
//!
//! Servers are plain threads with std's sockets; the side under test runs on an executor of its own.

mod answers;
mod failures;
mod secure;
mod tunnel;
mod wakes;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};
use socket2::SockRef;

use super::error::{Fault, TlsTrouble};
use super::*;
use crate::clock::{self, Tick};

/// Runs a future on an executor of its own, with a clock that sweeps the watchdog.
fn on_executor<T: Send + 'static, F: Future<Output = T> + 'static>(
    make: impl FnOnce(Watchdog) -> F + Send + 'static,
) -> T {
    let builder = LocalExecutorBuilder::new(Placement::Unbound).io_memory(64 << 10);
    let executor = builder.spawn(|| async move {
        let watchdog = Watchdog::new();
        let sweeper = watchdog.clone();
        let clock = async move {
            loop {
                Timer::new(Duration::from_millis(20)).await;
                sweeper.sweep(clock::now());
            }
        };
        futures_lite::future::or(make(watchdog), clock).await
    });
    executor.unwrap().join().unwrap()
}

/// Lets the ring see what the kernel has already done.
async fn settle() {
    Timer::new(Duration::from_millis(20)).await;
}

/// A server that gives each connection to `serve`, one after another, `count` of them.
fn server(count: usize, mut serve: impl FnMut(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        for stream in listener.incoming().take(count) {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            serve(stream);
        }
    });
    (address, thread)
}

/// Reads up to the end of a request's head; false at the end of the stream.
fn read_request(stream: &mut impl Read) -> bool {
    let mut seen = Vec::new();
    let mut bytes = [0; 1024];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(read) if read > 0 => seen.extend_from_slice(&bytes[..read]),
            _ => return false,
        }
    }
    true
}

fn is_at_end(stream: &mut impl Read) -> bool {
    !matches!(stream.read(&mut [0; 1]), Ok(1..))
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn target(address: SocketAddr) -> Target {
    Target { tls: false, host: address.ip().to_string(), port: address.port(), proxy: None }
}

fn soon(ms: u64) -> Tick {
    clock::now().plus_ms(ms)
}

const REQUEST: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Long enough for anything that is meant to succeed, on a busy machine.
const PATIENCE_MS: u64 = 10_000;

type Outcome = Result<(u16, Vec<u8>), NetError>;

fn ok(body: &[u8]) -> Outcome {
    Ok((200, body.to_vec()))
}

async fn open(address: SocketAddr, watchdog: &Watchdog) -> Connection {
    Connection::open(&target(address), &[address], None, soon(PATIENCE_MS), watchdog).await.unwrap()
}

/// One request; the answer's status and body.
async fn ask(connection: &mut Connection, buffer: &ReceiveBuffer, ms: u64) -> Outcome {
    let deadline = soon(ms);
    connection.send(REQUEST, deadline).await?;
    let admit = &mut |_: &mut Context<'_>, _| Poll::Ready(());
    connection.response(buffer, deadline, admit, |head, body| (head.status, body.to_vec())).await
}

/// Asks a server that does `serve` with one connection; the outcome and whether the connection can be kept.
fn asked(ms: u64, serve: impl FnMut(TcpStream) + Send + 'static) -> (Outcome, bool) {
    let (address, thread) = server(1, serve);
    let outcome = on_executor(move |watchdog| async move {
        let mut connection = open(address, &watchdog).await;
        let answer = ask(&mut connection, &ReceiveBuffer::new(), ms).await;
        (answer, connection.reusable())
    });
    thread.join().unwrap();
    outcome
}

/// Asks a server that answers with these pieces, each its own segment, and then closes.
fn answered_with(pieces: Vec<Vec<u8>>) -> (Outcome, bool) {
    asked(PATIENCE_MS, move |mut stream| {
        read_request(&mut stream);
        for piece in &pieces {
            if stream.write_all(piece).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    })
}

fn one(text: &str) -> (Outcome, bool) {
    answered_with(vec![text.as_bytes().to_vec()])
}

/// Body bytes that a shifted or doubled piece would not match.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}
