//! Two pipelines in one process, and one of them broken: the other goes on at its full rate, and the broken
//! one is told by its name and mends itself.

use std::time::Duration;

use anyhow::Result;
use bench::sqs::Kind;
use tests::appliance::Appliance;
use tests::kafka::{Kafka, Topic};
use tests::process::Exit;
use tests::rates::pace;
use tests::world::{Setup, World};

/// The distance of the whole pipeline's queue and its fleet: 4 receives of 10 in 20 ms are 2,000 messages a
/// second at most, far below what any machine does, so that the rate does not depend on the machine.
const DISTANCE: Duration = Duration::from_millis(20);
const FLEET: &str = "pollers_max = 4";

fn whole(name: &'static str) -> Result<World> {
    World::new(Kafka::shared()?, &Setup { latency: DISTANCE, ..Setup::new(name) })
}

/// Sends messages, waits until they are delivered, and returns how many a second were.
fn rate(world: &mut World, appliance: &mut Appliance) -> Result<f64> {
    let began_ns = world.server.now_ns();
    world.send(6_000)?;
    world.wait_empty(60, appliance)?;
    Ok(pace(&world.events(), began_ns))
}

/// Measures the whole pipeline beside a broken one and beside the same one mended.
fn beside(
    whole: &mut World,
    broken: &mut World,
    words: &[&str],
    mend: impl FnOnce(&World) -> Result<()>,
) -> Result<()> {
    let plan = whole.plan().add("pipeline.queue", FLEET).beside("second", &broken.plan());
    let mut appliance = Appliance::launch(&plan)?;
    appliance.wait_alive()?;
    appliance.wait_reasons(words, 40)?;
    let beside_broken = rate(whole, &mut appliance)?;
    assert_eq!(appliance.state()?.0, "running");
    assert!(appliance.reasons().contains("second"), "the broken one is still told");
    let calls = broken.server.stats().calls.values().sum::<u64>();
    assert_eq!(broken.count(Kind::Deleted), 0);
    mend(broken)?;
    broken.send(300)?;
    broken.wait_empty(60, &mut appliance)?;
    appliance.wait_ready()?;
    let beside_mended = rate(whole, &mut appliance)?;
    eprintln!(
        "{beside_broken:.0}/s beside the broken one, {beside_mended:.0}/s beside the mended one; {calls} calls of the broken one"
    );
    assert!(beside_broken >= 0.85 * beside_mended, "{beside_broken:.0}/s, {beside_mended:.0}/s when mended");
    assert!(calls <= 40, "{calls} calls of a pipeline that cannot work");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(whole.judge()?.duplicates.total(), 0);
    assert_eq!(broken.judge()?.duplicates.total(), 0);
    Ok(())
}

#[test]
fn a_missing_queue_does_not_slow_the_pipeline_beside_it() -> Result<()> {
    let mut whole = whole("beside-queue")?;
    let mut broken = World::new(Kafka::shared()?, &Setup::new("no-such-queue"))?;
    assert!(broken.server.delete_queue("no-such-queue"));
    beside(&mut whole, &mut broken, &["second", "queue"], |broken| {
        broken.server.create_queue("no-such-queue", &[]).map_err(|error| anyhow::anyhow!(error.message))
    })
}

#[test]
fn a_missing_topic_does_not_slow_the_pipeline_beside_it() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut whole = whole("beside-topic")?;
    let mut broken = World::new(kafka, &Setup::new("no-such-topic"))?;
    kafka.delete_topic("no-such-topic")?;
    broken.send(300)?;
    beside(&mut whole, &mut broken, &["second", "no-such-topic"], |_| {
        kafka.create_topic(&Topic::with_append_time("no-such-topic"))
    })
}
