//! Fatal errors, purge, flush, close and drop: nothing is lost silently, nothing waits without bound.

use super::*;
use crate::kafka::ffi;

/// UNKNOWN_PRODUCER_ID.
const UNKNOWN_PRODUCER_ID: i32 = 59;

#[test]
fn after_a_fatal_error_everything_is_reported_and_a_new_producer_sends_it_again() {
    let mut cluster = Cluster::start();
    cluster.kafka.linger = Time::from_secs(60);
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[b"a", b"b", b"c"]);
    assert_eq!(producer.send(&batch, &records(&batch, topic), 1).accepted, 3);
    assert_eq!(producer.fatal(), None);

    producer.raise_fatal(UNKNOWN_PRODUCER_ID, "as a test wants");
    let fatal = producer.fatal().unwrap();
    assert_eq!((fatal.name(), fatal.class, fatal.fatal), ("UNKNOWN_PRODUCER_ID", Class::Rebuild, true));
    let refused = producer.send(&batch_of(&[b"late"]), &records(&batch_of(&[b"late"]), topic), 2);
    assert_eq!((refused.accepted, failure(&refused.refused[0].1).1), (0, Class::Rebuild));

    producer.purge();
    let heard = Heard::until_reported(&mut producer, 3);
    assert!(heard.faults().any(|error| error.fatal), "{:?}", heard.events);
    for outcome in heard.by_record().values() {
        let (_, class, possibly_persisted) = failure(outcome);
        assert!(matches!(class, Class::Retry | Class::Rebuild), "{outcome:?}");
        assert!(!possibly_persisted);
    }
    let options = producer.options_for_rebuild();
    assert_eq!(producer.close(PATIENCE), super::super::producer::Closed { unreported: 0, destroyed: true });

    let mut next = Producer::create(&options, HeaderRules::none(), &ThreadRegistry::default(), None).unwrap();
    // A flush ends after a second: the brokers must be known by then.
    next.warm_up(&["t"], PATIENCE).unwrap();
    let topic = next.topic("t").unwrap();
    assert_eq!(next.send(&batch, &records(&batch, topic), 3).accepted, 3);
    let mut heard = Heard::default();
    // The linger of a minute is cut by the flush.
    while heard.reports.len() < 3 {
        next.flush_now();
        let seen = heard.reports.len();
        heard.listen(&mut next, "resend", |heard| heard.reports.len() > seen);
    }
    assert!(heard.by_record().values().all(is_acked));
    assert_eq!(cluster.read_back("t", 3).len(), 3);
}

#[test]
fn a_purge_reports_what_waits_and_what_is_on_the_wire() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    cluster.mock.broker_round_trip_time(1, Duration::from_secs(20)).unwrap();
    let batches: Vec<_> = (0..20_u64)
        .map(|token| {
            let batch = batch_of(&[b"a", b"b"]);
            assert_eq!(producer.send(&batch, &records(&batch, topic), token).accepted, 2);
            batch
        })
        .collect();
    // One request is on the wire once the linger is over; its answer takes 20 s.
    let mut heard = Heard::default();
    let settled = Instant::now() + Duration::from_millis(300);
    heard.listen(&mut producer, "the linger", |_| Instant::now() > settled);
    assert_eq!((heard.reports.len(), producer.in_flight()), (0, 40));
    let began = Instant::now();
    producer.purge();
    assert!(began.elapsed() < Duration::from_millis(100), "a purge does not block");
    heard.listen(&mut producer, "purged reports", |heard| heard.reports.len() == 40);
    assert_eq!((heard.by_record().len(), producer.in_flight(), producer.unknown_reports()), (40, 0, 0));
    for outcome in heard.by_record().values() {
        let (name, class, possibly_persisted) = failure(outcome);
        assert_eq!(class, Class::Retry);
        assert_eq!(possibly_persisted, name == "_PURGE_INFLIGHT", "{name}");
    }
    assert!(batches.iter().all(|batch| Arc::strong_count(batch) == 1));
}

#[test]
fn a_flush_cuts_the_linger_short() {
    let mut cluster = Cluster::start();
    cluster.kafka.linger = Time::from_secs(60);
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[b"x"]);
    producer.send(&batch, &records(&batch, topic), 1);
    let mut heard = Heard::default();
    let soon = Instant::now() + Duration::from_millis(300);
    heard.listen(&mut producer, "the linger holds", |_| Instant::now() > soon);
    assert_eq!(heard.reports.len(), 0);
    let began = Instant::now();
    producer.flush_now();
    assert!(began.elapsed() < Duration::from_millis(100), "asking for a flush does not block");
    heard.listen(&mut producer, "the flush", |heard| heard.reports.len() == 1);
    assert!(is_acked(&heard.reports[0].outcome));
}

#[test]
fn close_flushes_what_it_can() {
    let mut cluster = Cluster::start();
    cluster.kafka.linger = Time::from_secs(60);
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[b"x", b"y"]);
    producer.send(&batch, &records(&batch, topic), 1);
    let closed = producer.close(PATIENCE);
    assert_eq!((closed.unreported, closed.destroyed), (0, true));
    assert_eq!(cluster.read_back("t", 2).len(), 2);
    assert_eq!(Arc::strong_count(&batch), 1);
}

#[test]
fn close_and_drop_with_a_dead_cluster_keep_their_bounds() {
    for drop_only in [false, true] {
        let cluster = Cluster::start();
        let mut producer = cluster.producer();
        producer.warm_up(&["t"], PATIENCE).unwrap();
        let topic = producer.topic("t").unwrap();
        cluster.mock.broker_down(1).unwrap();
        let batch = batch_of(&[&vec![b'x'; 200_000], b"y"]);
        assert_eq!(producer.send(&batch, &records(&batch, topic), 1).accepted, 2);
        let began = Instant::now();
        if drop_only {
            drop(producer);
            assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
        } else {
            let closed = producer.close(Duration::from_secs(2));
            assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
            assert_eq!(closed.unreported, 0);
        }
        // The memory goes when librdkafka is gone, and not before.
        let deadline = Instant::now() + PATIENCE;
        while Arc::strong_count(&batch) > 1 {
            assert!(Instant::now() < deadline, "the batch is still held");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_producer_moves_between_threads() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let mut producer = is_send(producer);
    let reported = std::thread::spawn(move || {
        let topic = producer.topic("t").unwrap();
        let batch = batch_of(&[b"x"]);
        producer.send(&batch, &records(&batch, topic), 1);
        Heard::until_reported(&mut producer, 1).reports.len()
    });
    assert_eq!(reported.join().unwrap(), 1);
}

#[test]
fn the_allocator_can_be_tuned_at_any_time() {
    ffi::tune_malloc();
    assert_eq!(vec![1_u8; 1 << 20].len(), 1 << 20);
}
