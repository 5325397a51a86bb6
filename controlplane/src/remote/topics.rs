//! `millrace topics` and `millrace groups`: what Kafka has. What loses or moves records is shown first and wants the
//! topic's name typed again.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, every_page, in_path, show, with_query};
use super::{Remote, session, tables};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::term;

#[derive(Debug, Args)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    #[command(subcommand)]
    verb: GroupVerb,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Debug, Args)]
struct Cluster {
    /// A pipeline whose cluster is meant, where pipelines have several
    #[arg(long, global = true, value_name = "NAME")]
    pipeline: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the topics
    List {
        /// Also Kafka's own
        #[arg(long)]
        internal: bool,
    },
    /// Show a topic: partitions with leader, replicas and offsets, and its configs
    Show(Topic),
    /// Make a topic
    Create {
        #[command(flatten)]
        topic: Topic,
        /// Number of partitions
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        partitions: u32,
        /// Number of replicas; the brokers' default without it
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        replication: Option<u32>,
        /// A config as Kafka names it, e.g. retention.ms=86400000; repeatable
        #[arg(long = "config-value", value_name = "KEY=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        /// Only ask the cluster whether it would
        #[arg(long)]
        dry_run: bool,
    },
    /// Change configs of a topic; what is not named stays as it is
    Alter {
        #[command(flatten)]
        topic: Topic,
        /// A config and its value, e.g. retention.ms=86400000; repeatable
        #[arg(long = "config-value", value_name = "KEY=VALUE", value_parser = pair)]
        configs: Vec<(String, String)>,
        /// Take a config back to its default; repeatable
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Give a topic more partitions: keys move, and partitions cannot be taken away
    AddPartitions {
        #[command(flatten)]
        topic: Topic,
        /// Number of partitions that there are to be
        #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        partitions: u32,
        #[command(flatten)]
        how: How,
    },
    /// Delete a topic with all of its records
    Delete {
        #[command(flatten)]
        topic: Topic,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Subcommand)]
enum GroupVerb {
    /// List the consumer groups
    List,
    /// Show a group: its positions and how far it is behind
    Show {
        /// Name of the group
        #[arg(value_name = "GROUP")]
        group: String,
    },
}

#[derive(Debug, Args)]
struct Topic {
    /// Name of the topic
    #[arg(value_name = "TOPIC")]
    topic: String,
}

/// Whether it is done, and whether somebody is asked first.
#[derive(Clone, Copy, Debug, Args)]
struct How {
    /// Only show what would happen
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no KEY=VALUE, for example retention.ms=86400000")),
    }
}

/// Does it; returns the exit code.
pub(super) async fn run(args: TopicsArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let pipeline = args.cluster.pipeline;
    match args.verb {
        Verb::List { internal } => list(&mut api, output, pipeline, internal).await,
        Verb::Show(named) => {
            let json = api.get(&at(&named.topic, "", pipeline, None)).await?;
            show(output, &json, detail);
            Ok(exit::OK)
        }
        Verb::Create { topic, partitions, replication, configs, dry_run } => {
            let configs: Map<String, Value> =
                configs.into_iter().map(|(key, value)| (key, value.into())).collect();
            let body = json!({ "name": topic.topic, "partitions": partitions, "replication": replication,
                "configs": configs });
            let path =
                with_query("/api/v1/topics", &[("pipeline", pipeline), ("dry_run", dry_run.then(yes))]);
            let json = api.ask(Method::POST, &path, Some(&body)).await?;
            show(output, &json, |json| done(json, "made"));
            Ok(exit::OK)
        }
        Verb::Alter { topic, configs, unset, how } => {
            let set = configs.into_iter().map(|(key, value)| (key, Value::from(value)));
            let configs: Map<String, Value> =
                set.chain(unset.into_iter().map(|key| (key, Value::Null))).collect();
            alter(&mut api, output, pipeline, &topic.topic, &configs, how).await
        }
        Verb::AddPartitions { topic, partitions, how } => {
            add_partitions(&mut api, output, pipeline, &topic.topic, partitions, how).await
        }
        Verb::Delete { topic, how } => delete(&mut api, output, pipeline, &topic.topic, how).await,
    }
}

async fn list(
    api: &mut Api,
    output: Output,
    pipeline: Option<String>,
    internal: bool,
) -> Result<u8, Failure> {
    let path =
        with_query("/api/v1/topics", &[("pipeline", pipeline), ("internal", Some(internal.to_string()))]);
    let json = every_page(api, &format!("{path}&")).await?;
    show(output, &json, |json| {
        let columns = [
            ("TOPIC", "/name"),
            ("PARTITIONS", "/partitions"),
            ("REPLICAS", "/replication"),
            ("UNDER-REPLICATED", "/under_replicated"),
            ("OFFLINE", "/offline"),
            ("USED BY", "/uses"),
        ];
        tables::list(&with_uses(json["items"].clone()), &columns)
    });
    Ok(exit::OK)
}

/// Adds the pipelines that use a topic as one cell.
fn with_uses(mut items: Value) -> Value {
    for item in items.as_array_mut().into_iter().flatten() {
        let use_of = |by: &Value| {
            let text = |name: &str| by[name].as_str().unwrap_or_default().to_owned();
            format!("{} ({})", text("pipeline"), text("role"))
        };
        let uses: Vec<String> = item["used_by"].as_array().into_iter().flatten().map(use_of).collect();
        item["uses"] = uses.join(", ").into();
    }
    items
}

/// A topic for people: what it is, its partitions, and the configs that are not defaults.
fn detail(json: &Value) -> String {
    let mut text = tables::one(
        &with_uses(json!([json]))[0],
        &[
            ("topic", "/name"),
            ("partitions", "/partitions"),
            ("replicas", "/replication"),
            ("under-replicated", "/under_replicated"),
            ("records, estimated", "/messages_estimated"),
            ("used by", "/uses"),
        ],
    );
    let partitions = [
        ("PARTITION", "/id"),
        ("LEADER", "/leader"),
        ("REPLICAS", "/replicas"),
        ("IN SYNC", "/in_sync"),
        ("FIRST", "/low"),
        ("NEXT", "/high"),
    ];
    text.push_str(&format!("\n{}", tables::list(&json["by_partition"], &partitions)));
    let own = |config: &&Value| config["is_default"] == false;
    let configs: Vec<Value> = json["configs"].as_array().into_iter().flatten().filter(own).cloned().collect();
    if !configs.is_empty() {
        let columns = [("CONFIG", "/name"), ("VALUE", "/value"), ("FROM", "/source")];
        text.push_str(&format!("\n{}", tables::list(&configs.into(), &columns)));
    }
    for missing in json["not_available"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("not known: {}\n", tables::on_one_line(missing)));
    }
    text
}

/// What was done, or would be.
fn done(json: &Value, what: &str) -> String {
    let topic = tables::on_one_line(json["topic"].as_str().unwrap_or_default());
    let mut text = match json["dry_run"] == true {
        true => format!("{topic}: would be {what}\n"),
        false => format!("{topic}: {what}\n"),
    };
    for warning in json["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("  {}\n", tables::on_one_line(warning)));
    }
    text
}

fn yes() -> String {
    "true".to_owned()
}

/// Path of a topic and what is under it.
fn at(topic: &str, under: &str, pipeline: Option<String>, dry_run: Option<bool>) -> String {
    let parts = [("pipeline", pipeline), ("dry_run", dry_run.map(|dry_run| dry_run.to_string()))];
    with_query(&format!("/api/v1/topics/{}{under}", in_path(topic)), &parts)
}

async fn alter(
    api: &mut Api,
    output: Output,
    pipeline: Option<String>,
    topic: &str,
    configs: &Map<String, Value>,
    how: How,
) -> Result<u8, Failure> {
    if configs.is_empty() {
        let remedy = "--config-value retention.ms=86400000, or --unset retention.ms";
        return Err(Failure::new(exit::USAGE, "nothing is to be changed", remedy));
    }
    let body = json!({ "configs": configs });
    let before = api.get(&at(topic, "", pipeline.clone(), None)).await?;
    let tried =
        api.ask(Method::PATCH, &at(topic, "/configs", pipeline.clone(), Some(true)), Some(&body)).await?;
    if how.dry_run {
        show(output, &tried, |_| planned(&before, configs));
        return Ok(exit::OK);
    }
    term::note(planned(&before, configs).trim_end());
    session::confirm(&format!("These configs of {topic} will be changed."), how.yes)?;
    let json = api.ask(Method::PATCH, &at(topic, "/configs", pipeline, Some(false)), Some(&body)).await?;
    show(output, &json, |json| done(json, "changed"));
    Ok(exit::OK)
}

/// Values now and then.
fn planned(before: &Value, configs: &Map<String, Value>) -> String {
    let now = |key: &str| {
        let found = before["configs"].as_array().into_iter().flatten().find(|config| config["name"] == key);
        found.map_or(Value::Null, |config| config["value"].clone())
    };
    let then = |value: &Value| if value.is_null() { Value::from("(default)") } else { value.clone() };
    let sorted: std::collections::BTreeMap<&String, &Value> = configs.iter().collect();
    let rows: Vec<Value> = sorted
        .into_iter()
        .map(|(key, value)| json!({ "name": key, "now": now(key), "then": then(value) }))
        .collect();
    tables::list(&rows.into(), &[("CONFIG", "/name"), ("NOW", "/now"), ("THEN", "/then")])
}

async fn add_partitions(
    api: &mut Api,
    output: Output,
    pipeline: Option<String>,
    topic: &str,
    partitions: u32,
    how: How,
) -> Result<u8, Failure> {
    let body = json!({ "partitions": partitions, "confirm": topic });
    let path = |dry_run: bool| at(topic, "/partitions", pipeline.clone(), Some(dry_run));
    let tried = api.ask(Method::POST, &path(true), Some(&body)).await?;
    if how.dry_run {
        show(output, &tried, |json| done(json, "given more partitions"));
        return Ok(exit::OK);
    }
    term::note(done(&tried, "given more partitions").trim_end());
    session::confirm_name(&format!("{topic} will have {partitions} partitions, for good."), topic, how.yes)?;
    let json = api.ask(Method::POST, &path(false), Some(&body)).await?;
    show(output, &json, |json| done(json, "given more partitions"));
    Ok(exit::OK)
}

async fn delete(
    api: &mut Api,
    output: Output,
    pipeline: Option<String>,
    topic: &str,
    how: How,
) -> Result<u8, Failure> {
    let json = api.get(&at(topic, "", pipeline.clone(), None)).await?;
    if how.dry_run {
        show(output, &json, detail);
        return Ok(exit::OK);
    }
    term::note(detail(&json).trim_end());
    session::confirm_name(
        &format!("{topic} and all of its records will be lost, for good."),
        topic,
        how.yes,
    )?;
    let parts = [("pipeline", pipeline), ("confirm", Some(topic.to_owned()))];
    let path = with_query(&format!("/api/v1/topics/{}", in_path(topic)), &parts);
    api.ask(Method::DELETE, &path, None).await?;
    Ok(exit::OK)
}

/// Does it; returns the exit code.
pub(super) async fn groups(args: GroupsArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let cluster = [("pipeline", args.cluster.pipeline)];
    match args.verb {
        GroupVerb::List => {
            let path = with_query("/api/v1/groups", &cluster);
            let joint = if path.contains('?') { '&' } else { '?' };
            let json = every_page(&mut api, &format!("{path}{joint}")).await?;
            let columns = [("GROUP", "/name"), ("STATE", "/state"), ("MEMBERS", "/members")];
            show(output, &json, |json| tables::list(&json["items"], &columns));
        }
        GroupVerb::Show { group } => {
            let path = format!("/api/v1/groups/{}", in_path(&group));
            let json = api.get(&with_query(&path, &cluster)).await?;
            show(output, &json, positions);
        }
    }
    Ok(exit::OK)
}

fn positions(json: &Value) -> String {
    let rows = [("group", "/name"), ("state", "/state"), ("members", "/members"), ("behind", "/lag")];
    let columns = [
        ("TOPIC", "/topic"),
        ("PARTITION", "/partition"),
        ("POSITION", "/committed"),
        ("END", "/end"),
        ("BEHIND", "/lag"),
    ];
    format!("{}\n{}", tables::one(json, &rows), tables::list(&json["by_partition"], &columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_the_value_of_now_and_of_then() {
        let before = json!({ "configs": [{ "name": "retention.ms", "value": "7" }] });
        let configs = json!({ "retention.ms": "9", "cleanup.policy": null });
        assert_eq!(
            planned(&before, configs.as_object().unwrap()),
            "CONFIG          NOW  THEN\ncleanup.policy  –    (default)\nretention.ms    7    9\n"
        );
    }

    #[test]
    fn a_topic_is_shown_with_what_is_not_known() {
        let json = json!({ "name": "orders", "partitions": 1, "replication": 1, "under_replicated": 0,
            "messages_estimated": 5, "used_by": [{ "pipeline": "p", "role": "route" }],
            "by_partition": [{ "id": 0, "leader": 1, "replicas": [1], "in_sync": [1], "low": 0, "high": 5 }],
            "configs": [{ "name": "a", "value": "1", "source": "topic", "is_default": false },
                { "name": "b", "value": "2", "source": "default", "is_default": true }],
            "not_available": ["sizes"] });
        let text = detail(&json);
        assert!(text.contains("used by             p (route)\n"), "{text}");
        assert!(text.contains("0          1       [1]       [1]      0      5\n"), "{text}");
        assert!(text.contains("\na       1      topic\n") && !text.contains("\nb "), "{text}");
        assert!(text.ends_with("not known: sizes\n"), "{text}");
    }

    #[test]
    fn what_would_be_done_and_what_was_are_told_apart() {
        let json = json!({ "topic": "t", "dry_run": true, "warnings": ["one replica"] });
        assert_eq!(done(&json, "made"), "t: would be made\n  one replica\n");
        assert_eq!(done(&json!({ "topic": "t", "dry_run": false }), "made"), "t: made\n");
    }

    #[test]
    fn configs_are_pairs() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("a").unwrap_err().contains("KEY=VALUE") && pair("=b").is_err());
    }
}
