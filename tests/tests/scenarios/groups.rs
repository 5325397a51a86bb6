//! FIFO groups whose head fails: the group waits, goes on after it in order, and holds up no other group.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use bench::sqs::{Kind, OutMessage};
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::random::noise;
use tests::reader::Record;
use tests::world::{Setup, World};

/// Groups of [`World::send`].
const GROUPS: u64 = 50;

/// Groups whose head fails.
const FAILING: u64 = 5;

/// Messages, and of each group.
const MESSAGES: u64 = 1_000;
const EACH: usize = (MESSAGES / GROUPS) as usize;

/// A FIFO queue to a topic that takes no record of 150 KB.
fn world(name: &'static str) -> Result<World> {
    let topic_configs = vec![("max.message.bytes", "100000")];
    World::new(Kafka::shared()?, &Setup { fifo: true, topic_configs, ..Setup::new(name) })
}

/// Sends 20 messages for each of 50 groups; the first of each of the first groups is spoilt.
fn send(world: &mut World, spoil: impl Fn(&mut OutMessage)) -> Result<()> {
    world.send_with(MESSAGES, |number, message| {
        if number < FAILING {
            spoil(message);
        }
    })
}

/// JSON that the topic takes in no batch.
fn too_large() -> String {
    format!("{{\"noise\":\"{}\"}}", noise(3, 150_000))
}

fn group(record: &Record) -> String {
    record.text("sqs.message_group_id")
}

/// Every head lies in the dead letter, and its followers came later, by the broker's own clock.
fn followers_come_after_their_heads(world: &World) {
    let heads: HashMap<String, i64> =
        world.dead_letters().map(|head| (group(head), head.timestamp_ms.unwrap_or(0))).collect();
    assert_eq!(heads.len() as u64, FAILING);
    for (name, head_ms) in heads {
        let main = world.evidence.records.iter().filter(|record| record.text("millrace.reason").is_empty());
        let followers: Vec<_> = main.filter(|record| group(record) == name).collect();
        assert_eq!(followers.len(), EACH - 1, "{name}");
        assert!(followers.iter().all(|follower| follower.timestamp_ms >= Some(head_ms)), "{name}");
    }
}

fn to_the_dead_letter(name: &'static str, spoil: impl Fn(&mut OutMessage)) -> Result<()> {
    let mut world = world(name)?;
    send(&mut world, spoil)?;
    let mut appliance = Appliance::start(&world.plan().set("pipeline.validate", "json = true"))?;
    world.wait_empty(60, &mut appliance)?;
    let totals = world.check_counters(&mut appliance)?;
    assert_eq!((totals.delivered, totals.rejected), (MESSAGES - FAILING, FAILING), "{totals:?}");
    assert_eq!((totals.released, totals.lease_lost), (0, 0), "no group was held up: {totals:?}");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.duplicates.total(), 0, "{verdict}");
    followers_come_after_their_heads(&world);
    Ok(())
}

#[test]
fn a_head_that_is_no_json_is_parked_and_its_group_goes_on() -> Result<()> {
    to_the_dead_letter("group-json", |message| message.body.insert_str(0, "no JSON: "))
}

#[test]
fn a_head_that_kafka_refuses_is_parked_and_its_group_goes_on() -> Result<()> {
    to_the_dead_letter("group-large", |message| {
        message.body = too_large();
    })
}

#[test]
fn a_head_that_cannot_be_produced_blocks_its_own_group_until_the_queue_takes_it_out() -> Result<()> {
    let kafka = Kafka::shared()?;
    let redrive =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:parked.fifo","maxReceiveCount":3}"#;
    let setup = Setup {
        fifo: true,
        topic_configs: vec![("max.message.bytes", "100000")],
        queue_attributes: vec![("RedrivePolicy", redrive)],
        ..Setup::new("group-blocked")
    };
    let mut world = World::new(kafka, &setup)?;
    let parked = world.server.create_queue("parked.fifo", &[("FifoQueue", "true")]);
    parked.map_err(|error| anyhow::anyhow!(error.message))?;
    send(&mut world, |message| message.body = too_large())?;
    let mut appliance = Appliance::start(&world.plan().without_dead_letter())?;
    let free = (GROUPS - FAILING) * EACH as u64;
    appliance.wait_total("delivered", free, 30)?;
    // By now the heads have failed once at least, and no follower has passed one.
    assert_eq!(world.count(Kind::Moved), 0, "the heads are still tried");
    assert_eq!(appliance.total("delivered")?, free, "followers wait for their heads");
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.duplicates.total(), 0, "{verdict}");
    // SQS hands a head out together with up to nine followers and counts a receive for each: the queue takes
    // them out with it. Nobody else's count rises.
    let moved: HashSet<u128> =
        world.events().iter().filter(|event| event.kind == Kind::Moved).map(|event| event.id).collect();
    let of_failing = |at: usize| (at as u64) % GROUPS < FAILING;
    let sent = world.evidence.sent.iter().enumerate();
    let (strange, heads): (Vec<_>, Vec<_>) =
        sent.filter(|(_, sent)| moved.contains(&sent.id)).partition(|(at, _)| !of_failing(*at));
    assert!(strange.is_empty(), "{} messages of other groups were taken out", strange.len());
    assert_eq!(heads.iter().filter(|(at, _)| (*at as u64) < FAILING).count() as u64, FAILING);
    assert!(moved.len() as u64 <= FAILING * 10, "{} were taken out", moved.len());
    assert_eq!((verdict.delivered + verdict.queued) as u64, MESSAGES, "{verdict}");
    assert_eq!(verdict.queued, moved.len(), "{verdict}");
    Ok(())
}
