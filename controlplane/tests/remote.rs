//! The verbs that ask a running appliance, from the first token to a restore.
//!
//! Method: the built binary on both sides, the embedded SQS server and librdkafka's mock cluster behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use serde_json::Value;
use world::{PASSWORD, Person, Running, World, wait};

#[test]
fn from_the_first_token_to_a_restore() {
    let world = World::new();
    let config = world.config("");
    let mut running = Running::start(&config, &[]);
    let api = format!("http://127.0.0.1:{}", running.port);
    let home = world.folder.path().join("home");
    let first = Person { home: &home, api: api.clone(), token: Some(running.first_token()) };
    running.wait_ready();
    let line = format!("{PASSWORD}\n");
    first.json(&["users", "add", "ada", "--role", "admin"], &line);
    assert_eq!(first.says(&["users", "list"], "").0, 77, "the first token has ended");

    let ada = Person { home: &home, api: api.clone(), token: None };
    assert_eq!(ada.says(&["pipelines", "list"], "").0, 77, "nobody has signed in");
    assert_eq!(ada.says(&["login", "ada"], "wrong password here\n").0, 77);
    let (code, _, error) = ada.says(&["login", "ada"], &line);
    assert_eq!(code, 0, "{error}");
    let (code, table, _) = ada.says(&["pipelines", "list"], "");
    assert!(code == 0 && table.starts_with("PIPELINE") && table.contains("orders"), "{table}");
    let paused = ada.json(&["pipelines", "pause", "orders"], "");
    assert_eq!((&paused["state"], &paused["shards_applied"]), (&"paused".into(), &1.into()));
    world.send(5);
    assert_eq!(ada.json(&["pipelines", "drain", "orders"], "")["in_flight"], 0);
    ada.json(&["pipelines", "resume", "orders"], "");
    wait("what was sent meanwhile", || {
        let list = ada.json(&["pipelines", "list"], "");
        (list["items"][0]["totals"]["delivered"] == 5).then_some(())
    });
    assert_eq!(ada.says(&["pipelines", "pause", "nowhere"], "").0, 1);

    let (code, key, _) = ada.says(&["keys", "create", "ci", "--role", "viewer", "--expires", "1h"], "");
    assert_eq!(code, 0);
    let viewer = Person { home: &home, api, token: Some(key.trim().to_owned()) };
    assert_eq!(viewer.says(&["pipelines", "list"], "").0, 0);
    let (code, _, error) = viewer.says(&["pipelines", "pause", "orders"], "");
    assert!(code == 77 && error.contains("needs the role operator"), "{error}");

    let backup = ada.json(&["backup"], "");
    let name = backup["name"].as_str().unwrap();
    ada.json(&["users", "add", "bob", "--role", "viewer"], &line);
    let tried = ada.json(&["restore", name, "--dry-run"], "");
    assert_eq!(tried["dry_run"], true);
    let (code, _, error) = ada.says(&["restore", name], "");
    assert!(code == 2 && error.contains("--yes"), "nobody can be asked: {error}");
    assert_eq!(ada.says(&["restore", name, "--yes"], "").0, 0);
    assert_eq!(ada.says(&["users", "list"], "").0, 77, "all sessions have ended");
    assert_eq!(ada.says(&["login", "ada"], &line).0, 0);
    let users = ada.json(&["users", "list"], "");
    assert_eq!(users["items"].as_array().unwrap().len(), 1);
    let audit = ada.json(&["audit", "--operation", "pipelines_pause"], "");
    let statuses: Vec<&Value> =
        audit["items"].as_array().unwrap().iter().map(|entry| &entry["status"]).collect();
    assert_eq!(statuses, [&Value::from(403), &404.into(), &200.into()], "{audit}");
    assert_eq!(ada.says(&["logout"], "").0, 0);
    assert_eq!(ada.says(&["users", "list"], "").0, 77);
    running.signal("TERM");
    let (status, log) = running.end();
    assert_eq!(status.code(), Some(0), "{log}");
    for secret in [PASSWORD, key.trim()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[test]
fn an_appliance_that_is_not_there_is_code_69() {
    let home = tempfile::tempdir().unwrap();
    let person =
        Person { home: home.path(), api: "http://127.0.0.1:1".to_owned(), token: Some("mk_x".to_owned()) };
    let (code, _, error) = person.says(&["pipelines", "list"], "");
    assert!(code == 69 && error.contains("127.0.0.1:1") && error.contains("MILLRACE_API"), "{error}");
    let far = Person { api: "http://192.0.2.1:8080".to_owned(), ..person };
    let (code, _, error) = far.says(&["pipelines", "list"], "");
    assert!(code == 2 && error.contains("in clear"), "{error}");
}
