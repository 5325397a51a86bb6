//! The independent reader: consumes every record back from Kafka and judges it.
//!
//! One thread with a plain consumer, assigned to all partitions from their beginning (a group's first join takes
//! three seconds on the mock cluster, and nothing here needs one). It shares no code with the pump. One record costs
//! a bit test and one comparison of bytes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bench::load::Bodies;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::seen::{Seen, Sight};
use super::world::{PARTITIONS, TOPIC};
use crate::exit::Failure;

/// Duplicates that are kept with their MessageId; further ones are counted.
const DUPLICATES_MAX: usize = 100_000;
/// Time for the last records once the pump has ended.
const FINISH_MAX: Duration = Duration::from_secs(20);
/// Time for one answer of the cluster.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What the reader and others tell each other while it runs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Messages that were sent or are just being sent; no higher number can be genuine.
    pub(super) sent: AtomicU64,
    /// Different messages read back.
    pub(super) unique: AtomicU64,
    /// Records read.
    pub(super) records: AtomicU64,
    finish: AtomicBool,
}

/// A message that was read more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// Number in the body.
    pub(super) number: u64,
    /// MessageId of the record, from its header; 0 without one.
    pub(super) message_id: u128,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Records read.
    pub(super) records: u64,
    /// Different messages among them.
    pub(super) unique: u64,
    /// Records whose body is not, byte for byte, what was sent.
    pub(super) corrupt: u64,
    /// First reads that came after a later one of their group, or from another partition than their group's.
    pub(super) out_of_order: u64,
    /// Offsets that were gone before they were read: the mock cluster keeps 5 MiB a partition.
    pub(super) overrun: u64,
    /// Records beyond the first of their message.
    pub(super) duplicates: u64,
    /// Those that are kept.
    pub(super) duplicate_list: Vec<Duplicate>,
    /// Messages that were never read, the first few.
    pub(super) missing_first: Vec<u64>,
    /// What went wrong with the reading itself.
    pub(super) error: Option<String>,
}

/// A running reader.
pub(super) struct Reader {
    /// What it tells while it runs.
    pub(super) progress: Arc<Progress>,
    thread: JoinHandle<Findings>,
}

/// What a reader needs to know.
pub(super) struct Brief {
    /// Brokers of the cluster.
    pub(super) brokers: String,
    /// What was sent.
    pub(super) bodies: Arc<Bodies>,
    /// Message groups whose order is checked.
    pub(super) groups: Option<u32>,
    /// Cores that it may use.
    pub(super) cores: Vec<u16>,
}

impl Reader {
    /// Starts reading.
    ///
    /// # Errors
    /// No thread is left.
    pub(super) fn start(brief: Brief, progress: Arc<Progress>) -> Result<Reader, Failure> {
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
            crate::cores::confine_to(&brief.cores);
            let mut judge = Judge::new(&brief, &shared);
            let error = read(&brief.brokers, &shared, &mut judge).err();
            judge.conclude(error)
        });
        let thread = thread.map_err(|error| {
            Failure::config(format!("no thread for the reader: {error}"), "raise ulimit -u")
        })?;
        Ok(Reader { progress, thread })
    }

    /// Reads what is left up to the ends of the partitions, and tells.
    pub(super) fn finish(self) -> Findings {
        self.progress.finish.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|_| Findings {
            error: Some("the reader panicked; its message is above".to_owned()),
            ..Findings::default()
        })
    }
}

/// Reads until told to finish and every partition is read to its end.
fn read(brokers: &str, progress: &Progress, judge: &mut Judge<'_>) -> Result<(), String> {
    let text = |error: rdkafka::error::KafkaError| error.to_string();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "demo-reader")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        // Fewer, fuller fetches: the reader shares its core with the servers.
        .set("fetch.wait.max.ms", "50")
        .set("fetch.min.bytes", "65536")
        .create()
        .map_err(text)?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, partition, Offset::Beginning).map_err(text)?;
    }
    consumer.assign(&list).map_err(text)?;
    let mut ends: Option<(Vec<i64>, Instant)> = None;
    loop {
        match consumer.poll(Duration::from_millis(50)) {
            Some(Ok(record)) => judge.judge(&record),
            // Errors of a broker that is down are its business; what stays unread is missing in the end.
            Some(Err(_)) => {}
            None if progress.finish.load(Ordering::Acquire) && ends.is_none() => {
                let ask =
                    |partition| consumer.fetch_watermarks(TOPIC, partition, ANSWER_MAX).map(|(_, high)| high);
                let highs: Result<Vec<i64>, _> = (0..PARTITIONS).map(ask).collect();
                ends = Some((highs.map_err(text)?, Instant::now() + FINISH_MAX));
            }
            None => {}
        }
        progress.records.store(judge.findings.records, Ordering::Release);
        progress.unique.store(judge.seen.count(), Ordering::Release);
        if let Some((highs, until)) = &ends {
            let behind = highs.iter().zip(&judge.next_offsets).any(|(high, next)| next < high);
            if !behind {
                return Ok(());
            }
            if Instant::now() > *until {
                return Err(format!("not read to the end within {} s", FINISH_MAX.as_secs()));
            }
        }
    }
}

/// Judges records, one by one.
struct Judge<'a> {
    bodies: &'a Bodies,
    progress: &'a Progress,
    seen: Seen,
    /// By group: partition, and the number read last.
    groups: HashMap<Vec<u8>, (i32, u64)>,
    check_order: bool,
    next_offsets: Vec<i64>,
    findings: Findings,
}

impl<'a> Judge<'a> {
    fn new(brief: &'a Brief, progress: &'a Progress) -> Judge<'a> {
        Judge {
            bodies: &brief.bodies,
            progress,
            seen: Seen::default(),
            groups: HashMap::new(),
            check_order: brief.groups.is_some(),
            next_offsets: vec![0; PARTITIONS as usize],
            findings: Findings::default(),
        }
    }

    fn judge(&mut self, record: &BorrowedMessage<'_>) {
        self.findings.records += 1;
        let next = &mut self.next_offsets[record.partition() as usize];
        self.findings.overrun += (record.offset() - *next).max(0) as u64;
        *next = record.offset() + 1;
        let body = record.payload().unwrap_or_default();
        let id = || message_id(record);
        self.judge_body(body, record.key(), record.partition(), id);
    }

    fn judge_body(&mut self, body: &[u8], key: Option<&[u8]>, partition: i32, id: impl FnOnce() -> u128) {
        let genuine = Bodies::number(body).filter(|number| {
            *number < self.progress.sent.load(Ordering::Acquire) && self.bodies.is_intact(*number, body)
        });
        let Some(number) = genuine else {
            self.findings.corrupt += 1;
            return;
        };
        match self.seen.see(number) {
            Sight::First if self.check_order => self.judge_order(number, key.unwrap_or_default(), partition),
            Sight::First => {}
            Sight::Absurd => self.findings.corrupt += 1,
            Sight::Again => {
                self.findings.duplicates += 1;
                if self.findings.duplicate_list.len() < DUPLICATES_MAX {
                    self.findings.duplicate_list.push(Duplicate { number, message_id: id() });
                }
            }
        }
    }

    fn judge_order(&mut self, number: u64, key: &[u8], partition: i32) {
        match self.groups.get_mut(key) {
            Some((home, last)) => {
                self.findings.out_of_order += u64::from(*home != partition || *last > number);
                *last = number.max(*last);
            }
            None => {
                self.groups.insert(key.to_vec(), (partition, number));
            }
        }
    }

    fn conclude(mut self, error: Option<String>) -> Findings {
        let sent = self.progress.sent.load(Ordering::Acquire);
        self.findings.unique = self.seen.count();
        self.findings.missing_first = self.seen.missing(sent).take(10).collect();
        self.findings.error = error;
        self.findings
    }
}

/// The MessageId that travels as a header, as a number.
fn message_id(record: &BorrowedMessage<'_>) -> u128 {
    let headers = record.headers();
    let value =
        headers.and_then(|headers| headers.iter().find(|header| header.key == "sqs.message_id")?.value);
    value.and_then(parse_uuid).unwrap_or(0)
}

fn parse_uuid(text: &[u8]) -> Option<u128> {
    let digits: String = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte)).collect();
    u128::from_str_radix(&digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(groups: Option<u32>, records: &[(u64, &str, i32)]) -> Findings {
        let bodies = Arc::new(Bodies::new(1, 256, 0));
        let brief = Brief { brokers: String::new(), bodies: Arc::clone(&bodies), groups, cores: Vec::new() };
        let progress = Progress::default();
        progress.sent.store(4, Ordering::Release);
        let mut judge = Judge::new(&brief, &progress);
        for (number, key, partition) in records {
            judge.judge_body(bodies.body(*number).text.as_bytes(), Some(key.as_bytes()), *partition, || 7);
        }
        judge.conclude(None)
    }

    #[test]
    fn loss_and_repeats_are_told_apart() {
        let findings = judged(None, &[(0, "", 0), (2, "", 1), (2, "", 1), (3, "", 0)]);
        assert_eq!((findings.unique, findings.duplicates, findings.corrupt), (3, 1, 0));
        assert_eq!(findings.missing_first, [1]);
        assert_eq!(findings.duplicate_list, [Duplicate { number: 2, message_id: 7 }]);
    }

    #[test]
    fn a_number_that_was_never_sent_and_a_changed_byte_are_corrupt() {
        assert_eq!(judged(None, &[(4, "", 0)]).corrupt, 1);
        let bodies = Arc::new(Bodies::new(1, 256, 0));
        let brief =
            Brief { brokers: String::new(), bodies: Arc::clone(&bodies), groups: None, cores: Vec::new() };
        let progress = Progress::default();
        progress.sent.store(4, Ordering::Release);
        let mut judge = Judge::new(&brief, &progress);
        let mut body = bodies.body(1).text.into_bytes();
        let last = body.len() - 3;
        body[last] ^= 1;
        judge.judge_body(&body, None, 0, || 0);
        judge.judge_body(b"", None, 0, || 0);
        assert_eq!((judge.findings.corrupt, judge.seen.count()), (2, 0));
    }

    #[test]
    fn order_is_judged_within_a_group_only() {
        let right = [(0, "a", 0), (1, "b", 1), (2, "a", 0), (3, "b", 1)];
        assert_eq!(judged(Some(2), &right).out_of_order, 0);
        let overtaken = [(2, "a", 0), (0, "a", 0), (1, "b", 1), (3, "b", 1)];
        assert_eq!(judged(Some(2), &overtaken).out_of_order, 1);
        let strayed = [(0, "a", 0), (2, "a", 1)];
        assert_eq!(judged(Some(2), &strayed).out_of_order, 1);
        let repeated = [(0, "a", 0), (2, "a", 0), (0, "a", 0)];
        assert_eq!(judged(Some(2), &repeated).out_of_order, 0, "a repeat is a duplicate, not disorder");
    }

    #[test]
    fn a_message_id_is_read_as_its_bits() {
        assert_eq!(parse_uuid(b"00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(parse_uuid(b"x"), None);
    }
}
