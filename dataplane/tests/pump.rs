//! The whole data plane against the embedded SQS server and librdkafka's mock cluster.
//!
//! What is claimed: every message arrives once, byte for byte; nothing is deleted before its ack; the
//! conservation law holds at the end; a drain leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bench::load::Bodies;
use bench::sqs::{Kind, OutMessage, Server, ServerConfig};
use dataplane::config::{Config, Pipeline, Shards};
use dataplane::control::{Command, Credentials, QueueFacts};
use dataplane::start::{DataPlane, End, preflight, start};
use dataplane::stats::{Counters, Stage};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 4;

/// Partition, key, body and headers of a record.
type Read = (i32, Option<Vec<u8>>, Vec<u8>, HashMap<String, Vec<u8>>);

struct World {
    server: Server,
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl World {
    fn new(queue: &str, attributes: &[(&str, &str)]) -> World {
        World::of(ServerConfig::default(), queue, attributes)
    }

    fn of(server: ServerConfig, queue: &str, attributes: &[(&str, &str)]) -> World {
        let server = Server::start(server).unwrap();
        server.create_queue(queue, attributes).unwrap();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("topic", PARTITIONS, 1).unwrap();
        World { server, cluster }
    }

    fn start(&self, queue: &str, shards: u16, change: impl FnOnce(&mut Pipeline)) -> DataPlane {
        let mut pipeline = self.pipeline("p", queue);
        change(&mut pipeline);
        let config = Config {
            shards: Shards { count: Some(shards), pin: false, ..Shards::default() },
            pipeline: vec![pipeline],
            ..Config::default()
        };
        let placement = preflight(&config.shards).unwrap();
        let plane = start(config, &placement).unwrap();
        World::supply(&plane, "p", queue);
        plane
    }

    /// A pipeline from a queue to the topic.
    fn pipeline(&self, name: &str, queue: &str) -> Pipeline {
        let brokers = self.cluster.bootstrap_servers();
        let brokers: Vec<&str> = brokers.split(',').collect();
        let mut pipeline = Pipeline::new(name, &self.server.queue_url(queue), &brokers, "topic");
        pipeline.queue.region = Some("us-east-1".to_owned());
        pipeline.queue.wait_time = dataplane::config::Time::from_secs(1);
        pipeline
    }

    /// What a pipeline waits for.
    fn supply(plane: &DataPlane, pipeline: &str, queue: &str) {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "secret".to_owned().into(),
            session_token: None,
        };
        plane.send(&Command::Credentials { pipeline: pipeline.to_owned(), credentials }).unwrap();
        let facts = QueueFacts {
            fifo: queue.ends_with(".fifo"),
            visibility_timeout_s: 30,
            receive_count_max: None,
            message_bytes_max: 1 << 20,
        };
        plane.send(&Command::QueueFacts { pipeline: pipeline.to_owned(), facts }).unwrap();
    }

    /// Reads `count` records of a topic: id header, key, body, in the order of each partition.
    fn read(&self, count: usize) -> Vec<Read> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset("topic", partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        let end = Instant::now() + Duration::from_secs(20);
        while records.len() < count && Instant::now() < end {
            let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
            let record = record.unwrap();
            let mut headers = HashMap::new();
            if let Some(found) = record.headers() {
                for header in found.iter() {
                    headers.insert(header.key.to_owned(), header.value.unwrap_or_default().to_vec());
                }
            }
            let key = record.key().map(<[u8]>::to_vec);
            records.push((record.partition(), key, record.payload().unwrap_or_default().to_vec(), headers));
        }
        // Nothing more may come.
        assert!(consumer.poll(Duration::from_millis(500)).is_none(), "more records than messages");
        records
    }
}

fn totals(plane: &DataPlane) -> Counters {
    let mut totals = Counters::default();
    for report in plane.reports() {
        for pump in &report.pumps {
            totals.add(&pump.counters);
        }
    }
    totals
}

fn wait_for(plane: &DataPlane, what: impl Fn(&Counters) -> bool) -> Counters {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let totals = totals(plane);
        if what(&totals) {
            return totals;
        }
        let states: Vec<_> = plane
            .reports()
            .iter()
            .flat_map(|r| {
                r.pumps
                    .iter()
                    .map(|p| (p.state, p.reason.clone(), p.sqs_errors.clone(), p.kafka_errors.clone()))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert!(Instant::now() < end, "{totals:?} {states:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn send(server: &Server, queue: &str, bodies: &Bodies, count: u64, groups: Option<u64>) {
    let numbers: Vec<u64> = (0..count).collect();
    for chunk in numbers.chunks(100) {
        let messages = chunk.iter().map(|&number| {
            let body = bodies.body(number);
            let group = groups.map(|groups| format!("g{}", number % groups));
            let dedup = groups.map(|_| number.to_string());
            OutMessage { body: body.text, attributes: body.attributes, group, dedup, ..OutMessage::default() }
        });
        server.send(queue, messages.collect()).unwrap();
    }
}

#[test]
fn every_message_arrives_once_and_is_deleted_after_its_ack() {
    let world = World::new("q", &[]);
    let bodies = Bodies::new(1, 1024, 3);
    send(&world.server, "q", &bodies, 5000, None);
    let plane = world.start("q", 1, |_| {});
    let totals = wait_for(&plane, |totals| totals.delivered == 5000);
    assert_eq!(totals.unaccounted(), 0, "{totals:?}");
    let records = world.read(5000);
    let mut seen = vec![false; 5000];
    for (_, _, body, headers) in &records {
        let number = Bodies::number(body).unwrap();
        assert!(bodies.is_intact(number, body));
        assert!(!std::mem::replace(&mut seen[number as usize], true), "{number} came twice");
        assert_eq!(headers["tenant"], (number % 997).to_string().into_bytes());
        assert_eq!(headers["trace"], number.to_be_bytes());
        assert_eq!(headers["sqs.message_id"].len(), 36);
    }
    assert!(seen.iter().all(|&seen| seen));
    plane.send(&Command::Drain).unwrap();
    assert_eq!(plane.join(), End::Drained);
    let depth = world.server.depth("q").unwrap();
    assert_eq!((depth.visible, depth.in_flight), (0, 0));
    let deletes = world.server.ledger(0).iter().filter(|event| event.kind == Kind::Deleted).count();
    assert_eq!(deletes, 5000);
}

#[test]
fn a_fleet_of_hundreds_grows_on_a_distant_queue() {
    let distant = ServerConfig { latency: Duration::from_millis(40), ..ServerConfig::default() };
    let world = World::of(distant, "q", &[]);
    let bodies = Bodies::new(4, 64, 0);
    send(&world.server, "q", &bodies, 40_000, None);
    let plane = world.start("q", 1, |pipeline| {
        pipeline.queue.pollers_max = 512;
        pipeline.queue.deleters_max = 512;
    });
    let totals = wait_for(&plane, |totals| totals.delivered == 40_000);
    assert_eq!(totals.unaccounted(), 0, "{totals:?}");
    assert!(totals.connections_opened > 300, "{totals:?}");
    plane.send(&Command::Drain).unwrap();
    assert_eq!(plane.join(), End::Drained);
}

#[test]
fn a_fifo_queue_keeps_the_order_of_each_group() {
    let world = World::new("q.fifo", &[("FifoQueue", "true")]);
    let bodies = Bodies::new(2, 300, 0);
    send(&world.server, "q.fifo", &bodies, 600, Some(40));
    let plane =
        world.start("q.fifo", 2, |pipeline| pipeline.kafka.linger = dataplane::config::Time::from_millis(1));
    let totals = wait_for(&plane, |totals| totals.delivered == 600);
    assert_eq!(totals.unaccounted(), 0, "{totals:?}");
    let mut last: HashMap<Vec<u8>, (i32, u64)> = HashMap::new();
    for (partition, key, body, _) in world.read(600) {
        let number = Bodies::number(&body).unwrap();
        let key = key.unwrap();
        assert_eq!(key, format!("g{}", number % 40).into_bytes());
        if let Some((before_partition, before)) = last.insert(key, (partition, number)) {
            assert_eq!(before_partition, partition, "one group, one partition");
            assert!(before < number, "{number} overtook {before}");
        }
    }
    plane.send(&Command::Drain).unwrap();
    assert_eq!(plane.join(), End::Drained);
}

#[test]
fn records_are_handed_to_the_owner_of_their_key() {
    let world = World::new("q", &[]);
    let bodies = Bodies::new(3, 300, 3);
    send(&world.server, "q", &bodies, 3000, None);
    let plane = world.start("q", 2, |pipeline| {
        pipeline.kafka.producers = Some(1);
        pipeline.route.key = Some(dataplane::config::Key::Attribute { name: "tenant".to_owned() });
    });
    let totals = wait_for(&plane, |totals| totals.delivered == 3000);
    assert_eq!(totals.unaccounted(), 0, "{totals:?}");
    let reports = plane.reports();
    let handed: u64 = reports[0].pumps[0].counters.handed_off;
    let receives: Vec<u64> = reports.iter().map(|report| report.pumps[0].counters.received).collect();
    assert_eq!(handed, receives[1], "what shard 1 received went through shard 0: {receives:?}");
    assert_eq!(reports[0].pumps[0].latency.percentiles(Stage::Handoff).count, handed);
    assert_eq!(world.read(3000).len(), 3000);
    plane.send(&Command::Drain).unwrap();
    assert_eq!(plane.join(), End::Drained);
}

/// Waits until a pipeline is on every shard, or on none.
fn wait_for_pipeline(plane: &DataPlane, name: &str, is_there: bool) {
    let end = Instant::now() + Duration::from_secs(40);
    let has =
        |report: &dataplane::control::ShardReport| report.pumps.iter().any(|pump| pump.pipeline == name);
    while !plane.reports().iter().all(|report| has(report) == is_there) {
        assert!(Instant::now() < end, "{name}: {:?}", plane.reports());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_pipeline_comes_and_goes_while_the_one_beside_it_runs() {
    let world = World::new("q", &[]);
    world.server.create_queue("r", &[]).unwrap();
    let bodies = Bodies::new(5, 300, 1);
    let plane = world.start("q", 2, |_| {});
    // One producer for both shards, so that records are handed over until the very end.
    let mut other = world.pipeline("r", "r");
    other.kafka.producers = Some(1);
    let alone = Config { pipeline: vec![world.pipeline("p", "q")], ..Config::default() };
    let both = Config { pipeline: vec![alone.pipeline[0].clone(), other], ..Config::default() };
    let apply = |epoch: u64, config: &Config| {
        plane.send(&Command::Apply { epoch, config: std::sync::Arc::new(config.clone()) }).unwrap();
    };
    let threads = || plane.threads().iter().filter(|thread| thread.name != "kafka:ended").count();
    let mut left = None;
    for round in 0..2 {
        apply(2 * round + 1, &both);
        World::supply(&plane, "r", "r");
        wait_for_pipeline(&plane, "r", true);
        let deleted =
            || world.server.ledger(0).iter().filter(|event| event.kind == Kind::Deleted).count() as u64;
        // Before the messages are there: on a busy machine most are moved before the last is sent.
        let began = deleted();
        send(&world.server, "q", &bodies, 1500, None);
        send(&world.server, "r", &bodies, 1500, None);
        // It goes while it has its hands full.
        wait_for(&plane, |_| deleted() > began + 500);
        apply(2 * round + 2, &alone);
        wait_for_pipeline(&plane, "r", false);
        let depth = world.server.depth("r").unwrap();
        assert_eq!(depth.in_flight, 0, "round {round}: it gave back or finished what it held");
        match left {
            None => {
                std::thread::sleep(Duration::from_secs(1));
                left = Some(threads());
            }
            Some(left) => drop(wait_for(&plane, |_| threads() == left)),
        }
    }
    wait_for(&plane, |totals| totals.delivered == 3000);
    apply(5, &both);
    World::supply(&plane, "r", "r");
    wait_for(&plane, |_| world.server.depth("r").unwrap().visible == 0);
    wait_for(&plane, |totals| totals.in_flight == 0);
    assert!(plane.reports().iter().all(|report| report.refused.is_none()), "{:?}", plane.reports());
    assert_eq!(world.read(6000).len(), 6000);
    plane.send(&Command::Drain).unwrap();
    assert_eq!(plane.join(), End::Drained);
}
