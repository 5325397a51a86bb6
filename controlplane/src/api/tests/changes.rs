//! What changes: the audit log, idempotency keys, commands to the data plane, a restore.

use std::sync::Arc;

use dataplane::control::{Command, State};
use serde_json::{Value, json};

use super::{block_on, world};
use crate::api::Role;
use crate::board::Phase;
use crate::board::fixture::{counters, report};

#[test]
fn changes_are_in_the_audit_log_refused_ones_too_and_readings_are_not() {
    block_on(async {
        let world = world();
        let (viewer, admin) = (world.key(Role::Viewer).await, world.key(Role::Admin).await);
        let ada = json!({ "name": "ada", "password": "correct horse battery", "role": "viewer" });
        assert_eq!(world.ask("POST", "/api/v1/users", Some(&viewer), Some(ada.clone())).await.status, 403);
        assert_eq!(world.ask("POST", "/api/v1/users", Some(&admin), Some(ada.clone())).await.status, 201);
        assert_eq!(world.ask("POST", "/api/v1/users", Some(&admin), Some(ada)).await.status, 409);
        let patch = json!({ "role": "operator" });
        assert_eq!(world.ask("PATCH", "/api/v1/users/ada", Some(&admin), Some(patch)).await.status, 200);
        let wrong = json!({ "name": "ada", "password": "never-print-this-password" });
        assert_eq!(world.ask("POST", "/api/v1/login", None, Some(wrong)).await.status, 401);
        world.ask("GET", "/api/v1/users", Some(&admin), None).await;
        world.ask("POST", "/api/v1/config/validate", Some(&admin), Some(json!({ "toml": "" }))).await;
        let entries = world.audit().await;
        let told: Vec<String> = entries
            .iter()
            .map(|entry| {
                format!("{} {} {}", entry["operation"].as_str().unwrap(), entry["status"], entry["code"])
            })
            .collect();
        assert_eq!(
            told,
            [
                "login 401 \"unauthenticated\"",
                "users_change 200 null",
                "users_create 409 \"exists\"",
                "users_create 201 null",
                "users_create 403 \"forbidden\""
            ]
        );
        let change = &entries[1];
        assert_eq!(
            (&change["before"]["role"], &change["after"]["role"]),
            (&json!("viewer"), &json!("operator"))
        );
        assert_eq!(change["target"], "/api/v1/users/ada");
        let all = Value::Array(entries).to_string();
        for secret in ["correct horse battery", "never-print-this-password", "argon2", admin.as_str()] {
            assert!(!all.contains(secret), "{secret} is in the audit log");
        }
    });
}

#[test]
fn the_audit_log_comes_in_pages_without_gap_or_double() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        for n in 0..7 {
            let user =
                json!({ "name": format!("user{n}"), "password": "correct horse battery", "role": "viewer" });
            assert_eq!(world.ask("POST", "/api/v1/users", Some(&admin), Some(user)).await.status, 201);
        }
        let (mut seen, mut path) = (Vec::new(), "/api/v1/audit?limit=3".to_owned());
        loop {
            let page = world.ask("GET", &path, Some(&admin), None).await.json;
            seen.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|entry| entry["after"]["name"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/audit?limit=3&cursor={next}");
        }
        assert_eq!(seen, (0..7).rev().map(|n| format!("user{n}")).collect::<Vec<_>>());
        for wrong in ["limit=0", "limit=501", "limit=x", "cursor=!", "other=1"] {
            let answer = world.ask("GET", &format!("/api/v1/audit?{wrong}"), Some(&admin), None).await;
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.json);
        }
    });
}

#[test]
fn the_same_key_does_it_once_and_gets_the_same_answer() {
    block_on(async {
        let world = world();
        let (admin, other) = (world.key(Role::Admin).await, world.key(Role::Admin).await);
        let user =
            |name: &str| json!({ "name": name, "password": "correct horse battery", "role": "viewer" });
        let once = async |token: &str, key: &str, name: &str| {
            world
                .ask_with("POST", "/api/v1/users", Some(token), Some(user(name)), &[("idempotency-key", key)])
                .await
        };
        let first = once(&admin, "a", "ada").await;
        let again = once(&admin, "a", "ada").await;
        assert_eq!((first.status, again.status, &first.json), (201, 201, &again.json));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        let reused = once(&admin, "a", "bob").await;
        assert_eq!((reused.status, reused.json["code"].as_str()), (422, Some("idempotency_reused")));
        assert_eq!(once(&other, "a", "bob").await.status, 201, "keys are by principal");
        let refused = once(&admin, "b", "ada").await;
        assert_eq!(
            (refused.status, once(&admin, "b", "ada").await.status),
            (409, 409),
            "a refusal is an answer"
        );
        for key in ["", "with space", &"k".repeat(65), "é"] {
            assert_eq!(once(&admin, key, "eve").await.status, 400, "{key}");
        }
        let entries = world.audit().await;
        let made = entries.iter().filter(|entry| entry["status"] == 201).count();
        assert_eq!(made, 2, "what was replayed is recorded once");
    });
}

#[test]
fn a_secret_is_shown_once_and_never_replayed() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        let key = Some(json!({ "name": "ci", "role": "viewer" }));
        let header = [("idempotency-key", "one")];
        let made = world.ask_with("POST", "/api/v1/keys", Some(&admin), key.clone(), &header).await;
        assert_eq!(made.status, 201);
        let secret = made.json["secret"].as_str().unwrap().to_owned();
        let again = world.ask_with("POST", "/api/v1/keys", Some(&admin), key, &header).await;
        assert_eq!((again.status, again.json["code"].as_str()), (409, Some("idempotency_secret")));
        let list = world.ask("GET", "/api/v1/keys", Some(&admin), None).await;
        assert!(list.json.to_string().contains(&secret[..11]) && !list.json.to_string().contains(&secret));
        assert_eq!(world.ask("GET", "/api/v1/me", Some(&secret), None).await.json["name"], "key:ci");
    });
}

#[test]
fn a_pause_goes_down_once_and_says_on_how_many_shards_it_shows() {
    block_on(async {
        let mut world = world();
        let operator = world.key(Role::Operator).await;
        let mut taken = world.taken.take().unwrap();
        let board = Arc::clone(world.ctx.board());
        let shards = tokio::spawn(async move {
            let command = taken.recv().await.unwrap();
            let paused = |shard| report(shard, 9, State::Paused, counters());
            board.publish(vec![paused(0), paused(1)], Vec::new());
            (command, taken)
        });
        let told = world.ask("POST", "/api/v1/pipelines/orders/pause", Some(&operator), None).await;
        assert_eq!(told.status, 200, "{}", told.json);
        assert_eq!((&told.json["state"], &told.json["shards_applied"]), (&json!("paused"), &json!(2)));
        let (command, mut taken) = shards.await.unwrap();
        assert!(matches!(command, Command::Pause { pipeline } if pipeline == "orders"));
        assert!(taken.try_recv().is_err(), "one command");
        let entry = &world.audit().await[0];
        assert_eq!(
            (&entry["before"]["state"], &entry["after"]["state"]),
            (&json!("running"), &json!("paused"))
        );
        world.ctx.board().enter(Phase::Draining);
        let refused = world.ask("POST", "/api/v1/pipelines/orders/resume", Some(&operator), None).await;
        assert_eq!((refused.status, refused.json["code"].as_str()), (409, Some("draining")));
    });
}

#[test]
fn an_instance_ends_only_when_its_name_is_typed() {
    block_on(async {
        let mut world = world();
        let admin = world.key(Role::Admin).await;
        let list = world.ask("GET", "/api/v1/instances", Some(&admin), None).await;
        let name = list.json["items"][0]["name"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/instances/{name}/drain");
        let wrong = world.ask("POST", &path, Some(&admin), Some(json!({ "confirm": "yes" }))).await;
        assert_eq!(wrong.status, 422);
        let mut taken = world.taken.take().unwrap();
        assert!(taken.try_recv().is_err());
        let right = world.ask("POST", &path, Some(&admin), Some(json!({ "confirm": name }))).await;
        assert_eq!((right.status, &right.json["phase"]), (200, &json!("draining")));
        assert!(matches!(taken.try_recv(), Ok(Command::Drain)));
    });
}

#[test]
fn a_change_runs_to_its_end_though_its_caller_has_gone() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        let ada = json!({ "name": "ada", "password": "correct horse battery", "role": "viewer" });
        let asked = world.ask("POST", "/api/v1/users", Some(&admin), Some(ada));
        // The password is being hashed when the caller goes.
        let gone = tokio::time::timeout(std::time::Duration::from_millis(5), asked).await;
        assert!(gone.is_err(), "it was too quick to be left");
        for _ in 0..200 {
            if world.audit().await.iter().any(|entry| entry["status"] == 201) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the change and its entry are missing");
    });
}

#[test]
fn a_restore_ends_sessions_and_is_answered() {
    block_on(async {
        let world = world();
        let admin = world.key(Role::Admin).await;
        let made = world.ask("POST", "/api/v1/backups", Some(&admin), None).await;
        assert_eq!(made.status, 201, "{}", made.json);
        let later = world.key(Role::Viewer).await;
        assert_eq!(world.ask("GET", "/api/v1/me", Some(&later), None).await.status, 200);
        let path = format!("/api/v1/backups/{}/restore", made.json["name"].as_str().unwrap());
        let tried = world.ask("POST", &format!("{path}?dry_run=true"), Some(&admin), None).await;
        assert_eq!((tried.status, &tried.json["dry_run"]), (200, &json!(true)));
        assert_eq!(world.ask("GET", "/api/v1/me", Some(&later), None).await.status, 200);
        let done = world.ask("POST", &path, Some(&admin), None).await;
        assert_eq!(done.status, 200, "{}", done.json);
        assert_eq!(
            world.ask("GET", "/api/v1/me", Some(&later), None).await.status,
            401,
            "it is younger than the backup"
        );
        assert_eq!(
            world.ask("GET", "/api/v1/backups", Some(&admin), None).await.json["items"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    });
}
