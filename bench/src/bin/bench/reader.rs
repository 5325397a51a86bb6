//! Reads the topic back with librdkafka's consumer and judges every record: genuine, repeated, in order, when.
//!
//! It shares no code with any target. One record costs a look-up and one comparison of its bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bench::load::Bodies;
use hdrhistogram::Histogram;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::feed::{Progress, planned};
use crate::workload::{KafkaKind, Workload};

/// Time for the last records once the target has ended.
const FINISH_MAX: Duration = Duration::from_secs(60);
/// Time for one answer of the cluster.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Longest latency that is told apart, microseconds: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Records read.
    pub(crate) records: u64,
    /// Records whose body is not, byte for byte, that of a message that was sent.
    pub(crate) corrupt: u64,
    /// Records with fewer headers than their messages have attributes.
    pub(crate) bare: u64,
    /// Offsets that were gone before they were read: the mock cluster keeps 5 MiB a partition.
    pub(crate) overrun: u64,
    /// First reads that came after a later one of their group, or from another partition than their group's.
    pub(crate) out_of_order: u64,
    /// How often each number was read, up to 255 times.
    pub(crate) times: Vec<u8>,
    /// When the first record of a number was appended, milliseconds since 1970, 0 for none; real Kafka only.
    pub(crate) appended_ms: Vec<i64>,
    /// From the planned send to the arrival here, microseconds; open loop only.
    pub(crate) latency_us: Histogram<u64>,
}

impl Findings {
    /// Different messages read.
    pub(crate) fn unique(&self) -> u64 {
        self.times.iter().filter(|times| **times > 0).count() as u64
    }
}

/// What a reader needs to know.
#[derive(Clone)]
pub(crate) struct Brief {
    /// Parameters.
    pub(crate) workload: Workload,
    /// Kind of cluster.
    pub(crate) kafka: KafkaKind,
    /// Brokers to ask first.
    pub(crate) bootstrap: String,
    /// Topic.
    pub(crate) topic: String,
    /// What was sent.
    pub(crate) bodies: Arc<Bodies>,
}

/// A running reader.
pub(crate) struct Reader {
    finish: Arc<AtomicBool>,
    thread: JoinHandle<Result<Findings>>,
}

impl Reader {
    /// Starts reading from the topic's beginning.
    ///
    /// # Errors
    /// No thread is left.
    pub(crate) fn start(brief: Brief, progress: Arc<Progress>) -> Result<Reader> {
        let finish = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&finish);
        let thread = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
            let consumer = consumer(&brief)?;
            let mut judge = Judge::new(&brief, &progress)?;
            read(&consumer, &brief, &told, &mut judge)?;
            Ok(judge.findings)
        })?;
        Ok(Reader { finish, thread })
    }

    /// Reads up to the ends of the partitions as they are now, and tells.
    ///
    /// # Errors
    /// The cluster did not answer, or the end was not reached in time.
    pub(crate) fn finish(self) -> Result<Findings> {
        self.finish.store(true, Ordering::Release);
        self.thread.join().map_err(|_| anyhow!("the reader panicked; its message is above"))?
    }
}

fn consumer(brief: &Brief) -> Result<BaseConsumer> {
    // The mock cluster does not end a fetch when records arrive, so its wait is what a latency may be wrong by; a real
    // broker ends it at the first byte. For throughput fewer, fuller fetches, because servers and reader share cores.
    let (wait_ms, bytes_min) = match (brief.workload.rate, brief.kafka) {
        (None, _) => ("50", "65536"),
        (Some(_), KafkaKind::Mock) => ("1", "1"),
        (Some(_), KafkaKind::Real) => ("100", "1"),
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brief.bootstrap)
        .set("group.id", "bench-reader")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", wait_ms)
        .set("fetch.min.bytes", bytes_min)
        // A full queue must not make it pause for the default second: the mock cluster forgets meanwhile.
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.max.messages.kbytes", "1048576")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..brief.workload.partitions {
        list.add_partition_offset(&brief.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

/// Reads until told to finish and every partition is read to its end.
fn read(consumer: &BaseConsumer, brief: &Brief, finish: &AtomicBool, judge: &mut Judge<'_>) -> Result<()> {
    let mut ends: Option<(Vec<i64>, Instant)> = None;
    loop {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(record)) => judge.judge(&record),
            // Nothing here breaks connections: what such an error hides is missing in the end.
            Some(Err(_)) => {}
            None if finish.load(Ordering::Acquire) && ends.is_none() => {
                ends = Some((ends_of(consumer, brief)?, Instant::now() + FINISH_MAX));
            }
            None => {}
        }
        if let Some((highs, until)) = &ends {
            if highs.iter().zip(&judge.next_offsets).all(|(high, next)| next >= high) {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < *until,
                "the topic was not read to its end within {FINISH_MAX:?}"
            );
        }
    }
}

fn ends_of(consumer: &BaseConsumer, brief: &Brief) -> Result<Vec<i64>> {
    let high = |partition| Ok(consumer.fetch_watermarks(&brief.topic, partition, ANSWER_MAX)?.1);
    (0..brief.workload.partitions).map(high).collect()
}

/// Judges records, one by one.
struct Judge<'a> {
    brief: &'a Brief,
    progress: &'a Progress,
    next_offsets: Vec<i64>,
    /// By group: partition, and the number read last.
    groups: Vec<Option<(i32, u64)>>,
    unique: u64,
    findings: Findings,
}

impl<'a> Judge<'a> {
    fn new(brief: &'a Brief, progress: &'a Progress) -> Result<Judge<'a>> {
        Ok(Judge {
            brief,
            progress,
            next_offsets: vec![0; brief.workload.partitions.unsigned_abs() as usize],
            groups: vec![None; brief.workload.fifo.unwrap_or(0) as usize],
            unique: 0,
            findings: Findings {
                records: 0,
                corrupt: 0,
                bare: 0,
                overrun: 0,
                out_of_order: 0,
                times: Vec::new(),
                appended_ms: Vec::new(),
                latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
            },
        })
    }

    fn judge(&mut self, record: &BorrowedMessage<'_>) {
        let next = &mut self.next_offsets[record.partition().unsigned_abs() as usize];
        self.findings.overrun += (record.offset() - *next).max(0).unsigned_abs();
        *next = record.offset() + 1;
        let appended_ms = record.timestamp().to_millis().filter(|_| self.brief.kafka == KafkaKind::Real);
        let headers = record.headers().map_or(0, Headers::count);
        self.findings.bare += u64::from(headers < usize::from(self.brief.workload.attributes));
        self.judge_body(record.payload().unwrap_or_default(), record.partition(), appended_ms);
    }

    fn judge_body(&mut self, body: &[u8], partition: i32, appended_ms: Option<i64>) {
        self.findings.records += 1;
        let sent = self.progress.sent.load(Ordering::Acquire);
        let genuine = Bodies::number(body)
            .filter(|number| *number < sent && self.brief.bodies.is_intact(*number, body));
        let Some(number) = genuine else {
            self.findings.corrupt += 1;
            return;
        };
        let index = number as usize;
        if self.findings.times.len() <= index {
            self.findings.times.resize(index + 1, 0);
            self.findings.appended_ms.resize(index + 1, 0);
        }
        self.findings.times[index] = self.findings.times[index].saturating_add(1);
        if self.findings.times[index] > 1 {
            return;
        }
        self.unique += 1;
        self.progress.unique.store(self.unique, Ordering::Release);
        self.findings.appended_ms[index] = appended_ms.unwrap_or(0);
        self.judge_order(number, partition);
        self.judge_latency(number);
    }

    fn judge_order(&mut self, number: u64, partition: i32) {
        let Some(group) = self.brief.workload.group(number) else { return };
        let Some(seen) = self.groups.get_mut(group as usize) else { return };
        if let Some((home, last)) = *seen {
            self.findings.out_of_order += u64::from(home != partition || last > number);
        }
        *seen = Some((partition, seen.map_or(number, |(_, last)| last.max(number))));
    }

    fn judge_latency(&mut self, number: u64) {
        let (Some(rate), Some(began)) = (self.brief.workload.rate, self.progress.began.get()) else { return };
        let is_measured = self.progress.measured_from.get().is_some_and(|from| number >= *from)
            && self.progress.measured_to.get().is_none_or(|to| number < *to);
        if is_measured {
            let latency = began.elapsed().saturating_sub(planned(number, rate));
            self.findings.latency_us.saturating_record(latency.as_micros() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::parsed;

    fn judged(arguments: &[&str], records: &[(u64, i32)]) -> Findings {
        let workload = parsed(arguments);
        let bodies = Arc::new(Bodies::new(1, 256, 0));
        let brief = Brief {
            workload,
            kafka: KafkaKind::Real,
            bootstrap: String::new(),
            topic: String::new(),
            bodies: Arc::clone(&bodies),
        };
        let progress = Progress::default();
        progress.sent.store(6, Ordering::Release);
        progress.began.get_or_init(|| Instant::now() - Duration::from_secs(10));
        progress.measured_from.get_or_init(|| 2);
        progress.measured_to.get_or_init(|| 4);
        let mut judge = Judge::new(&brief, &progress).unwrap();
        for (number, partition) in records {
            judge.judge_body(bodies.body(*number).text.as_bytes(), *partition, Some(7 + *number as i64));
        }
        judge.judge_body(b"{\"seq\":\"000000000001\"}", 0, None);
        judge.findings
    }

    #[test]
    fn genuine_repeated_and_forged_records_are_told_apart() {
        let findings = judged(&[], &[(0, 0), (3, 1), (3, 1), (6, 0)]);
        assert_eq!((findings.records, findings.corrupt, findings.unique()), (5, 2, 2));
        assert_eq!(findings.times, [1, 0, 0, 2]);
        assert_eq!(findings.appended_ms, [7, 0, 0, 10]);
    }

    #[test]
    fn order_is_judged_within_a_group() {
        assert_eq!(judged(&["--fifo", "2"], &[(1, 1), (0, 0), (3, 1), (2, 0)]).out_of_order, 0);
        assert_eq!(judged(&["--fifo", "2"], &[(2, 0), (0, 0)]).out_of_order, 1, "overtaken");
        assert_eq!(judged(&["--fifo", "2"], &[(0, 0), (2, 1)]).out_of_order, 1, "another partition");
        assert_eq!(judged(&["--fifo", "2"], &[(0, 0), (2, 0), (0, 0)]).out_of_order, 0, "only repeated");
    }

    #[test]
    fn latency_counts_from_the_plan_and_within_the_window() {
        let findings = judged(&["--rate", "1"], &[(0, 0), (2, 0), (3, 0), (3, 0), (4, 0)]);
        assert_eq!(findings.latency_us.len(), 2);
        let (least, most) = (findings.latency_us.min(), findings.latency_us.max());
        assert!((5_900_000..=6_100_000).contains(&least), "{least}: number 3 was due 4 s after the start");
        assert!((6_900_000..=7_100_000).contains(&most), "{most}: number 2 was due 3 s after the start");
    }
}
