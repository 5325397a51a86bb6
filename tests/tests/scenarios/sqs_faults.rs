//! What SQS and what is in front of it may answer: nothing is lost, nothing deleted early, no call is
//! hammered, and a fault that lasts is named.

use std::time::Duration;

use anyhow::Result;
use bench::sqs::{Action, Rule};
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::process::Exit;
use tests::wait_until;
use tests::world::{Setup, World};

fn error(status: u16, code: &str) -> Action {
    Action::Error { status, code: code.to_owned() }
}

/// Runs 2,000 messages through a fault plan, then waits for the empty queue and judges.
fn weather(name: &'static str, fifo: bool, rules: Vec<Rule>) -> Result<tests::oracle::Verdict> {
    let kinds = rules.len();
    let mut world = World::new(Kafka::shared()?, &Setup { fifo, visibility_s: 3, ..Setup::new(name) })?;
    world.evidence.server_redelivers = true;
    world.send(2_000)?;
    world.faults(rules);
    let mut appliance = Appliance::launch(&world.plan().add("pipeline.queue", "verify_md5 = true"))?;
    world.wait_empty(100, &mut appliance)?;
    let stats = world.server.stats();
    assert_eq!(stats.fault_hits.len(), kinds);
    assert!(stats.fault_hits.iter().all(|&hits| hits > 0), "every fault was played: {:?}", stats.fault_hits);
    let totals = appliance.snapshot()?["pipelines"][0]["totals"].clone();
    eprintln!("{name}: {totals} {:?}", stats.calls);
    world.faults(Vec::new());
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()
}

fn sometimes(operation: &str, actions: Vec<Action>) -> Vec<Rule> {
    // Low enough that also with all actions together most calls work, and back-off stays short.
    let rule = |action| Rule { chance: 0.03, hits_max: 8, ..Rule::always(operation, action) };
    actions.into_iter().map(rule).collect()
}

#[test]
fn receives_that_fail_in_every_known_way() -> Result<()> {
    let actions = vec![
        Action::LatencyMs(300),
        error(500, "InternalFailure"),
        error(503, "ServiceUnavailable"),
        error(400, "RequestThrottled"),
        error(400, "ThrottlingException"),
        Action::Html(502),
        Action::Empty(500),
        Action::DropBefore,
        Action::DropAfter,
        Action::CutAfter(700),
        Action::TruncateJson,
        Action::WrongLength,
        Action::BadMd5,
        Action::Redeliver,
        Action::NullMessages,
        Action::NoHandle,
        Action::Redirect,
        Action::XmlError { status: 500, code: "InternalFailure".to_owned() },
        Action::HeaderError { status: 503, code: "ServiceUnavailable".to_owned() },
    ];
    weather("faults-receive", false, sometimes("ReceiveMessage", actions))?;
    Ok(())
}

#[test]
fn deletes_that_fail_whole_or_in_part() -> Result<()> {
    let partly =
        |count, code: &str, sender_fault| Action::FailEntries { count, code: code.to_owned(), sender_fault };
    let actions = vec![
        partly(3, "InternalError", false),
        partly(10, "ServiceUnavailable", false),
        partly(1, "ReceiptHandleIsInvalid", true),
        error(500, "InternalFailure"),
        error(400, "RequestThrottled"),
        Action::DropBefore,
        Action::DropAfter,
        Action::CutAfter(60),
        Action::TruncateJson,
        Action::Html(502),
        Action::LatencyMs(400),
    ];
    weather("faults-delete", false, sometimes("DeleteMessageBatch", actions))?;
    Ok(())
}

#[test]
fn a_fifo_queue_under_faults_overtakes_nobody() -> Result<()> {
    let mut rules = sometimes(
        "ReceiveMessage",
        vec![error(500, "InternalFailure"), Action::DropAfter, Action::Redeliver, Action::TruncateJson],
    );
    rules.extend(sometimes("DeleteMessageBatch", vec![error(500, "InternalFailure"), Action::DropAfter]));
    weather("faults-fifo", true, rules)?;
    Ok(())
}

#[test]
fn a_message_that_comes_again_while_it_is_held_is_deleted_once() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup { visibility_s: 3, ..Setup::new("held") })?;
    world.evidence.server_redelivers = true;
    world.send(500)?;
    world.faults(vec![Rule { hits_max: 40, ..Rule::always("ReceiveMessage", Action::Redeliver) }]);
    // Records wait for company, so that their messages are held when they come again.
    let plan = world.plan().replace("pipeline.kafka", "linger = \"2ms\"", "linger = \"500ms\"");
    let mut appliance = Appliance::start(&plan)?;
    world.wait_empty(60, &mut appliance)?;
    let again = appliance.total("redelivered_while_held")?;
    assert!(again > 0, "the fault was met");
    world.check_counters(&mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    let verdict = world.judge()?;
    assert_eq!(verdict.duplicates.total(), 0, "what is held is not produced again: {verdict}");
    Ok(())
}

/// Waits of half a second to a second at first, doubled each time: 5 s have room for four calls.
const CALLS_MAX: u64 = 5;

/// A fault that lasts: its cause is told, calls stay few, and the end of the fault is the end of it all.
fn lasting(name: &'static str, code: &str, calls_max: u64) -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new(name))?;
    world.send(100)?;
    world.faults(vec![Rule::always("ReceiveMessage", error(400, code))]);
    let mut appliance = Appliance::launch(&world.plan())?;
    appliance.wait_alive()?;
    let calls = || world.server.stats().fault_hits.iter().sum::<u64>();
    wait_until("the first refusal", 30, || calls() > 0)?;
    wait_until("/readyz tells the cause", 20, || {
        appliance.get("/readyz?verbose").is_ok_and(|(status, text)| status == 503 && text.contains(code))
    })?;
    let before = calls();
    std::thread::sleep(Duration::from_secs(5));
    let more = calls() - before;
    eprintln!("{name}: {more} calls in 5 s");
    assert!(more <= calls_max, "{more} calls in 5 s");
    let errors = appliance.snapshot()?["pipelines"][0]["sqs_errors"].to_string();
    assert!(errors.contains(code), "{errors}");
    world.faults(Vec::new());
    world.wait_empty(90, &mut appliance)?;
    assert_eq!(appliance.stop()?, Exit::Code(0), "{}", appliance.tail());
    world.judge()?;
    Ok(())
}

#[test]
fn a_missing_right_is_named_and_not_hammered() -> Result<()> {
    lasting("denied", "AccessDenied", CALLS_MAX)
}

#[test]
fn a_missing_queue_is_named_and_not_hammered() -> Result<()> {
    lasting("no-queue", "QueueDoesNotExist", CALLS_MAX)
}
