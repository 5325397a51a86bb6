//! Who gets in where: every route with every role, tokens, sessions, rates, headers.

use std::sync::Arc;

use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Answer, World, block_on, operations, world};
use crate::api::{Ctx, Role};
use crate::board::fixture::running;
use crate::store::Store;

#[test]
fn every_route_refuses_every_role_that_does_not_suffice() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (commands, mut taken) = mpsc::channel(1_000);
        let mut config = crate::board::fixture::config();
        config.api.requests_per_minute = 600_000;
        let ctx = Ctx::with(config, Arc::new(running()), commands, Store::open(folder.path()));
        let router = TowerToHyperService::new(crate::http::router_of(ctx.clone()));
        let world = World { ctx, router, taken: None, _folder: folder };
        let mut tried = 0;
        for (method, path, needed) in operations() {
            // A body that each route refuses: what is tested is who gets that far.
            let body = || (method != "GET").then(|| json!({ "no such field": 1 }));
            let anonymous = world.ask(&method, &path, None, body()).await;
            let Some(needed) = needed else {
                assert_ne!(anonymous.status, 403, "{method} {path}");
                continue;
            };
            assert_eq!(
                (anonymous.status, &anonymous.json["code"]),
                (401, &json!("unauthenticated")),
                "{method} {path}"
            );
            assert!(anonymous.headers.contains_key("www-authenticate"));
            for role in Role::ALL {
                let key = world.key(role).await;
                if role >= needed
                    && ["/pause", "/resume", "/drain", "/start", "/stop"]
                        .iter()
                        .any(|end| path.ends_with(end))
                {
                    // These wait for shards that nobody moves; that they are let in is told by the command.
                    continue;
                }
                let answer = world.ask(&method, &path, Some(&key), body()).await;
                if role < needed {
                    assert_eq!(
                        (answer.status, &answer.json["code"]),
                        (403, &json!("forbidden")),
                        "{method} {path} {role}"
                    );
                } else {
                    assert!(
                        !matches!(answer.status, 401 | 403 | 405 | 500..),
                        "{method} {path} {role}: {} {}",
                        answer.status,
                        answer.json
                    );
                }
                tried += 1;
            }
            for token in ["x", "mk_x", "mb_x", "mr_x", "a.b.c", ""] {
                assert_eq!(
                    world.ask(&method, &path, Some(token), body()).await.status,
                    401,
                    "{method} {path} {token}"
                );
            }
        }
        assert!(tried > 60, "{tried} combinations");
        assert!(taken.try_recv().is_err(), "somebody got a command through");
    });
}

#[test]
fn open_routes_are_the_few_that_must_be() {
    let open: Vec<String> = operations()
        .into_iter()
        .filter(|(.., role)| role.is_none())
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let expected = [
        "GET /api/v1",
        "POST /api/v1/login",
        "GET /api/v1/openapi.json",
        "GET /api/v1/problems",
        "GET /api/v1/problems/not_found",
        "POST /api/v1/refresh",
    ];
    let mut open = open;
    open.sort_by_key(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    assert_eq!(open, expected);
}

#[test]
fn every_answer_has_the_security_headers_errors_too() {
    block_on(async {
        let world = world();
        let viewer = world.key(Role::Viewer).await;
        for (method, path, _) in operations().into_iter().filter(|(method, ..)| method == "GET") {
            for token in [None, Some(viewer.as_str())] {
                let answer = world.ask(&method, &path, token, None).await;
                for (name, value) in [
                    ("x-content-type-options", "nosniff"),
                    ("x-frame-options", "DENY"),
                    ("referrer-policy", "no-referrer"),
                    ("cache-control", "no-store"),
                    ("cross-origin-resource-policy", "same-origin"),
                ] {
                    assert_eq!(answer.headers[name], value, "{path}");
                }
                let policy = answer.headers["content-security-policy"].to_str().unwrap();
                assert!(
                    policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
                    "{path}: {policy}"
                );
                assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
                assert!(!answer.headers.contains_key("set-cookie"), "{path}");
            }
        }
    });
}

#[test]
fn origins_of_others_get_no_leave() {
    block_on(async {
        let world = world();
        let viewer = world.key(Role::Viewer).await;
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8080"] {
            let answer =
                world.ask_with("GET", "/api/v1/me", Some(&viewer), None, &[("origin", origin)]).await;
            assert_eq!(answer.status, 200);
            assert!(
                !answer.headers.keys().any(|name| name.as_str().starts_with("access-control")),
                "{origin}"
            );
            let before = [("origin", origin), ("access-control-request-method", "POST")];
            let preflight =
                world.ask_with("OPTIONS", "/api/v1/pipelines/orders/pause", None, None, &before).await;
            assert!(
                !preflight.headers.keys().any(|name| name.as_str().starts_with("access-control")),
                "{origin}"
            );
        }
    });
}

#[test]
fn a_token_in_the_url_is_no_token() {
    block_on(async {
        let world = world();
        let viewer = world.key(Role::Viewer).await;
        for name in ["token", "access_token", "authorization"] {
            let path = format!("/api/v1/latency?{name}={}", *viewer);
            assert_eq!(world.ask("GET", &path, None, None).await.status, 401);
            let answer = world.ask("GET", &path, Some(&viewer), None).await;
            assert_eq!(answer.status, 400, "it is an unknown parameter as well");
            assert!(!answer.json.to_string().contains(viewer.as_str()));
        }
        let doubled = world
            .ask_with("GET", "/api/v1/me", Some(&viewer), None, &[("authorization", "Bearer mk_other")])
            .await;
        assert_eq!(doubled.status, 401, "two tokens are no token");
    });
}

#[test]
fn signing_in_renewing_and_out_again() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        let ada = json!({ "name": "ada", "password": "correct horse battery", "role": "operator" });
        world.ask("POST", "/api/v1/users", Some(&admin), Some(ada)).await;
        let login = json!({ "name": "ada", "password": "correct horse battery" });
        let session = world.ask("POST", "/api/v1/login", None, Some(login.clone())).await;
        assert_eq!((session.status, session.json["expires_in"].as_u64()), (200, Some(900)));
        let token = |answer: &Answer, name: &str| answer.json[name].as_str().unwrap().to_owned();
        let me = world.ask("GET", "/api/v1/me", Some(&token(&session, "access_token")), None).await;
        assert_eq!(me.json, json!({ "name": "ada", "role": "operator", "proof": "session" }));
        let refresh = json!({ "refresh_token": token(&session, "refresh_token") });
        let renewed = world.ask("POST", "/api/v1/refresh", None, Some(refresh)).await;
        assert_eq!(renewed.status, 200);
        let access = token(&renewed, "access_token");
        let mine = world.ask("GET", "/api/v1/me/sessions", Some(&access), None).await;
        assert_eq!(mine.json["items"].as_array().unwrap().len(), 1);
        assert_eq!(world.ask("POST", "/api/v1/logout", Some(&access), None).await.status, 204);
        assert_eq!(world.ask("GET", "/api/v1/me", Some(&access), None).await.status, 401);
        // Another's session is not there for oneself.
        let second = world.ask("POST", "/api/v1/login", None, Some(login)).await;
        let bob = json!({ "name": "bob", "password": "correct horse battery", "role": "viewer" });
        world.ask("POST", "/api/v1/users", Some(&admin), Some(bob)).await;
        let bobs = json!({ "name": "bob", "password": "correct horse battery" });
        let bob = world.ask("POST", "/api/v1/login", None, Some(bobs)).await;
        let path = format!("/api/v1/me/sessions/{}", token(&second, "session"));
        assert_eq!(world.ask("DELETE", &path, Some(&token(&bob, "access_token")), None).await.status, 404);
    });
}

#[test]
fn a_guesser_of_passwords_is_slowed_down() {
    block_on(async {
        let world = world();
        let guess = json!({ "name": "ada", "password": "guess" });
        let mut refused = 0;
        for _ in 0..14 {
            let answer = world.ask("POST", "/api/v1/login", None, Some(guess.clone())).await;
            if answer.status == 429 {
                assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
                refused += 1;
            } else {
                assert_eq!(answer.status, 401);
            }
        }
        assert_eq!(refused, 4);
    });
}

#[test]
fn a_principal_with_too_many_requests_waits_and_others_do_not() {
    block_on(async {
        let world = world();
        let (busy, calm) = (world.key(Role::Viewer).await, world.key(Role::Viewer).await);
        let mut limited = None;
        for _ in 0..200 {
            let answer = world.ask("GET", "/api/v1/me", Some(&busy), None).await;
            if answer.status == 429 {
                limited = Some(answer);
                break;
            }
        }
        let limited = limited.expect("the burst is 120");
        assert_eq!(limited.json["code"], "rate_limited");
        assert!(limited.headers.contains_key("retry-after"));
        let spoofed = [("x-forwarded-for", "10.1.2.3"), ("forwarded", "for=10.1.2.3")];
        assert_eq!(world.ask_with("GET", "/api/v1/me", Some(&busy), None, &spoofed).await.status, 429);
        assert_eq!(world.ask("GET", "/api/v1/me", Some(&calm), None).await.status, 200);
    });
}
