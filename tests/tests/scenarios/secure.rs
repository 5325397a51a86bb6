//! SQS over HTTPS with a certificate of a private authority: the shards and the SDK both trust what the
//! config names and nothing else.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bench::sqs::Kind;
use tests::appliance::{Appliance, Plan};
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::proxy::{Proxy, Weather};
use tests::scratch::Scratch;
use tests::world::{Setup, World};

fn world(name: &'static str) -> Result<World> {
    World::new(Kafka::shared()?, &Setup { tls: true, visibility_s: 3, ..Setup::new(name) })
}

/// A file with the authority of a world.
fn authority(scratch: &Scratch, world: &World) -> Result<PathBuf> {
    let file = scratch.join("authority.pem");
    fs::write(&file, world.authority())?;
    Ok(file)
}

fn trusting(plan: Plan, file: &PathBuf) -> Plan {
    plan.add("pipeline.queue", &format!("ca_file = {file:?}"))
}

#[test]
fn a_queue_of_a_private_authority_arrives_whole() -> Result<()> {
    let mut world = world("private")?;
    let scratch = Scratch::new("private")?;
    let plan = trusting(world.plan(), &authority(&scratch, &world)?);
    assert!(world.server.endpoint().starts_with("https://"));
    world.send(3_000)?;
    let mut appliance = Appliance::start(&plan)?;
    world.wait_empty(60, &mut appliance)?;
    world.check_counters(&mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!((verdict.delivered, verdict.duplicates.total()), (3_000, 0), "{verdict}");
    Ok(())
}

/// Nothing is received, and the reason names the certificate.
fn refused(world: &World, plan: &Plan) -> Result<()> {
    let mut appliance = Appliance::launch(plan)?;
    appliance.wait_alive()?;
    appliance.wait_reasons(&["ertificate"], 40)?;
    assert_eq!(world.count(Kind::Received), 0);
    assert!(world.server.stats().calls.is_empty(), "no request was sent to a stranger");
    Ok(())
}

#[test]
fn an_authority_that_nobody_named_is_refused() -> Result<()> {
    let mut world = world("unnamed-authority")?;
    world.send(10)?;
    refused(&world, &world.plan())
}

#[test]
fn another_authority_than_the_named_one_is_refused() -> Result<()> {
    let mut world = world("other-authority")?;
    world.send(10)?;
    let other = World::new(Kafka::shared()?, &Setup { tls: true, ..Setup::new("another") })?;
    let scratch = Scratch::new("authority")?;
    let plan = trusting(world.plan(), &authority(&scratch, &other)?);
    refused(&world, &plan)
}

#[test]
fn sessions_that_break_off_lose_nothing() -> Result<()> {
    let mut world = world("broken-sessions")?;
    let scratch = Scratch::new("sessions")?;
    let port = world.server.endpoint().rsplit(':').next().and_then(|port| port.parse().ok());
    let proxy = Proxy::to(port.context("an endpoint ends in its port")?)?;
    let endpoint = format!("endpoint = \"https://127.0.0.1:{}\"", proxy.port());
    let plan = trusting(world.plan().add("pipeline.queue", &endpoint), &authority(&scratch, &world)?);
    let mut appliance = Appliance::start(&plan)?;
    // An end without `close_notify`, and a reset, in the middle of answers and of handshakes.
    for weather in [Weather::CutAfter(20_000), Weather::CutAfter(700), Weather::Reset] {
        world.send(1_000)?;
        proxy.set(weather);
        std::thread::sleep(Duration::from_secs(2));
        proxy.set(Weather::Fair);
        world.wait_empty(40, &mut appliance)?;
    }
    assert!(proxy.cuts() > 0, "answers were cut");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}
