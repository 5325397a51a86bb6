//! Records of a topic, read by a consumer that joins no group and commits nothing: a page back from the end, one by its
//! place, or those that come.
//!
//! Everything is bounded: records, bytes that are kept of each, partitions, time, and librdkafka's own queue.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{ANSWER_MAX, Session};
use super::trouble::{Fault, Trouble};

/// Options of a reading consumer, beside those of its cluster.
pub(crate) const READING: &[(&str, &str)] = &[
    ("enable.partition.eof", "true"),
    ("enable.auto.offset.store", "false"),
    // Retention may take what was looked at; what is left is read.
    ("auto.offset.reset", "earliest"),
    // What librdkafka may read ahead; a record of a dead letter has up to 1 MiB of body and as much again around it.
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.wait.max.ms", "100"),
];
/// Records of a page at most.
pub(crate) const PAGE_MAX: usize = 50;
/// Partitions of a topic that is read back.
const PARTITIONS_MAX: usize = 64;
/// Time for one page.
const PAGE_TIME: Duration = Duration::from_secs(10);
/// Longest wait for one record, so that the end of the time is seen.
const POLL: Duration = Duration::from_millis(100);
/// Bytes of a body that are kept for a page: 50 records of each of 64 partitions are 52 MB at the worst moment.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Headers that are kept of a record, and bytes of each.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 4 << 10;

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) body: Option<Vec<u8>>,
    /// Length of the whole body.
    pub(crate) body_bytes: usize,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    fn keep(record: &BorrowedMessage<'_>, bytes_max: usize) -> Record {
        let cut = |bytes: &[u8], max: usize| bytes[..bytes.len().min(max)].to_vec();
        let headers = record.headers().map(|headers| {
            let kept = headers.iter().take(HEADERS_MAX);
            kept.map(|header| {
                (header.key.to_owned(), cut(header.value.unwrap_or_default(), HEADER_BYTES_MAX))
            })
            .collect()
        });
        Record {
            partition: record.partition(),
            offset: record.offset(),
            timestamp_ms: record.timestamp().to_millis(),
            key: record.key().map(|key| cut(key, HEADER_BYTES_MAX)),
            body: record.payload().map(|body| cut(body, bytes_max)),
            body_bytes: record.payload().map_or(0, <[u8]>::len),
            headers: headers.unwrap_or_default(),
        }
    }

    /// Whether the whole body was kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.body.as_ref().map_or(0, Vec::len) == self.body_bytes
    }

    /// The last header of a name as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().rev().find(|(header, _)| header == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// Where the next page back begins: for each partition, the offset that it ends before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(BTreeMap<i32, i64>);

impl Place {
    /// Reads `partition:offset`, with commas between.
    ///
    /// # Errors
    /// It is no such text.
    pub(crate) fn parse(text: &str) -> Result<Place, Trouble> {
        let wrong = || {
            Trouble::new(Fault::Invalid, "the cursor was not made by this route", "begin without a cursor")
        };
        let mut place = BTreeMap::new();
        for part in text.split(',') {
            let (partition, offset) = part.split_once(':').ok_or_else(wrong)?;
            let (partition, offset): (i32, i64) =
                (partition.parse().map_err(|_| wrong())?, offset.parse().map_err(|_| wrong())?);
            if partition < 0
                || offset < 0
                || place.len() >= PARTITIONS_MAX
                || place.insert(partition, offset).is_some()
            {
                return Err(wrong());
            }
        }
        Ok(Place(place))
    }

    /// As [`Place::parse`] reads it.
    pub(crate) fn text(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|(partition, offset)| format!("{partition}:{offset}")).collect();
        parts.join(",")
    }
}

/// A page of records, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordPage {
    pub(crate) records: Vec<Record>,
    /// Where the next one begins; `None` at the beginning of the topic.
    pub(crate) next: Option<Place>,
    /// Why records may be missing that should be here.
    pub(crate) incomplete: Option<String>,
}

/// What is to be read of one partition: from an offset up to, not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from: i64,
    to: i64,
    low: i64,
}

/// The newest records before a place, or before the end.
pub(crate) fn page_back(
    session: &Session,
    topic: &str,
    before: Option<&Place>,
    limit: usize,
) -> Result<RecordPage, Trouble> {
    let limit = limit.clamp(1, PAGE_MAX);
    let spans = spans(session, topic, before, limit)?;
    let (records, incomplete) = read(session, topic, &spans, |record| Record::keep(record, KEPT_BYTES_MAX))?;
    let mut by_partition: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_partition.entry(record.partition).or_default().push(record);
    }
    let shown = newest(&mut by_partition, limit);
    let next = next(&spans, &shown, &by_partition, incomplete.is_none());
    Ok(RecordPage { records: shown, next, incomplete })
}

/// Takes the newest records out, newest first by time; those of one partition stay in their order whatever their times say.
fn newest(by_partition: &mut BTreeMap<i32, Vec<Record>>, limit: usize) -> Vec<Record> {
    let mut taken = Vec::with_capacity(limit);
    while taken.len() < limit {
        let heads = by_partition.values_mut().filter(|records| !records.is_empty());
        let Some(newest) = heads.max_by_key(|records| records.last().map(|record| record.timestamp_ms))
        else {
            break;
        };
        taken.extend(newest.pop());
    }
    taken
}

/// One record, with up to `bytes_max` of its body.
pub(crate) fn one(
    session: &Session,
    topic: &str,
    partition: i32,
    offset: i64,
    bytes_max: usize,
) -> Result<Record, Trouble> {
    let what = format!("record {topic}/{partition}@{offset}");
    let missing =
        || Trouble::new(Fault::Missing, format!("{what}: there is none"), "it may have passed its retention");
    partitions(session, topic)?.into_iter().find(|id| *id == partition).ok_or_else(missing)?;
    let (low, high) = watermarks(session, topic, partition)?;
    if !(low..high).contains(&offset) {
        return Err(missing());
    }
    let span = Span { from: offset, to: offset + 1, low };
    let spans = BTreeMap::from([(partition, span)]);
    let (records, incomplete) = read(session, topic, &spans, |record| Record::keep(record, bytes_max))?;
    match (records.into_iter().next(), incomplete) {
        (Some(record), _) => Ok(record),
        (None, Some(why)) => Err(Trouble::new(Fault::Unreachable, format!("{what}: {why}"), "try again")),
        (None, None) => Err(missing()),
    }
}

/// Records that come from now on, up to a number and a time; `take` says whether it wants more.
pub(crate) fn tail(
    session: &Session,
    topics: &[String],
    count_max: usize,
    time: Duration,
    mut take: impl FnMut(&str, Record) -> bool,
) -> Result<usize, Trouble> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for partition in partitions(session, topic)? {
            // The watermark of this moment: what comes while the consumer connects is not missed.
            let (_, high) = watermarks(session, topic, partition)?;
            add(&mut list, topic, partition, high)?;
        }
    }
    assign(session, &list)?;
    let end = Instant::now() + time;
    let mut count = 0;
    while count < count_max && Instant::now() < end {
        match session.consumer().poll(POLL) {
            Some(Ok(record)) => {
                count += 1;
                if !take(record.topic(), Record::keep(&record, KEPT_BYTES_MAX)) {
                    break;
                }
            }
            Some(Err(error)) => pass_over(&error)?,
            None => {}
        }
    }
    Ok(count)
}

/// What a page reads of each partition.
fn spans(
    session: &Session,
    topic: &str,
    before: Option<&Place>,
    limit: usize,
) -> Result<BTreeMap<i32, Span>, Trouble> {
    let mut spans = BTreeMap::new();
    for partition in partitions(session, topic)? {
        let (low, high) = watermarks(session, topic, partition)?;
        let to = match before {
            None => high,
            // A partition that was added since the first page has nothing older than that page.
            Some(place) => place.0.get(&partition).copied().unwrap_or(low).min(high),
        };
        let from = (to - limit as i64).max(low);
        spans.insert(partition, Span { from, to, low });
    }
    Ok(spans)
}

/// Where the page after `shown` begins; `left` was read and not shown.
fn next(
    spans: &BTreeMap<i32, Span>,
    shown: &[Record],
    left: &BTreeMap<i32, Vec<Record>>,
    is_complete: bool,
) -> Option<Place> {
    let to = |(&partition, span): (&i32, &Span)| {
        let oldest =
            shown.iter().filter(|record| record.partition == partition).map(|record| record.offset).min();
        let is_gap = is_complete && left.get(&partition).is_none_or(Vec::is_empty);
        // Of a partition nothing of which is shown the same is read again, unless there was nothing.
        (partition, oldest.unwrap_or(if is_gap { span.from } else { span.to }))
    };
    let place: BTreeMap<i32, i64> = spans.iter().map(to).collect();
    let is_more = spans.iter().any(|(partition, span)| place[partition] > span.low);
    is_more.then_some(Place(place))
}

/// Reads the spans; the second is why it is not all of them.
fn read(
    session: &Session,
    topic: &str,
    spans: &BTreeMap<i32, Span>,
    keep: impl Fn(&BorrowedMessage<'_>) -> Record,
) -> Result<(Vec<Record>, Option<String>), Trouble> {
    let mut left: BTreeMap<i32, i64> = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for (&partition, span) in spans.iter().filter(|(_, span)| span.from < span.to) {
        add(&mut list, topic, partition, span.from)?;
        left.insert(partition, span.to);
    }
    let mut records = Vec::new();
    if left.is_empty() {
        return Ok((records, None));
    }
    assign(session, &list)?;
    let end = Instant::now() + PAGE_TIME;
    while !left.is_empty() && Instant::now() < end {
        match session.consumer().poll(POLL) {
            Some(Ok(record)) => {
                let Some(&to) = left.get(&record.partition()) else { continue };
                if record.offset() < to {
                    records.push(keep(&record));
                }
                // Offsets have gaps: compaction, transactions.
                if record.offset() + 1 >= to {
                    left.remove(&record.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            Some(Err(error)) => pass_over(&error)?,
            None => {}
        }
    }
    let incomplete = (!left.is_empty()).then(|| {
        let seconds = PAGE_TIME.as_secs();
        format!("{} partitions were not read to their end within {seconds} s", left.len())
    });
    Ok((records, incomplete))
}

/// Errors that a consumer gets over by itself.
fn pass_over(error: &KafkaError) -> Result<(), Trouble> {
    match error {
        KafkaError::PartitionEOF(_) => Ok(()),
        error => match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::Resolve,
            ) => Ok(()),
            _ => Err(Trouble::of_error(error, "reading")),
        },
    }
}

fn partitions(session: &Session, topic: &str) -> Result<Vec<i32>, Trouble> {
    super::topics::check_name(topic)?;
    let metadata = session.metadata(Some(topic))?;
    let what = format!("topic {topic}");
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found =
        found.ok_or_else(|| Trouble::of_code(RDKafkaErrorCode::UnknownTopicOrPartition, &what, None))?;
    if let Some(code) = found.error().map(RDKafkaErrorCode::from) {
        return Err(Trouble::of_code(code, &what, None));
    }
    let ids: Vec<i32> = found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
    if ids.len() > PARTITIONS_MAX {
        let text = format!("{what}: it has {} partitions; up to {PARTITIONS_MAX} are read here", ids.len());
        return Err(Trouble::new(Fault::Unsupported, text, "read it with a consumer of your own"));
    }
    Ok(ids)
}

fn watermarks(session: &Session, topic: &str, partition: i32) -> Result<(i64, i64), Trouble> {
    let what = format!("topic {topic}, partition {partition}");
    session
        .consumer()
        .fetch_watermarks(topic, partition, ANSWER_MAX)
        .map_err(|error| Trouble::of_error(&error, &what))
}

fn add(list: &mut TopicPartitionList, topic: &str, partition: i32, offset: i64) -> Result<(), Trouble> {
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .map_err(|error| Trouble::of_error(&error, &format!("topic {topic}")))
}

fn assign(session: &Session, list: &TopicPartitionList) -> Result<(), Trouble> {
    session.consumer().assign(list).map_err(|error| Trouble::of_error(&error, "reading"))
}

#[cfg(test)]
mod tests {
    use dataplane::config::Kafka;
    use rdkafka::config::ClientConfig;
    use rdkafka::message::{Header, OwnedHeaders};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

    use super::*;

    struct World {
        _cluster: MockCluster<'static, DefaultProducerContext>,
        brokers: String,
    }

    fn produce(brokers: &str, partitions: i32, numbers: std::ops::Range<usize>) {
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .create_with_context(DefaultProducerContext)
            .unwrap();
        for number in numbers {
            let body = number.to_string();
            let header = Header { key: "millrace.code", value: Some("body_not_json") };
            let record = BaseRecord::<str, str>::to("dead")
                .partition(number as i32 % partitions)
                .timestamp(1_000 + number as i64)
                .headers(OwnedHeaders::new().insert(header))
                .payload(&body);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    impl World {
        /// A topic of so many partitions with records numbered from 0, one partition after another in turn.
        fn new(partitions: i32, count: usize) -> World {
            let cluster = MockCluster::new(1).unwrap();
            cluster.create_topic("dead", partitions, 1).unwrap();
            let world = World { brokers: cluster.bootstrap_servers(), _cluster: cluster };
            produce(&world.brokers, partitions, 0..count);
            world
        }

        fn session(&self) -> Session {
            Session::open(&Kafka::new(&self.brokers.split(',').collect::<Vec<_>>()), READING).unwrap()
        }

        fn page(&self, before: Option<&Place>, limit: usize) -> RecordPage {
            page_back(&self.session(), "dead", before, limit).unwrap()
        }
    }

    fn numbers(records: &[Record]) -> Vec<usize> {
        let number =
            |record: &Record| String::from_utf8(record.body.clone().unwrap()).unwrap().parse().unwrap();
        records.iter().map(number).collect()
    }

    #[test]
    fn pages_lead_from_the_newest_record_to_the_oldest_and_each_is_seen_once() {
        let world = World::new(3, 50);
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let page = world.page(before.as_ref(), 7);
            assert_eq!(page.incomplete, None);
            assert!(page.records.len() <= 7);
            seen.extend(numbers(&page.records));
            let Some(next) = page.next else { break };
            assert_eq!(Place::parse(&next.text()).unwrap(), next);
            before = Some(next);
            assert!(seen.len() <= 50, "{seen:?}");
        }
        assert_eq!(seen, (0..50).rev().collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_later_does_not_move_the_pages() {
        let world = World::new(2, 10);
        let first = world.page(None, 4);
        assert_eq!(numbers(&first.records), [9, 8, 7, 6]);
        assert_eq!(first.records[0].text("millrace.code").as_deref(), Some("body_not_json"));
        produce(&world.brokers, 2, 10..20);
        assert_eq!(numbers(&world.page(first.next.as_ref(), 4).records), [5, 4, 3, 2]);
    }

    #[test]
    fn an_empty_topic_has_one_empty_page_and_a_missing_one_is_told() {
        let world = World::new(2, 0);
        let page = world.page(None, 10);
        assert_eq!((page.records, page.next), (Vec::new(), None));
        let missing = page_back(&world.session(), "no-such-topic", None, 10).unwrap_err();
        assert_eq!(missing.fault, Fault::Missing, "{missing}");
    }

    #[test]
    fn one_record_is_read_by_its_place() {
        let world = World::new(2, 10);
        let record = one(&world.session(), "dead", 1, 3, 1 << 20).unwrap();
        assert_eq!((numbers(std::slice::from_ref(&record)), record.is_whole()), (vec![7], true));
        for (partition, offset) in [(1, 5), (1, -1), (7, 0)] {
            let missing = one(&world.session(), "dead", partition, offset, 1).unwrap_err();
            assert_eq!(missing.fault, Fault::Missing, "{missing}");
        }
    }

    #[test]
    fn a_tail_sees_what_comes_and_ends_by_number_by_time_and_by_its_reader() {
        let world = World::new(2, 10);
        let topics = ["dead".to_owned()];
        let began = Instant::now();
        let seconds = Duration::from_secs;
        let none = tail(&world.session(), &topics, 5, seconds(1), |_, _| true).unwrap();
        assert_eq!(none, 0, "what was there before is not sampled");
        assert!(began.elapsed() < seconds(8), "{:?}", began.elapsed());
        let mut seen = Vec::new();
        let brokers = world.brokers.clone();
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            produce(&brokers, 2, 10..30);
        });
        let take = |topic: &str, record: Record| {
            assert_eq!(topic, "dead");
            seen.push(record);
            seen.len() < 3
        };
        tail(&world.session(), &topics, 100, seconds(10), take).unwrap();
        later.join().unwrap();
        assert_eq!(seen.len(), 3);
        assert!(numbers(&seen).iter().all(|number| *number >= 10), "{seen:?}");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "0", "0:", ":1", "0:1,0:2", "-1:2", "0:-2", "0:1;1:2", "0:99999999999999999999"] {
            assert_eq!(Place::parse(text).unwrap_err().fault, Fault::Invalid, "{text}");
        }
        let many: Vec<String> = (0..65).map(|partition| format!("{partition}:1")).collect();
        assert!(Place::parse(&many.join(",")).is_err());
    }
}
