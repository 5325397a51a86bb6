//! `millrace config` against a running appliance: what is in force, what would differ, putting another into force.
//!
//! What differs is shown before the question, and goes with the version that it was compared with: if somebody else was
//! quicker, nothing happens.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, show};
use super::client::Question;
use super::tables::{self, with_times};
use super::{Remote, session};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::term;

/// Longest configuration: what the API takes.
const TOML_BYTES_MAX: u64 = 4 << 20;
const PATH: &str = "/api/v1/config";

/// A verb.
#[derive(Debug)]
pub(crate) enum Asked {
    /// What is in force.
    Show(Remote),
    /// What would differ.
    Diff(DiffArgs),
    /// Put into force.
    Apply(ApplyArgs),
    /// What was in force.
    History(HistoryArgs),
    /// Bring back.
    Rollback(RollbackArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The other configuration; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The configuration; - reads stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Print the file of this version instead
    // `version` is the flag that every verb has.
    #[arg(id = "number", value_name = "VERSION")]
    version: Option<u32>,
    /// Newest versions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// Its number in the history
    // `version` is the flag that every verb has.
    #[arg(id = "number", value_name = "VERSION")]
    version: u32,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    remote: Remote,
}

/// Whether it is done, and what is said about it.
#[derive(Debug, Args)]
struct How {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Only show what would differ
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Does it; returns the exit code.
pub(super) async fn run(asked: Asked, output: Output) -> Result<u8, Failure> {
    match asked {
        Asked::Show(remote) => {
            let json = Api::open(&remote)?.get(PATH).await?;
            show(output, &json, |json| text(json, "toml"));
            Ok(exit::OK)
        }
        Asked::Diff(args) => {
            let toml = read(&args.file)?;
            let json = differences(&mut Api::open(&args.remote)?, &toml).await?;
            let differs = differs(&json);
            show(output, &json, listed);
            Ok(if differs { exit::CHECK_FAILED } else { exit::OK })
        }
        Asked::Apply(args) => {
            let toml = read(&args.file)?;
            let mut api = Api::open(&args.remote)?;
            let body = json!({ "toml": toml, "comment": args.how.comment });
            change(&mut api, output, &toml, &args.how, (Method::PUT, PATH), &body).await
        }
        Asked::History(args) => history(args, output).await,
        Asked::Rollback(args) => {
            let mut api = Api::open(&args.remote)?;
            let path = format!("{PATH}/versions/{}", args.version);
            let toml = text(&api.get(&path).await?, "toml");
            let body = json!({ "comment": args.how.comment });
            let path = format!("{path}/rollback");
            change(&mut api, output, &toml, &args.how, (Method::POST, &path), &body).await
        }
    }
}

/// Reads a configuration as it is; the other side judges it.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let refused = |fault: String| {
        Failure::config(format!("{}: {fault}", file.display()), "name a readable configuration file")
    };
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(TOML_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|opened| opened.take(TOML_BYTES_MAX + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| refused(error.to_string()))?;
    if length as u64 > TOML_BYTES_MAX {
        return Err(refused("it is larger than 4 MiB".to_owned()));
    }
    Ok(text)
}

async fn differences(api: &mut Api, toml: &str) -> Result<Value, Failure> {
    api.ask(Method::POST, "/api/v1/config/diff", Some(&json!({ "toml": toml }))).await
}

fn differs(json: &Value) -> bool {
    json["items"].as_array().is_some_and(|items| !items.is_empty())
}

/// What differs, for people.
fn listed(json: &Value) -> String {
    if !differs(json) {
        return "nothing differs from what is in force\n".to_owned();
    }
    let columns = [("KEY", "/key"), ("IN FORCE", "/running"), ("THEN", "/proposed"), ("AT ONCE", "/at_once")];
    tables::list(&json["items"], &columns)
}

/// Shows what differs, asks, and does it with the version that was compared with.
async fn change(
    api: &mut Api,
    output: Output,
    toml: &str,
    how: &How,
    (method, path): (Method, &str),
    body: &Value,
) -> Result<u8, Failure> {
    // First the version, then what differs from it: what changes in between is refused.
    let tag = version(api).await?;
    let planned = differences(api, toml).await?;
    if how.dry_run {
        show(output, &planned, listed);
        return Ok(exit::OK);
    }
    term::note(listed(&planned).trim_end());
    session::confirm("This will be in force on every shard.", how.yes)?;
    let question = Question { if_match: Some(&tag), ..Question::new(method, path, Some(body)) };
    let json = api.put(&question).await?.json;
    let is_whole = json["shards_applied"] == json["shards"];
    show(output, &json, in_force);
    Ok(if is_whole { exit::OK } else { exit::CHECK_FAILED })
}

/// Version of the configuration in force.
pub(super) async fn version(api: &mut Api) -> Result<String, Failure> {
    let answer = api.put(&Question::new(Method::GET, PATH, None)).await?;
    answer.etag.ok_or_else(|| api.broken("it shows a configuration without its version"))
}

/// What is in force now, for people.
pub(super) fn in_force(json: &Value) -> String {
    format!(
        "in force as {}, on {} of {} shards, until the next start reads the file\n",
        text(json, "tag"),
        json["shards_applied"],
        json["shards"]
    )
}

async fn history(args: HistoryArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    if let Some(version) = args.version {
        let json = api.get(&format!("{PATH}/versions/{version}")).await?;
        show(output, &json, |json| text(json, "toml"));
        return Ok(exit::OK);
    }
    let json = api.get(&format!("{PATH}/versions?limit={}", args.limit)).await?;
    show(output, &json, |json| {
        let columns = [
            ("VERSION", "/id"),
            ("AT", "/at_ms"),
            ("WHO", "/principal"),
            ("BY", "/origin"),
            ("TAG", "/tag"),
            ("WHY", "/comment"),
        ];
        tables::list(&with_times(json["items"].clone()), &columns)
    });
    Ok(exit::OK)
}

fn text(json: &Value, name: &str) -> String {
    tables::plain(json[name].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_listed_and_nothing_is_said_to_be_nothing() {
        assert_eq!(listed(&json!({ "items": [] })), "nothing differs from what is in force\n");
        let json = json!({ "items": [
            { "key": "drain.deadline", "running": "25s", "proposed": "40s", "at_once": true },
            { "key": "shards.count", "proposed": 3, "at_once": false }] });
        assert_eq!(
            listed(&json),
            "KEY             IN FORCE  THEN  AT ONCE\n\
             drain.deadline  25s       40s   yes\n\
             shards.count    –         3     no\n"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = read(Path::new("/nonexistent/m.toml")).unwrap_err();
        assert!(failure.code == exit::CONFIG && failure.text.contains("/nonexistent/m.toml"), "{failure}");
    }
}
