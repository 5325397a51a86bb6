//! kill −9 at each stage of a message's way, and at random times under load.
//!
//! Claimed: nothing lost, nothing deleted before its ack, every duplicate with a cause in the ledger.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result};
use bench::sqs::{Action, Event, Kind, Rule};
use tests::appliance::{Appliance, Plan};
use tests::kafka::Kafka;
use tests::oracle::{Cause, Verdict};
use tests::process::Exit;
use tests::random::Random;
use tests::wait_until;
use tests::world::{Setup, World};

/// SIGKILL. Source: signal(7).
const KILLED: Exit = Exit::Signal(9);

/// A queue whose visibility is short, so that what a killed appliance held comes back soon.
fn world(name: &'static str, fifo: bool) -> Result<World> {
    World::new(Kafka::shared()?, &Setup { fifo, visibility_s: 2, body_bytes: 400, ..Setup::new(name) })
}

/// Bodies that are no JSON go to the dead letter.
fn plan(world: &World) -> Plan {
    world.plan().set("pipeline.validate", "json = true")
}

/// Sends `count` messages, every tenth to be rejected on a standard queue.
fn send(world: &mut World, count: u64) -> Result<()> {
    world.send_with(count, |number, message| {
        if message.group.is_none() && number % 10 == 9 {
            message.body.insert_str(0, "no JSON: ");
        }
    })
}

/// Starts an appliance that kills itself at a point, and waits for that.
fn die(world: &mut World, plan: &Plan, point: &str, nth: u64) -> Result<()> {
    let mut appliance = Appliance::launch(&plan.clone().kill_at(point, nth))?;
    let exit = appliance.wait(Duration::from_secs(60)).with_context(|| format!("{point}:{nth}"))?;
    world.note_kill();
    assert_eq!(exit, KILLED, "{point}: {}", appliance.tail());
    Ok(())
}

/// Lets an appliance finish everything, then judges.
fn finish(world: &mut World) -> Result<Verdict> {
    let mut appliance = Appliance::start(&plan(world))?;
    world.wait_empty(120, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()
}

#[test]
fn killed_at_each_stage_of_a_message() -> Result<()> {
    let mut world = world("killed-stages", false)?;
    // The passing differs from round to round, so that batches are hit at their beginning and their end.
    for nth in [1, 4, 7, 10] {
        for point in [
            "after_receive",
            "before_produce",
            "after_enqueue",
            "after_ack_before_delete",
            "mid_delete_batch",
            "before_dlq",
            "after_dlq_before_delete",
        ] {
            send(&mut world, 150)?;
            let plan = plan(&world);
            die(&mut world, &plan, point, nth)?;
        }
    }
    let verdict = finish(&mut world)?;
    assert!(verdict.rejected > 0, "dead letters were part of it: {verdict}");
    Ok(())
}

/// SQS applies the first `applied` of ten deletes, and the appliance dies before it hears of any.
fn killed_amid_deletes(name: &'static str, applied: usize) -> Result<()> {
    let mut world = world(name, false)?;
    send(&mut world, 10)?;
    world.faults(vec![Rule::times("DeleteMessageBatch", 1, Action::ApplyFirst { count: applied })]);
    // Records wait for company, so that all are acked together and deleted with one call.
    let together = world.plan().replace("pipeline.kafka", "linger = \"2ms\"", "linger = \"300ms\"");
    let mut appliance = Appliance::launch(&together)?;
    wait_until("a delete batch was done in part", 60, || world.server.stats().fault_hits == [1])?;
    appliance.kill();
    world.note_kill();
    let events = world.events();
    let gone: HashSet<u128> =
        events.iter().filter(|event| event.kind == Kind::Deleted).map(|event| event.id).collect();
    assert_eq!(gone.len(), applied, "one call with all ten");
    let verdict = finish(&mut world)?;
    assert_eq!(verdict.duplicates.total(), 10 - applied, "{verdict}");
    assert_eq!(verdict.duplicates.of(Cause::Kill), 10 - applied, "{verdict}");
    let received = |event: &&Event| event.kind == Kind::Received && event.count > 1;
    let again: HashSet<u128> = world.events().iter().filter(received).map(|event| event.id).collect();
    assert!(again.is_disjoint(&gone), "what SQS has deleted stays gone");
    Ok(())
}

#[test]
fn killed_in_a_delete_batch_that_sqs_applied_in_part() -> Result<()> {
    killed_amid_deletes("killed-one-of-ten", 1)?;
    killed_amid_deletes("killed-six-of-ten", 6)
}

#[test]
fn killed_while_leases_are_extended() -> Result<()> {
    let mut world = world("killed-extending", false)?;
    send(&mut world, 60)?;
    // Records that wait three seconds for company outlive half of a lease of two.
    let waiting = plan(&world).replace("pipeline.kafka", "linger = \"2ms\"", "linger = \"3s\"");
    die(&mut world, &waiting, "mid_extend", 1)?;
    finish(&mut world)?;
    Ok(())
}

#[test]
fn killed_while_draining() -> Result<()> {
    let mut world = world("killed-draining", false)?;
    let plan = plan(&world).kill_at("mid_drain", 1);
    let mut appliance = Appliance::start(&plan)?;
    send(&mut world, 500)?;
    appliance.signal(tests::kernel::Signal::Terminate)?;
    let exit = appliance.wait(Duration::from_secs(30))?;
    world.note_kill();
    assert_eq!(exit, KILLED, "{}", appliance.tail());
    finish(&mut world)?;
    Ok(())
}

#[test]
fn killed_at_random_times_under_load() -> Result<()> {
    let mut world = world("killed-random", false)?;
    let mut random = Random::new(1);
    for _ in 0..8 {
        send(&mut world, 1_500)?;
        let mut appliance = Appliance::launch(&plan(&world))?;
        std::thread::sleep(Duration::from_millis(random.between(200, 1_500)));
        appliance.kill();
        world.note_kill();
    }
    finish(&mut world)?;
    Ok(())
}

#[test]
fn killed_over_a_fifo_queue_no_group_is_overtaken() -> Result<()> {
    let mut world = world("killed-fifo", true)?;
    for point in ["after_enqueue", "after_ack_before_delete", "mid_delete_batch"] {
        send(&mut world, 300)?;
        let plan = plan(&world);
        die(&mut world, &plan, point, 20)?;
    }
    finish(&mut world)?;
    Ok(())
}
