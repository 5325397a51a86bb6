//! One instance, its topics, its wake-up socket and the batches that it points into.
//!
//! Level 3. The one invariant: a payload that librdkafka points at lies in a batch that [`Slab`] holds,
//! and a batch leaves the slab only when librdkafka has reported all its records, or has been destroyed.
//! So sending (`super::send`) is safe for its callers.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka_sys::bindings as sys;

use super::client::{Client, TopicId};
use super::events::{Event, Polled, RawReport};
use super::{TopicState, c_string, partitioner, raw};
use crate::clock;
use crate::kafka::errors::{KafkaError, code};
use crate::kafka::slab::Slab;
use crate::kafka::spread::Spread;

/// Longest wait of one [`Link::flush_now`]; the drain asks again as long as it needs it.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// A record that librdkafka reported.
#[derive(Clone, Copy, Debug)]
pub(in crate::kafka) struct Delivered {
    pub(in crate::kafka) token: u64,
    pub(in crate::kafka) index: u8,
    pub(in crate::kafka) report: RawReport,
}

/// A topic handle of one instance.
struct Topic {
    name: String,
    handle: NonNull<sys::rd_kafka_topic_t>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: live and ours; `Link` drops its topics before its client.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) };
    }
}

/// A producer instance, its topics and the batches that it points into.
///
/// The order of the fields is the order of their end: topics, instance, what its partitioner reads, wake-up
/// socket, batches.
pub(in crate::kafka) struct Link {
    flusher: Cell<Option<JoinHandle<()>>>,
    topics: Vec<Topic>,
    client: Arc<Client>,
    /// By topic. Empty when librdkafka chooses partitions itself.
    #[allow(clippy::vec_box, reason = "librdkafka keeps their addresses")]
    spreads: Vec<Box<Spread>>,
    wake: Option<OwnedFd>,
    pub(super) slab: Slab,
    unknown_reports: u64,
    pub(super) scratch: Vec<sys::rd_kafka_message_t>,
}

// SAFETY: librdkafka's handles may be used from any thread; `scratch` is empty between calls.
unsafe impl Send for Link {}

impl Link {
    fn new(client: Client) -> Link {
        Link {
            flusher: Cell::new(None),
            topics: Vec::new(),
            client: Arc::new(client),
            spreads: Vec::new(),
            wake: None,
            slab: Slab::default(),
            unknown_reports: 0,
            scratch: Vec::new(),
        }
    }

    pub(in crate::kafka) fn client(&self) -> &Client {
        &self.client
    }

    /// Records sent and not yet reported.
    pub(in crate::kafka) fn in_flight(&self) -> usize {
        self.slab.in_flight()
    }

    /// Reports that named no record in flight; anything but 0 is a bug.
    pub(in crate::kafka) fn unknown_reports(&self) -> u64 {
        self.unknown_reports
    }

    /// The handle of a topic, made on first use.
    pub(in crate::kafka) fn topic(&mut self, name: &str) -> Result<TopicId, KafkaError> {
        let known = self.topics.iter().position(|topic| topic.name == name);
        let position = match known {
            Some(position) => position,
            None => {
                let c_name = c_string(name, "the name of a topic")?;
                let seed = clock::wall_ms() ^ std::ptr::from_ref(self).addr() as u64 >> 12;
                let spread =
                    self.client.spread().map(|(window, bytes)| Box::new(Spread::new(window, bytes, seed)));
                // SAFETY: the instance is live, and the box is kept until it is gone.
                let conf = unsafe { partitioner::topic_conf(self.client.instance(), spread.as_deref()) };
                // SAFETY: the instance is live, the name terminated; the settings go over in any case.
                let handle =
                    unsafe { sys::rd_kafka_topic_new(self.client.instance(), c_name.as_ptr(), conf) };
                let Some(handle) = NonNull::new(handle) else {
                    // SAFETY: reads this thread's error code.
                    let code = unsafe { raw::rd_kafka_last_error() };
                    return Err(KafkaError::new(code, format!("topic \"{name}\" cannot be used")));
                };
                self.topics.push(Topic { name: name.to_owned(), handle });
                self.spreads.extend(spread);
                self.topics.len() - 1
            }
        };
        Ok(TopicId(u32::try_from(position).unwrap_or(u32::MAX)))
    }

    /// Asks the cluster about a topic; blocks up to `timeout`.
    pub(in crate::kafka) fn topic_state(&self, topic: TopicId, timeout: Duration) -> Result<TopicState, i32> {
        let handle = self.handle(topic).ok_or(code::INVALID_ARG)?;
        self.client.topic_state(handle, timeout)
    }

    /// How records without a key are spread, by topic; empty when librdkafka decides.
    pub(super) fn spreads(&self) -> &[Box<Spread>] {
        &self.spreads
    }

    pub(super) fn handle(&self, topic: TopicId) -> Option<*mut sys::rd_kafka_topic_t> {
        self.topics.get(topic.0 as usize).map(|topic| topic.handle.as_ptr())
    }

    /// One byte is written to `wake` when the queue turns from empty to non-empty, once until the next poll.
    pub(in crate::kafka) fn attach(&mut self, wake: RawFd) {
        // SAFETY: no argument of this call can touch memory; a number that names no file fails.
        let copy = unsafe { libc::fcntl(wake, libc::F_DUPFD_CLOEXEC, 0) };
        // SAFETY: the copy is new and ours.
        let copy = (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) });
        let number = copy.as_ref().map_or(wake, AsRawFd::as_raw_fd);
        // SAFETY: the queue is live; librdkafka copies the byte. The copy of the descriptor is kept until
        // another replaces it or the instance is gone, so that its number cannot come to mean another file.
        unsafe { sys::rd_kafka_queue_io_event_enable(self.client.queue(), number, c"!".as_ptr().cast(), 1) };
        self.wake = copy;
    }

    /// Takes everything out of the queue: reports of records and other events. Waits at most
    /// `timeout_ms` for the first; 0 does not wait. Returns the number of reports.
    pub(in crate::kafka) fn poll(
        &mut self,
        timeout_ms: i32,
        on_report: &mut impl FnMut(Delivered),
        on_event: &mut impl FnMut(Event),
    ) -> usize {
        let mut reports = 0;
        let mut wait = timeout_ms;
        // Until nothing is left: librdkafka writes the next wake-up only after a poll that found nothing
        // to do in between. The loop ends because nothing is sent meanwhile.
        // SAFETY: the queue is live as long as the client.
        while let Some(mut polled) = unsafe { Polled::next(self.client.queue(), wait) } {
            wait = 0;
            if polled.is_reports() {
                while let Some(report) = polled.next_report() {
                    reports += 1;
                    match self.slab.settle(report.opaque) {
                        Some((token, index)) => on_report(Delivered { token, index, report }),
                        None => self.unknown_reports += 1,
                    }
                }
            } else if let Some(event) = polled.read() {
                on_event(event);
            }
        }
        reports
    }

    /// Sends what lingers, on a thread of its own: librdkafka can only be told to by a call that blocks.
    pub(in crate::kafka) fn flush_now(&self) {
        let running = self.flusher.take().filter(|flusher| !flusher.is_finished());
        let flusher = running.or_else(|| {
            let client = Arc::clone(&self.client);
            let flush = move || client.flush(FLUSH_MAX);
            // A host that cannot start a thread leaves the records to their linger.
            std::thread::Builder::new().name("kafka-flush".to_owned()).spawn(flush).ok()
        });
        self.flusher.set(flusher);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(flusher) = self.flusher.take() {
            // The flusher holds the client too: the batches may not go before it lets go. Its wait ends
            // with its bound or with the last record, whichever is first.
            self.client.purge();
            drop(flusher.join());
        }
    }
}

/// A link that never ends on the thread that lets go of it: destroying an instance waits for its threads.
pub(in crate::kafka) struct Held(ManuallyDrop<Link>);

impl Held {
    pub(in crate::kafka) fn new(client: Client) -> Held {
        Held(ManuallyDrop::new(Link::new(client)))
    }

    /// Takes back what is in flight and destroys the instance on a thread of its own. The channel
    /// disconnects when all is gone.
    pub(in crate::kafka) fn bury(mut self) -> Receiver<()> {
        // SAFETY: taken once: the value is forgotten right after.
        let link = unsafe { ManuallyDrop::take(&mut self.0) };
        std::mem::forget(self);
        bury(link)
    }
}

impl Deref for Held {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: taken once: `bury` forgets the value that it takes from.
        let link = unsafe { ManuallyDrop::take(&mut self.0) };
        drop(bury(link));
    }
}

fn bury(link: Link) -> Receiver<()> {
    let (done, gone) = std::sync::mpsc::channel();
    link.client.purge();
    let end = move || {
        drop(link);
        drop(done);
    };
    // Without a thread the closure is dropped here and now, which does the same but blocks.
    drop(std::thread::Builder::new().name("kafka-close".to_owned()).spawn(end));
    gone
}
