//! Fair weather: everything arrives once, byte for byte, in order where SQS promises it, and the queue is
//! empty afterwards; with SQS servers that this project did not write, and with a real Kafka.

use anyhow::{Context, Result};
use tests::appliance::{Appliance, Plan};
use tests::elasticmq::ElasticMq;
use tests::kafka::{Kafka, Topic};
use tests::moto::Moto;
use tests::oracle::{Evidence, KeyRule, Sent, judge};
use tests::process::Exit;
use tests::reader::{parse_id, read_all};
use tests::sqs::Sqs;
use tests::world::{Setup, World, messages};

#[test]
fn a_standard_queue_arrives_whole_and_the_counters_equal_the_ledgers() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("whole"))?;
    world.send(20_000)?;
    let mut appliance = Appliance::start(&world.plan().set("shards", "count = 2\npin = false"))?;
    world.wait_empty(120, &mut appliance)?;
    let totals = world.check_counters(&mut appliance)?;
    assert_eq!((totals.delivered, totals.rejected, totals.lease_lost), (20_000, 0, 0), "{totals:?}");
    let (_, metrics) = appliance.get("/metrics")?;
    assert!(metrics.contains("millrace_messages_delivered_total"), "{metrics}");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.duplicates.total()), (20_000, 0));
    Ok(())
}

#[test]
fn a_fifo_queue_keeps_the_order_of_each_group_over_two_shards() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup { fifo: true, ..Setup::new("groups") })?;
    world.send(5_000)?;
    let mut appliance = Appliance::start(&world.plan().set("shards", "count = 2\npin = false"))?;
    world.wait_empty(120, &mut appliance)?;
    world.check_counters(&mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.duplicates.total()), (5_000, 0));
    Ok(())
}

#[test]
fn keys_come_from_where_the_config_says() -> Result<()> {
    for (name, key, rule) in [
        ("key-id", "{ from = \"message_id\" }", KeyRule::MessageId),
        (
            "key-attribute",
            "{ from = \"attribute\", name = \"picture\" }",
            KeyRule::Attribute("picture".into()),
        ),
    ] {
        let mut world = World::new(Kafka::shared()?, &Setup::new(name))?;
        world.keys_from(rule);
        world.send(200)?;
        let mut appliance = Appliance::start(&world.plan().add("pipeline.route", &format!("key = {key}")))?;
        world.wait_empty(60, &mut appliance)?;
        assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
        world.judge()?;
    }
    Ok(())
}

/// Sends through the AWS SDK, pumps with more settings of the queue, reads back, judges without an SQS ledger.
/// Record timestamps are the senders' here.
fn foreign(
    endpoint: &str,
    (queue, settings): (&str, &str),
    topic: &str,
    count: u64,
    groups: Option<u64>,
) -> Result<()> {
    let kafka = Kafka::shared()?;
    let sqs = Sqs::new(endpoint)?;
    let attributes: &[(&str, &str)] = if groups.is_some() { &[("FifoQueue", "true")] } else { &[] };
    let queue_url = sqs.create_queue(queue, attributes)?;
    kafka.create_topic(&Topic::new(topic))?;
    let out = messages(0..count, 900, groups);
    let accepted = sqs.send(&queue_url, &out)?;
    let mut evidence = Evidence::default();
    for (accepted, message) in accepted.iter().zip(out) {
        let id = parse_id(&accepted.id).with_context(|| format!("no MessageId: {accepted:?}"))?;
        evidence.sent.push(Sent { id, message });
    }
    let headers = "sent_timestamp = true\nreceive_count = true\nsender_id = true";
    let plan = Plan::new(&queue_url, &kafka.brokers(), topic)
        .set("pipeline.headers", headers)
        .add("pipeline.queue", settings);
    let mut appliance = Appliance::start(&plan)?;
    appliance.wait_total("delivered", count, 240)?;
    assert_eq!(sqs.depth(&queue_url)?, (0, 0), "the queue is empty");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    evidence.records = read_all(&kafka.bootstrap(), topic)?;
    assert!(evidence.records.iter().all(|record| record.text("sqs.receive_count") == "1"));
    assert!(evidence.records.iter().all(|record| record.text("sqs.sent_timestamp").len() == 13));
    let verdict = judge(&evidence);
    eprintln!("{queue}: {verdict}");
    verdict.clean()?;
    assert_eq!((verdict.delivered as u64, verdict.duplicates.total()), (count, 0));
    Ok(())
}

#[test]
fn elasticmq_standard_and_fifo_to_a_real_kafka() -> Result<()> {
    let elasticmq = ElasticMq::start()?;
    foreign(&elasticmq.endpoint(), ("standard", ""), "elasticmq-standard", 12_000, None)?;
    foreign(&elasticmq.endpoint(), ("ordered.fifo", ""), "elasticmq-fifo", 8_000, Some(200))
}

#[test]
fn moto_to_a_real_kafka() -> Result<()> {
    let moto = Moto::start()?;
    // moto loses track of messages when calls run side by side.
    foreign(&moto.endpoint(), ("standard", "pollers_max = 1\ndeleters_max = 1"), "moto-standard", 500, None)
}
