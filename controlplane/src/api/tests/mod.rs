//! The API as its callers meet it: every route with every role, audit, idempotency, limits, headers.
//!
//! Method: requests go through the whole router, rules and guards included. What is asked comes from the OpenAPI document,
//! so that a route that is added is tested without a word here.

mod access;
mod changes;
mod figures;
mod steering;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use dataplane::control::Command;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::{Ctx, Role, document, registry};
use crate::board::fixture::running;
use crate::store::Store;

struct Answer {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

struct World {
    ctx: Ctx,
    router: TowerToHyperService<Router>,
    taken: Option<mpsc::Receiver<Command>>,
    _folder: tempfile::TempDir,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A world with a store on disk.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let (commands, taken) = mpsc::channel(8);
    let ctx = Ctx::of(Arc::new(running()), commands, store);
    let router = TowerToHyperService::new(crate::http::router_of(ctx.clone()));
    World { ctx, router, taken: Some(taken), _folder: folder }
}

impl World {
    async fn key(&self, role: Role) -> Zeroizing<String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("k{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.ctx.accounts().add_key(name, role, None, "test".into()).await.unwrap().1
    }

    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        self.ask_with(method, path, token, body, &[]).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string());
        if let Some(body) = &body {
            request = request.header("content-type", "application/json").header("content-length", body.len());
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let (parts, body) = self.router.call(request).await.unwrap().into_parts();
        // A stream has no end.
        let streams = parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let bytes = if streams { Vec::new() } else { to_bytes(body, 8 << 20).await.unwrap().to_vec() };
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, json }
    }

    async fn audit(&self) -> Vec<Value> {
        let admin = self.key(Role::Admin).await;
        self.ask("GET", "/api/v1/audit?limit=500", Some(&admin), None).await.json["items"]
            .as_array()
            .unwrap()
            .clone()
    }
}

/// Every operation of the document: method, path with parts filled in, the role that it needs.
fn operations() -> Vec<(String, String, Option<Role>)> {
    let document = serde_json::to_value(document()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut path =
                path.replace("{name}", "orders").replace("{id}", "x").replace("{code}", "not_found");
            for part in ["{topic}", "{group}", "{partition}", "{offset}", "{version}"] {
                path = path.replace(part, "7");
            }
            // Kafka and SQS are not to be asked for this: who is let in is told that the parameter is unknown.
            let asks_others =
                ["topics", "groups", "queues", "rejected"].iter().any(|tag| operation["tags"][0] == *tag);
            if asks_others && operation["operationId"] != "sample_take" {
                path.push_str("?no_such_parameter=1");
            }
            assert!(!path.contains('{'), "{path}: fill its parts in here");
            let role = operation[registry::ROLE_EXTENSION].as_str().unwrap();
            found.push((method.to_uppercase(), path, Role::parse(role)));
        }
    }
    found
}
