//! A TCP proxy between the appliance and a server that plays what networks do: delay, silence, resets,
//! connections that end in the middle of an answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::kernel::reset_on_close;

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Fair,
    /// They pass this much later, both ways.
    Slow(Duration),
    /// They vanish, and connections stay open: a cable is cut.
    Silent,
    /// They vanish on the way back only: requests are done and never answered.
    Mute,
    /// Connections are reset, new ones at once.
    Reset,
    /// Each connection ends after so many bytes of answers.
    CutAfter(u64),
}

/// How often a waiting thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

struct Shared {
    weather: Mutex<Weather>,
    stop: AtomicBool,
    connections: AtomicU64,
    cuts: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A proxy to one server; it ends, with its connections, when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy to a port of loopback, in fair weather. The server need not be there yet.
    ///
    /// # Errors
    /// No port is left.
    pub fn to(port: u16) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            weather: Mutex::new(Weather::Fair),
            stop: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
        });
        let shared_too = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, port, &shared_too));
        Ok(Proxy { shared, address, accepting: Some(accepting) })
    }

    /// Port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the weather, of connections that are open as well.
    pub fn set(&self, weather: Weather) {
        *lock(&self.shared.weather) = weather;
        if weather == Weather::Reset {
            self.drop_all();
        }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Connections ended by [`Weather::CutAfter`] so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    fn drop_all(&self) {
        for stream in lock(&self.shared.open).drain(..) {
            end(&stream, true);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.drop_all();
        if let Some(accepting) = self.accepting.take() {
            let _it_had_panicked = accepting.join();
        }
    }
}

fn end(stream: &TcpStream, reset: bool) {
    if reset {
        let _gone_already = reset_on_close(stream);
    }
    let _gone_already = stream.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                // Refused by the server: the client sees an end of the connection.
                let _refused = join(client, port, shared);
            }
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn join(client: TcpStream, port: u16, shared: &Arc<Shared>) -> Result<()> {
    if *lock(&shared.weather) == Weather::Reset {
        end(&client, true);
        return Ok(());
    }
    client.set_nonblocking(false)?;
    let server = TcpStream::connect(("127.0.0.1", port))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        lock(&shared.open).push(stream.try_clone()?);
    }
    let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
    let (first, second) = (Arc::clone(shared), Arc::clone(shared));
    std::thread::spawn(move || carry(client, server, false, &first));
    std::thread::spawn(move || carry(server_too, client_too, true, &second));
    Ok(())
}

/// Carries bytes one way until an end, a fault or the proxy's own end.
fn carry(mut from: TcpStream, mut to: TcpStream, answers: bool, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    let mut carried = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        let weather = *lock(&shared.weather);
        let mut passing = &buffer[..count];
        match weather {
            Weather::Silent => continue,
            Weather::Mute if answers => continue,
            Weather::Fair | Weather::Mute => {}
            Weather::Slow(delay) => std::thread::sleep(delay),
            Weather::Reset => return end(&from, true),
            Weather::CutAfter(bytes) if answers => {
                let left = bytes.saturating_sub(carried);
                passing = &passing[..passing.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            }
            Weather::CutAfter(_) => {}
        }
        carried += count as u64;
        let cut = passing.len() < count;
        if to.write_all(passing).is_err() || cut {
            shared.cuts.fetch_add(u64::from(cut), Ordering::Relaxed);
            break;
        }
    }
    end(&from, false);
    end(&to, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets, for each connection.
    fn echo() -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        port
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream
    }

    fn ask(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(bytes)?;
        let mut answer = vec![0; bytes.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn fair_weather_passes_bytes_both_ways() {
        let proxy = Proxy::to(echo()).unwrap();
        assert_eq!(ask(&mut connect(&proxy), b"hello").unwrap(), b"hello");
        assert_eq!(proxy.connections(), 1);
    }

    #[test]
    fn silence_keeps_the_connection_and_a_later_calm_heals_it() {
        let proxy = Proxy::to(echo()).unwrap();
        let mut stream = connect(&proxy);
        proxy.set(Weather::Silent);
        let kind = ask(&mut stream, b"lost").unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind:?}");
        proxy.set(Weather::Fair);
        assert_eq!(ask(&mut stream, b"back").unwrap(), b"back");
    }

    #[test]
    fn a_cut_ends_the_connection_within_an_answer() {
        let proxy = Proxy::to(echo()).unwrap();
        proxy.set(Weather::CutAfter(3));
        let mut stream = connect(&proxy);
        stream.write_all(b"hello").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"hel");
        assert_eq!(proxy.cuts(), 1);
    }

    #[test]
    fn a_reset_ends_old_and_new_connections() {
        let proxy = Proxy::to(echo()).unwrap();
        let mut old = connect(&proxy);
        assert!(ask(&mut old, b"x").is_ok());
        proxy.set(Weather::Reset);
        assert!(ask(&mut old, b"x").is_err());
        assert!(ask(&mut connect(&proxy), b"x").is_err());
        proxy.set(Weather::Fair);
        assert!(ask(&mut connect(&proxy), b"x").is_ok());
    }

    #[test]
    fn slow_weather_delays() {
        let proxy = Proxy::to(echo()).unwrap();
        proxy.set(Weather::Slow(Duration::from_millis(60)));
        let began = std::time::Instant::now();
        assert_eq!(ask(&mut connect(&proxy), b"x").unwrap(), b"x");
        assert!(began.elapsed() >= Duration::from_millis(120));
    }
}
