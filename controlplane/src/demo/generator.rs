//! The load: numbered messages put into the embedded queue on an open-loop schedule, or a backlog kept full.
//!
//! Open loop: the schedule does not wait for the pump. It waits for two things only, and says how long: for the
//! independent reader, because the mock cluster forgets records beyond 5 MiB a partition, and for memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bench::load::{Bodies, Rate, Schedule};
use bench::sqs::{OutMessage, Server};

use super::reader::Progress;
use super::world::PARTITIONS;
use crate::exit::Failure;

/// Messages of the backlog that `--rate max` keeps full.
const BACKLOG: u64 = 20_000;
/// Bytes that may wait in the embedded queue.
const BACKLOG_BYTES_MAX: u64 = 256 << 20;
/// Bytes that may wait in the mock cluster: two of the 5 MiB that each partition keeps, since keys spread unevenly.
const UNREAD_BYTES_MAX: u64 = PARTITIONS as u64 * (2 << 20);
/// Messages given to the queue at once.
const BATCH: u64 = 250;
/// Pause when nothing is due.
const PAUSE: Duration = Duration::from_micros(500);

/// What the load is.
pub(super) struct Load {
    /// Documents.
    pub(super) bodies: Arc<Bodies>,
    /// Size of one, for the bounds.
    pub(super) body_bytes: u64,
    /// How fast.
    pub(super) rate: Rate,
    /// Message groups of a FIFO queue.
    pub(super) groups: Option<u32>,
    /// Name of the queue.
    pub(super) queue: &'static str,
    /// Cores that the generator may use.
    pub(super) cores: Vec<u16>,
}

/// A running generator.
pub(super) struct Generator {
    stop: Arc<AtomicBool>,
    held_back_us: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), String>>,
}

impl Generator {
    /// Starts sending.
    ///
    /// # Errors
    /// No thread is left.
    pub(super) fn start(
        load: Load,
        server: Arc<Server>,
        progress: Arc<Progress>,
    ) -> Result<Generator, Failure> {
        let (stop, held_back_us) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, held) = (Arc::clone(&stop), Arc::clone(&held_back_us));
        let thread = std::thread::Builder::new().name("generator".to_owned()).spawn(move || {
            crate::cores::confine_to(&load.cores);
            generate(&load, &server, &progress, &stopped, &held)
        });
        let thread = thread.map_err(|error| {
            Failure::config(format!("no thread for the load: {error}"), "raise ulimit -u")
        })?;
        Ok(Generator { stop, held_back_us, thread })
    }

    /// Time for which the schedule had to wait.
    pub(super) fn held_back(&self) -> Duration {
        Duration::from_micros(self.held_back_us.load(Ordering::Relaxed))
    }

    /// Stops sending.
    ///
    /// # Errors
    /// The queue refused a message.
    pub(super) fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().map_err(|_| "the generator panicked; its message is above".to_owned())?
    }
}

fn generate(
    load: &Load,
    server: &Server,
    progress: &Progress,
    stop: &AtomicBool,
    held_back_us: &AtomicU64,
) -> Result<(), String> {
    let mut schedule = Schedule::new(load.rate);
    let began = Instant::now();
    let mut number = 0_u64;
    while !stop.load(Ordering::Acquire) {
        let depth = server.depth(load.queue).unwrap_or_default();
        let queued = (depth.visible + depth.in_flight + depth.delayed) as u64;
        let room = room(
            load,
            depth.visible as u64,
            number.saturating_sub(queued + progress.unique.load(Ordering::Acquire)),
        );
        let due = schedule.due(began.elapsed(), BATCH);
        let count = due.min(room);
        if count == 0 {
            std::thread::sleep(PAUSE);
            if due > 0 && load.rate != Rate::Max {
                held_back_us.fetch_add(PAUSE.as_micros() as u64, Ordering::Relaxed);
            }
            continue;
        }
        // Told before it happens: the reader must not see a number that it takes for a forgery.
        progress.sent.store(number + count, Ordering::Release);
        let messages = (number..number + count).map(|number| message(load, number)).collect();
        server
            .send(load.queue, messages)
            .map_err(|error| format!("the embedded queue refused a message: {error:?}"))?;
        schedule.sent(count);
        number += count;
    }
    Ok(())
}

/// How many messages may be sent now.
fn room(load: &Load, visible: u64, unread: u64) -> u64 {
    let of = |bytes: u64| bytes / load.body_bytes.max(1);
    let backlog =
        if load.rate == Rate::Max { BACKLOG.min(of(BACKLOG_BYTES_MAX)) } else { of(BACKLOG_BYTES_MAX) };
    backlog.saturating_sub(visible).min(of(UNREAD_BYTES_MAX).saturating_sub(unread))
}

fn message(load: &Load, number: u64) -> OutMessage {
    let body = load.bodies.body(number);
    OutMessage {
        body: body.text,
        attributes: body.attributes,
        group: load.groups.map(|groups| format!("g{}", number % u64::from(groups))),
        dedup: load.groups.map(|_| number.to_string()),
        ..OutMessage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rate: Rate, body_bytes: u64) -> Load {
        Load {
            bodies: Arc::new(Bodies::new(1, 128, 0)),
            body_bytes,
            rate,
            groups: Some(3),
            queue: "q",
            cores: Vec::new(),
        }
    }

    #[test]
    fn a_backlog_is_kept_full_and_no_fuller() {
        assert_eq!(room(&load(Rate::Max, 1024), 0, 0), 16_384, "bounded by what the cluster keeps");
        assert_eq!(room(&load(Rate::Max, 128), 19_990, 0), 10);
        assert_eq!(room(&load(Rate::Max, 128), 30_000, 0), 0);
        assert_eq!(room(&load(Rate::PerSecond(5.0), 1024), 200_000, 0), 16_384);
    }

    #[test]
    fn a_reader_that_lags_holds_the_load_back() {
        assert_eq!(room(&load(Rate::PerSecond(5.0), 1024), 0, 16_384), 0);
        assert_eq!(room(&load(Rate::PerSecond(5.0), 262_144), 0, 0), 64);
    }

    #[test]
    fn groups_and_deduplication_ids_follow_the_number() {
        let message = message(&load(Rate::Max, 128), 7);
        assert_eq!((message.group.as_deref(), message.dedup.as_deref()), (Some("g1"), Some("7")));
        assert_eq!(Bodies::number(message.body.as_bytes()), Some(7));
    }
}
