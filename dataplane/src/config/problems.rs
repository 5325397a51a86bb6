//! What a config that parses still gets wrong: each problem names the field, the value's fault and the
//! remedy.
//!
//! Level 0, pure: nothing is read or connected here (that is `millrace check --connect`).

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::kafka::{Kafka, Mechanism, Protocol};
use super::pipeline::{Budget, Key, Pipeline, Rate, Route, TypeRule};
use super::queue::Queue;
use super::units::Time;
use super::{Config, Shards};
use crate::limits;

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, for example `pipeline.orders.queue.wait_time`.
    pub field: String,
    /// What is wrong with its value, and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

/// Pointers of a pipeline's masking; each is looked up in every body that is shown.
const VISIBLE_MAX: usize = 64;

/// librdkafka options that carry a promise, with what to do instead.
const RESERVED_OPTIONS: &[(&str, &str)] = &[
    ("acks", "acks=all is what allows a message to be deleted; remove it"),
    ("request.required.acks", "acks=all is what allows a message to be deleted; remove it"),
    ("enable.idempotence", "the idempotent producer keeps order and prevents duplicates; remove it"),
    ("delivery.report.only.error", "every message needs its delivery report; remove it"),
    ("bootstrap.servers", "use kafka.brokers"),
    ("metadata.broker.list", "use kafka.brokers"),
    ("linger.ms", "use kafka.linger"),
    ("queue.buffering.max.ms", "use kafka.linger"),
    ("compression.type", "use kafka.compression"),
    ("compression.codec", "use kafka.compression"),
    ("batch.size", "use kafka.batch_bytes_max"),
    ("message.timeout.ms", "use kafka.delivery_timeout"),
    ("delivery.timeout.ms", "use kafka.delivery_timeout"),
    ("client.id", "use kafka.client_id"),
    ("security.protocol", "use kafka.security.protocol"),
    ("sasl.mechanism", "use kafka.security.mechanism"),
    ("sasl.mechanisms", "use kafka.security.mechanism"),
    ("sasl.username", "use kafka.security.username"),
    ("sasl.password", "secrets are given by reference: use kafka.security.password"),
    ("ssl.key.password", "secrets are given by reference: use kafka.security.key_password"),
    ("ssl.key.pem", "use kafka.security.key_file"),
    ("enable.ssl.certificate.verification", "certificates are always verified; remove it"),
    ("transactional.id", "Millrace does not produce in transactions; remove it"),
];

impl Config {
    /// All problems of the config; empty means that it can be run.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Found(Vec::new());
        shards(&mut found, &self.shards);
        found.range("drain.deadline", self.drain.deadline, Time::from_secs(1), Time::from_secs(43_200));
        super::api_problems::api(&mut found, &self.api);
        super::attach::problems(&mut found, self.door.as_ref(), &self.attach);
        if self.pipeline.is_empty() {
            found.add("pipeline", "there is none; add at least one [[pipeline]]".to_owned());
        }
        if self.pipeline.len() > limits::PIPELINES_MAX {
            found.add(
                "pipeline",
                format!("there are {}; at most {} are allowed", self.pipeline.len(), limits::PIPELINES_MAX),
            );
        }
        super::watch::problems(&mut found, &self.alerts, &self.cost, &self.export);
        let mut names = HashSet::new();
        for pipeline in &self.pipeline {
            if !names.insert(&pipeline.name) {
                found.add("pipeline.name", format!("`{}` is used twice; names must differ", pipeline.name));
            }
            pipeline_problems(&mut found, pipeline);
        }
        found.0
    }
}

pub(super) struct Found(pub(super) Vec<Problem>);

impl Found {
    pub(super) fn add(&mut self, field: &str, text: String) {
        self.0.push(Problem { field: field.to_owned(), text });
    }

    pub(super) fn range(&mut self, field: &str, value: Time, min: Time, max: Time) {
        if value < min || value > max {
            self.add(field, format!("{value} is outside {min} to {max}"));
        }
    }

    pub(super) fn number(&mut self, field: &str, value: u64, min: u64, max: u64) {
        if value < min || value > max {
            self.add(field, format!("{value} is outside {min} to {max}"));
        }
    }
}

fn shards(found: &mut Found, shards: &Shards) {
    if let Some(count) = shards.count {
        found.number("shards.count", u64::from(count), 1, limits::SHARDS_MAX as u64);
    }
    if shards.kafka_cores.as_ref().is_some_and(Vec::is_empty) {
        found.add("shards.kafka_cores", "the list is empty; name at least one core or remove it".to_owned());
    }
}

fn pipeline_problems(found: &mut Found, pipeline: &Pipeline) {
    let at = |field: &str| format!("pipeline.{}.{field}", pipeline.name);
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if pipeline.name.is_empty() || pipeline.name.len() > 64 || !pipeline.name.chars().all(legal) {
        found.add("pipeline.name", format!("`{}` must be 1 to 64 of a-z, 0-9, - and _", pipeline.name));
    }
    queue(found, &at, &pipeline.queue);
    kafka(found, &at, &pipeline.kafka);
    route(found, &at, pipeline);
    let body = pipeline.validate.body_bytes_max.0;
    found.number(&at("validate.body_bytes_max"), body, 1, limits::MESSAGE_BYTES_MAX as u64);
    let budget = &pipeline.budget;
    found.number(
        &at("budget.in_flight_messages_max"),
        u64::from(budget.in_flight_messages_max),
        10,
        u64::from(Budget::LARGEST.in_flight_messages_max),
    );
    if budget.in_flight_bytes_max > Budget::LARGEST.in_flight_bytes_max {
        let text =
            format!("{} is more than {}", budget.in_flight_bytes_max, Budget::LARGEST.in_flight_bytes_max);
        found.add(&at("budget.in_flight_bytes_max"), text);
    }
    if budget.in_flight_bytes_max.0 < limits::IN_FLIGHT_BYTES_MIN {
        found.add(
            &at("budget.in_flight_bytes_max"),
            format!(
                "{} cannot hold the largest answer of SQS; use at least 32MiB",
                budget.in_flight_bytes_max
            ),
        );
    }
    let breaker = &pipeline.breaker;
    found.range(&at("breaker.ack_stall"), breaker.ack_stall, Time::from_secs(1), Time::from_secs(600));
    found.range(&at("breaker.probe_min"), breaker.probe_min, Time::from_millis(100), Time::from_secs(60));
    found.range(&at("breaker.probe_max"), breaker.probe_max, breaker.probe_min, Time::from_secs(600));
    let visible = &pipeline.masking.visible;
    if visible.len() > VISIBLE_MAX {
        let text = format!("there are {}; at most {VISIBLE_MAX} are allowed", visible.len());
        found.add(&at("masking.visible"), text);
    }
    for pointer in visible {
        // The empty pointer is the whole body.
        if pointer.is_empty() {
            found.add(
                &at("masking.visible"),
                "the empty pointer would show whole bodies; remove it".to_owned(),
            );
        }
        json_pointer(found, &at("masking.visible"), pointer);
    }
    for (field, text) in pipeline.rate.problems() {
        found.add(&at(&format!("rate.{field}")), text);
    }
}

impl Rate {
    /// What is wrong with the limits: the key and a sentence for each.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut number = |field, value: Option<u64>, min: u64, max: u64| {
            if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
                let text =
                    format!("{value} is outside {min} to {max}; to hold everything up, pause the pipeline");
                problems.push((field, text));
            }
        };
        number("messages_per_s", self.messages_per_s.map(u64::from), 1, 10_000_000);
        number("bytes_per_s", self.bytes_per_s.map(|bytes| bytes.0), 1 << 10, 1 << 40);
        number("requests_per_s", self.requests_per_s.map(u64::from), 1, 1_000_000);
        problems
    }
}

fn queue(found: &mut Found, at: &dyn Fn(&str) -> String, queue: &Queue) {
    let scheme_ok = |url: &str| url.starts_with("https://") || url.starts_with("http://");
    if !scheme_ok(&queue.url) {
        found.add(
            &at("queue.url"),
            format!(
                "`{}` is no queue URL; it begins with https:// (SQS console, or `aws sqs get-queue-url`)",
                queue.url
            ),
        );
    }
    for (field, value) in [("queue.endpoint", &queue.endpoint), ("queue.proxy", &queue.proxy)] {
        if let Some(url) = value.as_deref().filter(|url| !scheme_ok(url)) {
            found.add(&at(field), format!("`{url}` must begin with http:// or https://"));
        }
    }
    for (field, value) in
        [("queue.wait_time", Some(queue.wait_time)), ("queue.visibility_timeout", queue.visibility_timeout)]
    {
        if value.is_some_and(|time| time.0.subsec_nanos() != 0) {
            found.add(&at(field), "SQS counts in whole seconds; write for example \"20s\"".to_owned());
        }
    }
    found.range(&at("queue.wait_time"), queue.wait_time, Time(Duration::ZERO), Time::from_secs(20));
    let longest = Time::from_secs(u64::from(limits::VISIBILITY_S_MAX));
    if let Some(visibility) = queue.visibility_timeout {
        found.range(&at("queue.visibility_timeout"), visibility, Time::from_secs(1), longest);
    }
    found.range(&at("queue.hold_max"), queue.hold_max, Time::from_secs(1), longest);
    found.number(&at("queue.pollers_max"), u64::from(queue.pollers_max), 1, limits::POLLERS_MAX as u64);
    found.number(&at("queue.deleters_max"), u64::from(queue.deleters_max), 1, limits::DELETERS_MAX as u64);
    if queue.aws.external_id.is_some() && queue.aws.role_arn.is_none() {
        found.add(
            &at("queue.aws.external_id"),
            "it is used with role_arn only; add role_arn or remove it".to_owned(),
        );
    }
}

fn kafka(found: &mut Found, at: &dyn Fn(&str) -> String, kafka: &Kafka) {
    if kafka.brokers.is_empty() {
        found
            .add(&at("kafka.brokers"), "the list is empty; name at least one broker as host:port".to_owned());
    }
    for broker in &kafka.brokers {
        let port =
            broker.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            found
                .add(&at("kafka.brokers"), format!("`{broker}` is not host:port, for example broker-1:9092"));
        }
    }
    found.range(&at("kafka.linger"), kafka.linger, Time(Duration::ZERO), Time::from_secs(900));
    found.range(
        &at("kafka.delivery_timeout"),
        kafka.delivery_timeout,
        Time::from_secs(1),
        Time::from_secs(43_200),
    );
    found.number(&at("kafka.batch_bytes_max"), kafka.batch_bytes_max.0, 1 << 10, 100 << 20);
    if kafka.producers == Some(0) {
        found.add(
            &at("kafka.producers"),
            "0 producers cannot deliver; use at least 1 or remove it".to_owned(),
        );
    }
    for name in kafka.options.keys() {
        if let Some((_, remedy)) = RESERVED_OPTIONS.iter().find(|(reserved, _)| reserved == name) {
            found.add(
                &at(&format!("kafka.options.\"{name}\"")),
                format!("this option cannot be set here: {remedy}"),
            );
        }
    }
    security(found, at, kafka);
}

fn security(found: &mut Found, at: &dyn Fn(&str) -> String, kafka: &Kafka) {
    let security = &kafka.security;
    let sasl = matches!(security.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
    let tls = matches!(security.protocol, Protocol::Ssl | Protocol::SaslSsl);
    if sasl && (security.mechanism.is_none() || security.username.is_none() || security.password.is_none()) {
        found.add(&at("kafka.security"), "a SASL protocol needs mechanism, username and password".to_owned());
    }
    if !sasl && (security.mechanism.is_some() || security.username.is_some() || security.password.is_some()) {
        found.add(
            &at("kafka.security.protocol"),
            "mechanism, username and password need sasl_ssl or sasl_plaintext".to_owned(),
        );
    }
    if security.mechanism == Some(Mechanism::Plain) && security.protocol == Protocol::SaslPlaintext {
        found.add(
            &at("kafka.security.mechanism"),
            "PLAIN would send the password unencrypted; use sasl_ssl or SCRAM".to_owned(),
        );
    }
    if !tls
        && (security.ca_file.is_some() || security.certificate_file.is_some() || security.key_file.is_some())
    {
        found.add(&at("kafka.security.protocol"), "certificate files need ssl or sasl_ssl".to_owned());
    }
    if security.certificate_file.is_some() != security.key_file.is_some() {
        found.add(&at("kafka.security"), "certificate_file and key_file go together".to_owned());
    }
}

fn route(found: &mut Found, at: &dyn Fn(&str) -> String, pipeline: &Pipeline) {
    let Route { topic, topics, key } = &pipeline.route;
    if topic.contains("${") {
        if topics.is_empty() {
            found.add(&at("route.topics"), "a template needs the list of topics that it may name".to_owned());
        }
        if let Err(text) = template_problem(topic) {
            found.add(&at("route.topic"), text);
        }
    } else {
        topic_name(found, &at("route.topic"), topic);
        if !topics.is_empty() {
            found.add(&at("route.topics"), "the list is used with a template only; remove it".to_owned());
        }
    }
    if topics.len() > limits::TOPICS_MAX {
        let count = topics.len();
        found.add(
            &at("route.topics"),
            format!("there are {count}; at most {} are allowed", limits::TOPICS_MAX),
        );
    }
    for name in topics {
        topic_name(found, &at("route.topics"), name);
    }
    if let Some(dead_letter) = &pipeline.dead_letter {
        topic_name(found, &at("dead_letter.topic"), &dead_letter.topic);
        if dead_letter.topic == *topic || topics.contains(&dead_letter.topic) {
            found.add(
                &at("dead_letter.topic"),
                "it is the main topic as well; rejected messages would be delivered".to_owned(),
            );
        }
    }
    if let Some(Key::JsonPointer { pointer }) = key {
        json_pointer(found, &at("route.key.pointer"), pointer);
    }
    if let TypeRule::JsonPointer { pointer } = &pipeline.type_rule {
        json_pointer(found, &at("type.pointer"), pointer);
    }
}

/// Kafka's own rule: 1 to 249 of letters, digits, `.`, `_`, `-`, and not `.` or `..`.
/// Source: `org.apache.kafka.common.internals.Topic`.
fn topic_name(found: &mut Found, field: &str, name: &str) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.chars().all(legal) {
        found.add(
            field,
            format!("`{name}` is no topic name; use 1 to 249 of letters, digits, '.', '_' and '-'"),
        );
    }
}

fn json_pointer(found: &mut Found, field: &str, pointer: &str) {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        found.add(
            field,
            format!("`{pointer}` is no JSON pointer; it begins with '/', for example /customer/id"),
        );
    }
}

fn template_problem(topic: &str) -> Result<(), String> {
    let mut rest = topic;
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let end = after.find('}').ok_or_else(|| format!("`{topic}` has `${{` without `}}`"))?;
        let field = &after[..end];
        if field != "type" && field.strip_prefix("attribute:").is_none_or(str::is_empty) {
            return Err(format!("`${{{field}}}` is unknown; use ${{type}} or ${{attribute:NAME}}"));
        }
        rest = &after[end + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bytes, DeadLetter};

    fn config() -> Config {
        let pipeline =
            Pipeline::new("orders", "https://sqs.eu-west-1.amazonaws.com/1/orders", &["b:9092"], "orders");
        Config { pipeline: vec![pipeline], ..Config::default() }
    }

    fn problem(change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        let problems = config.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[test]
    fn the_shortest_config_has_no_problem() {
        assert_eq!(config().problems(), Vec::new());
    }

    #[test]
    fn each_problem_names_field_fault_and_remedy() {
        assert!(problem(|c| c.pipeline.clear()).starts_with("pipeline: there is none; add"));
        assert!(problem(|c| c.api.listen = "0.0.0.0:80".into()).contains("api.tls"));
        assert!(
            problem(|c| c.pipeline[0].queue.wait_time = Time::from_secs(21)).contains("outside 0us to 20s")
        );
        assert!(
            problem(|c| c.pipeline[0].queue.wait_time = Time::from_millis(1500)).contains("whole seconds")
        );
        assert!(problem(|c| c.pipeline[0].kafka.brokers = vec!["b".into()]).contains("host:port"));
        assert!(problem(|c| c.pipeline[0].route.topic = "a b".into()).contains("no topic name"));
        assert!(problem(|c| c.pipeline[0].budget.in_flight_bytes_max = Bytes(1)).contains("32MiB"));
        assert!(
            problem(|c| c.pipeline[0].dead_letter = Some(DeadLetter { topic: "orders".into() }))
                .contains("main topic")
        );
        assert!(problem(|c| c.pipeline[0].name = "Bad Name".into()).contains("a-z"));
        assert!(problem(|c| c.pipeline[0].masking.visible = vec![String::new()]).contains("whole bodies"));
        assert!(problem(|c| c.pipeline[0].masking.visible = vec!["id".into()]).contains("begins with '/'"));
        assert!(problem(|c| c.pipeline[0].rate.messages_per_s = Some(0)).contains("pause the pipeline"));
        assert!(problem(|c| c.pipeline[0].rate.bytes_per_s = Some(Bytes(1))).contains("rate.bytes_per_s"));
        assert!(
            problem(|c| {
                c.pipeline[0].route.topic = "t-${type}".into();
                c.pipeline[0].route.topics = (0..1_025).map(|n| format!("t-{n}")).collect();
            })
            .contains("at most 1024")
        );
    }

    #[test]
    fn options_that_carry_a_promise_are_refused() {
        for (name, _) in RESERVED_OPTIONS {
            let text = problem(|c| {
                c.pipeline[0].kafka.options.insert((*name).into(), "0".into());
            });
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn templates_need_known_fields_and_an_allow_list() {
        assert!(problem(|c| c.pipeline[0].route.topic = "o-${type}".into()).contains("list of topics"));
        let unknown = problem(|c| {
            c.pipeline[0].route.topic = "o-${kind}".into();
            c.pipeline[0].route.topics = vec!["o-a".into()];
        });
        assert!(unknown.contains("${attribute:NAME}"), "{unknown}");
    }

    #[test]
    fn a_password_never_travels_in_clear() {
        let text = problem(|c| {
            let security = &mut c.pipeline[0].kafka.security;
            security.protocol = Protocol::SaslPlaintext;
            security.mechanism = Some(Mechanism::Plain);
            security.username = Some("u".into());
            security.password = Some(super::super::SecretRef::Env("P".into()));
        });
        assert!(text.contains("unencrypted"), "{text}");
    }
}
