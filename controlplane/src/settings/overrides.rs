//! Changes on top of the file: `--set a.b=c` and environment variables `MILLRACE__A__B=c`.
//!
//! Pure. A value is read as TOML when it is TOML, and as text otherwise, so that `drain.deadline=20s` needs no
//! quotes. A pipeline is named by its name or its index: `pipeline.orders.kafka.linger=9ms`.

use toml_edit::{DocumentMut, Item, Key, Table, Value};

use crate::exit::{Failure, USAGE};

/// Prefix of environment variables that change the configuration.
const PREFIX: &str = "MILLRACE__";

/// Environment variables as `KEY=VALUE` changes, in the order of their names.
pub(super) fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut sets: Vec<String> = variables
        .filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
            Some(format!("{path}={value}"))
        })
        .collect();
    sets.sort();
    sets
}

/// Applies one `KEY=VALUE` to a document.
///
/// # Errors
/// Exit code 2: no `=`, no such pipeline, or a path that runs through a value.
pub(super) fn apply(document: &mut DocumentMut, set: &str) -> Result<(), Failure> {
    let (path, value) =
        split(set).ok_or_else(|| usage(set, "is not KEY=VALUE, for example drain.deadline=20s"))?;
    let keys = Key::parse(path).map_err(|_| usage(set, "has no key of the form a.b.c before the `=`"))?;
    let (last, tables) = keys.split_last().ok_or_else(|| usage(set, "names no key"))?;
    let mut table = document.as_table_mut() as &mut dyn toml_edit::TableLike;
    let mut steps = tables.iter();
    while let Some(key) = steps.next() {
        let item = table.entry(key.get()).or_insert_with(|| Item::Table(Table::new()));
        table = match item {
            Item::ArrayOfTables(list) => {
                let which = steps.next().map(Key::get).unwrap_or_default();
                let found = list.iter().position(|entry| {
                    entry.get("name").and_then(Item::as_str).is_some_and(|name| name == which)
                });
                let index = found.or_else(|| which.parse().ok());
                index.and_then(|index| list.get_mut(index)).ok_or_else(|| {
                    usage(set, &format!("`{which}` is neither the name nor the index of a {}", key.get()))
                })?
            }
            other => other
                .as_table_like_mut()
                .ok_or_else(|| usage(set, &format!("`{}` is a value, not a table", key.get())))?,
        };
    }
    table.insert(last.get(), Item::Value(read_value(value)));
    Ok(())
}

/// Splits at the first `=` outside quotes: librdkafka's option names are quoted keys.
fn split(set: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (index, c) in set.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return Some((set[..index].trim(), set[index + 1..].trim())),
            _ => {}
        }
    }
    None
}

fn read_value(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::from(text))
}

fn usage(set: &str, text: &str) -> Failure {
    Failure::new(USAGE, format!("--set {set}: {text}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, sets: &[&str]) -> Result<String, Failure> {
        let mut document: DocumentMut = text.parse().unwrap();
        for set in sets {
            apply(&mut document, set)?;
        }
        Ok(document.to_string())
    }

    #[test]
    fn values_need_no_quotes_and_comments_survive() {
        let text =
            set("# mine\n[drain]\ndeadline = \"1s\"\n", &["drain.deadline=20s", "shards.count=2"]).unwrap();
        assert!(text.starts_with("# mine\n[drain]\ndeadline = \"20s\"\n"), "{text}");
        assert!(text.contains("[shards]\ncount = 2"), "{text}");
    }

    #[test]
    fn a_pipeline_is_found_by_name_or_index() {
        let file = "[[pipeline]]\nname = \"a\"\n[[pipeline]]\nname = \"b\"\n";
        let text = set(file, &["pipeline.b.route.topic=t", "pipeline.0.route.topic=s"]).unwrap();
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["pipeline"][1]["route"]["topic"].as_str(), Some("t"));
        assert_eq!(read["pipeline"][0]["route"]["topic"].as_str(), Some("s"));
    }

    #[test]
    fn wrong_changes_are_refused_with_the_reason() {
        for (change, text) in [
            ("drain.deadline", "KEY=VALUE"),
            ("=1", "a.b.c"),
            ("pipeline.c.name=x", "neither the name nor the index"),
            ("api.listen.port=1", "is a value, not a table"),
        ] {
            let file = "[api]\nlisten = \"x\"\n[[pipeline]]\nname = \"a\"\n";
            let failure = set(file, &[change]).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(failure.text.contains(text), "{failure}");
        }
    }

    #[test]
    fn environment_variables_are_changes_too() {
        let variables = [("MILLRACE__DRAIN__DEADLINE", "9s"), ("MILLRACE_CONFIG", "x"), ("PATH", "y")];
        let sets = from_environment(variables.map(|(n, v)| (n.to_owned(), v.to_owned())).into_iter());
        assert_eq!(sets, ["drain.deadline=9s"]);
    }
}
