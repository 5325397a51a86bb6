//! The store's disk is full while the appliance runs: messages go on, readings too, changes are refused by name, and
//! space that comes back needs no restart.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::appliance::Appliance;
use tests::disk::Disk;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::world::{Setup, World};

/// Makes an API key; status and code of the refusal.
fn make_key(appliance: &mut Appliance, number: u32) -> Result<(u16, Value)> {
    let wanted = json!({"name": format!("key-{number}"), "role": "viewer"});
    let (status, answer) = appliance.api("POST", "/api/v1/keys", Some(&wanted))?;
    Ok((status, answer["code"].clone()))
}

#[test]
fn a_full_disk_stops_no_message_and_no_hand() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup::new("full-disk"))?;
    let disk = Disk::new(2 << 20)?;
    let state = disk.path().join("state");
    let plan = world.plan().environment("STATE_DIRECTORY", &state.display().to_string());
    let mut appliance = Appliance::start(&plan)?;
    world.send(500)?;
    assert_eq!(make_key(&mut appliance, 0)?.0, 201);

    disk.fill()?;
    // The log of SQLite may have room for some more.
    let mut made = (1..=100).map(|number| make_key(&mut appliance, number));
    let refused = made.find(|made| !made.as_ref().is_ok_and(|(status, _)| *status == 201));
    let refused = refused.context("a hundred keys find room on a full disk")??;
    assert_eq!(refused, (507, json!("store_full")), "{}", appliance.tail());
    world.send(2_000)?;
    // What an operator reads, and does to the pump, needs no disk.
    for path in ["/api/v1/pipelines", "/api/v1/latency", "/api/v1/audit", "/api/v1/config", "/api/v1/keys"] {
        assert_eq!(appliance.api("GET", path, None)?.0, 200, "{path}");
    }
    for deed in ["pause", "resume"] {
        let path = format!("/api/v1/pipelines/orders/{deed}");
        let (status, answer) = appliance.api("POST", &path, Some(&json!({})))?;
        assert_eq!(status, 200, "{deed}: {answer}");
    }
    appliance.wait_log(&["audit_unstored", "pause"], 10)?;
    assert_eq!(appliance.get("/livez")?.0, 200);
    world.wait_empty(60, &mut appliance)?;

    disk.free()?;
    tests::wait_until("a key can be made again", 20, || {
        make_key(&mut appliance, 1_000).is_ok_and(|(status, _)| status == 201)
    })?;
    world.send(500)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.delivered as u64, world.sent());
    assert_eq!(verdict.duplicates.total(), 0, "{verdict}");
    Ok(())
}

#[test]
fn on_a_disk_that_is_full_at_the_start_messages_flow() -> Result<()> {
    let kafka = Kafka::shared()?;
    let mut world = World::new(kafka, &Setup::new("full-at-start"))?;
    let disk = Disk::new(1 << 20)?;
    disk.fill()?;
    let state = disk.path().join("state").display().to_string();
    let mut appliance = Appliance::start(&world.plan().environment("STATE_DIRECTORY", &state))?;
    appliance.wait_log(&["store_unavailable", "full"], 10)?;
    world.send(500)?;
    world.wait_empty(60, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    assert_eq!(world.judge()?.delivered as u64, world.sent());
    Ok(())
}
