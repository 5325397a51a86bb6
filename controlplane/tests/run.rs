//! The appliance as a supervisor meets it: ready, drained, aborted; and what its log says.
//!
//! Method: the built binary against the embedded SQS server and librdkafka's mock cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use world::{CANARY, Running, World, wait};

#[test]
fn a_signal_drains_and_exits_0_with_nothing_left_invisible() {
    let world = World::new();
    world.send(500);
    let running = Running::start(&world.config(""), &[]);
    running.wait_ready();
    wait("all messages", || {
        let (_, text) = running.get("/snapshot");
        let snapshot: serde_json::Value = serde_json::from_str(&text).ok()?;
        (snapshot["totals"]["delivered"] == 500).then_some(())
    });
    let (_, text) = running.get("/snapshot");
    let snapshot: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        snapshot["shards"][0]["cooperative_rings"],
        kernel_is_cooperative(),
        "how the program is linked"
    );
    let (_, metrics) = running.get("/metrics");
    assert!(
        metrics.contains("millrace_messages_delivered_total{pipeline=\"orders\",shard=\"0\"} 500\n"),
        "{metrics}"
    );
    assert!(metrics.contains("millrace_messages_unaccounted{pipeline=\"orders\"} 0"), "{metrics}");
    let (status, page) = running.get("/plain");
    assert!(status == 200 && page.contains("<td>500</td>"), "{page}");
    running.signal("HUP");
    running.signal("USR1");
    wait("the snapshot", || (running.get("/livez").0 == 200).then_some(()));
    running.signal("TERM");
    let (status, log) = running.end();
    assert_eq!(status.code(), Some(0), "{log}");
    let depth = world.server.depth("orders").unwrap();
    assert_eq!((depth.visible, depth.in_flight), (0, 0));
    let events: Vec<String> = log
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
        })
        .map(|line| line["event"].as_str().unwrap_or_else(|| panic!("no event: {line}")).to_owned())
        .collect();
    for event in [
        "started",
        "credentials",
        "queue_reached",
        "pipeline_state",
        "reloaded",
        "snapshot",
        "drain",
        "ended",
        "drained",
    ] {
        assert!(events.iter().any(|found| found == event), "{event} is not among {events:?}");
    }
}

/// Since Linux 5.19. Source: io_uring_setup(2), IORING_SETUP_COOP_TASKRUN.
fn kernel_is_cooperative() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(5), Some(19))
}

#[test]
fn without_sqs_it_stays_up_not_ready_and_says_why() {
    let world = World::new();
    let config = world.config("");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&world.server.endpoint(), "http://127.0.0.1:1")).unwrap();
    let running = Running::start(&config, &[]);
    let reasons = wait("the reason", || {
        let (status, text) = running.get("/readyz");
        assert_eq!(status, 503);
        text.contains("SQS cannot be reached").then_some(text)
    });
    assert!(reasons.contains("Connection refused") && !reasons.contains(CANARY), "{reasons}");
    assert_eq!(running.get("/livez").0, 200, "Kafka and SQS are not asked about life");
    running.signal("INT");
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn without_credentials_the_order_of_the_providers_is_told() {
    let world = World::new();
    let running =
        Running::start(&world.config(""), &[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")]);
    let reasons = wait("the reason", || {
        Some(running.get("/readyz").1).filter(|text| text.contains("no AWS credentials"))
    });
    assert!(reasons.contains("environment (AWS_ACCESS_KEY_ID)") && reasons.contains("IMDSv2"), "{reasons}");
    running.signal("TERM");
    assert_eq!(running.end().0.code(), Some(0));
}

#[test]
fn a_second_signal_leaves_at_once_and_gives_everything_back() {
    let world = World::new();
    world.cluster.broker_down(1).unwrap();
    world.send(50);
    let running = Running::start(&world.config(""), &[]);
    running.signal("TERM");
    running.signal("INT");
    let (status, log) = running.end();
    assert!(matches!(status.code(), Some(0 | 130)), "{status:?}: {log}");
    assert_eq!(
        world.server.depth("orders").unwrap().visible,
        50,
        "nothing was received before the producer was ready"
    );
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let world = World::new();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = holder.local_addr().unwrap().to_string();
    let config = world.config("");
    let output =
        world::millrace(&["run", "-c", config.to_str().unwrap(), "--listen", &listen]).output().unwrap();
    let (code, _, error) = world::told(&output);
    assert_eq!(code, 78);
    assert!(error.contains(&listen) && error.contains("--listen 127.0.0.1:0"), "{error}");
}
