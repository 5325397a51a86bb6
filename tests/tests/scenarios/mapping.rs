//! What a record is made of: compression, key, headers, each as the config says and as the broker stores it.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use tests::appliance::{Appliance, Plan};
use tests::kafka::{Codec, Kafka, Topic};
use tests::oracle::{Evidence, KeyRule, Sent, judge};
use tests::process::Exit;
use tests::reader::{parse_id, read_all};
use tests::sqs::Sqs;
use tests::world::{Setup, World, messages};

/// Moves 500 messages under a plan and judges them.
fn moved(world: &mut World, plan: &Plan) -> Result<()> {
    world.send(500)?;
    let mut appliance = Appliance::start(plan)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.duplicates.total()), (500, 0), "{verdict}");
    Ok(())
}

#[test]
fn every_compression_brings_the_same_bytes() -> Result<()> {
    let kafka = Kafka::shared()?;
    for (name, setting, codec) in [
        ("codec-none", "none", Codec::None),
        ("codec-gzip", "gzip", Codec::Gzip),
        ("codec-snappy", "snappy", Codec::Snappy),
        ("codec-lz4", "lz4", Codec::Lz4),
        ("codec-zstd", "zstd", Codec::Zstd),
    ] {
        let mut world = World::new(kafka, &Setup::new(name))?;
        let plan = world.plan().add("pipeline.kafka", &format!("compression = {setting:?}"));
        moved(&mut world, &plan)?;
        assert_eq!(kafka.codecs(name)?, BTreeSet::from([codec]), "as it lies on the broker's disk");
    }
    Ok(())
}

#[test]
fn keys_come_from_the_body_or_are_constant() -> Result<()> {
    for (name, key, rule) in [
        (
            "key-pointer",
            "{ from = \"json_pointer\", pointer = \"/customer/name\" }",
            KeyRule::Pointer("/customer/name".to_owned()),
        ),
        (
            "key-number",
            "{ from = \"json_pointer\", pointer = \"/customer/id\" }",
            KeyRule::Pointer("/customer/id".to_owned()),
        ),
        ("key-object", "{ from = \"json_pointer\", pointer = \"/customer\" }", KeyRule::Nothing),
        ("key-constant", "{ from = \"constant\", value = \"grün\" }", KeyRule::Constant("grün".to_owned())),
        ("key-none", "{ from = \"none\" }", KeyRule::Nothing),
    ] {
        let mut world = World::new(Kafka::shared()?, &Setup::new(name))?;
        world.keys_from(rule);
        let plan = world.plan().add("pipeline.route", &format!("key = {key}"));
        moved(&mut world, &plan)?;
        let partitions: BTreeSet<i32> =
            world.evidence.records.iter().map(|record| record.partition).collect();
        // Records without a key are spread, and 500 of one name or id as well; one key has one partition.
        assert_eq!(partitions.len() == 1, name == "key-constant", "{name}: {partitions:?}");
    }
    Ok(())
}

/// Sequence numbers are the server's own: an AWS SDK is told them when it sends.
#[test]
fn system_attributes_become_headers_with_the_values_that_the_sender_was_told() -> Result<()> {
    let kafka = Kafka::shared()?;
    let server = bench::sqs::Server::start(bench::sqs::ServerConfig::default())?;
    let sqs = Sqs::new(&server.endpoint())?;
    let queue_url = sqs.create_queue("named.fifo", &[("FifoQueue", "true")])?;
    kafka.create_topic(&Topic::new("named"))?;
    let out = messages(0..300, 400, Some(20));
    let accepted = sqs.send(&queue_url, &out)?;
    let mut evidence = Evidence::default();
    let mut sequences = HashMap::new();
    for (accepted, message) in accepted.into_iter().zip(out) {
        let id = parse_id(&accepted.id).context("no MessageId")?;
        sequences.insert(id, accepted.sequence.context("a FIFO queue gives sequence numbers")?);
        evidence.sent.push(Sent { id, message });
    }
    let headers = "sent_timestamp = true\nreceive_count = true\nsender_id = true";
    let plan = Plan::new(&queue_url, &kafka.brokers(), "named").set("pipeline.headers", headers);
    let mut appliance = Appliance::start(&plan)?;
    appliance.wait_total("delivered", 300, 60)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    evidence.records = read_all(&kafka.bootstrap(), "named")?;
    // Group, deduplication id and timestamp are judged by the oracle itself.
    let verdict = judge(&evidence);
    assert_eq!(verdict.clean()?.delivered, 300, "{verdict}");
    for record in &evidence.records {
        let id = record.message_id().context("no MessageId header")?;
        assert_eq!(record.text("sqs.sequence_number"), sequences[&id]);
        assert_eq!(record.text("sqs.sender_id"), "AIDAMILLRACEEMBEDDED1");
        assert_eq!(record.text("sqs.receive_count"), "1");
    }
    Ok(())
}

#[test]
fn headers_that_are_switched_off_are_absent() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup { fifo: true, ..Setup::new("unnamed") })?;
    world.send(100)?;
    let headers = "attributes = false\ngroup_id = false\ndeduplication_id = false\nsequence_number = false";
    let mut appliance = Appliance::start(&world.plan().set("pipeline.headers", headers))?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let records = read_all(&Kafka::shared()?.bootstrap(), "unnamed")?;
    assert_eq!(records.len(), 100);
    for record in records {
        let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["sqs.message_id"]);
    }
    Ok(())
}
