//! A configuration that changes under load: every message keeps its promises, every change reaches every shard, and one that
//! cannot be taken changes nothing.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::appliance::{Appliance, Plan};
use tests::kafka::{Kafka, Topic};
use tests::process::Exit;
use tests::world::{Setup, World};

/// How often the configuration changes.
const EVERY: Duration = Duration::from_secs(2);
/// For how long; longer runs by `MILLRACE_RELOAD_S`.
const SECONDS: u64 = 40;

/// Number of the configuration on each shard.
fn epochs(appliance: &mut Appliance) -> Result<Vec<u64>> {
    let snapshot = appliance.snapshot()?;
    let shards = snapshot["shards"].as_array().context("/snapshot has no shards")?;
    shards.iter().map(|shard| shard["epoch"].as_u64().context("a shard tells no epoch")).collect()
}

fn wait_for_epoch(appliance: &mut Appliance, epoch: u64) -> Result<()> {
    let mut last = Vec::new();
    let waited = tests::wait_until(&format!("every shard works by {epoch}"), 10, || {
        last = epochs(appliance).unwrap_or_default();
        last.len() == 2 && last.iter().all(|shard| *shard == epoch)
    });
    waited.with_context(|| format!("{last:?}\n{}", appliance.tail()))
}

/// One after another: sizes, waits, visibility, budgets, breaker, headers, topics. Each differs from the one before.
fn changed(plan: &Plan, number: u64) -> Plan {
    let even = number.is_multiple_of(2);
    let topic = if even { "reload-load" } else { "reload-other" };
    let wait = 1 + number % 3;
    let visibility = [30, 20, 45][number as usize % 3];
    plan.clone()
        .replace("pipeline.queue", "wait_time = \"1s\"", &format!("wait_time = \"{wait}s\""))
        .add(
            "pipeline.queue",
            &format!("visibility_timeout = \"{visibility}s\"\npollers_max = {}", 4 + number % 40),
        )
        .add("pipeline.queue", &format!("deleters_max = {}", 2 + number % 20))
        .set("pipeline.route", &format!("topic = \"{topic}\""))
        .set("pipeline.budget", &format!("in_flight_messages_max = {}", 100 + 100 * (number % 7)))
        .set("pipeline.breaker", &format!("ack_stall = \"{}s\"", 5 + number % 4))
        .set("pipeline.headers", &format!("receive_count = {even}\nsent_timestamp = {}", !even))
        .set("pipeline.rate", &format!("messages_per_s = {}", 20_000 + number))
}

#[test]
fn a_configuration_that_changes_every_two_seconds_under_load_loses_nothing() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world =
        World::new(kafka, &Setup { latency: Duration::from_millis(5), ..Setup::new("reload-load") })?;
    kafka.create_topic(&Topic::with_append_time("reload-other"))?;
    world.also_goes_to("reload-other")?;
    let plan = world.plan().set("shards", "count = 2\npin = false");
    let mut appliance = Appliance::start(&plan)?;
    let seconds =
        std::env::var("MILLRACE_RELOAD_S").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut number = 0;
    while Instant::now() < end {
        let began = Instant::now();
        number += 1;
        appliance.reload(&changed(&plan, number))?;
        world.send(1_500)?;
        wait_for_epoch(&mut appliance, number)?;
        std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
    world.wait_empty(120, &mut appliance)?;
    world.check_counters(&mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    eprintln!("{number} changes, {} messages, {}", world.sent(), verdict);
    assert_eq!(verdict.delivered as u64, world.sent());
    assert_eq!(verdict.duplicates.total(), 0, "a change duplicates nothing: {verdict}");
    let topics = |name: &str| world.evidence.records.iter().filter(|record| record.topic == name).count();
    assert!(topics("reload-load") > 0 && topics("reload-other") > 0, "both topics were used");
    Ok(())
}

#[test]
fn a_configuration_that_needs_a_restart_or_cannot_work_changes_nothing() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("reload-refused"))?;
    let plan = world.plan().set("shards", "count = 2\npin = false");
    let mut appliance = Appliance::start(&plan)?;
    // One key that could change beside one that cannot: none does.
    let frozen =
        plan.clone().add("pipeline.queue", "pollers_max = 3").add("pipeline.kafka", "compression = \"none\"");
    appliance.reload(&frozen)?;
    appliance.wait_log(&["reload_refused", "pipeline.orders.kafka.compression", "need a restart"], 10)?;
    let wrong = plan.clone().replace("pipeline.queue", "wait_time = \"1s\"", "wait_time = \"99s\"");
    appliance.reload(&wrong)?;
    appliance.wait_log(&["outside 0us to 20s"], 10)?;
    appliance.reload(&plan.clone().add("pipeline.queue", "no_such_key = 1"))?;
    appliance.wait_log(&["no_such_key"], 10)?;
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(epochs(&mut appliance)?, [0, 0]);
    world.send(500)?;
    world.wait_empty(30, &mut appliance)?;
    // And the right one is taken after all that.
    appliance.reload(&plan.add("pipeline.queue", "pollers_max = 3"))?;
    wait_for_epoch(&mut appliance, 1)?;
    appliance.wait_log(&["pipeline.orders.queue.pollers_max", "reloaded"], 10)?;
    world.send(500)?;
    world.wait_empty(30, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}

#[test]
fn a_route_to_a_topic_that_is_not_there_is_mended_without_a_restart() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("reload-mended"))?;
    let plan = world.plan().set("shards", "count = 2\npin = false");
    let mut appliance = Appliance::start(&plan)?;
    world.send(200)?;
    world.wait_empty(30, &mut appliance)?;
    appliance.reload(&plan.clone().set("pipeline.route", "topic = \"reload-nowhere\""))?;
    wait_for_epoch(&mut appliance, 1)?;
    world.send(200)?;
    tests::wait_until("the breaker opens", 30, || {
        appliance.state().is_ok_and(|(state, reason)| state == "broken" && reason.contains("UNKNOWN_TOPIC"))
    })?;
    appliance.reload(&plan)?;
    wait_for_epoch(&mut appliance, 2)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.delivered, 400);
    Ok(())
}

#[test]
fn a_limit_holds_and_is_lifted_while_messages_wait() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("reload-limit"))?;
    let plan = world.plan().set("shards", "count = 2\npin = false");
    let limited = plan.clone().set("pipeline.rate", "messages_per_s = 200");
    let mut appliance = Appliance::start(&limited)?;
    world.send(6_000)?;
    let before = appliance.total("received")?;
    std::thread::sleep(Duration::from_secs(6));
    let received = appliance.total("received")? - before;
    // Reports are up to a second old, and a shard may begin with a quarter of a second's worth.
    ensure!((800..=1_500).contains(&received), "{received} messages in 6 s at 200 a second");
    let snapshot: Value = appliance.snapshot()?;
    assert_eq!(snapshot["pipelines"][0]["rate"]["messages_per_s"], 200);
    // True at the moments in which nothing may be received: most of them.
    tests::wait_until("the limit shows", 15, || {
        appliance.snapshot().is_ok_and(|snapshot| snapshot["pipelines"][0]["rate_limited"] == true)
    })?;
    appliance.reload(&plan)?;
    wait_for_epoch(&mut appliance, 1)?;
    let began = Instant::now();
    world.wait_empty(30, &mut appliance)?;
    eprintln!("the rest in {:?}", began.elapsed());
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}
