//! SIGTERM: not ready first, receiving stops, what is held is finished or given back, and the process ends
//! in time with a code that says how it went.

use std::time::{Duration, Instant};

use anyhow::Result;
use bench::sqs::Kind;
use tests::appliance::{Appliance, END_MAX, Plan};
use tests::kafka::Kafka;
use tests::kernel::Signal;
use tests::oracle::KeyRule;
use tests::process::Exit;
use tests::world::{Setup, World};

/// Well before the drain's deadline of 20 s.
const DRAIN_MAX: Duration = Duration::from_secs(8);

/// SIGTERM under load, round after round; what is left is moved at the end.
fn under_load(name: &'static str, key: KeyRule, change: impl Fn(Plan) -> Plan) -> Result<()> {
    // A little distance and a bounded fleet, so that every kind of call is under way when the signal comes,
    // and the queue is not empty by then.
    let setup = Setup { latency: Duration::from_millis(20), ..Setup::new(name) };
    let mut world = World::new(Kafka::shared()?, &setup)?;
    world.keys_from(key);
    let plan = change(world.plan().add("pipeline.queue", "pollers_max = 16"));
    for _ in 0..4 {
        world.send(6_000)?;
        let before = world.count(Kind::Deleted);
        let mut appliance = Appliance::launch(&plan)?;
        // The ledger knows at once; the appliance's own figures are up to a second old.
        tests::wait_until("the first are deleted", 30, || world.count(Kind::Deleted) >= before + 500)?;
        let began = Instant::now();
        assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
        let took = began.elapsed();
        let left = world.depth()?;
        eprintln!("{name}: drained in {took:?}, {left:?} left");
        assert!(took < DRAIN_MAX, "drained in {took:?}");
        assert!(left.visible > 0, "the signal came under load");
        tests::wait_until("nothing stays invisible", 1, || {
            world.depth().is_ok_and(|depth| depth.in_flight == 0)
        })?;
    }
    let mut appliance = Appliance::start(&plan)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.duplicates.total(), 0, "a drain in fair weather duplicates nothing: {verdict}");
    Ok(())
}

/// Two shards on whatever cores there are.
fn two_shards(plan: Plan) -> Plan {
    plan.set("shards", "count = 2\npin = false")
}

#[test]
fn sigterm_under_load_loses_nothing_and_hides_nothing() -> Result<()> {
    under_load("drain-load", KeyRule::Default, |plan| plan)
}

#[test]
fn sigterm_while_one_shard_produces_for_two() -> Result<()> {
    under_load("drain-handoff", KeyRule::Default, |plan| {
        two_shards(plan).add("pipeline.kafka", "producers = 1")
    })
}

#[test]
fn sigterm_while_keys_belong_to_shards() -> Result<()> {
    under_load("drain-owner", KeyRule::Pointer("/seq".to_owned()), |plan| {
        two_shards(plan)
            .add("pipeline.kafka", "key_owner = true")
            .add("pipeline.route", "key = { from = \"json_pointer\", pointer = \"/seq\" }")
    })
}

#[test]
fn readiness_ends_before_the_process_does() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("drain-ready"))?;
    // Records that wait for company keep the drain going for a moment.
    let plan = world.plan().replace("pipeline.kafka", "linger = \"2ms\"", "linger = \"2s\"");
    let mut appliance = Appliance::start(&plan)?;
    world.send(50)?;
    appliance.wait_total("received", 1, 30)?;
    appliance.signal(Signal::Terminate)?;
    let mut refused = None;
    while appliance.is_running() {
        if let Ok((503, reasons)) = appliance.get("/readyz?verbose") {
            refused = Some(reasons);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let reasons = refused.expect("/readyz said 503 while the process still lived");
    assert!(reasons.contains("draining"), "{reasons}");
    assert_eq!(appliance.wait(END_MAX)?, Exit::Code(0), "{}", appliance.tail());
    let mut appliance = Appliance::start(&world.plan())?;
    world.wait_empty(60, &mut appliance)?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}
