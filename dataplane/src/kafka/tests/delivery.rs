//! What is sent arrives, once, byte for byte, and is reported once.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::kafka::partition::partition;

#[test]
fn ten_thousand_records_arrive_byte_for_byte_and_are_reported_once() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer_with(&default_rules());
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    let mut heard = Heard::default();
    let mut batches = Vec::new();
    for token in 0..1000_u64 {
        let mut batch = Batch::default();
        for index in 0..10 {
            let raw = [u8::try_from(index).unwrap(), 0, 255];
            let attributes: [(&str, &str, &[u8]); 2] =
                [("kind", "String", b"order"), ("raw", "Binary", &raw)];
            let body = format!("{{\"n\":{token}{index},\"pad\":\"{}\"}}", "x".repeat(index * 20));
            let some = if index % 2 == 0 { &attributes[..] } else { &[] };
            add(&mut batch, &format!("{token}-{index}"), body.as_bytes(), some);
        }
        let batch = Arc::new(batch);
        let keys: Vec<String> = (0..10).map(|index| format!("key-{token}-{index}")).collect();
        let mut records = records(&batch, topic);
        for record in &mut records {
            record.key = (record.index != 9).then(|| keys[usize::from(record.index)].as_bytes());
        }
        let sent = producer.send(&batch, &records, token);
        assert_eq!((sent.accepted, sent.refused.len()), (10, 0));
        batches.push(batch);
        let Heard { reports, events } = &mut heard;
        producer.poll(&mut |report| reports.push(report), &mut |event| events.push(event));
    }
    heard.listen(&mut producer, "all reports", |heard| heard.reports.len() >= 10_000);
    assert_eq!((producer.in_flight(), producer.unknown_reports()), (0, 0));
    assert!(batches.iter().all(|batch| Arc::strong_count(batch) == 1), "a batch is still held");
    let reported = heard.by_record();
    assert_eq!(reported.len(), 10_000);
    assert!(reported.values().all(is_acked));

    let read = cluster.read_back("t", 10_000);
    assert_eq!(read.len(), 10_000);
    let mut seen = HashMap::new();
    for record in read {
        let (name, id) = record.headers.last().unwrap();
        assert_eq!(name, "sqs.message_id");
        let id = String::from_utf8(id.clone()).unwrap();
        let (token, index) = id.split_once('-').unwrap();
        let (token, index): (u64, u8) = (token.parse().unwrap(), index.parse().unwrap());
        let batch = &batches[usize::try_from(token).unwrap()];
        let message = &batch.messages[usize::from(index)];
        assert_eq!(record.body.as_deref(), Some(batch.slice(message.body)));
        assert_eq!(record.timestamp, Some(1_700_000_000_000));
        let key = (index != 9).then(|| format!("key-{id}").into_bytes());
        assert_eq!(record.key, key);
        if let Some(key) = &key {
            let expected = partition(key, PARTITIONS.unsigned_abs());
            assert_eq!(record.partition.unsigned_abs(), expected, "partitions as Java chooses them");
        }
        if index % 2 == 0 {
            let types = ("sqs.attribute_types".to_owned(), b"{\"raw\":\"Binary\"}".to_vec());
            assert_eq!(record.headers[0], ("kind".to_owned(), b"order".to_vec()));
            assert_eq!(record.headers[1], ("raw".to_owned(), vec![index, 0, 255]));
            assert_eq!(record.headers[2], types);
        } else {
            assert_eq!(record.headers.len(), 1);
        }
        let place = Outcome::Acked { partition: record.partition, offset: record.offset };
        assert_eq!(reported[&(token, index)], place, "the report says where the record is");
        assert!(seen.insert((token, index), ()).is_none(), "{id} is there twice");
    }
}

#[test]
fn records_without_headers_go_in_batches_and_keep_their_order() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    let topic = producer.topic("t").unwrap();
    let bodies: Vec<Vec<u8>> = (0..500).map(|n: u32| format!("body-{n}").into_bytes()).collect();
    let mut sent = 0;
    for (token, bodies) in bodies.chunks(10).enumerate() {
        let batch = batch_of(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let mut records = records(&batch, topic);
        for record in &mut records {
            record.key = Some(b"one key");
        }
        sent += producer.send(&batch, &records, token as u64).accepted;
    }
    assert_eq!(sent, 500);
    let heard = Heard::until_reported(&mut producer, 500);
    assert!(heard.by_record().values().all(is_acked));
    let read = cluster.read_back("t", 500);
    let found: Vec<Vec<u8>> = read.iter().map(|record| record.body.clone().unwrap()).collect();
    assert_eq!(found, bodies);
    assert!(read.iter().all(|record| record.headers.is_empty() && record.key.as_deref() == Some(b"one key")));
}

#[test]
fn an_empty_body_is_a_value_and_not_a_deletion() {
    let cluster = Cluster::start();
    for rules in [HeaderRules::none(), default_rules()] {
        let mut producer = cluster.producer_with(&rules);
        let topic = producer.topic("t").unwrap();
        let batch = batch_of(&[b""]);
        producer.send(&batch, &records(&batch, topic), 1);
        assert!(is_acked(&Heard::until_reported(&mut producer, 1).reports[0].outcome));
    }
    let read = cluster.read_back("t", 2);
    assert_eq!(read.iter().map(|record| record.body.clone()).collect::<Vec<_>>(), vec![Some(Vec::new()); 2]);
}

#[test]
fn extra_headers_come_last_and_one_batch_may_go_to_two_topics() {
    let cluster = Cluster::start();
    cluster.mock.create_topic("dead", PARTITIONS, 1).unwrap();
    let mut producer = cluster.producer_with(&default_rules());
    let (main, dead) = (producer.topic("t").unwrap(), producer.topic("dead").unwrap());
    assert_eq!(producer.topic("t").unwrap(), main);
    let batch = batch_of(&[b"good", b"bad"]);
    let extra: [(&str, &[u8]); 2] = [("error.code", b"body_not_json"), ("error.stage", b"validate")];
    let records = [
        Record { index: 0, topic: main, key: None, extra: &[] },
        Record { index: 1, topic: dead, key: None, extra: &extra },
    ];
    assert_eq!(producer.send(&batch, &records, 5).accepted, 2);
    Heard::until_reported(&mut producer, 2);
    assert_eq!(cluster.read_back("t", 1)[0].body.as_deref(), Some(&b"good"[..]));
    let found = &cluster.read_back("dead", 1)[0];
    assert_eq!(found.body.as_deref(), Some(&b"bad"[..]));
    assert_eq!(found.headers[0].0, "sqs.message_id");
    assert_eq!(found.headers[1], ("error.code".to_owned(), b"body_not_json".to_vec()));
    assert_eq!(found.headers[2], ("error.stage".to_owned(), b"validate".to_vec()));
}

#[test]
fn payload_memory_is_held_until_the_report_is_taken() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[&vec![b'x'; 100_000], b"small"]);
    producer.send(&batch, &records(&batch, topic), 1);
    assert_eq!((Arc::strong_count(&batch), producer.in_flight()), (2, 2));
    let weak = Arc::downgrade(&batch);
    drop(batch);
    assert!(weak.upgrade().is_some(), "the producer keeps the batch alone");
    Heard::until_reported(&mut producer, 2);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_position_that_cannot_be_told_apart_is_refused_and_not_sent() {
    let cluster = Cluster::start();
    for rules in [HeaderRules::none(), default_rules()] {
        let mut producer = cluster.producer_with(&rules);
        let topic = producer.topic("t").unwrap();
        let batch = batch_of(&[b"a"]);
        let twice = Record { index: 0, topic, key: None, extra: &[] };
        let beyond = Record { index: 1, ..twice };
        let sent = producer.send(&batch, &[twice, twice, beyond], 1);
        assert_eq!(sent.accepted, 1);
        assert_eq!(sent.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1]);
        Heard::until_reported(&mut producer, 1);
    }
    assert_eq!(cluster.read_back("t", 2).len(), 2);
}

#[test]
fn a_wake_up_is_written_once_and_again_only_after_a_poll() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    producer.attach(theirs.as_raw_fd());
    drop(theirs);
    producer.poll(&mut |_| {}, &mut |_| {});
    let read = |wait: Duration| {
        use std::io::Read;
        ours.set_read_timeout(Some(wait)).unwrap();
        let mut bytes = [0; 16];
        (&ours).read(&mut bytes).unwrap_or(0)
    };
    // What the poll above may have re-armed and a late event used.
    while read(Duration::from_millis(50)) > 0 {
        producer.poll(&mut |_| {}, &mut |_| {});
    }

    let send_and_ack = |producer: &mut Producer| {
        let batch = batch_of(&[b"x"]);
        producer.send(&batch, &records(&batch, topic), 1);
    };
    send_and_ack(&mut producer);
    assert_eq!(read(PATIENCE), 1, "the first report wakes with one byte");
    send_and_ack(&mut producer);
    send_and_ack(&mut producer);
    assert_eq!(read(Duration::from_millis(200)), 0, "no second byte before a poll");
    let mut reports = 0;
    producer.poll(&mut |_| reports += 1, &mut |_| {});
    assert_eq!(reports, 3, "one poll takes all that waits");
    send_and_ack(&mut producer);
    assert_eq!(read(PATIENCE), 1, "after the poll the next report wakes again");
}

#[test]
fn threads_are_known_with_their_cpu_and_run_on_the_cores_given() {
    let cluster = Cluster::start();
    let threads = ThreadRegistry::default();
    let core = allowed_cores(0)[0];
    let mut producer =
        Producer::create(&cluster.options(), HeaderRules::none(), &threads, Some(&[core])).unwrap();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let names: Vec<String> = threads.cpu().into_iter().map(|thread| thread.name).collect();
    assert!(names.iter().any(|name| name.starts_with("kafka:")), "{names:?}");
    assert!(names.len() >= 2, "the main thread and a broker's: {names:?}");
    for id in threads.ids() {
        assert_eq!(allowed_cores(id), [core], "thread {id}");
    }
    let closed = producer.close(PATIENCE);
    assert!(closed.destroyed);
    let after = threads.cpu();
    assert_eq!(after.len(), 1, "all threads have ended: {after:?}");
    assert!(after[0].cpu_ns > 0);
}

/// `Cpus_allowed_list` of a thread of this process; 0 is the calling thread.
fn allowed_cores(id: i32) -> Vec<u16> {
    let path =
        if id == 0 { "/proc/thread-self/status".to_owned() } else { format!("/proc/self/task/{id}/status") };
    let status = std::fs::read_to_string(path).unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap()
    };
    list.trim().split(',').flat_map(range).collect()
}
