//! Kafka goes away and comes back: nothing is lost, nothing deleted, receiving stops, receive counts of
//! healthy messages are not burnt, and all goes on by itself.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use bench::sqs::Kind;
use tests::appliance::{Appliance, END_MAX};
use tests::kafka::{Kafka, Plan};
use tests::kernel::Signal;
use tests::process::Exit;
use tests::proxy::{Proxy, Weather};
use tests::rates::{pace, reached_after};
use tests::wait_until;
use tests::world::{Setup, World};

/// A real broker behind a proxy; whoever holds the lock makes the weather.
struct Distant {
    kafka: Kafka,
    proxy: Proxy,
}

impl Distant {
    fn shared() -> Result<MutexGuard<'static, Distant>> {
        static SHARED: OnceLock<Result<Mutex<Distant>, String>> = OnceLock::new();
        let make = || {
            let port = tests::ports::free()?;
            let proxy = Proxy::to(port)?;
            let plan = Plan { brokers: 1, proxied: Some((port, proxy.port())), ..Plan::default() };
            anyhow::Ok(Mutex::new(Distant { kafka: Kafka::start_as(&plan)?, proxy }))
        };
        let shared = SHARED.get_or_init(|| make().map_err(|error| format!("{error:#}")));
        let shared = shared.as_ref().map_err(|text| anyhow!("{text}"))?;
        let distant = shared.lock().unwrap_or_else(PoisonError::into_inner);
        distant.proxy.set(Weather::Fair);
        Ok(distant)
    }

    fn plan(&self, world: &World) -> tests::appliance::Plan {
        let brokers = [format!("127.0.0.1:{}", self.proxy.port())];
        let plan = world.plan_through(&brokers).set("pipeline.breaker", "ack_stall = \"1s\"");
        // Dead connections are noticed, and new ones tried, within seconds instead of a minute.
        plan.add(
            "pipeline.kafka",
            "options = { \"socket.timeout.ms\" = \"3000\", \"reconnect.backoff.max.ms\" = \"1000\" }",
        )
    }
}

/// The distance of the queue where a rate is measured: with a fleet of N receives of 10, N × 500 messages a
/// second at most, far below what any machine does, so that the rate does not depend on the machine.
const DISTANCE: Duration = Duration::from_millis(20);

/// How soon after Kafka's return the rate is what it was before, and what counts as that.
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// The same where ten thousand messages that were held must leave first.
const RECOVERY_HELD_MAX: Duration = Duration::from_secs(10);
const RECOVERED: f64 = 0.9;

/// The full rate is back soon after `back_ns` of the ledger: what was held leaves, and new messages come.
fn full_rate_returns(world: &World, before: f64, back_ns: u64, within: Duration) {
    for kind in [Kind::Deleted, Kind::Received] {
        let took = reached_after(&world.events(), kind, back_ns, RECOVERED * before);
        eprintln!("{before:.0}/s before, {kind:?} at {:.0} % of that after {took:?}", RECOVERED * 100.0);
        assert!(took.is_some_and(|took| took <= within), "{before:.0}/s {kind:?} again after {took:?}");
    }
}

#[test]
fn kafka_down_and_back_burns_no_receive_counts() -> Result<()> {
    let distant = Distant::shared()?;
    let setup = Setup { visibility_s: 4, latency: DISTANCE, ..Setup::new("outage") };
    let mut world = World::new(&distant.kafka, &setup)?;
    world.evidence.kafka_ambiguous = true;
    let plan = distant.plan(&world).add("pipeline.queue", "pollers_max = 4");
    let mut appliance = Appliance::start(&plan)?;
    let began_ns = world.server.now_ns();
    world.send(8_000)?;
    appliance.wait_total("delivered", 6_000, 30)?;
    let before = pace(&world.events(), began_ns);
    distant.proxy.set(Weather::Reset);
    world.send(16_000)?;
    wait_until("the breaker opens", 20, || appliance.state().is_ok_and(|(state, _)| state == "broken"))?;
    let (_, reason) = appliance.state()?;
    assert!(!reason.is_empty(), "a broken pipeline says why");
    let (status, _) = appliance.get("/readyz")?;
    assert_eq!(status, 503);
    // Let what was asked for before come in; from then on only probes may receive.
    std::thread::sleep(Duration::from_secs(2));
    let earlier = world.count(Kind::Received);
    std::thread::sleep(Duration::from_secs(6));
    let received = world.count(Kind::Received) - earlier;
    assert!(received <= 60, "{received} receives while Kafka was down");
    let back_ns = world.server.now_ns();
    distant.proxy.set(Weather::Fair);
    world.wait_empty(60, &mut appliance)?;
    assert!(world.receives_max() <= 2, "a message was received {} times", world.receives_max());
    full_rate_returns(&world, before, back_ns, RECOVERY_MAX);
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}

/// Messages held through an outage.
const HELD: u64 = 10_000;

#[test]
fn ten_thousand_held_leases_outlive_their_visibility_timeout_twice() -> Result<()> {
    let distant = Distant::shared()?;
    let setup = Setup { visibility_s: 10, latency: DISTANCE, ..Setup::new("outage-held") };
    let mut world = World::new(&distant.kafka, &setup)?;
    world.evidence.kafka_ambiguous = true;
    // Filled within the eight seconds that the breaker waits.
    let plan = distant
        .plan(&world)
        .add("pipeline.queue", "pollers_max = 8")
        .set("pipeline.breaker", "ack_stall = \"8s\"")
        .set("pipeline.budget", &format!("in_flight_messages_max = {HELD}"));
    let mut appliance = Appliance::start(&plan)?;
    let began_ns = world.server.now_ns();
    world.send(6_000)?;
    world.wait_empty(30, &mut appliance)?;
    let before = pace(&world.events(), began_ns);
    distant.proxy.set(Weather::Silent);
    world.send(28_000)?;
    appliance.wait_total("in_flight", HELD - 100, 30)?;
    std::thread::sleep(Duration::from_secs(20));
    let back_ns = world.server.now_ns();
    distant.proxy.set(Weather::Fair);
    world.wait_empty(60, &mut appliance)?;
    let (lost, extended) = (appliance.total("lease_lost")?, appliance.total("leases_extended")?);
    eprintln!("{extended} leases extended, {lost} lost, received {} times at most", world.receives_max());
    assert!(extended >= 3 * HELD, "{extended} leases extended");
    assert!(lost <= HELD / 1_000, "{lost} of {HELD} leases lost");
    assert!(world.receives_max() <= 2, "a message was received {} times", world.receives_max());
    full_rate_returns(&world, before, back_ns, RECOVERY_HELD_MAX);
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}

#[test]
fn sigterm_while_kafka_is_silent_gives_everything_back() -> Result<()> {
    let distant = Distant::shared()?;
    let mut world = World::new(&distant.kafka, &Setup::new("outage-term"))?;
    world.evidence.kafka_ambiguous = true;
    let plan = distant.plan(&world).set("drain", "deadline = \"4s\"");
    let mut appliance = Appliance::start(&plan)?;
    world.send(10)?;
    world.wait_empty(30, &mut appliance)?;
    distant.proxy.set(Weather::Silent);
    world.send(300)?;
    appliance.wait_total("in_flight", 50, 20)?;
    assert_eq!(appliance.stop()?, Exit::Code(75), "not flushed: {}", appliance.tail());
    wait_until("nothing stays invisible", 5, || world.depth().is_ok_and(|depth| depth.in_flight == 0))?;
    assert_eq!(world.depth()?.visible, 300, "nothing was deleted");
    distant.proxy.set(Weather::Fair);
    let mut appliance = Appliance::start(&distant.plan(&world))?;
    world.wait_empty(60, &mut appliance)?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}

#[test]
fn a_second_sigterm_gives_back_and_leaves_at_once() -> Result<()> {
    let distant = Distant::shared()?;
    let mut world = World::new(&distant.kafka, &Setup::new("outage-twice"))?;
    world.evidence.kafka_ambiguous = true;
    let mut appliance = Appliance::start(&distant.plan(&world))?;
    world.send(10)?;
    world.wait_empty(30, &mut appliance)?;
    distant.proxy.set(Weather::Silent);
    world.send(300)?;
    appliance.wait_total("in_flight", 50, 20)?;
    appliance.signal(Signal::Terminate)?;
    std::thread::sleep(Duration::from_millis(100));
    let began = std::time::Instant::now();
    appliance.signal(Signal::Terminate)?;
    assert_eq!(appliance.wait(END_MAX)?, Exit::Code(130), "{}", appliance.tail());
    assert!(began.elapsed() < Duration::from_secs(8), "left after {:?}", began.elapsed());
    wait_until("nothing stays invisible", 5, || world.depth().is_ok_and(|depth| depth.in_flight == 0))?;
    distant.proxy.set(Weather::Fair);
    let mut appliance = Appliance::start(&distant.plan(&world))?;
    world.wait_empty(60, &mut appliance)?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}

#[test]
fn answers_of_kafka_that_never_come_cost_nothing_but_time() -> Result<()> {
    let distant = Distant::shared()?;
    let mut world = World::new(&distant.kafka, &Setup::new("outage-mute"))?;
    let mut appliance = Appliance::start(&distant.plan(&world))?;
    for weather in [Weather::Mute, Weather::CutAfter(2_000), Weather::Slow(Duration::from_millis(150))] {
        world.send(1_000)?;
        distant.proxy.set(weather);
        std::thread::sleep(Duration::from_secs(4));
        distant.proxy.set(Weather::Fair);
        world.wait_empty(60, &mut appliance)?;
    }
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    // Requests were done and never answered: only the idempotent producer keeps their records single.
    world.judge()?;
    Ok(())
}

#[test]
fn leaders_killed_one_after_another_lose_nothing() -> Result<()> {
    let mut kafka = Kafka::start(3)?;
    let mut world = World::new(&kafka, &Setup::new("leaders"))?;
    let mut appliance = Appliance::start(&world.plan())?;
    for _ in 0..3 {
        world.send(3_000)?;
        let leader = kafka.leader("leaders", 0)?;
        kafka.kill(leader);
        world.send(3_000)?;
        world.wait_empty(120, &mut appliance)?;
        kafka.restart(leader)?;
        wait_until("all replicas are in sync", 60, || {
            kafka.in_sync("leaders").is_ok_and(|least| least == 3)
        })?;
    }
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.delivered, 18_000);
    Ok(())
}
