//! The manual as text: the commented default file, and the page of the operator's guide.
//!
//! Pure. `millrace config default` and `docs/configuration.md` are both made here.

use std::fmt::Write;

use dataplane::config::is_live;

use super::manual::{KeyDoc, TableDoc, tables};

/// Columns of a comment in the default file.
const COLUMNS: usize = 100;

/// A configuration file with every key: what must be given stands there, all else is commented out.
pub(crate) fn default_file() -> String {
    let mut text = String::from(
        "#:schema ./millrace.schema.json\n\
         # Millrace's configuration. Every key is here; lines that begin with `#` and no space are the defaults\n\
         # or, where it says so, examples. Durations: us, ms, s, m, h. Sizes: B, KiB, MiB, GiB.\n\
         # The schema for editors: millrace config schema > millrace.schema.json\n",
    );
    for table in tables().iter().filter(|table| !table.path.is_empty()) {
        text.push('\n');
        comment(&mut text, &table.doc);
        let (open, close) = if table.repeated { ("[[", "]]") } else { ("[", "]") };
        let hash = if table.optional { "#" } else { "" };
        let _ = writeln!(text, "{hash}{open}{}{close}", table.path);
        for key in &table.keys {
            setting(&mut text, table, key);
        }
    }
    text
}

fn setting(text: &mut String, table: &TableDoc, key: &KeyDoc) {
    text.push('\n');
    let choices: Vec<&str> = key.choices.iter().map(|(value, _)| value.as_str()).collect();
    let mut doc = key.doc.clone();
    if !choices.is_empty() {
        let _ = write!(doc, " One of: {}.", choices.join(", "));
    }
    let unset = key.default.is_none() && !key.required;
    if unset {
        doc.push_str(" Not set by default; for example:");
    }
    comment(text, &doc);
    let shown = key.default.as_deref().or(key.example).unwrap_or("\"\"");
    let hash = if key.required && !table.optional { "" } else { "#" };
    let _ = writeln!(text, "{hash}{} = {shown}", key.name);
}

/// Writes prose as comment lines.
fn comment(text: &mut String, prose: &str) {
    let mut line = String::from("#");
    for word in prose.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS && line.len() > 1 {
            let _ = writeln!(text, "{line}");
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// The page `docs/configuration.md`.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         <!-- Made by `millrace config manual` from the doc comments in dataplane/src/config. Change those, then\n     \
         run `millrace config manual > docs/configuration.md`. A test holds the two together. -->\n\n\
         One TOML file, named with `--config` or `MILLRACE_CONFIG`; without either `/etc/millrace/millrace.toml`.\n\
         `millrace config default` prints it with every key, `millrace config schema` its JSON Schema for editors,\n\
         `millrace check --config FILE` says what is wrong with it.\n\n\
         A key can be changed for one run with `--set drain.deadline=40s` (repeatable) or an environment variable\n\
         (`MILLRACE__DRAIN__DEADLINE=40s`); a pipeline is named by its name: `--set pipeline.orders.kafka.linger=9ms`.\n\
         Unknown keys are errors. Durations are a whole number and `us`, `ms`, `s`, `m` or `h`; sizes a whole number\n\
         and `B`, `KiB`, `MiB` or `GiB`. Secrets are never written in the file: `{ env = \"NAME\" }` or\n\
         `{ file = \"/path\" }` says where one lies.\n\n\
         SIGHUP reads the file again, and the API takes a changed configuration. Keys marked *changes at once* are taken\n\
         by a running appliance, all together on each shard; what is on its way is finished as it was begun. A\n\
         configuration that changes any other key is refused whole: that needs a restart. A whole `[[pipeline]]` may come\n\
         or go: one that goes receives no more, finishes what it holds, and its name is free once it is gone.\n",
    );
    for table in tables().iter().filter(|table| !table.path.is_empty()) {
        let (open, close) = if table.repeated { ("[[", "]]") } else { ("[", "]") };
        let _ = write!(text, "\n## `{open}{}{close}`\n\n{}\n", table.path, table.doc);
        if table.keys.is_empty() {
            continue;
        }
        text.push_str("\n| key | form | default | meaning |\n|---|---|---|---|\n");
        for key in &table.keys {
            let default = match (&key.default, key.required) {
                (_, true) => "must be given".to_owned(),
                (Some(value), _) => format!("`{value}`"),
                (None, _) => "not set".to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.name, key.form, meaning(key));
        }
    }
    text
}

fn meaning(key: &KeyDoc) -> String {
    let mut text = key.doc.clone();
    let path = if key.table.is_empty() { key.name.clone() } else { format!("{}.{}", key.table, key.name) };
    if !key.choices.is_empty() {
        let choices: Vec<String> = key
            .choices
            .iter()
            .map(|(value, doc)| format!("`{value}` ({})", doc.trim_end_matches('.')))
            .collect();
        let _ = write!(text, " One of {}.", choices.join("; "));
    } else if let (None, false, Some(example)) = (&key.default, key.required, key.example) {
        let _ = write!(text, " Example: `{example}`.");
    }
    if is_live(&path) {
        text.push_str(" *Changes at once.*");
    }
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use dataplane::config::{Config, Pipeline};
    use serde_json::Value;

    use super::*;
    use crate::settings::schema;

    fn example() -> Config {
        let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders";
        let pipeline = Pipeline::new("orders", url, &["localhost:9092"], "orders");
        Config { pipeline: vec![pipeline], ..Config::default() }
    }

    #[test]
    fn the_default_file_is_the_defaults() {
        let text = default_file();
        assert!(text.starts_with("#:schema ./millrace.schema.json\n"));
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config, example());
        assert_eq!(config.problems(), []);
    }

    /// Uncomments all settings but those that the filter refuses.
    fn uncommented(keep: impl Fn(&str) -> bool) -> String {
        let lines = default_file();
        let lines = lines.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with([' ', ':']) && keep(setting) => setting.to_owned(),
            _ => line.to_owned(),
        });
        lines.map(|line| line + "\n").collect()
    }

    /// Another value of the same form.
    fn another(value: &Value) -> Vec<Value> {
        match value {
            Value::Bool(flag) => vec![Value::from(!flag)],
            Value::Number(number) => vec![Value::from(number.as_u64().unwrap_or_default() + 1)],
            Value::Array(items) => {
                let text = items.first().is_none_or(Value::is_string);
                vec![if text { vec![Value::from("another")].into() } else { vec![Value::from(7)].into() }]
            }
            Value::String(text) => {
                let choices = ["7s", "77MiB", "zstd", "sasl_plaintext", "PLAIN", "message_id"];
                choices.into_iter().chain([format!("{text}x").as_str()]).map(Value::from).collect()
            }
            other => vec![other.clone()],
        }
    }

    /// Changes each value in turn and says for each path whether a running appliance takes it.
    fn each_change(whole: &Config, root: &Value, at: &mut Vec<String>, told: &mut Vec<(String, bool)>) {
        let pointer = at.iter().map(|part| format!("/{part}")).collect::<String>();
        let value = root.pointer(&pointer).unwrap().clone();
        let names: Vec<String> = match &value {
            Value::Object(table) => table.keys().cloned().collect(),
            Value::Array(items) if items.first().is_some_and(Value::is_object) => vec!["0".to_owned()],
            _ => Vec::new(),
        };
        if names.is_empty() {
            for other in another(&value) {
                let mut changed = root.clone();
                *changed.pointer_mut(&pointer).unwrap() = other;
                let Ok(new) = serde_json::from_value::<Config>(changed) else { continue };
                if &new != whole {
                    let path = at.iter().filter(|part| *part != "0").cloned().collect::<Vec<_>>().join(".");
                    told.push((path, whole.adopting(&new) == new));
                    return;
                }
            }
            return;
        }
        for name in names {
            at.push(name);
            each_change(whole, root, at, told);
            at.pop();
        }
    }

    #[test]
    fn the_keys_that_are_said_to_change_at_once_are_those_that_do() {
        let whole: Config = toml::from_str(&uncommented(|_| true)).unwrap();
        let mut told = Vec::new();
        each_change(&whole, &serde_json::to_value(&whole).unwrap(), &mut Vec::new(), &mut told);
        assert!(told.len() > 50, "{} keys were changed: {told:?}", told.len());
        for (path, taken) in &told {
            // A renamed pipeline is one that goes and another that comes: it does not change, and yet it is taken.
            assert_eq!(*taken, is_live(path) || path == "pipeline.name", "{path}");
        }
        assert!(told.iter().any(|(path, taken)| *taken && path == "pipeline.queue.wait_time"));
        assert!(told.iter().any(|(path, taken)| !*taken && path == "pipeline.queue.url"));
    }

    #[test]
    fn every_commented_key_is_one_that_the_parser_knows() {
        let config: Config = toml::from_str(&uncommented(|_| true)).unwrap();
        assert_eq!(config.pipeline[0].kafka.producers, Some(1), "the examples were read");
        assert_eq!(config.pipeline[0].dead_letter.as_ref().unwrap().topic, "orders-rejected");
    }

    #[test]
    fn every_shown_default_is_the_default() {
        let examples: Vec<String> = tables()
            .into_iter()
            .flat_map(|table| {
                let (open, close) = if table.repeated { ("[[", "]]") } else { ("[", "]") };
                let optional = table.optional.then(|| format!("{open}{}{close}", table.path));
                // Of a table that need not be there all keys are examples.
                let keys = table
                    .keys
                    .into_iter()
                    .filter(move |key| table.optional || (key.default.is_none() && !key.required));
                keys.map(|key| {
                    format!("{} = {}", key.name, key.default.or(key.example.map(str::to_owned)).unwrap())
                })
                .chain(optional)
                .collect::<Vec<_>>()
            })
            .collect();
        let keep = |setting: &str| !examples.iter().any(|example| example == setting);
        let config: Config = toml::from_str(&uncommented(keep)).unwrap();
        assert_eq!(config, example());
    }

    #[test]
    fn no_comment_is_wider_than_an_editor_window() {
        for line in default_file().lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
    }

    #[test]
    fn the_guide_in_the_tree_is_the_one_made_from_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let guide = std::fs::read_to_string(path).unwrap();
        assert!(guide == markdown(), "run: millrace config manual > docs/configuration.md");
    }

    #[test]
    fn the_schema_accepts_the_default_file_and_refuses_a_wrong_one() {
        let schema = schema();
        let value: Value = toml::from_str(&uncommented(|_| true)).unwrap();
        accepts(&schema, &schema, &value, "").unwrap();
        let mut wrong = value.clone();
        wrong["drain"]["dedline"] = "1s".into();
        assert!(accepts(&schema, &schema, &wrong, "").unwrap_err().contains("drain.dedline"));
        let mut wrong = value;
        wrong["pipeline"][0]["kafka"]["linger"] = 5.into();
        assert!(accepts(&schema, &schema, &wrong, "").unwrap_err().contains("kafka.linger"));
    }

    /// The part of JSON Schema that the config's schema uses.
    fn accepts(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(reference) = schema["$ref"].as_str() {
            return accepts(root, root.pointer(reference.strip_prefix('#').unwrap()).unwrap(), value, at);
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(either) = schema[word].as_array() {
                let fits = either.iter().filter(|one| accepts(root, one, value, at).is_ok()).count();
                return if fits > 0 { Ok(()) } else { Err(format!("{at}: no alternative fits {value}")) };
            }
        }
        if let Some(constant) = schema.get("const") {
            return if constant == value { Ok(()) } else { Err(format!("{at}: {value} is not {constant}")) };
        }
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.clone(),
            kind => vec![kind.clone()],
        };
        let kind = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Bool(_) => "boolean",
            Value::Null => "null",
        };
        if !kinds.iter().any(|allowed| allowed == kind || (allowed == "number" && kind == "integer")) {
            return Err(format!("{at}: {value} is no {kinds:?}"));
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            if inner == &Value::Bool(false) {
                return Err(format!("{at}: unknown"));
            }
            accepts(root, inner, value, at.trim_start_matches('.'))?;
        }
        for item in value.as_array().into_iter().flatten() {
            accepts(root, &schema["items"], item, &format!("{at}[]"))?;
        }
        Ok(())
    }
}
