//! One run that is given a secret of every kind, and everything that it shows, writes or is seen as afterwards: none is in there.
//!
//! Method: the built binary with a planted text for each kind of secret; every reading of the API's document is asked as an
//! admin, the log, the figures, the command line, the store and a backup are searched.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use world::{Running, World, wait};

/// What is planted, and what it is.
const PLANTED: [(&str, &str); 7] = [
    ("canary-7b41-kafka-password-0123456789abcdef", "password of Kafka"),
    ("canary-51c2-webhook-secret-0123456789abcdef", "key of a web hook"),
    ("canary-90aa-hook-path-0123456789abcdef", "secret in the path of a web hook"),
    ("canary-3e17-otlp-token-0123456789abcdef", "token of a collector"),
    ("canary-c8d4-user-password-0123456789", "password of a user"),
    ("canary-2f60-body-of-a-message", "body of a message"),
    ("canary-aa31-option-0123456789", "option of librdkafka that may be secret"),
];

fn planted(what: &str) -> &'static str {
    PLANTED.iter().find(|(_, name)| *name == what).map(|(text, _)| *text).unwrap()
}

/// Status and the whole answer, head and body.
fn ask(port: u16, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut bytes = Vec::new();
    // A stream of events ends by the time that it is read for.
    let _ended = (&mut stream).take(8 << 20).read_to_end(&mut bytes);
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

fn json_of(answer: &str) -> Value {
    answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()).unwrap_or(Value::Null)
}

fn search(place: &str, text: &[u8], found: &mut Vec<String>) {
    for (canary, what) in PLANTED.iter().chain([&(world::CANARY, "AWS key")]) {
        if text.windows(canary.len()).any(|window| window == canary.as_bytes()) {
            found.push(format!("{what} in {place}"));
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files_below(&path) } else { vec![path] }
        })
        .collect()
}

/// The readings of the API's document with something in each place of a path.
fn readings() -> Vec<String> {
    let document: Value =
        serde_json::from_str(include_str!("../openapi.json")).expect("the document is JSON");
    let paths = document["paths"].as_object().unwrap();
    let filled = |path: &str| {
        let places = [
            ("{partition}", "0"),
            ("{offset}", "0"),
            ("{version}", "1"),
            ("{id}", "1"),
            ("{topic}", "orders"),
            ("{group}", "nobody"),
            ("{code}", "not_found"),
            ("{name}", "orders"),
        ];
        places.iter().fold(path.to_owned(), |path, (place, value)| path.replace(place, value))
    };
    let gets = paths.iter().filter(|(path, item)| item.get("get").is_some() && !path.ends_with("/live"));
    gets.map(|(path, _)| filled(path)).collect()
}

fn config(world: &World) -> PathBuf {
    let folder = world.folder.path();
    std::fs::write(folder.join("hook.key"), planted("key of a web hook")).unwrap();
    let more = format!(
        "[[alerts.webhook]]\nname = \"ops\"\nurl = \"http://127.0.0.1:9/{}\"\nsecret = {{ file = {:?} }}\n\
         [export.otlp]\nurl = \"http://127.0.0.1:9/v1/metrics\"\nevery = \"5s\"\nauthorization = {{ env = \"OTLP_TOKEN\" }}\n",
        planted("secret in the path of a web hook"),
        folder.join("hook.key"),
    );
    let path = world.config(&more);
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(&format!(
        "[[pipeline]]\nname = \"broken\"\nqueue.url = {:?}\nqueue.region = \"us-east-1\"\nkafka.brokers = [\"127.0.0.1:9\"]\n\
         route.topic = \"broken\"\n[pipeline.kafka.security]\nprotocol = \"sasl_plaintext\"\nmechanism = \"SCRAM-SHA-512\"\n\
         username = \"millrace\"\npassword = {{ env = \"KAFKA_PASSWORD\" }}\n\
         [pipeline.kafka.options]\n\"sasl.oauthbearer.client.secret\" = {:?}\n",
        world.server.queue_url("broken"),
        planted("option of librdkafka that may be secret"),
    ));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_secret_of_every_kind_is_nowhere_to_be_seen() {
    let world = World::new();
    world.server.create_queue("broken", &[]).unwrap();
    let body = format!("{{\"type\":\"paid\",\"card\":\"{}\"}}", planted("body of a message"));
    world.server.send("orders", vec![bench::sqs::OutMessage::new(body)]).unwrap();
    let env =
        [("KAFKA_PASSWORD", planted("password of Kafka")), ("OTLP_TOKEN", planted("token of a collector"))];
    let mut running = Running::start(&config(&world), &env);
    let first = running.first_token();
    let port = running.port;
    let mut found = Vec::new();
    let user = json!({"name": "ada", "role": "admin", "password": planted("password of a user")});
    let (status, answer) = ask(port, &first, "POST", "/api/v1/users", Some(&user));
    assert_eq!(status, 201, "{answer}");
    let login = json!({"name": "ada", "password": planted("password of a user")});
    let (status, answer) = ask(port, "", "POST", "/api/v1/login", Some(&login));
    assert_eq!(status, 200, "{answer}");
    let token = json_of(&answer)["access_token"].as_str().expect("a token").to_owned();
    let key = json!({"name": "ci", "role": "admin"});
    let (status, answer) = ask(port, &token, "POST", "/api/v1/keys", Some(&key));
    assert_eq!(status, 201, "{answer}");
    // Wrong ones are not repeated either.
    let wrong = json!({"name": "ada", "password": format!("{}x", planted("password of a user"))});
    let (status, answer) = ask(port, "", "POST", "/api/v1/login", Some(&wrong));
    assert_eq!(status, 401, "{answer}");
    search("a refused login", answer.as_bytes(), &mut found);
    wait("the message", || {
        let (_, answer) = ask(port, &token, "GET", "/api/v1/pipelines/orders", None);
        (json_of(&answer)["totals"]["delivered"] == 1).then_some(())
    });
    // Time for the collector and the broken broker to be tried.
    std::thread::sleep(Duration::from_secs(7));
    let readings = readings();
    assert!(readings.len() > 30, "{readings:?}");
    let mut answered = 0;
    for path in readings.iter().map(String::as_str).chain(["/metrics", "/snapshot", "/", "/readyz?verbose"]) {
        let (status, answer) = ask(port, &token, "GET", path, None);
        assert!((200..500).contains(&status) || status == 503, "{path}: {status}");
        answered += usize::from(status == 200);
        search(path, answer.as_bytes(), &mut found);
    }
    assert!(answered > 25, "{answered} of {} readings have shown something", readings.len());
    let (status, answer) = ask(port, &token, "POST", "/api/v1/backups", Some(&json!({})));
    assert!(status < 300, "{answer}");
    // The secrets must not stand in the finest lines either.
    let (status, answer) = ask(port, &token, "PUT", "/api/v1/log-level", Some(&json!({"level": "trace"})));
    assert_eq!((status, &json_of(&answer)["level"]), (200, &json!("trace")), "{answer}");
    std::thread::sleep(Duration::from_secs(2));
    let line = std::fs::read(format!("/proc/{}/cmdline", running.child.id())).unwrap();
    search("the command line", &line, &mut found);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    running.signal("USR1");
    running.signal("TERM");
    let store = world.folder.path().join("store");
    let (_, log) = running.end();
    search("the log", log.as_bytes(), &mut found);
    let files = files_below(&store);
    assert!(files.iter().any(|file| file.to_string_lossy().contains("backup")), "{files:?}");
    for file in files {
        search(&file.display().to_string(), &std::fs::read(&file).unwrap(), &mut found);
    }
    for event in ["otlp_unsent", "log_level", "snapshot", "drained"] {
        assert!(log.contains(event), "{event} is missing: the run did not come where it should");
    }
    assert!(found.is_empty(), "{found:#?}");
}
