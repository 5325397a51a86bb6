//! `check --connect` against the embedded servers: what is well is ticked, what is not is named with its remedy.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use std::process::Output;

use bench::sqs::{Action, FaultPlan, Rule};
use world::{CANARY, World, millrace, told};

fn check(world: &World, more: &[&str]) -> Output {
    let config = world.config("");
    let args = [&["check", "--connect", "--config", config.to_str().unwrap()], more].concat();
    let output = millrace(&args)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", CANARY)
        .output()
        .unwrap();
    let (_, out, error) = told(&output);
    assert!(!out.contains(CANARY) && !error.contains(CANARY), "the secret was printed");
    output
}

fn refuse(world: &World, operation: &str, code: &str) {
    let action = Action::Error { status: 400, code: code.to_owned() };
    world.server.set_faults(FaultPlan { seed: 1, rules: vec![Rule::always(operation, action)] });
}

#[test]
fn a_working_world_gets_ticks_and_keeps_its_message() {
    let world = World::new();
    world.send(1);
    let (code, list, error) = told(&check(&world, &[]));
    assert_eq!(code, 0, "{list}{error}");
    for line in [
        "✓ credentials: access key AKIDEXAMPLE, region us-east-1",
        "✓ sqs:GetQueueAttributes: standard queue",
        "✓ sqs:ReceiveMessage: allowed; one message was received and given back at once",
        "✓ sqs:DeleteMessage: allowed",
        "✓ sqs:ChangeMessageVisibility: allowed",
        "✓ brokers: 1 brokers answer",
        "✓ topic: orders: 4 partitions",
    ] {
        assert!(list.contains(line), "{line} is missing in\n{list}");
    }
    assert_eq!(world.server.depth("orders").unwrap().visible, 1);
}

#[test]
fn each_missing_right_is_named_with_its_statement_and_exit_77() {
    let world = World::new();
    for (operation, action) in [
        ("ReceiveMessage", "sqs:ReceiveMessage"),
        ("DeleteMessage", "sqs:DeleteMessage"),
        ("ChangeMessageVisibility", "sqs:ChangeMessageVisibility"),
        ("GetQueueAttributes", "sqs:GetQueueAttributes"),
    ] {
        refuse(&world, operation, "AccessDeniedException");
        let (code, list, _) = told(&check(&world, &["-o", "json"]));
        assert_eq!(code, 77, "{operation}: {list}");
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let failed: Vec<_> =
            list["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0]["name"], action);
        let statement =
            format!("{{\"Effect\":\"Allow\",\"Action\":\"{action}\",\"Resource\":\"arn:aws:sqs:us-east-1:");
        assert!(failed[0]["remedy"].as_str().unwrap().contains(&statement), "{failed:?}");
    }
}

#[test]
fn what_is_not_there_is_named_by_exit_code() {
    let world = World::new();
    let (code, list, _) = told(&check(&world, &["--set", "pipeline.orders.route.topic=nowhere"]));
    // The mock cluster makes topics by itself; a real one does not.
    assert!(
        code == 0 || code == 78 && list.contains("kafka-topics.sh --create --topic nowhere"),
        "{code} {list}"
    );
    let (code, list, _) = told(&check(&world, &["--set", "pipeline.orders.kafka.brokers=[\"127.0.0.1:1\"]"]));
    assert_eq!(code, 69, "{list}");
    assert!(list.contains("✗ brokers: no broker answers:") && list.contains("Connection refused"), "{list}");
    let url = format!("{}/000000000000/nowhere", world.server.endpoint());
    let (code, list, _) = told(&check(&world, &["--set", &format!("pipeline.orders.queue.url={url}")]));
    assert_eq!(code, 78, "{list}");
    assert!(list.contains("does not exist"), "{list}");
    let (code, list, _) =
        told(&check(&world, &["--set", "pipeline.orders.queue.url=http://127.0.0.1:1/1/orders"]));
    assert_eq!(code, 69, "{list}");
}

#[test]
fn a_clock_that_is_off_is_told_in_seconds() {
    let world = World::new();
    world.server.set_clock_offset(1200);
    let (_, list, _) = told(&check(&world, &[]));
    let line = list.lines().find(|line| line.contains("clock skew")).unwrap_or_else(|| panic!("{list}"));
    assert!(line.contains("! clock skew: AWS's clock is 1200 s ahead") || line.contains("1199 s"), "{line}");
}
