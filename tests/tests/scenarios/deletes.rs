//! Deleting fails while all else works: what Kafka has is not received, and produced, over and over; few
//! calls are made; the state names the cause; and the end of the fault is the end of it all.

use std::time::Duration;

use anyhow::Result;
use bench::sqs::{Action, Kind, Rule};
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::oracle::Verdict;
use tests::process::Exit;
use tests::wait_until;
use tests::world::{Setup, World};

/// How long the fault lasts.
const FAULT: Duration = Duration::from_secs(8);

/// Messages that may be received to try whether deleting works again.
const PROBES_MAX: usize = 20;

/// Deletes are refused for a while, and `calls_max` of them are made after the first ones were.
fn refused(setup: &Setup, code: &str, calls_max: u64) -> Result<Verdict> {
    let mut world = World::new(Kafka::shared()?, setup)?;
    let mut appliance = Appliance::start(&world.plan())?;
    world.send(500)?;
    world.wait_empty(30, &mut appliance)?;
    let refusal = Action::Error { status: 400, code: code.to_owned() };
    world.faults(vec![Rule::always("DeleteMessageBatch", refusal)]);
    world.send(2_000)?;
    wait_until("the state names what fails", 20, || {
        let told = |(state, reason): (String, String)| {
            state == "broken" && reason.contains("delet") && reason.contains(code)
        };
        appliance.state().is_ok_and(told)
    })?;
    appliance.wait_reasons(&["delet", code], 5)?;
    let calls = || world.server.stats().fault_hits.iter().sum::<u64>();
    let (calls_before, received_before) = (calls(), world.count(Kind::Received));
    std::thread::sleep(FAULT);
    let (calls, probes) = (calls() - calls_before, world.count(Kind::Received) - received_before);
    eprintln!("{}: {calls} delete calls and {probes} receives in {FAULT:?}", setup.name);
    assert!(calls <= calls_max, "{calls} delete calls in {FAULT:?}");
    assert!(probes <= PROBES_MAX, "{probes} messages received while none can be deleted");
    let errors = appliance.snapshot()?["pipelines"][0]["sqs_errors"].to_string();
    assert!(errors.contains(&format!("delete:{code}")), "{errors}");
    world.faults(Vec::new());
    world.wait_empty(60, &mut appliance)?;
    appliance.wait_ready()?;
    assert_eq!(appliance.state()?, ("running".to_owned(), String::new()));
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    // What was acked when the rights went may come once more; only a probe may come a third time.
    let acked = received_before - 500;
    assert!(verdict.duplicates.total() <= acked + PROBES_MAX, "{acked} acked, {verdict}");
    Ok(verdict)
}

#[test]
fn a_right_to_delete_that_is_lost_stops_receiving_until_it_returns() -> Result<()> {
    // Shorter than the fault: leases of acked messages run out while nothing can be deleted.
    refused(&Setup { visibility_s: 3, ..Setup::new("delete-denied") }, "AccessDenied", 15)?;
    Ok(())
}

#[test]
fn deletes_that_are_throttled_back_off_and_duplicate_nothing() -> Result<()> {
    let verdict = refused(&Setup::new("delete-throttled"), "ThrottlingException", 15)?;
    assert_eq!(verdict.duplicates.total(), 0, "leases outlived the fault: {verdict}");
    Ok(())
}
