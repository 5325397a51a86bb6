//! The manual of the configuration as data: every table and key with its sentence, form and default.
//!
//! Pure. Read from the JSON Schema, which is made from the types and their doc comments, so that the default
//! file, the operator's guide and the parser cannot disagree.

use dataplane::config::Config;
use serde_json::{Map, Value};

/// One table of the file.
#[derive(Clone, Debug)]
pub(crate) struct TableDoc {
    /// Dotted path, `pipeline.kafka`; empty for the top of the file.
    pub(crate) path: String,
    /// What it is about.
    pub(crate) doc: String,
    /// Whether it is written `[[path]]`.
    pub(crate) repeated: bool,
    /// Whether leaving it out means something else than its defaults.
    pub(crate) optional: bool,
    /// Its keys, tables excepted.
    pub(crate) keys: Vec<KeyDoc>,
}

/// One key of a table.
#[derive(Clone, Debug)]
pub(crate) struct KeyDoc {
    /// Table that it belongs to.
    pub(crate) table: String,
    /// Its name.
    pub(crate) name: String,
    /// What it means.
    pub(crate) doc: String,
    /// Form of the value in a word or two.
    pub(crate) form: String,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// Default as TOML; `None` when it is unset.
    pub(crate) default: Option<String>,
    /// A value that could stand there, as TOML, for a key without default.
    pub(crate) example: Option<&'static str>,
    /// Allowed values as TOML, with their meaning.
    pub(crate) choices: Vec<(String, String)>,
}

/// What a generated file shows for keys that have no default.
const EXAMPLES: &[(&str, &str)] = &[
    ("shards.count", "2"),
    ("shards.kafka_cores", "[0]"),
    ("api.store", "\"/var/lib/millrace\""),
    ("api.tls.cert_file", "\"/etc/millrace/tls.pem\""),
    ("api.tls.key_file", "\"/etc/millrace/tls.key\""),
    ("api.tls.client_ca_file", "\"/etc/millrace/clients-ca.pem\""),
    ("api.issuer.name", "\"https://login.example.com\""),
    ("api.issuer.audience", "\"millrace\""),
    ("api.issuer.jwks_file", "\"/etc/millrace/issuer.jwks.json\""),
    ("api.issuer.jwks_url", "\"https://login.example.com/jwks.json\""),
    ("api.issuer.roles", "{ \"sre\" = \"operator\", \"sre-lead\" = \"admin\" }"),
    ("pipeline.name", "\"orders\""),
    ("pipeline.queue.url", "\"https://sqs.eu-west-1.amazonaws.com/123456789012/orders\""),
    ("pipeline.queue.region", "\"eu-west-1\""),
    ("pipeline.queue.endpoint", "\"https://vpce-0a1b.sqs.eu-west-1.vpce.amazonaws.com\""),
    ("pipeline.queue.proxy", "\"http://proxy:3128\""),
    ("pipeline.queue.ca_file", "\"/etc/ssl/company.pem\""),
    ("pipeline.queue.visibility_timeout", "\"30s\""),
    ("pipeline.queue.aws.profile", "\"production\""),
    ("pipeline.queue.aws.role_arn", "\"arn:aws:iam::123456789012:role/millrace\""),
    ("pipeline.queue.aws.external_id", "\"id-given-by-the-other-side\""),
    ("pipeline.queue.aws.session_name", "\"millrace\""),
    ("pipeline.kafka.brokers", "[\"localhost:9092\"]"),
    ("pipeline.kafka.producers", "1"),
    ("pipeline.kafka.options", "{ \"socket.keepalive.enable\" = \"true\" }"),
    ("pipeline.kafka.security.mechanism", "\"SCRAM-SHA-512\""),
    ("pipeline.kafka.security.username", "\"millrace\""),
    ("pipeline.kafka.security.password", "{ env = \"KAFKA_PASSWORD\" }"),
    ("pipeline.kafka.security.ca_file", "\"/etc/ssl/kafka-ca.pem\""),
    ("pipeline.kafka.security.certificate_file", "\"/etc/millrace/client.pem\""),
    ("pipeline.kafka.security.key_file", "\"/etc/millrace/client.key\""),
    ("pipeline.kafka.security.key_password", "{ file = \"/run/credentials/key-password\" }"),
    ("pipeline.route.topic", "\"orders\""),
    ("pipeline.route.topics", "[\"orders-created\", \"orders-paid\"]"),
    ("pipeline.route.key", "{ from = \"json_pointer\", pointer = \"/customer/id\" }"),
    ("pipeline.dead_letter.topic", "\"orders-rejected\""),
    ("pipeline.rate.messages_per_s", "5000"),
    ("pipeline.rate.bytes_per_s", "\"16MiB\""),
    ("pipeline.rate.requests_per_s", "500"),
    ("alerts.rules_file", "\"/etc/millrace/alerts.toml\""),
    ("alerts.webhook.name", "\"ops\""),
    ("alerts.webhook.url", "\"https://hooks.example.com/millrace\""),
    ("alerts.webhook.secret", "{ file = \"/run/credentials/webhook-key\" }"),
    ("alerts.sns.name", "\"oncall\""),
    ("alerts.sns.topic_arn", "\"arn:aws:sns:eu-west-1:123456789012:alerts\""),
    ("alerts.sns.endpoint", "\"https://vpce-0a1b.sns.eu-west-1.vpce.amazonaws.com\""),
    ("cost.requests_per_minute_max", "60000"),
    ("export.emf.file", "\"/var/log/millrace/metrics.json\""),
    ("export.otlp.url", "\"https://collector.example.com:4318/v1/metrics\""),
    ("export.otlp.authorization", "{ env = \"OTLP_AUTHORIZATION\" }"),
    ("door.listen", "\"unix:/run/millrace/door.sock\""),
    ("door.name", "\"millrace-0\""),
    ("door.tls.cert_file", "\"/etc/millrace/plane.pem\""),
    ("door.tls.key_file", "\"/etc/millrace/plane.key\""),
    ("door.tls.ca_file", "\"/etc/millrace/ca.pem\""),
    ("door.tls.peer_names", "[\"control.millrace.internal\"]"),
    ("attach.address", "\"unix:/run/millrace/door.sock\""),
    ("attach.tls.cert_file", "\"/etc/millrace/control.pem\""),
    ("attach.tls.key_file", "\"/etc/millrace/control.key\""),
    ("attach.tls.ca_file", "\"/etc/millrace/ca.pem\""),
    ("attach.tls.peer_names", "[\"plane.millrace.internal\"]"),
];

/// The JSON Schema of the configuration.
pub(crate) fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// Every table, in the order of the file.
pub(crate) fn tables() -> Vec<TableDoc> {
    let root = schema();
    let mut found = Vec::new();
    let top =
        TableDoc { path: String::new(), doc: doc(&root), repeated: false, optional: false, keys: Vec::new() };
    walk(&root, &root, top, &mut found);
    found
}

/// Every key of every table.
pub(crate) fn keys() -> Vec<KeyDoc> {
    tables().into_iter().flat_map(|table| table.keys).collect()
}

/// Adds one table and then the tables in it.
fn walk(root: &Value, object: &Value, mut table: TableDoc, found: &mut Vec<TableDoc>) {
    let none = Map::new();
    let properties = object["properties"].as_object().unwrap_or(&none);
    let mut inner = Vec::new();
    for (name, property) in properties {
        let path = if table.path.is_empty() { name.clone() } else { format!("{}.{name}", table.path) };
        let (shape, optional) = shape(root, property);
        let (shape, repeated) = match shape["items"].get("$ref") {
            Some(_) => (resolve(root, &shape["items"]), true),
            None => (shape, false),
        };
        // Of all lists of tables, only pipelines must have an entry.
        let optional = optional || (repeated && path != "pipeline");
        if shape["properties"].is_object() {
            let doc = join(&doc(property), &doc(shape));
            inner.push((TableDoc { path, doc, repeated, optional, keys: Vec::new() }, shape));
        } else {
            let required =
                object["required"].as_array().is_some_and(|list| list.iter().any(|key| key == name));
            table.keys.push(key(&table.path, name, property, shape, required));
        }
    }
    found.push(table);
    for (table, shape) in inner {
        walk(root, shape, table, found);
    }
}

fn key(table: &str, name: &str, property: &Value, shape: &Value, required: bool) -> KeyDoc {
    let path = format!("{table}.{name}");
    let default = property.get("default").filter(|value| *value != &Value::Object(Map::new()));
    KeyDoc {
        table: table.to_owned(),
        name: name.to_owned(),
        doc: doc(property),
        form: form(shape),
        required,
        default: default.map(literal),
        example: EXAMPLES.iter().find(|(key, _)| *key == path).map(|(_, example)| *example),
        choices: choices(shape),
    }
}

/// The schema behind a reference or an `Option`, and whether it was an `Option`.
fn shape<'a>(root: &'a Value, property: &'a Value) -> (&'a Value, bool) {
    match property["anyOf"].as_array() {
        Some(either) => (either.iter().map(|one| resolve(root, one)).next().unwrap_or(property), true),
        None => (resolve(root, property), false),
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn form(shape: &Value) -> String {
    if shape["oneOf"].is_array() {
        return "one of".to_owned();
    }
    let kind = match &shape["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        one => one.as_str(),
    };
    match (kind, shape["pattern"].as_str()) {
        (Some("string"), Some(pattern)) if pattern.contains("KiB") => "size".to_owned(),
        (Some("string"), Some(_)) => "duration".to_owned(),
        (Some("array"), _) => format!("list of {}s", shape["items"]["type"].as_str().unwrap_or("value")),
        (Some("object"), _) => "table of strings".to_owned(),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "value".to_owned(),
    }
}

/// The alternatives of an enum, each as TOML with its sentence.
fn choices(shape: &Value) -> Vec<(String, String)> {
    let alternatives = shape["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    alternatives
        .iter()
        .map(|one| {
            let text = match one["properties"].as_object() {
                Some(properties) => {
                    let fields: Vec<String> = properties
                        .iter()
                        .map(|(name, value)| {
                            format!("{name} = {}", value.get("const").map_or("\"…\"".into(), literal))
                        })
                        .collect();
                    format!("{{ {} }}", fields.join(", "))
                }
                None => literal(&one["const"]),
            };
            (text, doc(one))
        })
        .collect()
}

/// A JSON value as TOML.
fn literal(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        // JSON's text forms of strings, numbers and truth values are TOML's as well.
        other => other.to_string(),
    }
}

fn doc(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn join(first: &str, second: &str) -> String {
    match (first, second) {
        (first, second) if second.starts_with(first.trim_end_matches('.')) => second.to_owned(),
        (first, second) if first.starts_with(second.trim_end_matches('.')) => first.to_owned(),
        (first, second) => format!("{first} {second}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_sentence_and_something_to_show() {
        let keys = keys();
        assert!(keys.len() > 60, "{} keys", keys.len());
        for key in keys {
            assert!(!key.doc.is_empty(), "{}.{} has no sentence", key.table, key.name);
            assert!(
                key.default.is_some() || key.example.is_some(),
                "{}.{} shows nothing",
                key.table,
                key.name
            );
        }
    }

    #[test]
    fn tables_come_in_the_order_of_the_types() {
        let paths: Vec<String> = tables().into_iter().map(|table| table.path).collect();
        assert_eq!(paths[..4], ["", "shards", "api", "api.tls"]);
        let place = |path: &str| paths.iter().position(|known| known == path);
        assert!(place("api.backup") < place("drain") && place("drain") < place("pipeline"), "{paths:?}");
        assert!(paths.contains(&"pipeline.kafka.security".to_owned()), "{paths:?}");
        assert!(paths.contains(&"pipeline.dead_letter".to_owned()), "{paths:?}");
    }

    #[test]
    fn forms_and_choices_are_read_from_the_schema() {
        let keys = keys();
        let find = |table: &str, name: &str| {
            keys.iter()
                .find(|key| key.table == table && key.name == name)
                .unwrap_or_else(|| panic!("{table}.{name}"))
        };
        assert_eq!(find("pipeline.kafka", "linger").form, "duration");
        assert_eq!(find("pipeline.kafka", "linger").default.as_deref(), Some("\"5ms\""));
        assert_eq!(find("pipeline.kafka", "batch_bytes_max").form, "size");
        assert_eq!(find("pipeline.kafka", "brokers").form, "list of strings");
        assert!(find("pipeline", "name").required);
        let compression = &find("pipeline.kafka", "compression").choices;
        assert!(compression.iter().any(|(value, _)| value == "\"zstd\""), "{compression:?}");
        let keys_from = &find("pipeline.route", "key").choices;
        assert!(
            keys_from.iter().any(|(value, _)| value == "{ from = \"attribute\", name = \"…\" }"),
            "{keys_from:?}"
        );
    }
}
