//! From one configuration to another: what differs, and what of it a running appliance takes at once.
//!
//! Level 0, pure. [`Config::adopting`] is the one place that says what changes without a restart; the list for people,
//! [`LIVE`], is held to it by a test over every key.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pipeline::{Key, Pipeline, Route};
use super::queue::Queue;
use super::{Config, Drain};

/// Keys and tables that a running appliance takes at once. All others need a restart, but those of a pipeline that comes
/// or goes as a whole.
pub const LIVE: &[&str] = &[
    "drain.deadline",
    "pipeline.type",
    "pipeline.queue.wait_time",
    "pipeline.queue.visibility_timeout",
    "pipeline.queue.hold_max",
    "pipeline.queue.pollers_max",
    "pipeline.queue.deleters_max",
    "pipeline.queue.verify_md5",
    "pipeline.route",
    "pipeline.validate",
    "pipeline.headers",
    "pipeline.dead_letter",
    "pipeline.budget",
    "pipeline.breaker",
    "pipeline.rate",
    "pipeline.masking",
];

/// Whether a key of the file (`pipeline.queue.wait_time`) is taken at once.
pub fn is_live(key: &str) -> bool {
    LIVE.iter()
        .any(|live| key.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// What stands in the place of a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// Parts of the names of librdkafka's options that carry a secret or may.
const SECRET_OPTIONS: [&str; 6] =
    ["password", "secret", "token", "key.pem", "sasl.jaas", "oauthbearer.config"];

/// Keys whose value holds an address with a path that may be the receiver's own secret.
const SECRET_PATHS: [&str; 2] = ["alerts.webhook", "export.otlp.url"];

/// Whether the value of a key is never shown whole: an option of librdkafka that may carry a secret, or an address whose path may.
pub fn is_hidden(key: &str) -> bool {
    if SECRET_PATHS.contains(&key) {
        return true;
    }
    let option = key.split_once("kafka.options.").map(|(_, option)| option);
    option.is_some_and(|option| SECRET_OPTIONS.iter().any(|secret| option.contains(secret)))
}

/// One key that differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Path of the key, for example `pipeline.orders.queue.wait_time`.
    pub field: String,
    /// Its value before, as JSON; `None` when it was unset.
    pub before: Option<String>,
    /// Its value after, as JSON; `None` when it is unset.
    pub after: Option<String>,
    /// Whether a running appliance takes it at once.
    pub live: bool,
}

impl Config {
    /// This configuration with everything of `new` that a running appliance takes at once.
    pub fn adopting(&self, new: &Config) -> Config {
        let adopt = |other: &Pipeline| {
            let found = self.pipeline.iter().find(|pipeline| pipeline.name == other.name);
            found.map_or_else(|| other.clone(), |pipeline| pipeline.adopting(other))
        };
        Config {
            drain: Drain { deadline: new.drain.deadline },
            pipeline: new.pipeline.iter().map(adopt).collect(),
            ..self.clone()
        }
    }

    /// Every key that differs in `new`, by its path. Values that may be secrets are not shown.
    pub fn changes_to(&self, new: &Config) -> Vec<Change> {
        let (before, after, adopted) = (leaves(self), leaves(new), leaves(&self.adopting(new)));
        let mut fields: Vec<&String> = before.keys().chain(after.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        let differs = |field: &&String| before.get(*field) != after.get(*field);
        let change = |field: &String| {
            let shown = |value: Option<&String>| {
                value.map(|value| if is_hidden(field) { HIDDEN.to_owned() } else { value.clone() })
            };
            Change {
                field: field.clone(),
                before: shown(before.get(field)),
                after: shown(after.get(field)),
                live: adopted.get(field) == after.get(field),
            }
        };
        fields.into_iter().filter(differs).map(change).collect()
    }
}

impl Pipeline {
    /// This pipeline with everything of `new` that a running one takes at once.
    pub fn adopting(&self, new: &Pipeline) -> Pipeline {
        // The bytes of a constant key do not travel with its messages: those on their way would get the new one.
        let is_constant = |route: &Route| matches!(route.key, Some(Key::Constant { .. }));
        let keeps_key = is_constant(&self.route) || is_constant(&new.route);
        let key = if keeps_key { self.route.key.clone() } else { new.route.key.clone() };
        Pipeline {
            name: self.name.clone(),
            queue: Queue {
                wait_time: new.queue.wait_time,
                visibility_timeout: new.queue.visibility_timeout,
                hold_max: new.queue.hold_max,
                pollers_max: new.queue.pollers_max,
                deleters_max: new.queue.deleters_max,
                verify_md5: new.queue.verify_md5,
                ..self.queue.clone()
            },
            kafka: self.kafka.clone(),
            route: Route { key, ..new.route.clone() },
            ..new.clone()
        }
    }
}

/// Every value by its path; pipelines are named by their names.
fn leaves(config: &Config) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // A config that was read can be written; one that cannot would show as unchanged, and nothing would be applied.
    let mut value = serde_json::to_value(config).unwrap_or_default();
    let pipelines = value.as_object_mut().and_then(|table| table.remove("pipeline"));
    walk("", &value, &mut found);
    for pipeline in pipelines.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let name = pipeline["name"].as_str().unwrap_or_default();
        walk(&format!("pipeline.{name}"), pipeline, &mut found);
    }
    found
}

fn walk(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    let Value::Object(table) = value else {
        found.insert(path.to_owned(), value.to_string());
        return;
    };
    for (name, value) in table {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(&path, value, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bytes, DeadLetter, SecretRef, Time};

    fn config() -> Config {
        let url = "https://sqs.eu-west-1.amazonaws.com/1/orders";
        Config { pipeline: vec![Pipeline::new("orders", url, &["b:1"], "t")], ..Config::default() }
    }

    fn changes(change: impl FnOnce(&mut Config)) -> Vec<(String, bool)> {
        let mut new = config();
        change(&mut new);
        config().changes_to(&new).into_iter().map(|change| (change.field, change.live)).collect()
    }

    #[test]
    fn the_same_configuration_has_no_changes() {
        assert_eq!(changes(|_| {}), []);
    }

    #[test]
    fn what_is_live_and_what_is_not_are_told_apart_in_one_change() {
        let found = changes(|new| {
            new.drain.deadline = Time::from_secs(9);
            new.pipeline[0].queue.wait_time = Time::from_secs(2);
            new.pipeline[0].queue.url = "https://sqs.eu-west-1.amazonaws.com/1/other".into();
            new.pipeline[0].kafka.brokers = vec!["c:1".into()];
            new.pipeline[0].rate.bytes_per_s = Some(Bytes(1 << 20));
            new.pipeline[0].dead_letter = Some(DeadLetter { topic: "dead".into() });
            new.shards.count = Some(3);
        });
        let expected = [
            ("drain.deadline", true),
            ("pipeline.orders.dead_letter.topic", true),
            ("pipeline.orders.kafka.brokers", false),
            ("pipeline.orders.queue.url", false),
            ("pipeline.orders.queue.wait_time", true),
            ("pipeline.orders.rate.bytes_per_s", true),
            ("shards.count", false),
        ];
        assert_eq!(found, expected.map(|(field, live)| (field.to_owned(), live)));
    }

    #[test]
    fn a_pipeline_comes_and_goes_with_all_its_keys() {
        let mut two = config();
        two.pipeline.push(Pipeline { name: "paid".into(), ..two.pipeline[0].clone() });
        let added = config().changes_to(&two);
        assert!(added.iter().all(|change| change.live && change.before.is_none()), "{added:?}");
        let removed = two.changes_to(&config());
        assert!(removed.iter().all(|change| change.live && change.after.is_none()), "{removed:?}");
        assert!(!removed.is_empty());
        assert_eq!(two.adopting(&config()), config());
        assert_eq!(config().adopting(&two), two);
    }

    #[test]
    fn a_key_changes_at_once_unless_it_is_or_was_a_constant() {
        let pointer = || Some(Key::JsonPointer { pointer: "/id".into() });
        assert_eq!(
            changes(|new| new.pipeline[0].route.key = pointer()),
            [
                ("pipeline.orders.route.key.from".to_owned(), true),
                ("pipeline.orders.route.key.pointer".to_owned(), true)
            ]
        );
        let constant = changes(|new| new.pipeline[0].route.key = Some(Key::Constant { value: "k".into() }));
        assert!(constant.iter().all(|(_, live)| !live), "{constant:?}");
    }

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let with = |secret: &str| {
            let mut config = config();
            let kafka = &mut config.pipeline[0].kafka;
            kafka.options.insert("sasl.oauthbearer.client.secret".into(), secret.into());
            kafka.security.password = Some(SecretRef::Env("NAME_OF_IT".into()));
            config
        };
        let changes = with("canary-one").changes_to(&with("canary-two"));
        assert_eq!(changes.len(), 1);
        assert!(!format!("{changes:?}").contains("canary"), "{changes:?}");
        let reference = config().changes_to(&with("canary"));
        assert!(format!("{reference:?}").contains("NAME_OF_IT"), "where a secret lies is no secret");
    }

    #[test]
    fn keys_of_live_tables_are_live_and_names_that_only_begin_alike_are_not() {
        assert!(is_live("pipeline.breaker.probe_min") && is_live("pipeline.queue.wait_time"));
        assert!(!is_live("pipeline.queue") && !is_live("pipeline.queue.url") && !is_live("pipeline.rates"));
    }
}
