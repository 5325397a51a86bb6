//! A clock that differs from AWS's: learnt from the `Date` of the refusal, told, and gone on with.

use anyhow::Result;
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::wait_until;
use tests::world::{Setup, World};

/// Beyond the quarter of an hour that AWS allows.
const OFF_S: i64 = 20 * 60;

/// Waits until the skew is told within a few seconds of what it is.
fn skew_is_told(appliance: &mut Appliance, skew_s: i64) -> Result<()> {
    let mut told = None;
    let waited = wait_until("the skew is told", 20, || {
        let snapshot = appliance.snapshot().unwrap_or_default();
        told = snapshot["pipelines"][0]["clock_skew_s"].as_i64();
        told.is_some_and(|told| (told - skew_s).abs() <= 3)
    });
    assert!(waited.is_ok(), "{told:?} for {skew_s}");
    let (_, metrics) = appliance.get("/metrics")?;
    assert!(metrics.contains("clock_skew"), "{metrics}");
    Ok(())
}

/// Starts beside a server whose clock is off, and delivers everything.
fn off_from_the_start(name: &'static str, skew_s: i64) -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new(name))?;
    world.server.set_clock_offset(skew_s);
    world.send(500)?;
    let mut appliance = Appliance::start(&world.plan())?;
    world.wait_empty(60, &mut appliance)?;
    skew_is_told(&mut appliance, skew_s)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.duplicates.total(), 0);
    Ok(())
}

#[test]
fn a_clock_that_is_behind_from_the_start_is_learnt() -> Result<()> {
    off_from_the_start("clock-behind", OFF_S)
}

#[test]
fn a_clock_that_is_ahead_from_the_start_is_learnt() -> Result<()> {
    off_from_the_start("clock-ahead", -OFF_S)
}

#[test]
fn a_clock_that_is_set_wrong_under_way_is_learnt_and_learnt_again_when_it_is_set_right() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("clock-jump"))?;
    let mut appliance = Appliance::start(&world.plan())?;
    for skew_s in [OFF_S, 0] {
        world.server.set_clock_offset(skew_s);
        world.send(1_000)?;
        world.wait_empty(30, &mut appliance)?;
        skew_is_told(&mut appliance, skew_s)?;
    }
    let errors = appliance.snapshot()?["pipelines"][0]["sqs_errors"].to_string();
    assert!(errors.contains("RequestTimeTooSkewed"), "{errors}");
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.duplicates.total(), 0);
    Ok(())
}
