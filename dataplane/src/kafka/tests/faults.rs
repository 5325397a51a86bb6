//! What goes wrong is told apart, classed, and leaves the neighbours alone.

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::config::Bytes;
use crate::kafka::errors::code;

/// Sends one record and gives its outcome.
fn outcome_of(producer: &mut Producer, body: &[u8]) -> Outcome {
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[body]);
    let sent = producer.send(&batch, &records(&batch, topic), 1);
    assert_eq!(sent.refused, [], "{:?}", producer.fatal());
    let heard = Heard::until_reported(producer, 1);
    assert_eq!(Arc::strong_count(&batch), 1);
    heard.reports[0].outcome
}

#[test]
fn errors_that_the_broker_answers_get_their_class() {
    use RDKafkaRespErr as E;
    for (error, expected) in [
        (E::RD_KAFKA_RESP_ERR_INVALID_RECORD, ("INVALID_RECORD", Class::Reject, false)),
        (E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, ("INVALID_TIMESTAMP", Class::Reject, false)),
        (E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, ("POLICY_VIOLATION", Class::Pause, false)),
        (E::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, ("RECORD_LIST_TOO_LARGE", Class::Rebuild, false)),
        (
            E::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
            ("THROTTLING_QUOTA_EXCEEDED", Class::Throttled, false),
        ),
        (
            E::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
            ("UNSUPPORTED_FOR_MESSAGE_FORMAT", Class::Pause, false),
        ),
    ] {
        let cluster = Cluster::start();
        let mut producer = cluster.producer();
        producer.warm_up(&["t"], PATIENCE).unwrap();
        cluster.mock.request_errors(RDKafkaApiKey::Produce, &[error]);
        assert_eq!(failure(&outcome_of(&mut producer, b"x")), expected);
        // One refused record does not stop the producer.
        assert!(is_acked(&outcome_of(&mut producer, b"y")), "{error:?}");
        assert_eq!(producer.fatal(), None);
    }
}

#[test]
fn a_forbidden_topic_pauses_its_route_and_recovers_by_itself() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let forbidden = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &forbidden);
    let expected = ("TOPIC_AUTHORIZATION_FAILED", Class::Pause, false);
    assert_eq!(failure(&outcome_of(&mut producer, b"x")), expected);

    // Refused here, without asking, until librdkafka looks the topic up again: no producer is rebuilt.
    let topic = producer.topic("t").unwrap();
    let batch = batch_of(&[b"x"]);
    let mut refused = 0;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let sent = producer.send(&batch, &records(&batch, topic), 1);
        if sent.accepted == 1 {
            break;
        }
        assert_eq!(failure(&sent.refused[0].1), expected);
        assert!(Instant::now() < deadline, "the topic stays refused");
        refused += 1;
        producer.poll_for(100, &mut |_| {}, &mut |_| {});
    }
    assert!(refused > 0);
    assert!(is_acked(&Heard::until_reported(&mut producer, 1).reports[0].outcome));
}

#[test]
fn errors_that_pass_are_retried_inside_and_leave_one_copy() {
    use RDKafkaRespErr as E;
    for errors in [
        vec![E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2],
        vec![E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 2],
        vec![E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND],
        vec![E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT],
        vec![E::RD_KAFKA_RESP_ERR__TRANSPORT],
    ] {
        let cluster = Cluster::start();
        let mut producer = cluster.producer();
        producer.warm_up(&["t"], PATIENCE).unwrap();
        cluster.mock.request_errors(RDKafkaApiKey::Produce, &errors);
        assert!(is_acked(&outcome_of(&mut producer, b"once")), "{errors:?}");
        assert_eq!(cluster.read_back("t", 1).len(), 1, "{errors:?}");
    }
}

#[test]
fn a_record_too_large_for_us_is_refused_alone() {
    let mut cluster = Cluster::start();
    cluster.kafka.options.insert("message.max.bytes".to_owned(), "2000".to_owned());
    cluster.kafka.batch_bytes_max = Bytes(1500);
    for rules in [HeaderRules::none(), default_rules()] {
        let mut producer = cluster.producer_with(&rules);
        let topic = producer.topic("t").unwrap();
        // First, too: the batch must not leave with it while its neighbours are still being added.
        for position in 0..3_u8 {
            let mut bodies: [&[u8]; 3] = [b"one", b"two", b"three"];
            let large = vec![b'x'; 3000];
            bodies[usize::from(position)] = &large;
            let batch = batch_of(&bodies);
            let sent = producer.send(&batch, &records(&batch, topic), 1);
            assert_eq!(sent.accepted, 2);
            let mut refused = Vec::new();
            sent.each_refused(|index, outcome| refused.push((index, failure(&outcome))));
            assert_eq!(refused, [(position, ("MSG_SIZE_TOO_LARGE", Class::Reject, false))]);
            let heard = Heard::until_reported(&mut producer, 2);
            assert!(
                heard.by_record().iter().all(|(&(_, index), report)| index != position && is_acked(report))
            );
            assert_eq!((Arc::strong_count(&batch), producer.in_flight()), (1, 0));
        }
    }
}

#[test]
fn a_batch_too_large_for_the_topic_is_split_by_a_new_producer_and_the_record_alone_is_rejected() {
    let mut cluster = Cluster::start();
    cluster.kafka.batch_bytes_max = Bytes(4000);
    let too_large = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];

    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &too_large);
    let outcome = outcome_of(&mut producer, &[b'x'; 3000]);
    assert_eq!(failure(&outcome), ("MSG_SIZE_TOO_LARGE", Class::Rebuild, false), "it may have had company");
    let options = producer.options_for_rebuild();
    assert_eq!(options.batch_bytes_max(), 2000);

    let rules = HeaderRules::none();
    let mut next = Producer::create(&options, rules, &ThreadRegistry::default(), None).unwrap();
    next.warm_up(&["t"], PATIENCE).unwrap();
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &too_large);
    let outcome = outcome_of(&mut next, &[b'x'; 3000]);
    assert_eq!(failure(&outcome), ("MSG_SIZE_TOO_LARGE", Class::Reject, false), "it was alone");
    assert_eq!(next.options_for_rebuild().batch_bytes_max(), 2000, "a rejected record shrinks nothing");
    assert!(is_acked(&outcome_of(&mut next, b"small")));
}

#[test]
fn a_full_queue_refuses_what_comes_and_everything_behind_it() {
    let mut cluster = Cluster::start();
    cluster.kafka.options.insert("queue.buffering.max.messages".to_owned(), "3".to_owned());
    cluster.kafka.linger = Time::from_millis(200);
    for rules in [HeaderRules::none(), default_rules()] {
        let mut producer = cluster.producer_with(&rules);
        producer.warm_up(&["t"], PATIENCE).unwrap();
        let topic = producer.topic("t").unwrap();
        let batch = batch_of(&[b"0", b"1", b"2", b"3", b"4"]);
        let sent = producer.send(&batch, &records(&batch, topic), 1);
        assert_eq!(sent.accepted, 3);
        let refused: Vec<_> = sent.refused.iter().map(|(index, why)| (*index, failure(why))).collect();
        let full = ("_QUEUE_FULL", Class::Retry, false);
        assert_eq!(refused, [(3, full), (4, full)]);
        Heard::until_reported(&mut producer, 3);
        assert!(is_acked(&outcome_of(&mut producer, b"room again")));
    }
}

#[test]
fn brokers_that_go_and_come_back_are_told_and_nothing_is_lost() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    let topic = producer.topic("t").unwrap();
    cluster.mock.broker_down(1).unwrap();
    let batch = batch_of(&[b"a", b"b", b"c"]);
    producer.send(&batch, &records(&batch, topic), 1);
    let mut heard = Heard::default();
    heard.listen(&mut producer, "the outage is told", |heard| {
        heard.faults().any(|error| error.code == code::ALL_BROKERS_DOWN || error.code == code::TRANSPORT)
    });
    assert_eq!(heard.reports, [], "nothing is given up yet");
    assert!(heard.faults().all(|error| !error.fatal && error.class == Class::Retry));
    cluster.mock.broker_up(1).unwrap();
    heard.listen(&mut producer, "delivery after the outage", |heard| heard.reports.len() == 3);
    assert!(heard.by_record().values().all(is_acked));
    assert_eq!(cluster.read_back("t", 3).len(), 3);
}

#[test]
fn a_record_that_waits_too_long_is_released_and_says_whether_it_was_on_the_wire() {
    let mut cluster = Cluster::start();
    cluster.kafka.delivery_timeout = Time::from_millis(1000);
    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    cluster.mock.broker_down(1).unwrap();
    let outcome = outcome_of(&mut producer, b"never sent");
    assert_eq!(failure(&outcome), ("_MSG_TIMED_OUT", Class::Release, false));
    cluster.mock.broker_up(1).unwrap();

    let mut producer = cluster.producer();
    producer.warm_up(&["t"], PATIENCE).unwrap();
    cluster.mock.broker_round_trip_time(1, Duration::from_secs(4)).unwrap();
    let outcome = outcome_of(&mut producer, b"answer too late");
    assert_eq!(failure(&outcome), ("_MSG_TIMED_OUT", Class::Release, true));
}

#[test]
fn warm_up_tells_a_missing_topic_from_a_forbidden_one() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    let facts = producer.warm_up(&["t"], PATIENCE).unwrap();
    assert_eq!((facts[0].name.as_str(), facts[0].partitions), ("t", PARTITIONS.unsigned_abs()));

    let error = producer.warm_up(&["t", "missing"], PATIENCE).unwrap_err();
    assert_eq!((error.name(), error.class), ("UNKNOWN_TOPIC_OR_PART", Class::Pause));
    assert!(error.text.contains("missing"), "{error}");

    cluster.mock.create_topic("secret", 1, 1).unwrap();
    cluster.mock.topic_error("secret", RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED).unwrap();
    let error = producer.warm_up(&["secret"], PATIENCE).unwrap_err();
    assert_eq!((error.name(), error.class), ("TOPIC_AUTHORIZATION_FAILED", Class::Pause));
}

#[test]
fn warm_up_names_the_cause_that_a_time_out_would_hide() {
    let start = |brokers: &str, protocol, timeout| {
        let mut kafka = Kafka::new(&[brokers]);
        kafka.security.protocol = protocol;
        let in_flight = InFlight { messages_max: 10, bytes_max: 1 << 20 };
        let options = Options::new(&kafka, &Secrets::default(), in_flight);
        let mut producer =
            Producer::create(&options, HeaderRules::none(), &ThreadRegistry::default(), None).unwrap();
        let began = Instant::now();
        let error = producer.warm_up(&["t"], timeout).unwrap_err();
        assert!(began.elapsed() < timeout + Duration::from_secs(2), "{error}");
        error
    };
    // A port that nobody listens on: bound, and closed again.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = start(&free.to_string(), config::Protocol::Plaintext, Duration::from_secs(2));
    assert_eq!(error.name(), "_TRANSPORT", "{error}");
    assert!(error.text.contains(&free.to_string()), "{error}");

    let error = start("name.invalid:9092", config::Protocol::Plaintext, Duration::from_secs(10));
    assert_eq!(error.name(), "_RESOLVE", "{error}");

    // A listener that speaks no TLS: it answers the handshake with something else.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        while let Ok((mut stream, _)) = listener.accept() {
            let mut hello = [0; 512];
            if stream.read(&mut hello).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
        }
    });
    let error = start(&address.to_string(), config::Protocol::Ssl, PATIENCE);
    assert_eq!((error.name(), error.class), ("_SSL", Class::Pause), "{error}");
}

#[test]
fn a_topic_that_vanishes_pauses_its_route_within_seconds() {
    let cluster = Cluster::start();
    let mut producer = cluster.producer();
    let topic = producer.topic("nowhere").unwrap();
    let batch = batch_of(&[b"x"]);
    assert_eq!(producer.send(&batch, &records(&batch, topic), 1).accepted, 1);
    let began = Instant::now();
    let heard = Heard::until_reported(&mut producer, 1);
    let (name, class, possibly_persisted) = failure(&heard.reports[0].outcome);
    assert!(matches!(name, "_UNKNOWN_TOPIC" | "UNKNOWN_TOPIC_OR_PART"), "{name}");
    assert_eq!((class, possibly_persisted), (Class::Pause, false));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
