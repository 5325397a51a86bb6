//! The verbs that steer a running appliance and show its figures: pipelines, configuration, alerts, latency, cost, queues.
//!
//! Method: the built binary on both sides, the embedded SQS server and librdkafka's mock cluster behind it. What needs a
//! real Kafka (topics, groups, rejected messages) is among the scenarios of the crate `tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use world::{PASSWORD, Person, Running, World, millrace, wait};

/// An appliance with an admin who has signed in.
struct Scene {
    world: World,
    running: Running,
    home: PathBuf,
    api: String,
}

impl Scene {
    fn new(more: &str) -> Scene {
        let world = World::new();
        let mut running = Running::start(&world.config(more), &[]);
        let api = format!("http://127.0.0.1:{}", running.port);
        let home = world.folder.path().join("home");
        let token = running.first_token();
        running.wait_ready();
        let scene = Scene { world, running, home, api };
        let line = format!("{PASSWORD}\n");
        let first = Person { token: Some(token), ..scene.ada() };
        first.json(&["users", "add", "ada", "--role", "admin"], &line);
        assert_eq!(scene.ada().says(&["login", "ada"], &line).0, 0);
        scene
    }

    fn ada(&self) -> Person<'_> {
        Person { home: &self.home, api: self.api.clone(), token: None }
    }

    fn delivered(&self, count: u64) {
        wait("the deliveries", || {
            let list = self.ada().json(&["pipelines", "list"], "");
            (list["items"][0]["totals"]["delivered"] == count).then_some(())
        });
    }

    fn end(self) {
        self.running.signal("TERM");
        let (status, log) = self.running.end();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_pipeline_is_stopped_started_and_limited() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let stopped = ada.json(&["pipelines", "stop", "orders"], "");
    assert_eq!(stopped["shards_applied"], 1, "{stopped}");
    scene.world.send(7);
    assert_eq!(ada.json(&["pipelines", "start", "orders"], "")["shards_applied"], 1);
    scene.delivered(7);
    let set =
        ada.json(&["pipelines", "rate", "orders", "--messages-per-s", "500", "--bytes-per-s", "1MiB"], "");
    assert_eq!(
        set["limits"],
        json!({ "messages_per_s": 500, "bytes_per_s": 1 << 20, "requests_per_s": null })
    );
    wait("the limit to show", || {
        let shown = ada.json(&["pipelines", "rate", "orders"], "");
        (shown["limits"]["messages_per_s"] == 500).then_some(())
    });
    let kept = ada.json(&["pipelines", "rate", "orders", "--requests-per-s", "9"], "");
    assert_eq!(
        (&kept["limits"]["messages_per_s"], &kept["limits"]["requests_per_s"]),
        (&json!(500), &json!(9))
    );
    let lifted = ada.json(&["pipelines", "rate", "orders", "--lift"], "");
    assert_eq!(lifted["limits"]["messages_per_s"], Value::Null);
    let (code, _, error) = ada.says(&["pipelines", "rate", "orders", "--messages-per-s", "0"], "");
    assert!(code == 1 && error.contains("messages_per_s: "), "the field is named: {error}");
    assert_eq!(ada.says(&["pipelines", "stop", "nowhere"], "").0, 1);
    let (code, table, _) = ada.says(&["pipelines", "types"], "");
    assert!(code == 0 && table.starts_with("PIPELINE"), "{table}");
    scene.end();
}

#[test]
fn a_pipeline_is_created_updated_and_deleted_while_another_runs() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let (code, toml, _) = ada.says(&["pipelines", "settings", "orders"], "");
    assert!(code == 0 && toml.starts_with("[[pipeline]]"), "{toml}");
    // The same queue under another name: the two share what comes.
    let second = toml.replace("name = \"orders\"", "name = \"second\"");
    let made = ada.json(&["pipelines", "create", "-", "--yes", "--comment", "more hands"], &second);
    assert_eq!(made["shards_applied"], 1, "{made}");
    let (code, _, error) = ada.says(&["pipelines", "create", "-", "--yes"], &second);
    assert!(code == 1 && error.contains("there is a pipeline `second`"), "{error}");
    // As often as the API lets one ask.
    let list = || {
        std::thread::sleep(Duration::from_millis(400));
        ada.json(&["pipelines", "list"], "")
    };
    let state = |name: &str| {
        let list = list();
        let items = list["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["name"] == name).map(|item| item["state"].clone())
    };
    wait("the second to run", || (state("second")? == "running").then_some(()));
    assert_eq!(ada.json(&["pipelines", "stop", "orders"], "")["shards_applied"], 1);
    scene.world.send(7);
    wait("what the second delivers", || {
        let list = list();
        (list["items"][1]["totals"]["delivered"] == 7).then_some(())
    });
    let slower = second.replace("pollers_max = 320", "pollers_max = 5");
    let (code, _, error) = ada.says(&["pipelines", "update", "second", "-", "--yes"], &slower);
    assert_eq!(code, 0, "{error}");
    let (_, shown, _) = ada.says(&["pipelines", "settings", "second"], "");
    assert!(shown.contains("pollers_max = 5"), "{shown}");
    let (code, _, error) = ada.says(&["pipelines", "delete", "second"], "");
    assert!(code == 2 && error.contains("--yes"), "nothing is removed unasked: {error}");
    assert_eq!(ada.json(&["pipelines", "delete", "second", "--yes"], "")["shards_applied"], 1);
    wait("the second to be gone", || state("second").is_none().then_some(()));
    assert_eq!(ada.says(&["pipelines", "delete", "second", "--yes"], "").0, 1);
    assert_eq!(ada.json(&["pipelines", "start", "orders"], "")["shards_applied"], 1);
    scene.world.send(3);
    scene.delivered(3);
    scene.end();
}

#[test]
fn a_configuration_is_compared_put_into_force_and_brought_back() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let (code, toml, _) = ada.says(&["config", "show", "--running"], "");
    assert!(code == 0 && toml.contains("deadline = \"10s\""), "{toml}");
    assert_eq!(ada.says(&["config", "diff", "-"], &toml).0, 0, "nothing differs");
    let longer = toml.replace("deadline = \"10s\"", "deadline = \"15s\"");
    let (code, table, _) = ada.says(&["config", "diff", "-"], &longer);
    assert!(code == 1 && table.contains("drain.deadline  10s       15s   yes"), "{table}");
    let file = scene.world.folder.path().join("longer.toml");
    std::fs::write(&file, &longer).unwrap();
    let apply = ["config", "apply", file.to_str().unwrap(), "--comment", "longer drains"];
    let (code, _, error) = ada.says(&apply, "");
    assert!(code == 2 && error.contains("drain.deadline") && error.contains("--yes"), "{error}");
    let tried = ada.json(&[&apply[..], &["--dry-run"]].concat(), "");
    assert_eq!(tried["items"][0]["proposed"], "15s", "{tried}");
    assert_eq!(ada.says(&["config", "show", "--running"], "").1, toml, "nothing was done yet");
    let applied = ada.json(&[&apply[..], &["--yes"]].concat(), "");
    assert_eq!((&applied["shards_applied"], &applied["shards"]), (&json!(1), &json!(1)), "{applied}");
    let frozen = longer.replace("compression = \"lz4\"", "compression = \"none\"");
    let (code, _, error) = ada.says(&["config", "apply", "-", "--yes"], &frozen);
    assert!(
        code == 1 && error.contains("needs_restart") && error.contains("pipeline.orders.kafka.compression"),
        "{error}"
    );
    assert_eq!(ada.says(&["config", "apply", "-", "--yes"], "[drain]\ndedline = 3\n").0, 1);
    assert_eq!(ada.says(&["config", "apply", "/nonexistent.toml", "--yes"], "").0, 78);
    let history = ada.json(&["config", "history"], "");
    let newest = &history["items"][0];
    assert_eq!((&newest["comment"], &newest["principal"]), (&json!("longer drains"), &json!("ada")));
    let first = history["items"][1]["id"].to_string();
    let (code, text, _) = ada.says(&["config", "history", &first], "");
    assert!(code == 0 && text.contains("\"10s\""), "{text}");
    assert_eq!(ada.json(&["config", "rollback", &first, "--yes"], "")["shards_applied"], 1);
    assert_eq!(ada.says(&["config", "show", "--running"], "").1, toml);
    assert_eq!(ada.says(&["config", "rollback", "999", "--yes"], "").0, 1);
    scene.end();
}

#[test]
fn figures_are_shown_to_people_and_to_scripts() {
    let scene = Scene::new("");
    let ada = scene.ada();
    scene.world.send(20);
    scene.delivered(20);
    for (verb, head) in [
        (vec!["queues", "list"], "PIPELINE"),
        (vec!["queues", "show", "orders"], "queue"),
        (vec!["latency"], "STAGE"),
        (vec!["latency", "--window", "1m", "--pipeline", "orders"], "STAGE"),
        (vec!["cost"], "PIPELINE"),
        (vec!["shards"], "SHARD"),
        (vec!["instances", "list"], "INSTANCE"),
        (vec!["instances", "system"], "resident, B"),
        (vec!["sessions", "list"], "ID"),
        (vec!["topics", "list"], "TOPIC"),
    ] {
        let (code, table, error) = ada.says(&verb, "");
        assert!(code == 0 && table.starts_with(head), "{verb:?}: {table}{error}");
        assert!(ada.json(&verb, "").is_object(), "{verb:?}");
    }
    let stage = ada.json(&["latency", "--stage", "received_to_acked"], "");
    assert_eq!(stage["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(stage["items"][0]["percentiles"]["count"], 20, "{stage}");
    assert_eq!(ada.says(&["latency", "--stage", "nothing"], "").0, 1);
    let (code, text, error) = ada.says(&["latency", "--hgrm", "--stage", "received_to_acked"], "");
    assert!(code == 0 && text.contains("Percentile") && text.contains("TotalCount"), "{text}{error}");
    assert!(ada.json(&["latency", "--keep", "before"], "")["messages"].as_u64() > Some(0));
    let (code, table, error) = ada.says(&["latency", "--against", "before"], "");
    assert!(code == 0 && table.contains("P99 KEPT"), "{table}{error}");
    let mine = ada.json(&["sessions", "list", "--mine"], "");
    let id = mine["items"][0]["id"].as_str().unwrap();
    assert_eq!(ada.says(&["sessions", "end", id], "").0, 2, "nobody can be asked");
    assert_eq!(ada.says(&["sessions", "end", id, "--mine", "--yes"], "").0, 0);
    assert_eq!(ada.says(&["shards"], "").0, 77, "the session has ended");
    scene.end();
}

#[test]
fn alerts_are_listed_silenced_and_tested() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let (code, table, _) = ada.says(&["alerts", "list"], "");
    assert!(code == 0 && table.starts_with("STATE"), "{table}");
    let (code, table, _) = ada.says(&["alerts", "rules"], "");
    assert!(code == 0 && table.contains("breaker-open"), "{table}");
    assert_eq!(ada.json(&["alerts", "rules", "breaker-open"], "")["rule"]["name"], "breaker-open");
    assert_eq!(ada.says(&["alerts", "rules", "nothing"], "").0, 1);
    let silence =
        ada.json(&["alerts", "silence", "pipeline=orders", "rule=b*", "--for", "2h", "--why", "upgrade"], "");
    assert_eq!((&silence["why"], &silence["created_by"]), (&json!("upgrade"), &json!("ada")));
    let (_, table, _) = ada.says(&["alerts", "silences"], "");
    assert!(table.contains("pipeline=orders rule=b*"), "{table}");
    assert_eq!(ada.says(&["alerts", "unsilence", &silence["id"].to_string()], "").0, 0);
    assert_eq!(ada.says(&["alerts", "silence", "--for", "2h", "--why", "x"], "").0, 2, "all would be silent");
    let (code, _, error) = ada.says(&["alerts", "ack", "breaker-open", "orders"], "");
    assert!(code == 1, "it does not fire: {error}");
    assert_eq!(ada.says(&["alerts", "test", "breaker-open"], "").0, 0);
    for verb in ["events", "receivers"] {
        assert!(ada.json(&["alerts", verb], "")["items"].is_array(), "{verb}");
    }
    scene.end();
}

#[test]
fn a_tap_shows_what_passes_and_ends_cleanly_at_ctrl_c() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let (code, _, error) = ada.says(&["tap", "nowhere"], "");
    assert!(code == 1 && error.contains("not_found"), "{error}");
    let mut command = millrace(&["tap", "orders", "--limit", "200", "-o", "json"]);
    command.env("XDG_CONFIG_HOME", &scene.home).env("MILLRACE_API", &scene.api);
    let mut tap = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tap.stdout.take().unwrap()).lines();
    let (sender, first) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(lines.next()));
    // Until the consumer has its place, what is sent is not seen: so go on sending.
    let line = wait("a record", || {
        scene.world.send(3);
        first.recv_timeout(std::time::Duration::from_millis(300)).ok().flatten()
    });
    let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!((&record["topic"], &record["body"]["kind"]), (&json!("orders"), &json!("json")), "{record}");
    let sent = std::process::Command::new("kill").args(["-INT", &tap.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let status = wait("the end", || tap.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    scene.end();
}

#[test]
fn an_instance_is_ended_only_by_its_name() {
    let scene = Scene::new("");
    let ada = scene.ada();
    let list = ada.json(&["instances", "list"], "");
    let name = list["items"][0]["name"].as_str().unwrap();
    let (code, _, error) = ada.says(&["instances", "drain", name], "");
    assert!(code == 2 && error.contains("--yes"), "{error}");
    assert_eq!(ada.says(&["instances", "drain", "other", "--yes"], "").0, 1);
    assert_eq!(ada.json(&["instances", "drain", name, "--yes"], "")["phase"], "draining");
    let (status, log) = scene.running.end();
    assert_eq!(status.code(), Some(0), "{log}");
}
