//! A route that chooses among several topics: a missing one pauses its own messages only, and they go on by
//! themselves once it is made.

use std::time::Duration;

use anyhow::Result;
use bench::load::TYPES;
use bench::sqs::Kind;
use tests::appliance::Appliance;
use tests::kafka::{Kafka, Topic};
use tests::process::Exit;
use tests::world::{Setup, World};

/// The topics of a template over the message's type.
fn topics(stem: &str) -> Vec<String> {
    TYPES.iter().map(|name| format!("{stem}-{name}")).collect()
}

#[test]
fn a_missing_topic_of_several_pauses_only_itself() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup { visibility_s: 5, ..Setup::new("lanes") })?;
    let topics = topics("lanes");
    let (missing, made) = topics.split_last().expect("four types");
    for topic in made {
        kafka.create_topic(&Topic::with_append_time(topic))?;
        world.also_goes_to(topic)?;
    }
    let route = format!("topic = \"lanes-${{attribute:type}}\"\ntopics = {topics:?}");
    let mut appliance = Appliance::start(&world.plan().set("pipeline.route", &route))?;
    world.send(400)?;
    appliance.wait_total("delivered", 300, 20)?;
    // Long enough for messages of the missing topic to come again, and still the others are not held up.
    std::thread::sleep(Duration::from_secs(4));
    world.send(400)?;
    appliance.wait_total("delivered", 600, 10)?;
    let errors = appliance.snapshot()?["pipelines"][0]["kafka_errors"].to_string();
    assert!(errors.contains("UNKNOWN_TOPIC"), "{errors}");
    assert_eq!(world.count(Kind::Deleted), 600, "nothing of the missing topic was deleted");
    let retries = appliance.total("produce_retries")?;
    assert!(retries <= 200 * 20, "{retries} retries of 200 messages");
    kafka.create_topic(&Topic::with_append_time(missing))?;
    world.also_goes_to(missing)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.rejected, verdict.duplicates.total()), (800, 0, 0), "{verdict}");
    for record in &world.evidence.records {
        assert_eq!(record.topic, format!("lanes-{}", record.text("type")));
    }
    Ok(())
}

#[test]
fn a_topic_that_the_list_does_not_name_is_a_rejection() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup::new("listed"))?;
    let topics = topics("listed");
    let (forbidden, listed) = topics.split_last().expect("four types");
    for topic in listed {
        kafka.create_topic(&Topic::with_append_time(topic))?;
        world.also_goes_to(topic)?;
    }
    // It exists, and still nothing may go there.
    kafka.create_topic(&Topic::with_append_time(forbidden))?;
    let route = format!("topic = \"listed-${{attribute:type}}\"\ntopics = {listed:?}");
    let mut appliance = Appliance::start(&world.plan().set("pipeline.route", &route))?;
    world.send(400)?;
    world.wait_empty(30, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.rejected), (300, 100), "{verdict}");
    assert!(world.dead_letters().all(|record| record.text("millrace.code") == "topic_not_allowed"));
    assert!(tests::reader::read_all(&kafka.bootstrap(), forbidden)?.is_empty());
    Ok(())
}
