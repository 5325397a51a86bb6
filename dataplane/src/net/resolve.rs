//! Names to addresses, off the shards: getaddrinfo may block for seconds.
//!
//! Level 2. One plain thread looks every name up again each 30 s, sooner while one has no answer or a
//! connection failed; shards read the last good answer. Addresses need no thread.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::Target;
use super::error::{Fault, NetError};

/// How often every name is looked up again; SQS changes its addresses within minutes.
const REFRESH: Duration = Duration::from_secs(30);
/// How often while a name has no good answer.
const RETRY: Duration = Duration::from_secs(2);
/// Requests beyond these are dropped: the name is about to be looked up anyway.
const REQUESTS_MAX: usize = 64;
/// Shortest time between two look-ups of one name.
const SPACING: Duration = Duration::from_secs(1);
/// Longest wait for the first answers at start.
const FIRST_WAIT: Duration = Duration::from_secs(2);

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

#[derive(Clone, Debug)]
struct Answer {
    /// The last good answer; empty until there is one.
    addresses: Vec<IpAddr>,
    /// Why the last look-up gave nothing.
    trouble: Option<String>,
    asked_at: Instant,
}

/// The look-ups of one process. Its thread ends, at the latest after the look-up it is at, once this is
/// dropped.
pub(crate) struct Resolver {
    answers: Answers,
    requests: SyncSender<String>,
    /// Counts askers, so that connections spread over a name's addresses and leave a dead one.
    turn: AtomicUsize,
}

impl Resolver {
    /// Looks up the first hop of every target, waits for the first answers for up to 2 s, and goes on in
    /// the background.
    ///
    /// # Errors
    /// No thread can be made.
    pub(crate) fn start(targets: &[Target]) -> io::Result<Resolver> {
        // The port is the caller's; the resolver wants one and does not look at it.
        Resolver::with(targets, |name| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect()))
    }

    fn with(
        targets: &[Target],
        look_up: impl FnMut(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    ) -> io::Result<Resolver> {
        let answers = Answers::default();
        let (requests, inbox) = sync_channel(REQUESTS_MAX);
        let resolver = Resolver { answers: Arc::clone(&answers), requests, turn: AtomicUsize::new(0) };
        let mut names: Vec<String> = targets.iter().map(|target| target.first_hop().0.to_owned()).collect();
        names.retain(|name| literal(name).is_none());
        names.sort();
        names.dedup();
        let (first, first_round) = sync_channel(1);
        let thread = thread::Builder::new().name("resolver".to_owned());
        thread.spawn(move || Thread { names, answers, look_up }.run(&inbox, &first))?;
        // Slow names may answer later; shards ask again.
        let _in_time = first_round.recv_timeout(FIRST_WAIT);
        Ok(resolver)
    }

    /// The addresses of a target's first hop, a different one first at each call, families in turn.
    ///
    /// # Errors
    /// The name has never had an address; the text says why.
    pub(crate) fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, NetError> {
        let (host, port) = target.first_hop();
        if let Some(address) = literal(host) {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let answers = lock(&self.answers);
        let dns = |why: &str| NetError::from(Fault::Dns(format!("{host}: {why}")));
        let answer = answers.get(host).ok_or_else(|| dns("it is being looked up"))?;
        if answer.addresses.is_empty() {
            return Err(dns(answer.trouble.as_deref().unwrap_or("it has no address")));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(in_turn(&answer.addresses, turn).map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Asks for a look-up soon; a name that is new is looked up again and again from then on.
    pub(crate) fn refresh(&self, target: &Target) {
        let (host, _) = target.first_hop();
        if literal(host).is_none() {
            // A full inbox means that a look-up is due anyway.
            let _dropped_when_full = self.requests.try_send(host.to_owned());
        }
    }
}

/// Addresses with the two families taking turns, so that a dead family costs one attempt and not many;
/// within a family another one comes first each time. The resolver's first family stays first.
/// Source: RFC 8305, section 4.
fn in_turn(addresses: &[IpAddr], turn: usize) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|address| address.is_ipv6() == first_is_v6);
    for family in [&mut first, &mut second] {
        let by = turn % family.len().max(1);
        family.rotate_left(by);
    }
    (0..first.len().max(second.len()))
        .flat_map(move |index| [first.get(index).copied(), second.get(index).copied()])
        .flatten()
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn lock(answers: &Answers) -> std::sync::MutexGuard<'_, HashMap<String, Answer>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread owns.
struct Thread<L> {
    names: Vec<String>,
    answers: Answers,
    look_up: L,
}

impl<L: FnMut(&str) -> io::Result<Vec<IpAddr>>> Thread<L> {
    fn run(mut self, inbox: &Receiver<String>, first: &SyncSender<()>) {
        loop {
            for index in 0..self.names.len() {
                let name = self.names[index].clone();
                self.look_up(&name);
            }
            // Nobody waits after the first round.
            let _first_only = first.try_send(());
            let round_began = Instant::now();
            loop {
                let left = self.round().saturating_sub(round_began.elapsed());
                match inbox.recv_timeout(left) {
                    Ok(name) => {
                        self.look_up(&name);
                        if !self.names.contains(&name) {
                            self.names.push(name);
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// How long a round lasts, as things stand.
    fn round(&self) -> Duration {
        let all_good = lock(&self.answers).values().all(|answer| answer.trouble.is_none());
        if all_good { REFRESH } else { RETRY }
    }

    fn look_up(&mut self, name: &str) {
        let before = lock(&self.answers).get(name).cloned();
        if before.as_ref().is_some_and(|answer| answer.asked_at.elapsed() < SPACING) {
            return;
        }
        let asked_at = Instant::now();
        let (mut addresses, trouble) = match (self.look_up)(name) {
            Ok(found) if found.is_empty() => (found, Some("it has no address".to_owned())),
            Ok(found) => (found, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        addresses.dedup();
        if addresses.is_empty() {
            // The last good answer is better than none.
            addresses = before.map_or_else(Vec::new, |answer| answer.addresses);
        }
        lock(&self.answers).insert(name.to_owned(), Answer { addresses, trouble, asked_at });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn target(host: &str) -> Target {
        Target { tls: false, host: host.to_owned(), port: 7, proxy: None }
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_need_no_thread_and_no_look_up() {
        let resolver = Resolver::with(&[target("127.0.0.1"), target("[::1]")], |_| panic!()).unwrap();
        assert_eq!(resolver.addresses(&target("127.0.0.1")).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(resolver.addresses(&target("[::1]")).unwrap(), ["[::1]:7".parse().unwrap()]);
    }

    #[test]
    fn the_machine_knows_its_own_name() {
        let resolver = Resolver::start(&[target("localhost")]).unwrap();
        let found = resolver.addresses(&target("localhost")).unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{found:?}");
    }

    #[test]
    fn a_name_without_an_address_is_an_error_that_names_it() {
        let names = [target("empty"), target("wrong")];
        let resolver = Resolver::with(&names, |name| {
            if name == "empty" { Ok(Vec::new()) } else { Err(io::Error::other("NXDOMAIN")) }
        });
        let resolver = resolver.unwrap();
        let text = |name| resolver.addresses(&target(name)).unwrap_err().to_string();
        assert_eq!(text("empty"), "the name cannot be resolved: empty: it has no address");
        assert_eq!(text("wrong"), "the name cannot be resolved: wrong: NXDOMAIN");
        assert_eq!(text("never named"), "the name cannot be resolved: never named: it is being looked up");
    }

    #[test]
    fn the_last_good_answer_survives_bad_ones_and_requests_are_spaced() {
        let (asked, times) = channel();
        let mut good = true;
        let resolver = Resolver::with(&[target("sqs")], move |_| {
            asked.send(Instant::now()).unwrap();
            if std::mem::take(&mut good) { Ok(ips(&["127.0.0.1"])) } else { Ok(Vec::new()) }
        });
        let resolver = resolver.unwrap();
        let mut seen = vec![times.recv().unwrap()];
        while seen.len() < 2 {
            (0..10).for_each(|_| resolver.refresh(&target("sqs")));
            seen.extend(times.recv_timeout(Duration::from_millis(20)));
        }
        assert!(seen[1] - seen[0] >= SPACING, "{:?}", seen[1] - seen[0]);
        // It had no answer this time: it is asked again soon, without being told to.
        seen.push(times.recv_timeout(RETRY * 5).unwrap());
        assert_eq!(resolver.addresses(&target("sqs")).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn a_slow_name_does_not_hold_up_the_start_and_the_thread_ends() {
        let (release, held) = channel::<()>();
        let (ended, end) = channel::<()>();
        let began = Instant::now();
        let resolver = Resolver::with(&[target("slow")], move |_| {
            let _until_released = held.recv();
            let _moved_in = &ended;
            Ok(ips(&["127.0.0.1"]))
        });
        let resolver = resolver.unwrap();
        assert!(began.elapsed() < FIRST_WAIT * 3);
        assert!(resolver.addresses(&target("slow")).is_err());
        drop((resolver, release));
        // The sender is dropped with the thread.
        assert_eq!(end.recv_timeout(Duration::from_secs(10)), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn askers_take_turns_and_so_do_families() {
        let found = ips(&["::1", "::2", "127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        let order = |turn| in_turn(&found, turn).collect::<Vec<_>>();
        assert_eq!(order(0), ips(&["::1", "127.0.0.1", "::2", "127.0.0.2", "127.0.0.3"]));
        assert_eq!(order(1), ips(&["::2", "127.0.0.2", "::1", "127.0.0.3", "127.0.0.1"]));
        assert!((0..20).all(|turn| order(turn).len() == found.len()));
        assert_eq!(in_turn(&[], 3).count(), 0);
    }
}
