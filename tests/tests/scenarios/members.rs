//! Pipelines that come and go under load: each message keeps its promises, and nothing of a pipeline that went is left.

use anyhow::{Context, Result};
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::world::{Setup, World};

/// Names of the pipelines that the appliance shows.
fn names(appliance: &mut Appliance) -> Result<Vec<String>> {
    let snapshot = appliance.snapshot()?;
    let pipelines = snapshot["pipelines"].as_array().context("/snapshot has no pipelines")?;
    Ok(pipelines.iter().filter_map(|pipeline| pipeline["name"].as_str().map(str::to_owned)).collect())
}

#[test]
fn a_pipeline_that_comes_and_goes_under_load_loses_and_doubles_nothing() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut stays = World::new(kafka, &Setup::new("member-stays"))?;
    let mut guest = World::new(kafka, &Setup::new("member-guest"))?;
    let alone = stays.plan().set("shards", "count = 2\npin = false");
    // One producer for two shards: records are handed over until the very end.
    let both = alone.clone().beside("guest", &guest.plan().add("pipeline.kafka", "producers = 1"));
    let mut appliance = Appliance::start(&alone)?;
    for round in 0..3 {
        appliance.reload(&both)?;
        tests::wait_until("the guest is there", 20, || {
            names(&mut appliance).is_ok_and(|names| names.len() == 2)
        })?;
        stays.send(2_000)?;
        guest.send(3_000)?;
        // It goes at another moment of its work each time.
        std::thread::sleep(std::time::Duration::from_millis(300 * round));
        appliance.reload(&alone)?;
        tests::wait_until("the guest is gone", 60, || {
            names(&mut appliance).is_ok_and(|names| names.len() == 1)
        })
        .with_context(|| appliance.tail())?;
        let depth = guest.server.depth("member-guest").context("the queue is gone")?;
        assert_eq!(depth.in_flight, 0, "round {round}: what it held is finished or back");
    }
    stays.wait_empty(60, &mut appliance)?;
    appliance.reload(&both)?;
    guest.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    for world in [&mut stays, &mut guest] {
        let verdict = world.judge()?;
        eprintln!("{} sent, {verdict}", world.sent());
        assert_eq!(verdict.delivered as u64, world.sent());
        assert_eq!(verdict.duplicates.total(), 0, "{verdict}");
    }
    Ok(())
}

#[test]
fn a_name_is_free_again_once_its_pipeline_is_gone() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut stays = World::new(kafka, &Setup::new("member-name"))?;
    let guest = World::new(kafka, &Setup::new("member-again"))?;
    let alone = stays.plan();
    let both = alone.clone().beside("guest", &guest.plan());
    let mut appliance = Appliance::start(&both)?;
    appliance.reload(&alone)?;
    appliance.wait_log(&["pipeline.guest", "reloaded"], 10)?;
    appliance.reload(&both)?;
    appliance.wait_log(&["pipeline.guest", "still finishing"], 10)?;
    tests::wait_until("the guest is gone", 60, || names(&mut appliance).is_ok_and(|names| names.len() == 1))?;
    appliance.reload(&both)?;
    tests::wait_until("the guest is back", 20, || names(&mut appliance).is_ok_and(|names| names.len() == 2))?;
    stays.send(300)?;
    stays.wait_empty(30, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    stays.judge()?;
    Ok(())
}
