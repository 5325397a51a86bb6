//! The way to SQS: slow, cut in the middle of answers, reset, silent.

use std::time::Duration;

use anyhow::Result;
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::proxy::{Proxy, Weather};
use tests::world::{Setup, World};

#[test]
fn sqs_behind_a_bad_line() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup { visibility_s: 3, ..Setup::new("bad-line") })?;
    let port = world.server.endpoint().rsplit(':').next().and_then(|port| port.parse().ok());
    let proxy = Proxy::to(port.expect("an endpoint ends in its port"))?;
    world.send(500)?;
    let plan = world.plan().add("pipeline.queue", &format!("endpoint = {:?}", proxy.url()));
    let mut appliance = Appliance::start(&plan)?;
    for weather in [
        Weather::Slow(Duration::from_millis(100)),
        Weather::CutAfter(20_000),
        Weather::Reset,
        Weather::Mute,
        Weather::Silent,
    ] {
        world.send(1_500)?;
        proxy.set(weather);
        std::thread::sleep(Duration::from_secs(3));
        proxy.set(Weather::Fair);
        // A silent connection is given up after wait time and margin: nothing hangs on it for ever.
        world.wait_empty(60, &mut appliance)?;
    }
    assert!(proxy.cuts() > 0, "answers were cut");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}
