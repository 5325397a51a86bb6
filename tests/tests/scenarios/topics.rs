//! Topics, groups, rejected messages and samples through the API, against a real Kafka of one and of three brokers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::Offset;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::{Value, json};
use tests::appliance::Appliance;
use tests::kafka::Kafka;
use tests::world::{Setup, World};

/// Produces records to the partitions in turn.
fn produce(bootstrap: &str, topic: &str, partitions: i32, count: i32) -> Result<()> {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create_with_context(rdkafka::producer::DefaultProducerContext)?;
    for number in 0..count {
        let body = number.to_string();
        let record = BaseRecord::<str, str>::to(topic).partition(number % partitions).payload(&body);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(20))?)
}

/// Commits a group's position in one partition.
fn commit(bootstrap: &str, group: &str, topic: &str, partition: i32, offset: i64) -> Result<()> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("group.id", group).create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    Ok(consumer.commit(&list, CommitMode::Sync)?)
}

fn expect(answer: (u16, Value), status: u16, what: &str) -> Result<Value> {
    ensure!(answer.0 == status, "{what}: {} {}", answer.0, answer.1);
    Ok(answer.1)
}

fn config<'a>(topic: &'a Value, name: &str) -> Result<&'a Value> {
    let mut all = topic["configs"].as_array().context("no configs")?.iter();
    all.find(|config| config["name"] == name).with_context(|| format!("no config {name}"))
}

/// One topic of a cluster of so many brokers, through the API of an appliance.
struct Life<'a> {
    kafka: &'a Kafka,
    brokers: usize,
    appliance: Appliance,
    /// Topic of the appliance's route.
    route: &'static str,
    topic: String,
}

impl Life<'_> {
    fn at(&self, rest: &str) -> String {
        format!("/api/v1/topics/{}{rest}", self.topic)
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Result<Value> {
        expect(self.appliance.api(method, path, body)?, status, &format!("{method} {path}"))
    }

    fn show(&mut self) -> Result<Value> {
        let path = self.at("");
        self.ask("GET", &path, None, 200)
    }

    fn is_made(&mut self) -> Result<()> {
        let (topic, brokers) = (self.topic.clone(), self.brokers);
        let new = json!({
            "name": topic, "partitions": 2, "replication": brokers,
            "configs": { "retention.ms": "3600000", "cleanup.policy": "delete" }
        });
        self.ask("POST", "/api/v1/topics?dry_run=true", Some(&new), 200)?;
        let path = self.at("");
        self.ask("GET", &path, None, 404)?;
        self.ask("POST", "/api/v1/topics", Some(&new), 201)?;
        self.ask("POST", "/api/v1/topics", Some(&new), 409)?;
        let mut too_many = new.clone();
        too_many["name"] = json!("never");
        too_many["replication"] = json!(brokers + 1);
        let refused = self.ask("POST", "/api/v1/topics", Some(&too_many), 422)?;
        ensure!(refused["detail"].as_str().is_some_and(|text| text.contains("replicas")), "{refused}");
        let all = self.ask("GET", "/api/v1/topics?limit=500", None, 200)?;
        let items = all["items"].as_array().context("no items")?;
        let made = items.iter().find(|item| item["name"] == topic.as_str()).context("the list lacks it")?;
        assert_eq!((&made["partitions"], &made["replication"]), (&json!(2), &json!(brokers)));
        assert_eq!((&made["under_replicated"], &made["offline"]), (&json!(0), &json!(0)));
        assert!(items.iter().all(|item| item["internal"] == false), "Kafka's own are not asked for");
        let own =
            items.iter().find(|item| item["name"] == self.route).context("the list lacks the route's")?;
        assert_eq!(own["used_by"], json!([{ "pipeline": "orders", "role": "route" }]));
        Ok(())
    }

    /// Two changes of one topic: the second leaves the first alone.
    fn is_altered(&mut self) -> Result<()> {
        let patch = |name: &str, value: Value| json!({ "configs": { name: value } });
        let path = self.at("/configs");
        let preview = patch("max.message.bytes", json!("2097152"));
        self.ask("PATCH", &format!("{path}?dry_run=true"), Some(&preview), 200)?;
        self.ask("PATCH", &path, Some(&patch("max.message.bytes", json!("1048600"))), 200)?;
        self.ask("PATCH", &path, Some(&patch("retention.ms", json!("7200000"))), 200)?;
        self.ask("PATCH", &path, Some(&patch("retention.ms", json!("soon"))), 422)?;
        let shown = self.show()?;
        assert_eq!(config(&shown, "max.message.bytes")?["value"], "1048600");
        assert_eq!(config(&shown, "retention.ms")?["value"], "7200000");
        assert_eq!(config(&shown, "retention.ms")?["source"], "topic");
        self.ask("PATCH", &path, Some(&patch("max.message.bytes", Value::Null)), 200)?;
        // The brokers of the harness set `message.max.bytes`, which holds again.
        assert_eq!(config(&self.show()?, "max.message.bytes")?["source"], "static");
        Ok(())
    }

    /// Keys move: that is to be typed.
    fn grows(&mut self) -> Result<()> {
        let topic = self.topic.clone();
        let more = |confirm: Option<&str>| json!({ "partitions": 4, "confirm": confirm });
        let path = self.at("/partitions");
        self.ask("POST", &format!("{path}?dry_run=true"), Some(&more(None)), 200)?;
        let refused = self.ask("POST", &path, Some(&more(None)), 409)?;
        ensure!(refused["detail"].as_str().is_some_and(|text| text.contains("keys move")), "{refused}");
        self.ask("POST", &path, Some(&more(Some(&topic))), 200)?;
        self.ask("POST", &path, Some(&more(Some(&topic))), 422)?;
        Ok(())
    }

    fn is_filled_and_read(&mut self) -> Result<()> {
        let topic = self.topic.clone();
        produce(&self.kafka.bootstrap(), &topic, 4, 20)?;
        let shown = self.show()?;
        let partitions = shown["by_partition"].as_array().context("no partitions")?;
        assert_eq!(partitions.len(), 4);
        for partition in partitions {
            assert_eq!((&partition["low"], &partition["high"]), (&json!(0), &json!(5)), "{partition}");
            assert_eq!(partition["in_sync"].as_array().map(Vec::len), Some(self.brokers), "{partition}");
            assert!(partition["leader"].as_i64().is_some_and(|leader| leader > 0), "{partition}");
        }
        assert_eq!(shown["messages_estimated"], 20);
        assert!(shown["not_available"][0].as_str().is_some_and(|text| text.contains("DescribeLogDirs")));
        let group = format!("{topic}-group");
        commit(&self.kafka.bootstrap(), &group, &topic, 0, 2)?;
        commit(&self.kafka.bootstrap(), &group, &topic, 3, 5)?;
        let groups = self.ask("GET", "/api/v1/groups", None, 200)?;
        let has_group = |items: &Vec<Value>| items.iter().any(|item| item["name"] == group.as_str());
        ensure!(groups["items"].as_array().is_some_and(has_group), "{groups}");
        let shown = self.ask("GET", &format!("/api/v1/groups/{group}?topic={topic}"), None, 200)?;
        assert_eq!(shown["lag"], 3, "{shown}");
        assert_eq!(shown["by_partition"][0]["committed"], 2);
        self.ask("GET", "/api/v1/groups/nobody", None, 404)?;
        Ok(())
    }

    fn is_deleted(&mut self) -> Result<()> {
        let (topic, route) = (self.topic.clone(), self.route);
        let path = self.at("");
        self.ask("DELETE", &path, None, 409)?;
        self.ask("DELETE", &format!("{path}?confirm=other"), None, 409)?;
        let refused = self.ask("DELETE", &format!("/api/v1/topics/{route}?confirm={route}"), None, 409)?;
        ensure!(
            refused["detail"].as_str().is_some_and(|text| text.contains("pipeline orders uses it")),
            "{refused}"
        );
        self.ask("DELETE", &format!("{path}?confirm={topic}"), None, 204)?;
        let gone = || self.appliance.api("GET", &path, None).is_ok_and(|(status, _)| status == 404);
        tests::wait_until("it is gone", 20, gone)?;
        // What was done and what was refused stands in the audit log.
        let audit = self.ask("GET", "/api/v1/audit?operation=topics_remove", None, 200)?;
        let entries = audit["items"].as_array().into_iter().flatten();
        let statuses: Vec<i64> = entries.filter_map(|entry| entry["status"].as_i64()).collect();
        assert_eq!(statuses, [204, 409, 409, 409]);
        Ok(())
    }
}

/// The life of a topic on a cluster of so many brokers.
fn life(kafka: &Kafka, brokers: usize, route: &'static str) -> Result<()> {
    let world = World::new(kafka, &Setup::new(route))?;
    let appliance = Appliance::start(&world.plan())?;
    let mut life = Life { kafka, brokers, appliance, route, topic: format!("{route}-made") };
    life.is_made()?;
    life.is_altered()?;
    life.grows()?;
    life.is_filled_and_read()?;
    life.is_deleted()?;
    life.appliance.stop()?;
    Ok(())
}

#[test]
fn a_topic_lives_on_one_broker() -> Result<()> {
    life(Kafka::shared()?, 1, "topics-one")
}

#[test]
fn a_topic_lives_on_three_brokers_and_shows_one_that_is_gone() -> Result<()> {
    let mut kafka = Kafka::start(3)?;
    life(&kafka, 3, "topics-three")?;
    let world = World::new(&kafka, &Setup::new("topics-weak"))?;
    let mut appliance = Appliance::start(&world.plan())?;
    kafka.kill(2);
    tests::wait_until("its partitions are under-replicated", 60, || {
        let shown = appliance.api("GET", "/api/v1/topics/topics-weak", None);
        shown.is_ok_and(|(status, topic)| {
            status == 200 && topic["under_replicated"] == 4 && topic["offline"] == 0
        })
    })?;
    appliance.stop()?;
    Ok(())
}

#[test]
fn rejected_messages_are_listed_by_reason_covered_and_uncovered() -> Result<()> {
    const SECRET: &str = "canary-in-a-body";
    let mut world = World::new(Kafka::shared()?, &Setup::new("topics-rejected"))?;
    let plan = world
        .plan()
        .set("pipeline.validate", "json = true\nbody_bytes_max = \"4KiB\"")
        .set("pipeline.masking", "visible = [\"/type\"]");
    let mut appliance = Appliance::start(&plan)?;
    world.send_with(12, |number, message| {
        message.body = match number % 3 {
            0 => format!("no json {SECRET}"),
            1 => json!({ "type": "paid", "card": SECRET, "filler": "x".repeat(5_000) }).to_string(),
            _ => message.body.clone(),
        };
    })?;
    world.wait_empty(30, &mut appliance)?;
    appliance.wait_total("rejected", 8, 20)?;
    let list = "/api/v1/pipelines/orders/rejected";
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = expect(appliance.api("GET", &format!("{list}?limit=3{cursor}"), None)?, 200, "list")?;
        ensure!(!page.to_string().contains(SECRET), "{page}");
        seen.extend(page["items"].as_array().context("no items")?.clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
        ensure!(seen.len() <= 8, "{seen:?}");
    }
    assert_eq!(seen.len(), 8);
    let codes = |code: &str| seen.iter().filter(|record| record["reason"]["code"] == code).count();
    assert_eq!((codes("body_not_json"), codes("body_too_large")), (4, 4));
    let large = seen.iter().find(|record| record["reason"]["code"] == "body_too_large").context("none")?;
    assert_eq!(large["body"]["value"]["type"], "paid");
    assert_eq!(large["body"]["value"]["card"], format!("string of {} bytes", SECRET.len()));
    let only =
        expect(appliance.api("GET", &format!("{list}?limit=50&code=body_not_json"), None)?, 200, "by code")?;
    assert_eq!((only["items"].as_array().map(Vec::len), &only["looked_at"]), (Some(4), &json!(8)));
    let place = format!("{list}/{}/{}", large["partition"], large["offset"]);
    let covered = expect(appliance.api("GET", &place, None)?, 200, "one")?;
    ensure!(!covered.to_string().contains(SECRET), "{covered}");
    let open = expect(appliance.api("POST", &format!("{place}/uncover"), None)?, 200, "uncover")?;
    assert_eq!(open["body"]["value"]["card"], SECRET);
    let audit =
        expect(appliance.api("GET", "/api/v1/audit?operation=rejected_uncover", None)?, 200, "audit")?;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1));
    ensure!(!audit.to_string().contains(SECRET), "{audit}");
    expect(appliance.api("GET", &format!("{list}/0/99999"), None)?, 404, "a record that is not there")?;
    expect(appliance.api("GET", &format!("{list}?cursor=nonsense"), None)?, 400, "no cursor")?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}

#[test]
fn a_sample_sees_what_passes_covered_and_ends_by_itself() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("topics-sample"))?;
    let mut appliance = Appliance::start(&world.plan())?;
    world.send(5)?;
    world.wait_empty(30, &mut appliance)?;
    let path = "/api/v1/pipelines/orders/sample";
    let none = expect(appliance.api("POST", path, Some(&json!({ "seconds": 1 })))?, 200, "nothing passes")?;
    assert_eq!(none["items"], json!([]));
    let asking = std::thread::scope(|scope| {
        let asked =
            scope.spawn(|| appliance.api("POST", path, Some(&json!({ "messages": 3, "seconds": 20 }))));
        // Until the consumer has its place, what is sent is not seen: so go on sending.
        for _ in 0..30 {
            if asked.is_finished() {
                break;
            }
            world.send(20)?;
            std::thread::sleep(Duration::from_millis(500));
        }
        asked.join().map_err(|_| anyhow::anyhow!("the asking thread panicked"))?
    });
    let taken = expect(asking?, 200, "sample")?;
    let items = taken["items"].as_array().context("no items")?;
    assert_eq!(items.len(), 3);
    for item in items {
        ensure!(item["reason"].is_null() && item["topic"] == "topics-sample", "{item}");
        ensure!(item["message_id"].as_str().is_some_and(|id| id.len() == 36), "{item}");
        ensure!(item["key"]["value"].is_null(), "{item}");
    }
    expect(appliance.api("POST", path, Some(&json!({ "messages": 201 })))?, 422, "too many")?;
    world.wait_empty(30, &mut appliance)?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}

#[test]
fn a_pipeline_is_stopped_limited_started_and_its_config_changed_and_brought_back() -> Result<()> {
    let mut world = World::new(Kafka::shared()?, &Setup::new("topics-steer"))?;
    let plan = world.plan().set("shards", "count = 2\npin = false");
    let mut appliance = Appliance::start(&plan)?;
    let at = |rest: &str| format!("/api/v1/pipelines/orders{rest}");
    let stopped = expect(appliance.api("POST", &at("/stop"), None)?, 200, "stop")?;
    assert_eq!((&stopped["shards_applied"], &stopped["shards"]), (&json!(2), &json!(2)), "{stopped}");
    tests::wait_until("it is stopped", 20, || appliance.state().is_ok_and(|(state, _)| state == "stopped"))?;
    assert_eq!(
        appliance.get("/readyz")?.0,
        200,
        "a pipeline that was told to stop is no fault of the appliance"
    );
    world.send(300)?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.depth()?.visible, 300, "nothing is received");
    expect(appliance.api("POST", &at("/resume"), None)?, 200, "resume")?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.depth()?.visible, 300, "what is stopped must be started");
    let limits = json!({ "messages_per_s": 50 });
    expect(appliance.api("PUT", &at("/rate"), Some(&limits))?, 200, "rate")?;
    expect(appliance.api("PUT", &at("/rate"), Some(&json!({ "messages_per_s": 0 })))?, 422, "no rate")?;
    expect(appliance.api("POST", &at("/start"), None)?, 200, "start")?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(world.depth()?.visible > 50, "the limit holds: {:?}", world.depth()?);
    expect(appliance.api("PUT", &at("/rate"), Some(&json!({})))?, 200, "no limit")?;
    world.wait_empty(30, &mut appliance)?;

    let (_, head, config) = appliance.api_with("GET", "/api/v1/config", None, &[])?;
    let etag =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    let etag = etag.context("no ETag")?;
    let toml = config["toml"].as_str().context("no text")?;
    let body = |toml: &str| json!({ "toml": toml, "comment": "shorter polls" });
    let other = toml.replace("wait_time = \"1s\"", "wait_time = \"2s\"");
    ensure!(other != toml, "{toml}");
    let put = |appliance: &mut Appliance, toml: &str, etag: &str| {
        appliance.api_with("PUT", "/api/v1/config", Some(&body(toml)), &[format!("If-Match: {etag}")])
    };
    let (status, _, answer) = appliance.api_with("PUT", "/api/v1/config", Some(&body(&other)), &[])?;
    ensure!(status == 428, "{status} {answer}");
    let (status, _, answer) = put(&mut appliance, &other, "\"0000000000000000\"")?;
    ensure!(status == 412, "{status} {answer}");
    let (status, _, answer) = put(&mut appliance, &toml.replace("topics-steer\"", "x\""), &etag)?;
    ensure!(status == 409 || status == 422, "{status} {answer}");
    let (status, head, answer) = put(&mut appliance, &other, &etag)?;
    ensure!(status == 200 && answer["shards_applied"] == 2, "{status} {answer}");
    assert_eq!(answer["changes"][0]["field"], "pipeline.orders.queue.wait_time");
    let now =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("etag: ").map(str::to_owned));
    let versions = expect(appliance.api("GET", "/api/v1/config/versions", None)?, 200, "history")?;
    let items = versions["items"].as_array().context("no items")?;
    assert_eq!((items.len(), &items[0]["comment"]), (2, &json!("shorter polls")), "{versions}");
    let back = format!("/api/v1/config/versions/{}/rollback", items[1]["id"]);
    let header = [format!("If-Match: {}", now.context("no ETag")?)];
    let (status, _, answer) = appliance.api_with("POST", &back, Some(&json!({})), &header)?;
    ensure!(status == 200, "{status} {answer}");
    assert_eq!(answer["changes"][0]["after"], "\"1s\"");
    let queue = expect(appliance.api("GET", &at("/queue"), None)?, 200, "queue")?;
    assert_eq!(queue["sqs"]["settings"]["visibility_timeout_s"], 30, "{queue}");
    ensure!(queue["requests"]["receives"].as_u64().is_some_and(|count| count > 0), "{queue}");
    world.send(100)?;
    world.wait_empty(30, &mut appliance)?;
    appliance.stop()?;
    world.judge()?;
    Ok(())
}
