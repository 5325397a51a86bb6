//! Routes of the watch as their callers meet them: history, curves, baselines, costs, alerts, rules, silences.
//!
//! Method: a watch is fed with views by hand, second by second, and asked through the whole router.

use dataplane::control::{ShardReport, State};
use dataplane::stats::{Counters, Stage};
use serde_json::{Value, json};

use super::{World, block_on, world};
use crate::api::Role;
use crate::board::fixture::{self, report};
use crate::board::{Board, View};
use crate::watch::sampler::Moment;

/// A view of two shards after so many seconds at 100 messages a second each.
fn view(second: u64, state: State) -> View {
    let board = Board::new(&fixture::config(), 2);
    let one = |shard| -> ShardReport {
        let count = second * 100;
        let counters = Counters {
            received: count,
            delivered: count,
            receives: second * 10,
            receive_chunks: second * 10,
            deletes: second * 10,
            ..Counters::default()
        };
        let mut one = report(shard, second, state, counters);
        one.at_ns = (second + 1) * 1_000_000_000;
        one.pumps[0].latency.record(Stage::ReceivedToAcked, 4_000, count);
        one
    };
    board.publish(vec![one(0), one(1)], Vec::new());
    View::clone(&board.view())
}

/// Feeds so many seconds that end now.
fn feed(world: &World, seconds: u64, state: State) {
    let watch = world.ctx.watch();
    let now_ms = watch.now().wall_ms;
    for second in 0..=seconds {
        let wall_ms = now_ms - (seconds - second) as i64 * 1_000;
        watch.look(&view(second, state), Moment { wall_ms, mono_ms: second * 1_000 }, &fixture::config());
    }
}

async fn get(world: &World, path: &str) -> Value {
    let key = world.key(Role::Viewer).await;
    let answer = world.ask("GET", path, Some(&key), None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.json);
    answer.json
}

async fn code(world: &World, method: &str, path: &str, role: Role, body: Option<Value>) -> (u16, String) {
    let key = world.key(role).await;
    let answer = world.ask(method, path, Some(&key), body).await;
    (answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn history_comes_in_columns_of_one_length() {
    block_on(async {
        let world = world();
        feed(&world, 20, State::Running);
        let history = get(&world, "/api/v1/history?pipeline=orders&fields=received,in_flight").await;
        let length = history["at_ms"].as_array().unwrap().len();
        assert_eq!(length, 21);
        for column in ["covers_ms", "gaps", "states"] {
            assert_eq!(history[column].as_array().unwrap().len(), length, "{column}");
        }
        assert_eq!(
            (history["rates"].as_object().unwrap().len(), history["gauges"].as_object().unwrap().len()),
            (1, 1)
        );
        assert_eq!((&history["rates"]["received"][0], &history["gaps"][0]), (&Value::Null, &json!("start")));
        assert_eq!((&history["rates"]["received"][20], &history["gaps"][20]), (&json!(200.0), &Value::Null));
        assert_eq!(history["states"][20], "running");
        assert_eq!(get(&world, "/api/v1/history?shard=1").await["rates"]["received"][20], json!(100.0));
        assert_eq!(get(&world, "/api/v1/history").await["rates"]["delivered"][20], json!(200.0));
        let empty = get(&world, "/api/v1/history?step=minute").await;
        assert_eq!((&empty["step_ms"], empty["at_ms"].as_array().unwrap().len()), (&json!(60_000), 0));
        for (path, expected) in [
            ("/api/v1/history?pipeline=nobody", (404, "not_found")),
            ("/api/v1/history?shard=7", (404, "not_found")),
            ("/api/v1/history?shard=0&pipeline=orders", (400, "invalid_parameter")),
            ("/api/v1/history?fields=moon", (400, "invalid_parameter")),
            ("/api/v1/history?from_ms=5&to_ms=5", (400, "invalid_parameter")),
            ("/api/v1/history?step=minute&from_ms=0", (400, "invalid_parameter")),
            ("/api/v1/history?step=hour", (400, "invalid_parameter")),
        ] {
            let (status, text) = code(&world, "GET", path, Role::Viewer, None).await;
            assert_eq!((status, text.as_str()), expected, "{path}");
        }
    });
}

#[test]
fn curves_histograms_and_heatmaps_agree() {
    block_on(async {
        let world = world();
        feed(&world, 30, State::Running);
        let path = "/api/v1/latency/curve?pipeline=orders&stage=received_to_acked&histograms=true";
        let curves = get(&world, path).await;
        let stage = &curves["stages"][0];
        assert_eq!(stage["percentiles"]["count"], 6_000);
        let last = stage["points"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["percentile"], &last["count"]), (&json!(100.0), &json!(6_000)));
        let histogram =
            crate::watch::latency::compare::decoded(stage["histogram"].as_str().unwrap()).unwrap();
        assert_eq!(histogram.len(), 6_000);
        let heatmap = get(&world, "/api/v1/latency/heatmap?stage=received_to_acked").await;
        let columns = heatmap["columns"].as_array().unwrap();
        assert_eq!(columns.len(), 31);
        assert!(columns[0].get("counts").is_none(), "the first second is a gap: {}", columns[0]);
        let sum: u64 = columns
            .iter()
            .flat_map(|column| column["counts"].as_array().into_iter().flatten())
            .map(|pair| pair[1].as_u64().unwrap())
            .sum();
        assert_eq!(sum, 6_000);
        assert_eq!(heatmap["bucket_lower_us"].as_array().unwrap().len(), 128);
        for path in [
            "/api/v1/latency/curve?window_s=5",
            "/api/v1/latency/curve?ticks=0",
            "/api/v1/latency/curve?stage=moon",
            "/api/v1/latency/hgrm",
            "/api/v1/latency/heatmap?stage=moon",
            "/api/v1/latency/heatmap?stage=decode&minutes=true&from_ms=0",
        ] {
            assert_eq!(code(&world, "GET", path, Role::Viewer, None).await.0, 400, "{path}");
        }
        let old = "/api/v1/latency/curve?to_ms=1000000";
        assert_eq!(code(&world, "GET", old, Role::Viewer, None).await, (404, "not_found".to_owned()));
        let key = world.key(Role::Viewer).await;
        let hgrm = world.ask("GET", "/api/v1/latency/hgrm?stage=received_to_acked", Some(&key), None).await;
        assert_eq!(hgrm.status, 200);
    });
}

#[test]
fn a_baseline_is_saved_compared_with_and_deleted() {
    block_on(async {
        let world = world();
        let body = json!({ "name": "v1", "pipeline": "orders", "note": "before" });
        let post =
            |body: Value| code(&world, "POST", "/api/v1/latency/baselines", Role::Operator, Some(body));
        assert_eq!(post(body.clone()).await.0, 404, "nothing is kept yet");
        feed(&world, 30, State::Running);
        assert_eq!(post(body.clone()).await.0, 201);
        assert_eq!(post(body).await, (409, "exists".to_owned()));
        assert_eq!(post(json!({ "name": "a b" })).await, (422, "unprocessable".to_owned()));
        let list = get(&world, "/api/v1/latency/baselines").await;
        assert_eq!((&list["items"][0]["name"], &list["items"][0]["messages"]), (&json!("v1"), &json!(6_000)));
        let compared = get(&world, "/api/v1/latency/compare?baseline=v1").await;
        let stage = compared["stages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["stage"] == "received_to_acked")
            .unwrap();
        assert_eq!(stage["changes"][2]["ratio"], 1.0);
        assert_eq!(
            stage["changes"][3]["ratio"],
            Value::Null,
            "6,000 values say nothing about the third nine"
        );
        let path = "/api/v1/latency/baselines/v1";
        assert_eq!(code(&world, "DELETE", path, Role::Operator, None).await.0, 204);
        assert_eq!(code(&world, "DELETE", path, Role::Operator, None).await.0, 404);
        assert_eq!(
            code(&world, "GET", "/api/v1/latency/compare?baseline=v1", Role::Viewer, None).await.0,
            404
        );
    });
}

#[test]
fn costs_and_kernel_figures_are_shown() {
    block_on(async {
        let world = world();
        let early = get(&world, "/api/v1/cost").await;
        assert!(early.get("usd_per_day").is_none(), "nothing is known yet: {early}");
        feed(&world, 30, State::Running);
        let cost = get(&world, "/api/v1/cost").await;
        let item = &cost["items"][0];
        assert_eq!((&item["pipeline"], &item["kind"]), (&json!("orders"), &json!("standard")));
        assert_eq!(item["last_minute"]["requests_per_message"], json!(0.2));
        assert_eq!(item["since_start"]["requests"]["delete"], 600);
        assert_eq!(cost["prices"]["source"], "https://aws.amazon.com/sqs/pricing/");
        assert!(cost["usd_per_day"].as_f64().unwrap() > 0.0);
        let system = get(&world, "/api/v1/system").await;
        assert!(system["process"]["resident_bytes"].as_u64().unwrap() > 1 << 20, "{system}");
        assert!(system["disk"]["total_bytes"].as_u64().unwrap() > 0, "the store is on a disk: {system}");
    });
}

#[test]
fn an_alert_fires_is_taken_on_and_is_written_down() {
    block_on(async {
        let world = world();
        feed(&world, 70, State::Broken);
        let alerts = get(&world, "/api/v1/alerts").await;
        let first = &alerts["items"][0];
        assert_eq!(
            (&first["rule"], &first["state"], &first["subject"]),
            (&json!("breaker-open"), &json!("firing"), &json!("orders"))
        );
        let take =
            |body: Value| code(&world, "POST", "/api/v1/alerts/acknowledge", Role::Operator, Some(body));
        assert_eq!(
            take(json!({ "rule": "breaker-open", "subject": "orders", "note": "on it" })).await.0,
            200
        );
        assert_eq!(
            take(json!({ "rule": "breaker-open", "subject": "nobody" })).await,
            (404, "not_found".to_owned())
        );
        let alerts = get(&world, "/api/v1/alerts").await;
        assert_eq!(alerts["items"][0]["acknowledged"]["note"], "on it");
        assert_eq!(get(&world, "/api/v1/alerts/receivers").await["items"], json!([]));
        let audit = world.audit().await;
        assert!(
            audit.iter().any(|entry| entry["operation"] == "alerts_acknowledge" && entry["status"] == 200),
            "{audit:?}"
        );
        let events = get(&world, "/api/v1/alerts/events?limit=1").await;
        assert!(events["items"].is_array());
    });
}

#[test]
fn a_rule_is_put_versioned_switched_off_and_given_back() {
    block_on(async {
        let world = world();
        let path = "/api/v1/alerts/rules/queue-deep";
        let rule = |above: f64| {
            json!({ "name": "queue-deep", "summary": "It is deep.", "source": "queue_visible_messages",
                    "above": above, "for": "1m", "severity": "page" })
        };
        let admin = world.key(Role::Admin).await;
        let put = async |body: Value, version: &str| {
            let headers = [("if-match", version)];
            let headers: &[(&str, &str)] = if version.is_empty() { &[] } else { &headers };
            world.ask_with("PUT", path, Some(&admin), Some(body), headers).await
        };
        let first = put(rule(5.0), "\"0\"").await;
        assert_eq!(
            (first.status, &first.json["version"], &first.json["origin"]),
            (200, &json!(1), &json!("api"))
        );
        assert_eq!(put(rule(6.0), "\"0\"").await.status, 412);
        assert_eq!(put(rule(6.0), "\"x\"").await.status, 400);
        assert_eq!(put(rule(6.0), "\"1\"").await.json["rule"]["above"], 6.0);
        let mut wrong = rule(5.0);
        wrong["clear"] = json!(9);
        let refused = put(wrong, "").await;
        assert_eq!((refused.status, &refused.json["errors"][0]["field"]), (422, &json!("clear")));
        let mut other = rule(5.0);
        other["name"] = json!("other");
        assert_eq!(put(other, "").await.status, 422);
        let list = get(&world, "/api/v1/alerts/rules").await;
        let find = |list: &Value| {
            list["items"]
                .as_array()
                .unwrap()
                .iter()
                .find(|item| item["rule"]["name"] == "queue-deep")
                .unwrap()
                .clone()
        };
        assert_eq!((&find(&list)["origin"], &find(&list)["version"]), (&json!("api"), &json!(2)));
        assert_eq!(code(&world, "POST", &format!("{path}/test"), Role::Operator, None).await.0, 202);
        assert_eq!(
            code(&world, "POST", "/api/v1/alerts/rules/nothing/test", Role::Operator, None).await.0,
            404
        );
        assert_eq!(code(&world, "DELETE", path, Role::Admin, None).await.0, 204);
        assert_eq!(find(&get(&world, "/api/v1/alerts/rules").await)["origin"], "default");
        assert_eq!(code(&world, "DELETE", path, Role::Admin, None).await, (422, "unprocessable".to_owned()));
    });
}

#[test]
fn a_silence_is_made_seen_and_ended() {
    block_on(async {
        let world = world();
        feed(&world, 70, State::Broken);
        let now_ms = world.ctx.watch().now().wall_ms;
        let body = json!({ "matchers": [{ "label": "pipeline", "value": "ord*" }], "ends_ms": now_ms + 60_000, "why": "upgrade" });
        let operator = world.key(Role::Operator).await;
        let made = world.ask("POST", "/api/v1/alerts/silences", Some(&operator), Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.json);
        let id = made.json["id"].as_i64().unwrap();
        assert_eq!(get(&world, "/api/v1/alerts").await["items"][0]["silenced_by"], json!([id]));
        let path = format!("/api/v1/alerts/silences/{id}");
        assert_eq!(code(&world, "DELETE", &path, Role::Operator, None).await.0, 204);
        assert_eq!(get(&world, "/api/v1/alerts").await["items"][0]["silenced_by"], json!([]));
        assert_eq!(code(&world, "DELETE", "/api/v1/alerts/silences/999", Role::Operator, None).await.0, 404);
        let wrong = json!({ "matchers": [], "ends_ms": 5, "why": "" });
        let refused = world.ask("POST", "/api/v1/alerts/silences", Some(&operator), Some(wrong)).await;
        let fields: Vec<&str> = refused.json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["field"].as_str().unwrap())
            .collect();
        assert_eq!((refused.status, fields), (422, vec!["matchers", "ends_ms", "why"]));
    });
}
