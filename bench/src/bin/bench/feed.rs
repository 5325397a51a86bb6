//! Puts numbered messages into the queue: a backlog that is kept filled (closed loop), or a schedule that waits for
//! nobody (open loop).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bench::load::{Bodies, Rate, Schedule};
use bench::sqs::{OutMessage, Server};

use crate::workload::Workload;

/// Messages given to the queue at once.
const BATCH: u64 = 250;
/// Bytes given at once, when bodies are large.
const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Pause when the backlog is full.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// Pause when nothing is due: half of what a latency of a millisecond may be wrong by. The sleep itself is longer.
const DUE_PAUSE: Duration = Duration::from_micros(100);
/// Bytes that the reader may lag behind on the mock cluster, which keeps 5 MiB a partition: keys spread unevenly.
const UNREAD_BYTES_MAX: u64 = 2 << 20;

/// What feed, reader and harness tell each other while a run lasts.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Messages that were sent or are just being sent; no higher number can be genuine.
    pub(crate) sent: AtomicU64,
    /// Messages that are in the queue, or were.
    pub(crate) stored: AtomicU64,
    /// Different messages read back.
    pub(crate) unique: AtomicU64,
    /// When the open-loop schedule began.
    pub(crate) began: OnceLock<Instant>,
    /// The backlog was filled for the first time.
    pub(crate) filled: AtomicBool,
    /// First number whose latency counts; none yet.
    pub(crate) measured_from: OnceLock<u64>,
    /// First number whose latency does not count any more.
    pub(crate) measured_to: OnceLock<u64>,
    stop: AtomicBool,
}

/// A running feed.
pub(crate) struct Feed {
    progress: Arc<Progress>,
    thread: JoinHandle<Result<Fed>>,
}

/// What was fed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fed {
    /// MessageIds by number.
    pub(crate) ids: Vec<u128>,
    /// Longest time between a message's plan and its being in the queue; counted into its latency.
    pub(crate) late_max: Duration,
}

/// What a feed needs to know.
pub(crate) struct Plan {
    /// Parameters.
    pub(crate) workload: Workload,
    /// Documents.
    pub(crate) bodies: Arc<Bodies>,
    /// Queue.
    pub(crate) queue: &'static str,
    /// The reader reads while the feed feeds, and the cluster forgets.
    pub(crate) waits_for_reader: bool,
}

impl Feed {
    /// Starts feeding.
    ///
    /// # Errors
    /// No thread is left.
    pub(crate) fn start(plan: Plan, server: Arc<Server>, progress: Arc<Progress>) -> Result<Feed> {
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            let mut source = Source { plan, server, progress: shared, fed: Fed::default() };
            match source.plan.workload.rate {
                Some(rate) => source.open_loop(rate)?,
                None => source.closed_loop()?,
            }
            Ok(source.fed)
        })?;
        Ok(Feed { progress, thread })
    }

    /// Whether it has ended before it was told to.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops feeding.
    ///
    /// # Errors
    /// The queue refused a message.
    pub(crate) fn stop(self) -> Result<Fed> {
        self.progress.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the feed panicked; its message is above"))?
    }
}

/// When a message of an open-loop schedule is due, counted from its beginning.
pub(crate) fn planned(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64((number + 1) as f64 / rate)
}

struct Source {
    plan: Plan,
    server: Arc<Server>,
    progress: Arc<Progress>,
    fed: Fed,
}

impl Source {
    fn closed_loop(&mut self) -> Result<()> {
        let full = self.plan.workload.backlog_messages();
        let mut filling = true;
        while !self.progress.stop.load(Ordering::Acquire) {
            let visible = self.server.depth(self.plan.queue).unwrap_or_default().visible as u64;
            // Filled in one go and seldom: what a top-up costs the servers' core is not spread over the window.
            filling = visible < if filling { full } else { full / 4 };
            if !filling {
                self.progress.filled.store(true, Ordering::Release);
            }
            if filling && !self.reader_lags() {
                self.send(self.batch().min(full - visible))?;
            } else {
                std::thread::sleep(FULL_PAUSE);
            }
        }
        Ok(())
    }

    fn open_loop(&mut self, rate: f64) -> Result<()> {
        let began = *self.progress.began.get_or_init(Instant::now);
        self.progress.filled.store(true, Ordering::Release);
        let mut schedule = Schedule::new(Rate::PerSecond(rate));
        while !self.progress.stop.load(Ordering::Acquire) {
            let due = schedule.due(began.elapsed(), self.batch());
            if due == 0 {
                std::thread::sleep(DUE_PAUSE);
                continue;
            }
            let first = self.fed.ids.len() as u64;
            self.send(due)?;
            schedule.sent(due);
            let late = began.elapsed().saturating_sub(planned(first, rate));
            self.fed.late_max = self.fed.late_max.max(late);
        }
        Ok(())
    }

    fn batch(&self) -> u64 {
        BATCH.min(BATCH_BYTES_MAX / self.plan.workload.size).max(1)
    }

    /// Whether more would be forgotten by the cluster before it is read. The first filling waits for nobody.
    fn reader_lags(&self) -> bool {
        if !self.plan.waits_for_reader || !self.progress.filled.load(Ordering::Acquire) {
            return false;
        }
        let depth = self.server.depth(self.plan.queue).unwrap_or_default();
        let queued = (depth.visible + depth.in_flight + depth.delayed) as u64;
        let unread =
            (self.fed.ids.len() as u64).saturating_sub(queued + self.progress.unique.load(Ordering::Acquire));
        unread * self.plan.workload.size
            > UNREAD_BYTES_MAX * self.plan.workload.partitions.unsigned_abs() as u64
    }

    fn send(&mut self, count: u64) -> Result<()> {
        let first = self.fed.ids.len() as u64;
        // Told before it happens: the reader must not see a number that it takes for a forgery.
        self.progress.sent.store(first + count, Ordering::Release);
        let messages = (first..first + count).map(|number| self.message(number)).collect();
        let ids = self.server.send(self.plan.queue, messages);
        let ids =
            ids.map_err(|error| anyhow!("the queue refused a message: {}: {}", error.code, error.message))?;
        self.fed.ids.extend(ids);
        self.progress.stored.store(first + count, Ordering::Release);
        Ok(())
    }

    fn message(&self, number: u64) -> OutMessage {
        let body = self.plan.bodies.body(number);
        let group = self.plan.workload.group(number);
        OutMessage {
            body: body.text,
            attributes: body.attributes,
            group: group.map(|group| format!("g{group}")),
            dedup: group.map(|_| number.to_string()),
            ..OutMessage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use bench::sqs::ServerConfig;

    use super::*;
    use crate::workload::tests::parsed;

    fn run(arguments: &[&str], until: impl Fn(&Server, &Progress) -> bool) -> (Arc<Server>, Fed) {
        let workload = parsed(arguments);
        let queue = if workload.fifo.is_some() { "q.fifo" } else { "q" };
        let server = Arc::new(Server::start(ServerConfig::default()).unwrap());
        let fifo = [("FifoQueue", "true")];
        server.create_queue(queue, if workload.fifo.is_some() { &fifo } else { &[] }).unwrap();
        let bodies =
            Arc::new(Bodies::new(1, workload.body_bytes() as usize, usize::from(workload.attributes)));
        let progress = Arc::new(Progress::default());
        let plan = Plan { workload, bodies, queue, waits_for_reader: false };
        let feed = Feed::start(plan, Arc::clone(&server), Arc::clone(&progress)).unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while !until(&server, &progress) && !feed.has_ended() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(1));
        }
        (server, feed.stop().unwrap())
    }

    #[test]
    fn a_backlog_is_filled_to_the_brim_and_no_further() {
        let (server, fed) =
            run(&["--backlog", "1003"], |_, progress| progress.filled.load(Ordering::Acquire));
        assert_eq!((server.depth("q").unwrap().visible, fed.ids.len()), (1003, 1003));
    }

    #[test]
    fn a_schedule_waits_for_nobody() {
        let (server, fed) = run(&["--rate", "5000"], |_, progress| {
            progress.began.get().is_some_and(|began| began.elapsed() > Duration::from_millis(200))
        });
        assert!(fed.ids.len() >= 900, "{} messages in 200 ms", fed.ids.len());
        assert_eq!(server.depth("q").unwrap().visible, fed.ids.len());
        assert_eq!(planned(9, 10.0), Duration::from_secs(1));
    }

    #[test]
    fn the_largest_messages_fit_into_the_queue() {
        let filled = |_: &Server, progress: &Progress| progress.filled.load(Ordering::Acquire);
        let (_, fed) = run(&["--size", "1048576", "--attributes", "10", "--backlog", "20"], filled);
        assert_eq!(fed.ids.len(), 20);
    }

    #[test]
    fn groups_take_turns() {
        let (server, fed) =
            run(&["--fifo", "3", "--backlog", "9"], |_, progress| progress.filled.load(Ordering::Acquire));
        assert_eq!((fed.ids.len(), server.depth("q.fifo").unwrap().visible), (9, 9));
    }
}
