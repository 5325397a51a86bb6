//! Messages that can never be delivered go to the dead-letter topic with their reasons, alone.

use std::collections::HashMap;

use anyhow::Result;
use bench::sqs::{Attribute, Kind, OutMessage};
use tests::appliance::{Appliance, PIPELINE};
use tests::kafka::{Kafka, Topic};
use tests::process::Exit;
use tests::random::noise;
use tests::wait_until;
use tests::world::{Setup, World};

#[test]
fn a_body_that_is_no_json_tells_its_reason() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("reject-json"))?;
    world.send_with(300, |number, message| {
        if number % 3 == 0 {
            message.body.truncate(message.body.len() / 2);
        }
    })?;
    let mut appliance = Appliance::start(&world.plan().set("pipeline.validate", "json = true"))?;
    world.wait_empty(60, &mut appliance)?;
    let totals = world.check_counters(&mut appliance)?;
    assert_eq!((totals.delivered, totals.rejected), (200, 100));
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.rejected), (200, 100));
    for record in world.dead_letters() {
        assert_eq!(record.text("millrace.pipeline"), PIPELINE);
        assert!(record.text("millrace.queue").ends_with("/reject-json"), "{}", record.text("millrace.queue"));
        assert_eq!(record.text("millrace.time").parse::<u64>()? / 1_000_000_000_000, 1, "milliseconds");
    }
    Ok(())
}

#[test]
fn records_too_large_for_the_topic_leave_their_neighbours_alone() -> Result<()> {
    let setup = Setup { topic_configs: vec![("max.message.bytes", "100000")], ..Setup::new("reject-large") };
    let mut world = World::new(Kafka::shared()?, &setup)?;
    world.send_with(400, |number, message| {
        if number % 20 == 7 {
            message.body = noise(number, 150_000);
        }
    })?;
    // As large as SQS takes: 1 MiB with its attributes.
    let mut largest = OutMessage::new(noise(1, (1 << 20) - 40));
    largest.attributes.push(Attribute {
        name: "type".to_owned(),
        data_type: "String".to_owned(),
        value: b"largest".to_vec(),
    });
    world.send_these(vec![largest])?;
    let mut appliance = Appliance::start(&world.plan())?;
    world.wait_empty(90, &mut appliance)?;
    let totals = world.check_counters(&mut appliance)?;
    assert_eq!((totals.delivered, totals.rejected), (380, 21), "{totals:?}");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.rejected), (380, 21));
    Ok(())
}

#[test]
fn without_a_dead_letter_topic_nothing_is_deleted_and_the_rest_flows() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup { visibility_s: 3, ..Setup::new("reject-nowhere") })?;
    let plan = world.plan().set("pipeline.validate", "json = true");
    let plan = plan.dead_letter("reject-nowhere-missing");
    world.send_with(100, |number, message| {
        if number % 10 == 0 {
            message.body.truncate(20);
        }
    })?;
    let mut appliance = Appliance::start(&plan)?;
    appliance.wait_total("delivered", 90, 60)?;
    world.send(100)?;
    appliance.wait_total("delivered", 190, 60)?;
    assert_eq!(appliance.total("rejected")?, 0);
    let depth = world.depth()?;
    assert_eq!(depth.visible + depth.in_flight, 10, "the rejected are still in the queue");
    // The topic appears, and all ends well without a restart.
    kafka.create_topic(&Topic::with_append_time("reject-nowhere-missing"))?;
    world.dead_letter_is("reject-nowhere-missing")?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.rejected), (190, 10));
    Ok(())
}

#[test]
fn a_missing_topic_pauses_the_route_until_it_is_made() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup::new("late"))?;
    kafka.delete_topic("late")?;
    world.send(200)?;
    let mut appliance = Appliance::launch(&world.plan())?;
    appliance.wait_alive()?;
    wait_until("the reason names the topic", 30, || {
        appliance
            .get("/readyz?verbose")
            .is_ok_and(|(status, reasons)| status == 503 && reasons.contains("late"))
    })?;
    assert_eq!(appliance.total("delivered")?, 0);
    assert_eq!(world.count(Kind::Deleted), 0);
    kafka.create_topic(&Topic::with_append_time("late"))?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}

#[test]
fn without_a_dead_letter_the_queues_own_redrive_policy_takes_what_is_rejected() -> Result<()> {
    let redrive =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:refuse","maxReceiveCount":3}"#;
    let setup = Setup { queue_attributes: vec![("RedrivePolicy", redrive)], ..Setup::new("reject-redrive") };
    let mut world = World::new(Kafka::shared()?, &setup)?;
    world.server.create_queue("refuse", &[]).map_err(|error| anyhow::anyhow!(error.message))?;
    world.send_with(100, |number, message| {
        if number % 10 == 0 {
            message.body.truncate(20);
        }
    })?;
    let plan = world.plan().without_dead_letter().set("pipeline.validate", "json = true");
    let mut appliance = Appliance::start(&plan)?;
    appliance.wait_total("delivered", 90, 20)?;
    world.wait_empty(60, &mut appliance)?;
    let (released, rejected) = (appliance.total("released")?, appliance.total("rejected")?);
    assert_eq!((released, rejected), (30, 0), "three times each, and never deleted");
    assert_eq!(world.server.depth("refuse").map(|depth| depth.visible), Some(10));
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.queued, verdict.duplicates.total()), (90, 10, 0), "{verdict}");
    let mut waits: HashMap<u128, Vec<u32>> = HashMap::new();
    for event in world.events().iter().filter(|event| event.kind == Kind::VisibilityChanged) {
        waits.entry(event.id).or_default().push(event.count);
    }
    assert_eq!(waits.len(), 10);
    for waits in waits.values() {
        let later = waits.windows(2).all(|pair| pair[0] <= pair[1]) && waits.first() < waits.last();
        assert!(waits.len() == 3 && waits[0] > 0 && later, "later each time: {waits:?} s");
    }
    Ok(())
}
