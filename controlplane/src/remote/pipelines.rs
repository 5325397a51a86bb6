//! `millrace pipelines`: what each does, telling it to stop and go on, its limits, its types.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dataplane::config::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, in_path, show, with_query};
use super::client::Question;
use super::{Remote, configs, session, tables};
use crate::cli::Output;
use crate::exit::{self, Failure};

#[derive(Debug, Args)]
pub(crate) struct PipelinesArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the pipelines with state and counts
    List,
    /// Stop receiving for a pipeline; what is held is finished
    Pause(Named),
    /// Receive again
    Resume(Named),
    /// Stop receiving and wait until nothing is held
    Drain(Named),
    /// Stop a pipeline: as pause, and what is held at the drain's deadline goes back
    Stop(Named),
    /// Receive again, whether paused or stopped
    Start(Named),
    /// Show or set the limits of a pipeline
    Rate(Rate),
    /// Print the settings of a pipeline as its table of the file
    Settings(Named),
    /// Add a pipeline while the appliance runs
    Create {
        /// Its [[pipeline]] table; - reads stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        how: Told,
    },
    /// Change the settings of a pipeline: what a running one can change
    Update {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Its whole [[pipeline]] table; - reads stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        how: Told,
    },
    /// Remove a pipeline: what it holds is finished, queue and topic stay
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        how: Told,
    },
    /// Count messages by their type
    Types {
        /// Of this pipeline only
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Whether it is asked, and what the history keeps.
#[derive(Debug, Args)]
struct Told {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Limits; without any flag they are shown.
#[derive(Debug, Args)]
struct Rate {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Messages received a second
    #[arg(long, value_name = "N")]
    messages_per_s: Option<u32>,
    /// Bytes of bodies received a second, for example 16MiB
    #[arg(long, value_name = "SIZE", value_parser = Bytes::parse)]
    bytes_per_s: Option<Bytes>,
    /// Requests to SQS a second
    #[arg(long, value_name = "N")]
    requests_per_s: Option<u32>,
    /// Lift the limits that are not given here
    #[arg(long)]
    lift: bool,
}

/// Does it; returns the exit code.
pub(super) async fn run(args: PipelinesArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        Verb::List => list(&mut api, output).await,
        Verb::Pause(named) => tell(&mut api, output, &named.name, "pause").await,
        Verb::Resume(named) => tell(&mut api, output, &named.name, "resume").await,
        Verb::Drain(named) => tell(&mut api, output, &named.name, "drain").await,
        Verb::Stop(named) => tell(&mut api, output, &named.name, "stop").await,
        Verb::Start(named) => tell(&mut api, output, &named.name, "start").await,
        Verb::Rate(wanted) => rate(&mut api, output, wanted).await,
        Verb::Settings(named) => {
            let json = api.get(&format!("/api/v1/pipelines/{}/settings", in_path(&named.name))).await?;
            show(output, &json, |json| tables::plain(json["toml"].as_str().unwrap_or_default()));
            Ok(exit::OK)
        }
        Verb::Create { file, how } => {
            let body = json!({ "toml": configs::read(&file)?, "comment": how.comment });
            let asked = "The pipeline will run on every shard.";
            change(&mut api, output, (Method::POST, "/api/v1/pipelines"), Some(&body), (asked, &how)).await
        }
        Verb::Update { name, file, how } => {
            let body = json!({ "toml": configs::read(&file)?, "comment": how.comment });
            let path = format!("/api/v1/pipelines/{}", in_path(&name));
            let asked = "The settings will be in force on every shard.";
            change(&mut api, output, (Method::PUT, &path), Some(&body), (asked, &how)).await
        }
        Verb::Delete { name, how } => {
            let path = format!("/api/v1/pipelines/{}", in_path(&name));
            let query = [("confirm", Some(name.clone())), ("comment", Some(how.comment.clone()))];
            let path = with_query(&path, &query);
            let asked = format!("Pipeline {name} will receive no more and be gone once it holds nothing.");
            change(&mut api, output, (Method::DELETE, &path), None, (&asked, &how)).await
        }
        Verb::Types { name } => types(&mut api, output, name).await,
    }
}

async fn list(api: &mut Api, output: Output) -> Result<u8, Failure> {
    let json = api.get("/api/v1/pipelines").await?;
    show(output, &json, |json| {
        let columns = [
            ("PIPELINE", "/name"),
            ("STATE", "/state"),
            ("RECEIVED", "/totals/received"),
            ("DELIVERED", "/totals/delivered"),
            ("REJECTED", "/totals/rejected"),
            ("IN FLIGHT", "/totals/in_flight"),
            ("IN QUEUE", "/queue/visible"),
            ("UNACCOUNTED", "/unaccounted"),
            ("REASON", "/reason"),
        ];
        tables::list(&json["items"], &columns)
    });
    Ok(exit::OK)
}

/// Changes the configuration by one pipeline, made from the version in force.
async fn change(
    api: &mut Api,
    output: Output,
    (method, path): (Method, &str),
    body: Option<&Value>,
    (asked, how): (&str, &Told),
) -> Result<u8, Failure> {
    let tag = configs::version(api).await?;
    session::confirm(asked, how.yes)?;
    let question = Question { if_match: Some(&tag), ..Question::new(method, path, body) };
    let json = api.put(&question).await?.json;
    let is_whole = json["shards_applied"] == json["shards"];
    show(output, &json, configs::in_force);
    Ok(if is_whole { exit::OK } else { exit::CHECK_FAILED })
}

async fn tell(api: &mut Api, output: Output, name: &str, verb: &str) -> Result<u8, Failure> {
    let path = format!("/api/v1/pipelines/{}/{verb}", in_path(name));
    let json = api.ask(Method::POST, &path, None).await?;
    let whole = json["shards_applied"] == json["shards"];
    show(output, &json, told);
    Ok(if whole { exit::OK } else { exit::CHECK_FAILED })
}

fn told(json: &Value) -> String {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    format!(
        "{}: {}, on {} of {} shards; {} in flight\n",
        text("name"),
        text("state"),
        json["shards_applied"],
        json["shards"],
        json["in_flight"]
    )
}

async fn rate(api: &mut Api, output: Output, wanted: Rate) -> Result<u8, Failure> {
    let path = format!("/api/v1/pipelines/{}/rate", in_path(&wanted.name));
    let mut json = api.get(&path).await?;
    let given = [
        ("messages_per_s", wanted.messages_per_s.map(Value::from)),
        ("bytes_per_s", wanted.bytes_per_s.map(|bytes| Value::from(bytes.0))),
        ("requests_per_s", wanted.requests_per_s.map(Value::from)),
    ];
    if wanted.lift || given.iter().any(|(_, value)| value.is_some()) {
        let mut limits = if wanted.lift { json!({}) } else { json["limits"].clone() };
        for (name, value) in given {
            if let Some(value) = value {
                limits[name] = value;
            }
        }
        json = api.ask(Method::PUT, &path, Some(&limits)).await?;
    }
    show(output, &json, limits);
    Ok(exit::OK)
}

/// Limits in force beside those of the configuration.
fn limits(json: &Value) -> String {
    let row = |name: &str| json!({ "limit": name, "now": json["limits"][name], "configured": json["configured"][name] });
    let rows: Vec<Value> = ["messages_per_s", "bytes_per_s", "requests_per_s"].map(row).into();
    let mut text = tables::list(
        &rows.into(),
        &[("LIMIT", "/limit"), ("IN FORCE", "/now"), ("CONFIGURED", "/configured")],
    );
    if json["limited"] == true {
        text.push_str("receiving waits for a limit at this moment\n");
    }
    text
}

async fn types(api: &mut Api, output: Output, name: Option<String>) -> Result<u8, Failure> {
    let json = api.get(&with_query("/api/v1/types", &[("pipeline", name)])).await?;
    show(output, &json, |json| {
        let columns = [
            ("PIPELINE", "/pipeline"),
            ("TYPE", "/name"),
            ("MESSAGES", "/count"),
            ("BYTES", "/bytes"),
            ("REJECTED", "/errors"),
        ];
        tables::list(&json["items"], &columns)
    });
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_beside_those_of_the_configuration() {
        let json = json!({ "limits": { "messages_per_s": 5, "bytes_per_s": null }, "limited": true,
            "configured": { "bytes_per_s": 1024 } });
        assert_eq!(
            limits(&json),
            "LIMIT           IN FORCE  CONFIGURED\n\
             messages_per_s  5         –\n\
             bytes_per_s     –         1024\n\
             requests_per_s  –         –\n\
             receiving waits for a limit at this moment\n"
        );
    }
}
