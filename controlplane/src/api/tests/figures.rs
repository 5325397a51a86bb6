//! What is shown: figures, the live stream, errors, and what is left without a store.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::mpsc;

use super::{World, block_on, world};
use crate::api::{Ctx, Role, feed};
use crate::board::fixture::running;
use crate::store::Store;

#[test]
fn unknown_names_and_wrong_bodies_are_told_apart() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        for (method, path, body, status, code) in [
            ("GET", "/api/v1/nowhere", None, 404, "not_found"),
            ("GET", "/api/v1/pipelines/nowhere", None, 404, "not_found"),
            ("POST", "/api/v1/pipelines/nowhere/pause", None, 404, "not_found"),
            ("DELETE", "/api/v1/pipelines", None, 405, "method_not_allowed"),
            ("GET", "/api/v1/latency?pipeline=nowhere", None, 404, "not_found"),
            ("GET", "/api/v1/latency?shard=9", None, 404, "not_found"),
            ("GET", "/api/v1/latency?shard=x", None, 400, "invalid_parameter"),
            ("GET", "/api/v1/live?topics=x", None, 400, "invalid_parameter"),
            ("POST", "/api/v1/users", Some(json!({ "name": "a" })), 400, "invalid_body"),
            ("POST", "/api/v1/users", Some(json!([])), 400, "invalid_body"),
            (
                "POST",
                "/api/v1/users",
                Some(json!({ "name": "A B", "password": "correct horse battery", "role": "viewer" })),
                422,
                "unprocessable",
            ),
            (
                "POST",
                "/api/v1/users",
                Some(json!({ "name": "ada", "password": "short", "role": "viewer" })),
                422,
                "unprocessable",
            ),
            (
                "POST",
                "/api/v1/users",
                Some(json!({ "name": "ada", "password": "correct horse battery", "role": "root" })),
                400,
                "invalid_body",
            ),
            ("PATCH", "/api/v1/users/ada", Some(json!({})), 422, "unprocessable"),
            ("PATCH", "/api/v1/users/ada", Some(json!({ "role": "viewer" })), 404, "not_found"),
            ("POST", "/api/v1/config/diff", Some(json!({ "toml": "x = " })), 422, "invalid_config"),
            ("POST", "/api/v1/backups/..%2Fmillrace.db/restore", None, 404, "not_found"),
        ] {
            let answer = world.ask(method, path, Some(&admin), body).await;
            assert_eq!(
                (answer.status, answer.json["code"].as_str()),
                (status, Some(code)),
                "{method} {path}: {}",
                answer.json
            );
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
            assert_eq!(answer.json["status"], status);
            let page = answer.json["type"].as_str().unwrap();
            assert_eq!(world.ask("GET", page, None, None).await.json["code"], code, "the type is a page");
        }
        let text = world
            .ask_with("POST", "/api/v1/users", Some(&admin), None, &[("content-type", "text/plain")])
            .await;
        assert_eq!(text.status, 415);
        let large = world
            .ask("POST", "/api/v1/users", Some(&admin), Some(json!({ "name": "x".repeat(300_000) })))
            .await;
        assert_eq!(large.status, 413);
    });
}

#[test]
fn figures_add_up_over_the_shards() {
    block_on(async {
        let world = world();
        let viewer = world.key(Role::Viewer).await;
        let get = async |path: &str| {
            let answer = world.ask("GET", path, Some(&viewer), None).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.json);
            answer.json
        };
        let pipelines = get("/api/v1/pipelines").await;
        assert_eq!(pipelines["items"][0]["totals"]["received"], 200);
        assert_eq!(pipelines["items"][0]["unaccounted"], 0);
        assert_eq!(pipelines["items"][0]["shards"].as_array().unwrap().len(), 2);
        let latency = get("/api/v1/latency?pipeline=orders&histograms=true").await;
        let acked = latency["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|stage| stage["stage"] == "produce_to_ack")
            .unwrap();
        assert_eq!(acked["percentiles"]["count"], 180);
        assert!(acked["histogram"].as_str().unwrap().len() > 20);
        assert_eq!(get("/api/v1/latency?shard=1").await["items"][5]["percentiles"]["count"], 90);
        assert_eq!(get("/api/v1/types").await["items"][0]["count"], 14);
        assert_eq!(get("/api/v1/shards").await["items"][1]["core"], 1);
        assert_eq!(get("/api/v1/instances").await["items"][0]["ready"], true);
        assert!(get("/api/v1/config").await["toml"].as_str().unwrap().contains("[[pipeline]]"));
        assert_eq!(get("/api/v1/config/schema").await["type"], "object");
    });
}

/// Reads a stream for a while; events with their ids, and whether it ended.
async fn read(body: Body, patience: std::time::Duration) -> (Vec<(String, String)>, bool) {
    use http_body_util::BodyExt;
    let (mut text, mut body, mut ended) = (String::new(), body, false);
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
        ended = true;
    };
    let _late = tokio::time::timeout(patience, reading).await;
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    (events.map(|event| (field(event, "event:"), field(event, "id:"))).collect(), ended)
}

#[test]
fn the_live_stream_tells_resumes_and_ends_with_its_token() {
    block_on(async {
        let world = world();
        tokio::spawn(feed(world.ctx.clone()));
        let (key, secret) =
            world.ctx.accounts().add_key("live".into(), Role::Viewer, None, "test".into()).await.unwrap();
        let open = async |topics: &str, last: Option<&str>| {
            let mut request = Request::get(format!("/api/v1/live?topics={topics}"))
                .header("host", "localhost")
                .header("authorization", format!("Bearer {}", *secret));
            if let Some(last) = last {
                request = request.header("last-event-id", last);
            }
            let answer = world.router.call(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["content-type"]),
                (200, &"text/event-stream".parse().unwrap())
            );
            answer.into_body()
        };
        let second = std::time::Duration::from_secs(1);
        let (events, ended) = read(open("pipelines,shards", None).await, second * 5 / 2).await;
        assert!(events.len() >= 4 && !ended, "{events:?}");
        assert!(
            events
                .iter()
                .all(|(topic, id)| ["pipelines", "shards"].contains(&topic.as_str()) && id.contains('-'))
        );
        let (resumed, _) = read(open("pipelines,shards", Some(&events[0].1)).await, second / 2).await;
        assert!(resumed.starts_with(&events[1..4]), "{resumed:?} after {:?}", events[0]);
        let stream = open("shards", None).await;
        world.ctx.accounts().revoke_key(key.id).await.unwrap();
        let (_, ended) = read(stream, second * 8).await;
        assert!(ended, "the key was revoked");
    });
}

#[test]
fn a_dead_store_costs_the_accounts_and_nothing_else() {
    block_on(async {
        let (commands, _taken) = mpsc::channel(8);
        let ctx =
            Ctx::of(Arc::new(running()), commands, Store::without("the disk is gone: /var/lib/x".into()));
        let router = TowerToHyperService::new(crate::http::router_of(ctx.clone()));
        let world = World { ctx, router, taken: None, _folder: tempfile::tempdir().unwrap() };
        let answer = world.ask("GET", "/api/v1/pipelines", Some("mk_x"), None).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (503, Some("store_unavailable")));
        assert!(!answer.json.to_string().contains("/var/lib"), "paths are for the log");
        let login = json!({ "name": "ada", "password": "correct horse battery" });
        assert_eq!(world.ask("POST", "/api/v1/login", None, Some(login)).await.status, 503);
        for path in ["/livez", "/readyz", "/metrics", "/snapshot", "/", "/api/v1/openapi.json"] {
            assert_eq!(world.ask("GET", path, None, None).await.status, 200, "{path}");
        }
    });
}
