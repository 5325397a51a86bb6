//! `millrace rejected` and `millrace tap`: rejected messages with their reasons, and what passes, as it passes.
//!
//! Values are covered by the other side; `--uncover` is for admins and stands in the audit log.

use clap::{Args, Subcommand, ValueEnum};
use dataplane::config::Time;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, in_path, show, with_query};
use super::client::{Pieces, Question};
use super::events::{Event, Events};
use super::{Remote, tables};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::term;

/// Longest sample, seconds: what the API gives in one.
const TAP_S_MAX: u64 = 60;

#[derive(Debug, Args)]
pub(crate) struct RejectedArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List rejected messages of a pipeline, newest first, with the reason of each
    List {
        /// Name of the pipeline
        #[arg(value_name = "PIPELINE")]
        pipeline: String,
        /// Of this code only, among the records that are read
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        /// Records that are read
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=50))]
        limit: u16,
        /// Where to go on, as the end of the list before says
        #[arg(long, value_name = "CURSOR")]
        cursor: Option<String>,
    },
    /// Show one rejected message, its values covered
    Show {
        /// Name of the pipeline
        #[arg(value_name = "PIPELINE")]
        pipeline: String,
        /// Partition of the dead-letter topic
        #[arg(value_name = "PARTITION")]
        partition: u32,
        /// Offset in the partition
        #[arg(value_name = "OFFSET")]
        offset: u64,
        /// Show it as it was sent: for admins, and the audit log tells
        #[arg(long)]
        uncover: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// Name of the pipeline
    #[arg(value_name = "PIPELINE")]
    pipeline: String,
    /// Where to look
    #[arg(long, value_name = "STAGE", default_value = "delivered")]
    at: Stage,
    /// Messages at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// Time at most, 1s to 60s
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = span)]
    time: Time,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stage {
    /// What Kafka has confirmed.
    Delivered,
    /// What goes to the dead-letter topic.
    Rejected,
}

fn span(text: &str) -> Result<Time, String> {
    let time = Time::parse(text)?;
    match time.0.as_secs() {
        1..=TAP_S_MAX => Ok(time),
        _ => Err(format!("`{text}` is outside 1s to {TAP_S_MAX}s")),
    }
}

/// Does it; returns the exit code.
pub(super) async fn run(args: RejectedArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        Verb::List { pipeline, code, limit, cursor } => {
            let path = format!("/api/v1/pipelines/{}/rejected", in_path(&pipeline));
            let parts = [("limit", Some(limit.to_string())), ("code", code), ("cursor", cursor)];
            let json = api.get(&with_query(&path, &parts)).await?;
            show(output, &json, page);
        }
        Verb::Show { pipeline, partition, offset, uncover } => {
            let path = format!("/api/v1/pipelines/{}/rejected/{partition}/{offset}", in_path(&pipeline));
            let json = match uncover {
                true => api.ask(Method::POST, &format!("{path}/uncover"), None).await?,
                false => api.get(&path).await?,
            };
            show(output, &json, record);
        }
    }
    Ok(exit::OK)
}

fn page(json: &Value) -> String {
    let columns = [
        ("PARTITION", "/partition"),
        ("OFFSET", "/offset"),
        ("AT", "/reason/rejected_at_ms"),
        ("CODE", "/reason/code"),
        ("STAGE", "/reason/stage"),
        ("BYTES", "/body/bytes"),
        ("WHY", "/reason/text"),
    ];
    let mut items = json["items"].clone();
    for item in items.as_array_mut().into_iter().flatten() {
        if let Some(ms) = item["reason"]["rejected_at_ms"].as_i64() {
            item["reason"]["rejected_at_ms"] = tables::time(ms).into();
        }
    }
    let mut text = tables::list(&items, &columns);
    if let Some(why) = json["incomplete"].as_str() {
        text.push_str(&format!("not all could be read: {}\n", tables::on_one_line(why)));
    }
    if let Some(next) = json["next"].as_str() {
        text.push_str(&format!("older ones: --cursor {}\n", tables::on_one_line(next)));
    }
    text
}

fn record(json: &Value) -> String {
    let mut text = tables::one(
        json,
        &[
            ("topic", "/topic"),
            ("partition", "/partition"),
            ("offset", "/offset"),
            ("message", "/message_id"),
            ("code", "/reason/code"),
            ("stage", "/reason/stage"),
            ("why", "/reason/text"),
            ("key", "/key/value"),
            ("body bytes", "/body/bytes"),
            ("body SHA-256", "/body/sha256"),
        ],
    );
    let headers = tables::list(&json["headers"], &[("HEADER", "/name"), ("VALUE", "/value/value")]);
    text.push_str(&format!("\n{headers}\n{}\n", body(&json["body"])));
    text
}

/// A body on its lines; what is not shown by its kind.
fn body(shown: &Value) -> String {
    match &shown["value"] {
        Value::Null => format!("({}, not shown)", shown["kind"].as_str().unwrap_or("none")),
        Value::String(text) => tables::plain(text),
        value => format!("{value:#}"),
    }
}

/// Shows what passes until enough has passed, the time is over, or Ctrl-C; returns the exit code.
pub(super) async fn tap(args: TapArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let at = if matches!(args.at, Stage::Delivered) { "delivered" } else { "rejected" };
    let body = json!({ "at": at, "messages": args.limit, "seconds": args.time.0.as_secs() });
    let path = format!("/api/v1/pipelines/{}/sample", in_path(&args.pipeline));
    let question =
        Question { accept: "text/event-stream", ..Question::new(Method::POST, &path, Some(&body)) };
    let pieces = api.stream(&question).await?;
    tokio::select! {
        ended = follow(&api, pieces, output) => ended,
        // The connection ends with the process, and the sample with its connection.
        _ = tokio::signal::ctrl_c() => Ok(exit::OK),
    }
}

async fn follow(api: &Api, mut pieces: Pieces, output: Output) -> Result<u8, Failure> {
    let mut events = Events::default();
    while let Some(piece) = pieces.next().await.map_err(|fault| api.broken(&fault))? {
        for event in events.take(&piece).map_err(|fault| api.broken(&fault))? {
            if let Some(ended) = told(&event, output) {
                return ended;
            }
        }
    }
    Err(api.broken("the stream broke off before its end"))
}

/// Writes a record; the outcome at the end.
fn told(event: &Event, output: Output) -> Option<Result<u8, Failure>> {
    let json: Value = serde_json::from_str(&event.content).unwrap_or_default();
    match event.name.as_str() {
        "record" => {
            term::line(&match output {
                // One document a line: what comes has no end that a reader could wait for.
                Output::Json => json.to_string(),
                Output::Text => line(&json),
            });
            None
        }
        "end" => Some(match json["trouble"].as_str() {
            None => Ok(exit::OK),
            Some(trouble) => {
                let text = tables::plain(&format!("the sample broke off: {trouble}"));
                Err(Failure::new(exit::UNREACHABLE, text, "millrace topics list says whether Kafka answers"))
            }
        }),
        _ => None,
    }
}

fn line(json: &Value) -> String {
    let at = json["timestamp_ms"].as_i64().map_or_else(|| "–".to_owned(), tables::time);
    let value = match &json["body"]["value"] {
        Value::Null => {
            format!("({} B {})", json["body"]["bytes"], json["body"]["kind"].as_str().unwrap_or("none"))
        }
        value => value.to_string(),
    };
    let why = json["reason"]["code"].as_str().map_or_else(String::new, |code| format!(" {code}"));
    let topic = json["topic"].as_str().unwrap_or_default();
    tables::on_one_line(&format!("{at} {topic}/{}@{}{why} {value}", json["partition"], json["offset"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line_and_moves_no_cursor() {
        let json = json!({ "timestamp_ms": 0, "topic": "t\u{1b}", "partition": 1, "offset": 9,
            "reason": { "code": "too_large" }, "body": { "bytes": 3, "kind": "text", "value": null } });
        assert_eq!(line(&json), "1970-01-01T00:00:00Z t\u{fffd}/1@9 too_large (3 B text)");
        let shown = json!({ "topic": "t", "partition": 0, "offset": 0, "body": { "value": { "a": "…" } } });
        assert_eq!(line(&shown), "– t/0@0 {\"a\":\"…\"}");
    }

    #[test]
    fn the_end_of_a_stream_says_what_came_of_it() {
        let event = |name: &str, content: &str| Event { name: name.to_owned(), content: content.to_owned() };
        assert_eq!(told(&event("end", "{\"records\":3}"), Output::Text), Some(Ok(exit::OK)));
        let broken = told(&event("end", "{\"trouble\":\"no broker\"}"), Output::Text).unwrap().unwrap_err();
        assert!(broken.code == exit::UNREACHABLE && broken.text.contains("no broker"), "{broken}");
        assert_eq!(told(&event("later", "{}"), Output::Text), None);
    }

    #[test]
    fn a_page_says_what_is_missing_and_where_it_goes_on() {
        let json = json!({ "items": [{ "partition": 0, "offset": 4, "body": { "bytes": 2 },
            "reason": { "code": "c", "stage": "s", "text": "why", "rejected_at_ms": 0 } }],
            "incomplete": "partition 2", "next": "0:4" });
        let text = page(&json);
        assert!(
            text.contains("0          4       1970-01-01T00:00:00Z  c     s      2      why\n"),
            "{text}"
        );
        assert!(text.ends_with("not all could be read: partition 2\nolder ones: --cursor 0:4\n"), "{text}");
    }

    #[test]
    fn a_sample_has_an_end() {
        assert!(span("0s").is_err() && span("61s").unwrap_err().contains("60s") && span("5s").is_ok());
    }
}
