//! The two planes as separate processes: many data planes as one picture, orders to some of them, and the death of either side.
//!
//! Method: the built binary in every role, the embedded SQS server and librdkafka's mock cluster behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is the failure that it should be")]

mod world;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde_json::{Value, json};
use world::{Running, World, wait};

/// Time within which the merged view must be right after a data plane came or went, and some for a busy machine.
const RIGHT_WITHIN: Duration = Duration::from_secs(6);

/// A world with data planes of these names and a control plane over them, none of which runs yet.
struct Planes {
    world: World,
    names: Vec<&'static str>,
}

/// Somebody who asks the control plane.
struct Asking {
    port: u16,
    token: String,
}

impl Asking {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn instance(&self, name: &str) -> Value {
        let all = self.get("/instances");
        let found = all["items"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        found.unwrap_or(Value::Null)
    }

    fn delivered(&self, query: &str) -> u64 {
        self.get(&format!("/pipelines/orders{query}"))["totals"]["delivered"].as_u64().unwrap()
    }

    /// The histogram of a stage, read by HdrHistogram itself.
    fn histogram(&self, stage: &str, query: &str) -> Histogram<u64> {
        let all = self.get(&format!("/latency?histograms=true{query}"));
        let found = all["items"].as_array().unwrap().iter().find(|one| one["stage"] == stage).unwrap();
        let bytes = STANDARD.decode(found["histogram"].as_str().unwrap()).unwrap();
        Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
    }
}

impl Planes {
    fn new(names: &[&'static str]) -> Planes {
        Planes { world: World::new(), names: names.to_vec() }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.world.folder.path().join(format!("{name}.sock"))
    }

    fn file(&self, name: &str, more: &str) -> PathBuf {
        let written = self.world.config(more);
        let path = self.world.folder.path().join(format!("{name}.toml"));
        // Waiting asks often.
        let text = std::fs::read_to_string(written).unwrap();
        std::fs::write(&path, text.replace("[api]\n", "[api]\nrequests_per_minute = 600000\n")).unwrap();
        path
    }

    fn pump(&self, name: &str) -> Running {
        let listen = format!("unix:{}", self.socket(name).display());
        Running::start_pump(&self.file(name, &format!("[door]\nlisten = {listen:?}\nname = {name:?}\n")))
    }

    fn control_plane(&self) -> Running {
        let attach: String = self
            .names
            .iter()
            .map(|name| format!("[[attach]]\naddress = \"unix:{}\"\n", self.socket(name).display()))
            .collect();
        Running::start_as("controlplane", &self.file("control", &attach), &[])
    }

    fn asking(&self, control: &mut Running) -> Asking {
        Asking { port: control.port, token: control.first_token() }
    }
}

#[test]
fn many_planes_are_one_picture_that_adds_up_and_is_right_after_a_death() {
    let planes = Planes::new(&["a", "b"]);
    let (_a, b) = (planes.pump("a"), planes.pump("b"));
    let mut control = planes.control_plane();
    let asking = planes.asking(&mut control);
    control.wait_ready();
    planes.world.send(3_000);
    wait("every message", || (asking.delivered("") == 3_000).then_some(()));
    let each = [asking.delivered("?instance=a"), asking.delivered("?instance=b")];
    assert_eq!(each.iter().sum::<u64>(), 3_000, "{each:?}");
    assert!(each.iter().all(|count| *count > 0), "both have worked: {each:?}");
    for stage in ["received_to_acked", "end_to_end", "produce_to_ack"] {
        let mut sum = asking.histogram(stage, "&instance=a");
        sum.add(asking.histogram(stage, "&instance=b")).unwrap();
        assert_eq!(sum, asking.histogram(stage, ""), "{stage}");
        assert_eq!(sum.len(), 3_000, "{stage}");
    }
    let shards = asking.get("/shards");
    let owners: Vec<&str> =
        shards["items"].as_array().unwrap().iter().map(|shard| shard["instance"].as_str().unwrap()).collect();
    assert_eq!(owners, ["a", "b"]);

    // An order to one of them.
    let (status, told) = asking.ask("POST", "/pipelines/orders/pause?instance=a", None);
    assert_eq!((status, &told["shards_applied"], &told["shards"]), (200, &json!(1), &json!(1)), "{told}");
    assert_eq!(
        (&told["by_shard"][0]["instance"], &told["by_shard"][0]["state"]),
        (&json!("a"), &json!("paused"))
    );
    assert_eq!(asking.get("/pipelines/orders?instance=b")["state"], "running");
    let (status, problem) = asking.ask("POST", "/pipelines/orders/pause?instance=a,c", None);
    assert_eq!(status, 404, "{problem}");
    let (status, told) = asking.ask("POST", "/pipelines/orders/resume", None);
    assert_eq!((status, &told["shards_applied"]), (200, &json!(2)), "{told}");

    // One dies: shown stale with its last figures, and in no sum.
    b.signal("KILL");
    let died = Instant::now();
    wait("b to be stale", || (asking.instance("b")["stale"] == true).then_some(()));
    assert!(died.elapsed() < RIGHT_WITHIN, "{:?}", died.elapsed());
    wait("sums without it", || (asking.delivered("") == each[0]).then_some(()));
    assert_eq!(asking.get("/shards")["items"].as_array().unwrap().len(), 1);
    assert_eq!(asking.delivered("?instance=b"), each[1], "its last word, with its age");
    assert!(asking.instance("b")["age_s"].as_f64().unwrap() > 3.0);
    let (status, ready) = control.get("/readyz?verbose");
    assert!(status == 503 && ready.contains("instance-b"), "{status} {ready}");
    let (status, _) = asking.ask("POST", "/pipelines/orders/pause?instance=b", None);
    assert_eq!(status, 503, "an order to one that does not answer");

    // It comes back, and counts from there.
    let _b = planes.pump("b");
    let back = Instant::now();
    wait("b to answer", || (asking.instance("b")["stale"] == false).then_some(()));
    assert!(back.elapsed() < RIGHT_WITHIN + Duration::from_secs(5), "{:?}", back.elapsed());
    control.wait_ready();
    let (_, metrics) = control.get("/metrics");
    assert!(metrics.contains("millrace_data_plane_answers{data_plane=\"b\"} 1"), "{metrics}");
}

#[test]
fn the_death_of_a_control_plane_is_nothing_to_the_shards() {
    let planes = Planes::new(&["a"]);
    let a = planes.pump("a");
    let mut control = planes.control_plane();
    let asking = planes.asking(&mut control);
    control.wait_ready();
    // A change that only the control plane was told.
    let (status, limits) =
        asking.ask("PUT", "/pipelines/orders/rate", Some(&json!({"messages_per_s": 2_000})));
    assert_eq!(status, 200, "{limits}");
    planes.world.send(500);
    wait("the first messages", || (asking.delivered("") == 500).then_some(()));
    control.signal("KILL");
    drop(control);
    planes.world.send(1_500);
    wait("messages without a control plane", || {
        let depth = planes.world.server.depth("orders").unwrap();
        (depth.visible == 0 && depth.in_flight == 0).then_some(())
    });
    let mut control = planes.control_plane();
    let asking = planes.asking(&mut control);
    control.wait_ready();
    wait("the count of all", || (asking.delivered("") == 2_000).then_some(()));
    let pipeline = asking.get("/pipelines/orders");
    assert_eq!((&pipeline["unaccounted"], &pipeline["totals"]["released"]), (&json!(0), &json!(0)));
    assert_eq!(
        asking.get("/pipelines/orders/rate")["limits"]["messages_per_s"],
        2_000,
        "what was ordered holds"
    );
    // The new one's configurations have numbers above those of the old one.
    let (status, told) = asking.ask("POST", "/instances/a/drain", Some(&json!({"confirm": "a"})));
    assert_eq!(status, 200, "{told}");
    let (status, log) = a.end();
    assert_eq!(status.code(), Some(0), "{log}");
    for event in ["attached", "detached", "ordered", "drained"] {
        assert!(log.contains(&format!("\"event\":\"{event}\"")), "{event} is missing in {log}");
    }
    control.signal("TERM");
    let (status, log) = control.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Sends at a steady pace, a few at a time; as many as that many messages a second.
fn steadily(world: &World, seconds: u64) -> u64 {
    const EVERY: Duration = Duration::from_millis(20);
    const AT_ONCE: usize = 10;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0;
    while Instant::now() < end {
        world.send(AT_ONCE);
        sent += AT_ONCE as u64;
        std::thread::sleep(EVERY);
    }
    sent
}

#[test]
fn messages_pass_a_killed_control_plane_as_they_pass_a_live_one() {
    let planes = Planes::new(&["a"]);
    let a = planes.pump("a");
    let mut control = planes.control_plane();
    let asking = planes.asking(&mut control);
    control.wait_ready();
    let stage = "end_to_end";
    let before = steadily(&planes.world, 5);
    wait("the first messages", || (asking.delivered("") == before).then_some(()));
    let live = asking.histogram(stage, "");
    // Killed in the middle of it, away for a while, and back.
    let (world, mut sent) = (&planes.world, 0);
    sent += steadily(world, 2);
    control.signal("KILL");
    drop(control);
    sent += steadily(world, 3);
    let mut control = planes.control_plane();
    sent += steadily(world, 2);
    let asking = planes.asking(&mut control);
    control.wait_ready();
    wait("the count of all", || (asking.delivered("") == before + sent).then_some(()));
    let mut around = asking.histogram(stage, "");
    around.subtract(&live).unwrap();
    assert_eq!((live.len(), around.len()), (before, sent), "each message once, before and around the kill");
    for (when, latency) in [("with it", &live), ("around its kill", &around)] {
        let at = |quantile: f64| latency.value_at_quantile(quantile);
        eprintln!(
            "{when}: {} messages, p50 {} us, p99 {} us, p99.9 {} us",
            latency.len(),
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
    assert_eq!(asking.get("/pipelines/orders")["unaccounted"], 0);
    a.signal("TERM");
    let (status, log) = a.end();
    assert_eq!(status.code(), Some(0), "{log}");
    control.signal("KILL");
}

#[test]
fn a_verb_without_its_table_says_what_to_add() {
    let world = World::new();
    let config = world.config("");
    for (verb, missing) in [("dataplane", "[door]"), ("controlplane", "[[attach]]")] {
        let output = world::output(&[verb, "--config", config.to_str().unwrap()]);
        let (code, _, error) = world::told(&output);
        assert!(code == 78 && error.contains(missing), "{verb}: {error}");
    }
}
