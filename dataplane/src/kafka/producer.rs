//! The producer of one shard, as the shard sees it: safe, non-blocking, every record reported once.
//!
//! Level 3. It classes what librdkafka reports; it never retries, never drops and never decides for the
//! shard. Made and warmed up on a plain thread, used by a shard, closed on a plain thread again.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::errors::{self, KafkaError, code};
use super::ffi::{Client, Delivered, Event, Held, RawReport, Refusal};
use super::options::Options;
use super::threads::ThreadRegistry;
use crate::error::Class;
use crate::message::Batch;
use crate::pipeline::headers::HeaderRules;

pub(crate) use super::ffi::TopicId;

/// Longest wait for one event while closing.
const CLOSE_POLL_MS: i32 = 20;

/// One record to send: a message of the batch that is sent with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// Position of the message in its batch.
    pub(crate) index: u8,
    /// Where it goes.
    pub(crate) topic: TopicId,
    /// Record key; copied.
    pub(crate) key: Option<&'a [u8]>,
    /// Headers after those of the rules, for example why it is a dead letter; copied.
    pub(crate) extra: &'a [(&'a str, &'a [u8])],
}

/// What became of a [`Producer::send`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Records that will be reported by [`Producer::poll`], each once.
    pub(crate) accepted: usize,
    /// Records that were refused here and now, by position, and will not be reported. Empty, and without
    /// memory of its own, as a rule.
    pub(crate) refused: Vec<(u8, Outcome)>,
}

impl Sent {
    /// Hands every refused record on, as a report would.
    pub(crate) fn each_refused(self, mut act: impl FnMut(u8, Outcome)) {
        for (index, outcome) in self.refused {
            act(index, outcome);
        }
    }
}

/// The one report of a record that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The token given with its batch.
    pub(crate) token: u64,
    /// Position of the message in its batch.
    pub(crate) index: u8,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All in-sync replicas have it.
    Acked {
        /// Partition.
        partition: i32,
        /// Offset; negative when the broker only confirmed that it has an earlier attempt.
        offset: i64,
    },
    /// It was not confirmed.
    Failed {
        /// Name of Kafka's or librdkafka's code, as the table in [`errors`] has it.
        code: &'static str,
        /// What to do about it.
        class: Class,
        /// It may be in the log nevertheless: sending it again may make a duplicate.
        possibly_persisted: bool,
    },
}

/// What a producer says that is not about one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProducerEvent {
    /// Something failed: a connection, a name look-up, a log-in, or, with `fatal`, the producer itself.
    Fault(KafkaError),
    /// A line of librdkafka's log.
    Log {
        /// Severity as in syslog(3): 0 (emergency) to 7 (debug).
        level: u8,
        /// The line.
        text: String,
    },
}

/// The event's code alone, for counting: one of the table's names, or `log`.
impl fmt::Display for ProducerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProducerEvent::Fault(error) => error.name(),
            ProducerEvent::Log { .. } => "log",
        })
    }
}

/// How a [`Producer::close`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// Records that were in flight at the end.
    pub(crate) unreported: usize,
    /// The instance is gone; otherwise its threads still end in the background.
    pub(crate) destroyed: bool,
}

/// The producer of one shard. Dropping it blocks nowhere: its records are taken back and its threads ended
/// in the background, unreported; [`close`](Producer::close) does better.
pub(crate) struct Producer {
    link: Held,
    options: Options,
    rules: HeaderRules,
    refusals: Vec<Refusal>,
    batch_refused: bool,
}

impl Producer {
    /// Makes a producer. librdkafka's threads are entered in `threads` and run on `cores`, or where the
    /// caller may run when none are given.
    ///
    /// # Errors
    /// An option that librdkafka refuses, named, in its own words.
    pub(crate) fn create(
        options: &Options,
        rules: HeaderRules,
        threads: &ThreadRegistry,
        cores: Option<&[u16]>,
    ) -> Result<Producer, KafkaError> {
        Ok(Producer {
            link: Held::new(Client::create(options, threads, cores)?),
            options: options.clone(),
            rules,
            refusals: Vec::new(),
            batch_refused: false,
        })
    }

    /// Writes headers by these rules from the next record on.
    pub(crate) fn set_rules(&mut self, rules: HeaderRules) {
        self.rules = rules;
    }

    /// The topic of this name, to be named in records. The same name gives the same id, in this producer.
    ///
    /// # Errors
    /// A name that Kafka does not allow.
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicId, KafkaError> {
        self.link.topic(name)
    }

    /// From now on one byte is written to `wake` when reports or events wait and none did before. It is
    /// written once; the next comes only after [`poll`](Producer::poll). Poll once after attaching: what
    /// waits already wakes nobody. `wake` must be non-blocking, and a socket if its other end is read with
    /// `recv`. It is duplicated; only where no descriptor is left must it stay open as long as the producer.
    pub(crate) fn attach(&mut self, wake: RawFd) {
        self.link.attach(wake);
    }

    /// Sends records of one batch, in order and without blocking. The batch is kept alive until all that
    /// were accepted are reported. When the queue is full, nothing behind the first refused one is taken.
    pub(crate) fn send(&mut self, batch: &Arc<Batch>, records: &[Record<'_>], token: u64) -> Sent {
        self.refusals.clear();
        self.link.send(batch, records, token, &self.rules, &mut self.refusals);
        if self.refusals.is_empty() {
            return Sent { accepted: records.len(), refused: Vec::new() };
        }
        // Whatever the code says: a producer that cannot send any more must be replaced.
        let dead = self.fatal().is_some();
        let refused = self.refusals.iter().map(|refusal| {
            let entry = errors::entry(refusal.code);
            let class = if dead { Class::Rebuild } else { entry.class };
            (refusal.index, Outcome::Failed { code: entry.name, class, possibly_persisted: false })
        });
        Sent { accepted: records.len() - self.refusals.len(), refused: refused.collect() }
    }

    /// Takes everything that waits: reports of records, and events. Does not block. Call it at every
    /// wake-up, until it returns by itself; the number of reports is returned.
    pub(crate) fn poll(
        &mut self,
        on_report: &mut impl FnMut(Report),
        on_event: &mut impl FnMut(ProducerEvent),
    ) -> usize {
        self.poll_for(0, on_report, on_event)
    }

    /// Records accepted and not yet reported.
    pub(crate) fn in_flight(&self) -> usize {
        self.link.in_flight()
    }

    /// The error that made this producer unusable: purge it, poll its reports, and build another from
    /// [`options_for_rebuild`](Producer::options_for_rebuild).
    pub(crate) fn fatal(&self) -> Option<KafkaError> {
        self.link.client().fatal()
    }

    /// Options for the producer that replaces this one: with smaller batches if a broker has refused a
    /// batch of records that are legal one by one.
    pub(crate) fn options_for_rebuild(&self) -> Options {
        if self.batch_refused { self.options.with_smaller_batches() } else { self.options.clone() }
    }

    /// Takes back all records that are not acked. They are reported by [`poll`](Producer::poll) as purged.
    pub(crate) fn purge(&mut self) {
        self.link.client().purge();
    }

    /// Sends what lingers, for up to a second; ask again as long as records are in flight.
    pub(crate) fn flush_now(&self) {
        self.link.flush_now();
    }

    /// Reports that named no record in flight since the start; anything but 0 is a bug, to be counted.
    pub(crate) fn unknown_reports(&self) -> u64 {
        self.link.unknown_reports()
    }

    /// Flushes, takes back what is left, and ends the instance; blocks, but not longer than `timeout`.
    /// Reports of records that are still in flight are lost here: a shard polls them first.
    pub(crate) fn close(mut self, timeout: Duration) -> Closed {
        let end = Instant::now() + timeout;
        let flushed_by = Instant::now() + timeout / 2;
        while self.in_flight() > 0 && Instant::now() < flushed_by && self.fatal().is_none() {
            self.flush_now();
            self.poll_for(CLOSE_POLL_MS, &mut |_| {}, &mut |_| {});
        }
        self.purge();
        while self.in_flight() > 0 && Instant::now() < end {
            self.poll_for(CLOSE_POLL_MS, &mut |_| {}, &mut |_| {});
        }
        let unreported = self.in_flight();
        let gone = self.link.bury();
        let left = end.saturating_duration_since(Instant::now());
        let destroyed = gone.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        Closed { unreported, destroyed }
    }

    /// Raises a fatal error, as a test may.
    #[cfg(test)]
    pub(super) fn raise_fatal(&self, code: i32, why: &str) {
        self.link.client().raise_fatal(code, why);
    }

    pub(super) fn link(&self) -> &Held {
        &self.link
    }

    pub(super) fn poll_for(
        &mut self,
        timeout_ms: i32,
        on_report: &mut impl FnMut(Report),
        on_event: &mut impl FnMut(ProducerEvent),
    ) -> usize {
        let batch_bytes_max = self.options.batch_bytes_max();
        let mut batch_refused = false;
        let reports = self.link.poll(
            timeout_ms,
            &mut |Delivered { token, index, report }| {
                let outcome = outcome(&report, batch_bytes_max);
                batch_refused |= is_size(report.code) && !is_rejected(&outcome);
                on_report(Report { token, index, outcome });
            },
            &mut |event| {
                on_event(match event {
                    Event::Fault(error) => ProducerEvent::Fault(error),
                    Event::Log { level, text } => ProducerEvent::Log { level, text },
                });
            },
        );
        self.batch_refused |= batch_refused;
        reports
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

fn is_size(code: i32) -> bool {
    matches!(code, code::MSG_SIZE_TOO_LARGE | code::RECORD_LIST_TOO_LARGE)
}

fn is_rejected(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { class: Class::Reject, .. })
}

/// Classes a report. A broker refuses batches, not records, for their size: the error says nothing about
/// a record that may have had company. librdkafka puts a record of `batch_bytes_max` or more into a batch
/// of its own (rdkafka_msgset_writer.c), so only such a record is rejected. For any other the producer is
/// rebuilt with smaller batches, until the record fits or is alone.
fn outcome(report: &RawReport, batch_bytes_max: u64) -> Outcome {
    if report.code == code::NO_ERROR {
        return Outcome::Acked { partition: report.partition, offset: report.offset };
    }
    let entry = errors::entry(report.code);
    let class = match entry.class {
        _ if is_size(report.code) && report.bytes >= batch_bytes_max => Class::Reject,
        _ if is_size(report.code) => Class::Rebuild,
        class => class,
    };
    Outcome::Failed { code: entry.name, class, possibly_persisted: report.possibly_persisted }
}
