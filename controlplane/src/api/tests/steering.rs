//! Limits, stops and configurations: what reaches the shards, what is refused and why, and what the history keeps.

use std::sync::{Arc, Mutex};

use dataplane::control::{Command, State};
use serde_json::{Value, json};

use super::{World, block_on, world};
use crate::api::Role;
use crate::board::fixture::{counters, report};

/// A data plane of two shards that does what it is told, and the commands that came.
fn obey(world: &mut World) -> Arc<Mutex<Vec<Command>>> {
    let came = Arc::new(Mutex::new(Vec::new()));
    let (mut taken, board, seen) =
        (world.taken.take().unwrap(), Arc::clone(world.ctx.board()), Arc::clone(&came));
    tokio::spawn(async move {
        let (mut state, mut epoch, mut rate) = (State::Running, 0, dataplane::config::Rate::default());
        while let Some(command) = taken.recv().await {
            match &command {
                Command::Stop { .. } => state = State::Stopped,
                Command::Start { .. } => state = State::Running,
                Command::Apply { epoch: new, .. } => epoch = *new,
                Command::Rate { rate: new, .. } => rate = *new,
                _ => {}
            }
            let reports = (0..2).map(|shard| {
                let mut report = report(shard, 9, state, counters());
                report.epoch = epoch;
                report.pumps[0].rate = rate;
                report
            });
            board.publish(reports.collect(), Vec::new());
            seen.lock().unwrap().push(command);
        }
    });
    came
}

#[test]
fn a_pipeline_stops_and_starts_on_every_shard() {
    block_on(async {
        let mut world = world();
        obey(&mut world);
        let key = world.key(Role::Operator).await;
        let stopped = world.ask("POST", "/api/v1/pipelines/orders/stop", Some(&key), None).await;
        assert_eq!((stopped.status, &stopped.json["shards_applied"]), (200, &json!(2)), "{}", stopped.json);
        let started = world.ask("POST", "/api/v1/pipelines/orders/start", Some(&key), None).await;
        assert_eq!((started.status, &started.json["shards_applied"]), (200, &json!(2)), "{}", started.json);
        assert_eq!(world.ask("POST", "/api/v1/pipelines/nobody/stop", Some(&key), None).await.status, 404);
    });
}

#[test]
fn a_limit_reaches_the_shards_and_one_that_cannot_be_is_told_by_field() {
    block_on(async {
        let mut world = world();
        let came = obey(&mut world);
        let key = world.key(Role::Operator).await;
        let path = "/api/v1/pipelines/orders/rate";
        let limits = json!({ "messages_per_s": 500, "bytes_per_s": 1_048_576 });
        let set = world.ask("PUT", path, Some(&key), Some(limits)).await;
        assert_eq!((set.status, &set.json["limits"]["messages_per_s"]), (200, &json!(500)), "{}", set.json);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let shown = world.ask("GET", path, Some(&key), None).await.json;
        assert_eq!(
            (&shown["limits"]["bytes_per_s"], &shown["configured"]["bytes_per_s"]),
            (&json!(1_048_576), &Value::Null)
        );
        let wrong =
            world.ask("PUT", path, Some(&key), Some(json!({ "messages_per_s": 0, "bytes_per_s": 1 }))).await;
        let fields: Vec<&str> = wrong.json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!((wrong.status, fields), (422, vec!["messages_per_s", "bytes_per_s"]), "{}", wrong.json);
        let rates =
            came.lock().unwrap().iter().filter(|command| matches!(command, Command::Rate { .. })).count();
        assert_eq!(rates, 1, "what cannot be reached no shard");
    });
}

/// The configuration in force: text and tag.
async fn in_force(world: &World, key: &str) -> (String, String) {
    let answer = world.ask("GET", "/api/v1/config", Some(key), None).await;
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    (answer.json["toml"].as_str().unwrap().to_owned(), tag)
}

#[test]
fn a_configuration_comes_into_force_once_for_each_version_and_is_brought_back() {
    block_on(async {
        let mut world = world();
        let came = obey(&mut world);
        let key = world.key(Role::Admin).await;
        let (toml, tag) = in_force(&world, &key).await;
        let longer = toml.replace("deadline = \"25s\"", "deadline = \"40s\"");
        assert_ne!(longer, toml);
        let body = |toml: &str| Some(json!({ "toml": toml, "comment": "longer drains" }));
        let put = async |toml: &str, tag: &str| {
            world.ask_with("PUT", "/api/v1/config", Some(&key), body(toml), &[("if-match", tag)]).await
        };
        let without = world.ask("PUT", "/api/v1/config", Some(&key), body(&longer)).await;
        assert_eq!((without.status, &without.json["code"]), (428, &json!("precondition_required")));
        let applied = put(&longer, &tag).await;
        assert_eq!((applied.status, &applied.json["shards_applied"]), (200, &json!(2)), "{}", applied.json);
        assert_eq!(applied.json["changes"][0]["field"], "drain.deadline");
        let again = put(&toml, &tag).await;
        assert_eq!(
            (again.status, &again.json["code"]),
            (412, &json!("precondition_failed")),
            "{}",
            again.json
        );

        let now = applied.headers["etag"].to_str().unwrap().to_owned();
        let frozen = put(&longer.replace("b:9092", "c:9092"), &now).await;
        assert_eq!((frozen.status, &frozen.json["code"]), (409, &json!("needs_restart")), "{}", frozen.json);
        assert_eq!(frozen.json["errors"][0]["field"], "pipeline.orders.kafka.brokers");
        let wrong = put(&longer.replace("\"40s\"", "\"1ms\""), &now).await;
        assert_eq!((wrong.status, &wrong.json["code"]), (422, &json!("invalid_config")), "{}", wrong.json);
        let shown = in_force(&world, &key).await;
        assert_eq!(shown, (longer, now.clone()), "what was refused changed nothing");

        // The first was not kept in this world: only what the API has put into force is.
        let versions = world.ask("GET", "/api/v1/config/versions", Some(&key), None).await.json;
        assert_eq!(versions["items"][0]["comment"], "longer drains", "{versions}");
        let id = versions["items"][0]["id"].as_i64().unwrap();
        let path = format!("/api/v1/config/versions/{id}");
        let version = world.ask("GET", &path, Some(&key), None).await.json;
        assert!(version["toml"].as_str().unwrap().contains("\"40s\""), "{version}");
        let shorter = put(&toml, &now).await;
        assert_eq!(shorter.status, 200, "{}", shorter.json);
        let tag = shorter.headers["etag"].to_str().unwrap().to_owned();
        let back = format!("{path}/rollback");
        let header = [("if-match", tag.as_str())];
        let back = world.ask_with("POST", &back, Some(&key), Some(json!({})), &header).await;
        assert_eq!(
            (back.status, &back.json["changes"][0]["after"]),
            (200, &json!("\"40s\"")),
            "{}",
            back.json
        );
        let versions = world.ask("GET", "/api/v1/config/versions", Some(&key), None).await.json;
        assert_eq!(versions["items"][0]["origin"], "rollback");
        let epochs: Vec<u64> = came
            .lock()
            .unwrap()
            .iter()
            .filter_map(
                |command| if let Command::Apply { epoch, .. } = command { Some(*epoch) } else { None },
            )
            .collect();
        assert_eq!(epochs, [1, 2, 3]);
        let audit = world.audit().await;
        let applied = audit.iter().filter(|entry| entry["operation"] == "config_apply").count();
        assert_eq!(applied, 6, "refused ones too");
    });
}

#[test]
fn kafka_and_sqs_that_are_not_there_are_told_and_break_nothing() {
    block_on(async {
        let world = world();
        let key = world.key(Role::Viewer).await;
        let none = world.ask("GET", "/api/v1/pipelines/orders/rejected", Some(&key), None).await;
        assert_eq!((none.status, &none.json["code"]), (404, &json!("not_found")), "{}", none.json);
        assert!(none.json["detail"].as_str().unwrap().contains("has no dead_letter"), "{}", none.json);
        let cursor = world.ask("GET", "/api/v1/pipelines/orders/rejected?cursor=x", Some(&key), None).await;
        assert_eq!(cursor.json["code"], "invalid_cursor");
        let nobody = world.ask("GET", "/api/v1/topics?pipeline=nobody", Some(&key), None).await;
        assert_eq!(nobody.status, 404, "{}", nobody.json);
        let queues = world.ask("GET", "/api/v1/queues", Some(&key), None).await;
        assert_eq!(queues.json["items"][0]["requests"]["receives"], 24, "{}", queues.json);
    });
}

/// A table of a file, for a queue and a topic of its own name.
fn table(name: &str, more: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"{name}\"\nqueue.url = \"https://sqs.eu-west-1.amazonaws.com/1/{name}\"\n\
         kafka.brokers = [\"b:9092\"]\nroute.topic = \"{name}\"\n{more}"
    )
}

#[test]
fn a_pipeline_is_created_changed_and_removed() {
    block_on(async {
        let mut world = world();
        let came = obey(&mut world);
        let (key, viewer) = (world.key(Role::Admin).await, world.key(Role::Viewer).await);
        let ask = async |method: &str, path: &str, toml: Option<&str>| {
            let (_, tag) = in_force(&world, &key).await;
            let body = toml.map(|toml| json!({ "toml": toml, "comment": "why" }));
            world.ask_with(method, path, Some(&key), body, &[("if-match", tag.as_str())]).await
        };
        let refunds = "/api/v1/pipelines/refunds";
        let created = ask("POST", "/api/v1/pipelines", Some(&table("refunds", ""))).await;
        assert_eq!((created.status, &created.json["shards_applied"]), (201, &json!(2)), "{}", created.json);
        assert_eq!(world.ask("GET", refunds, Some(&viewer), None).await.status, 200);
        let shown = world.ask("GET", &format!("{refunds}/settings"), Some(&viewer), None).await;
        let toml = shown.json["toml"].as_str().unwrap().to_owned();
        assert!(toml.starts_with("[[pipeline]]") && toml.contains("/1/refunds"), "{toml}");
        let twice = ask("POST", "/api/v1/pipelines", Some(&toml)).await;
        assert_eq!((twice.status, &twice.json["code"]), (409, &json!("exists")), "{}", twice.json);

        let longer = toml.replace("wait_time = \"20s\"", "wait_time = \"3s\"");
        assert_ne!(longer, toml);
        let changed = ask("PUT", refunds, Some(&longer)).await;
        assert_eq!(
            (changed.status, &changed.json["changes"][0]["field"]),
            (200, &json!("pipeline.refunds.queue.wait_time")),
            "{}",
            changed.json
        );
        let frozen = ask("PUT", refunds, Some(&longer.replace("b:9092", "c:9092"))).await;
        assert_eq!((frozen.status, &frozen.json["code"]), (409, &json!("needs_restart")), "{}", frozen.json);
        let renamed = ask("PUT", refunds, Some(&table("other", ""))).await;
        assert_eq!((renamed.status, &renamed.json["code"]), (422, &json!("unprocessable")));
        let without = world.ask("DELETE", &format!("{refunds}?confirm=refunds"), Some(&key), None).await;
        assert_eq!((without.status, &without.json["code"]), (428, &json!("precondition_required")));
        assert_eq!(ask("DELETE", refunds, None).await.json["code"], "conflict", "the name must be typed");
        let removed = ask("DELETE", &format!("{refunds}?confirm=refunds"), None).await;
        assert_eq!((removed.status, &removed.json["shards_applied"]), (200, &json!(2)), "{}", removed.json);
        assert_eq!(world.ask("GET", refunds, Some(&viewer), None).await.status, 404);
        assert_eq!(ask("DELETE", &format!("{refunds}?confirm=refunds"), None).await.status, 404);
        let last = ask("DELETE", "/api/v1/pipelines/orders?confirm=orders", None).await;
        assert_eq!((last.status, &last.json["code"]), (422, &json!("invalid_config")), "{}", last.json);

        let lengths: Vec<usize> = came
            .lock()
            .unwrap()
            .iter()
            .filter_map(|command| match command {
                Command::Apply { config, .. } => Some(config.pipeline.len()),
                _ => None,
            })
            .collect();
        assert_eq!(lengths, [2, 2, 1], "what was refused reached no shard");
        let refused = world.ask("POST", "/api/v1/pipelines", Some(&viewer), None).await;
        assert_eq!(refused.status, 403);
    });
}

#[test]
fn a_name_is_free_only_when_no_shard_has_its_pipeline() {
    block_on(async {
        let mut world = world();
        obey(&mut world);
        let key = world.key(Role::Admin).await;
        let (toml, tag) = in_force(&world, &key).await;
        let two = format!("{toml}\n{}", table("refunds", ""));
        let put = async |toml: &str, tag: &str| {
            let body = json!({ "toml": toml });
            world.ask_with("PUT", "/api/v1/config", Some(&key), Some(body), &[("if-match", tag)]).await
        };
        let added = put(&two, &tag).await;
        assert_eq!(added.status, 200, "{}", added.json);
        // The shards of this world report `orders` for as long as they live.
        let moved = put(&table("refunds", ""), added.headers["etag"].to_str().unwrap()).await;
        assert_eq!(moved.status, 200, "{}", moved.json);
        assert_eq!(
            world.ask("GET", "/api/v1/pipelines/orders", Some(&key), None).await.status,
            200,
            "it finishes"
        );
        let back = put(&two, moved.headers["etag"].to_str().unwrap()).await;
        assert_eq!((back.status, &back.json["code"]), (422, &json!("invalid_config")), "{}", back.json);
        assert!(
            back.json["errors"][0]["text"].as_str().unwrap().contains("still finishing"),
            "{}",
            back.json
        );
    });
}
