//! `millrace queues`, `latency`, `cost`, `instances`, `shards` and `sessions`: what is measured, and who is there.

use clap::{Args, Subcommand};
use dataplane::config::Time;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, every_page, in_path, show, with_query};
use super::client::Question;
use super::tables::{self, with_times};
use super::{Remote, session};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::term;

#[derive(Debug, Args)]
pub(crate) struct QueuesArgs {
    #[command(subcommand)]
    verb: QueueVerb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum QueueVerb {
    /// List the queues and what was asked of them
    List,
    /// Show the queue of a pipeline: depth, settings, dead-letter queue
    Show {
        /// Name of the pipeline
        #[arg(value_name = "PIPELINE")]
        pipeline: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LatencyArgs {
    /// Of this pipeline; of all together without it
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Of the last 10s to 10m, instead of since the start
    #[arg(long, value_name = "TIME", value_parser = window)]
    window: Option<Time>,
    /// This stage only, for example received_to_acked
    #[arg(long, value_name = "STAGE")]
    stage: Option<String>,
    /// The distribution of a stage as HdrHistogram's plotters read it
    #[arg(long, requires = "stage")]
    hgrm: bool,
    /// Beside a baseline that was kept
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hgrm", "pipeline", "stage"])]
    against: Option<String>,
    /// Keep it as a baseline of this name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hgrm", "against", "stage"])]
    keep: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

fn window(text: &str) -> Result<Time, String> {
    let time = Time::parse(text)?;
    match time.0.as_secs() {
        10..=600 => Ok(time),
        _ => Err(format!("`{text}` is outside 10s to 10m")),
    }
}

#[derive(Debug, Args)]
pub(crate) struct InstancesArgs {
    #[command(subcommand)]
    verb: InstanceVerb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum InstanceVerb {
    /// List the instances
    List,
    /// Show what the kernel says about the process that answers
    System,
    /// End an instance as SIGTERM does: it drains and exits
    Drain {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    verb: SessionVerb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum SessionVerb {
    /// List the sessions
    List {
        /// Of this user only
        #[arg(long, value_name = "NAME", conflicts_with = "mine")]
        user: Option<String>,
        /// My own: needs no admin
        #[arg(long)]
        mine: bool,
    },
    /// End a session, at once
    End {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// It is my own: needs no admin
        #[arg(long)]
        mine: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Does it; returns the exit code.
pub(super) async fn queues(args: QueuesArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        QueueVerb::List => {
            let json = api.get("/api/v1/queues").await?;
            show(output, &json, |json| {
                let columns = [
                    ("PIPELINE", "/pipeline"),
                    ("RECEIVES", "/requests/receives"),
                    ("EMPTY", "/requests/empty_receives"),
                    ("DELETES", "/requests/deletes"),
                    ("EXTENDS", "/requests/extends"),
                    ("FAILED", "/requests/failed"),
                    ("UNDER WAY", "/requests/receiving"),
                    ("URL", "/url"),
                ];
                tables::list(&json["items"], &columns)
            });
        }
        QueueVerb::Show { pipeline } => {
            let json = api.get(&format!("/api/v1/pipelines/{}/queue", in_path(&pipeline))).await?;
            show(output, &json, queue);
        }
    }
    Ok(exit::OK)
}

fn queue(json: &Value) -> String {
    let mut text = tables::one(
        json,
        &[
            ("queue", "/url"),
            ("visible", "/sqs/depth/visible"),
            ("in flight", "/sqs/depth/in_flight"),
            ("delayed", "/sqs/depth/delayed"),
            ("seen before, s", "/sqs/age_s"),
            ("FIFO", "/sqs/settings/fifo"),
            ("visibility timeout, s", "/sqs/settings/visibility_timeout_s"),
            ("retention, s", "/sqs/settings/retention_s"),
            ("encryption", "/sqs/settings/encryption"),
            ("dead-letter queue", "/sqs/dead_letter/policy/target_arn"),
            ("messages in it", "/sqs/dead_letter/depth/visible"),
            ("receives", "/requests/receives"),
            ("empty receives", "/requests/empty_receives"),
            ("failed requests", "/requests/failed"),
        ],
    );
    for missing in json["not_available"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        text.push_str(&format!("not known: {}\n", tables::on_one_line(missing)));
    }
    text
}

/// Does it; returns the exit code.
pub(super) async fn latency(args: LatencyArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    let window_s = args.window.map(|time| time.0.as_secs().to_string());
    if let Some(name) = args.keep {
        let mut body = json!({ "name": name, "pipeline": args.pipeline });
        if let Some(time) = args.window {
            body["window_s"] = time.0.as_secs().into();
        }
        let json = api.ask(Method::POST, "/api/v1/latency/baselines", Some(&body)).await?;
        show(output, &json, |json| format!("kept, of {} messages\n", json["messages"]));
        return Ok(exit::OK);
    }
    if args.hgrm {
        let parts = [("pipeline", args.pipeline), ("stage", args.stage), ("window_s", window_s)];
        let path = with_query("/api/v1/latency/hgrm", &parts);
        let question = Question { accept: "text/plain", ..Question::new(Method::GET, &path, None) };
        term::out(api.put(&question).await?.json.as_str().unwrap_or_default());
        return Ok(exit::OK);
    }
    if let Some(baseline) = args.against {
        let parts = [("baseline", Some(baseline)), ("window_s", window_s)];
        let json = api.get(&with_query("/api/v1/latency/compare", &parts)).await?;
        show(output, &json, compared);
        return Ok(exit::OK);
    }
    let parts = [("pipeline", args.pipeline), ("window_s", window_s.clone())];
    let json = match window_s {
        Some(_) => api.get(&with_query("/api/v1/latency/curve", &parts)).await?,
        None => api.get(&with_query("/api/v1/latency", &parts)).await?,
    };
    let json = only(json, args.stage.as_deref())?;
    show(output, &json, percentiles);
    Ok(exit::OK)
}

/// One stage of them, if one is wanted.
fn only(mut json: Value, stage: Option<&str>) -> Result<Value, Failure> {
    let list = if json["stages"].is_array() { "stages" } else { "items" };
    let (Some(stage), Some(stages)) = (stage, json[list].as_array_mut()) else { return Ok(json) };
    let names: Vec<String> =
        stages.iter().filter_map(|one| Some(one["stage"].as_str()?.to_owned())).collect();
    stages.retain(|one| one["stage"] == stage);
    if stages.is_empty() {
        let remedy = format!("it is one of {}", names.join(", "));
        return Err(Failure::new(exit::CHECK_FAILED, format!("there is no stage {stage}"), remedy));
    }
    Ok(json)
}

fn percentiles(json: &Value) -> String {
    let list = if json["stages"].is_array() { &json["stages"] } else { &json["items"] };
    let row = |stage: &Value| {
        let figure = |name: &str| stage["percentiles"][name].clone();
        let time = |name: &str| figure(name).as_u64().map(term::micros);
        json!({ "stage": stage["stage"], "count": figure("count"), "p50": time("p50_us"), "p90": time("p90_us"),
            "p99": time("p99_us"), "p999": time("p999_us"), "max": time("max_us") })
    };
    let rows: Vec<Value> = list.as_array().into_iter().flatten().map(row).collect();
    let columns = [
        ("STAGE", "/stage"),
        ("COUNT", "/count"),
        ("P50", "/p50"),
        ("P90", "/p90"),
        ("P99", "/p99"),
        ("P99.9", "/p999"),
        ("MAX", "/max"),
    ];
    tables::list(&rows.into(), &columns)
}

/// Each stage now and as it was kept.
fn compared(json: &Value) -> String {
    let mut rows = Vec::new();
    for stage in json["stages"].as_array().into_iter().flatten() {
        let time = |of: &str, name: &str| stage[of][name].as_u64().map(term::micros);
        rows.push(json!({ "stage": stage["stage"],
            "p50": time("baseline", "p50_us"), "p50_now": time("now", "p50_us"),
            "p99": time("baseline", "p99_us"), "p99_now": time("now", "p99_us"),
            "max": time("baseline", "max_us"), "max_now": time("now", "max_us") }));
    }
    let columns = [
        ("STAGE", "/stage"),
        ("P50 KEPT", "/p50"),
        ("P50 NOW", "/p50_now"),
        ("P99 KEPT", "/p99"),
        ("P99 NOW", "/p99_now"),
        ("MAX KEPT", "/max"),
        ("MAX NOW", "/max_now"),
    ];
    tables::list(&rows.into(), &columns)
}

/// Does it; returns the exit code.
pub(super) async fn cost(remote: &Remote, output: Output) -> Result<u8, Failure> {
    let json = Api::open(remote)?.get("/api/v1/cost").await?;
    show(output, &json, bill);
    Ok(exit::OK)
}

fn bill(json: &Value) -> String {
    let columns = [
        ("PIPELINE", "/pipeline"),
        ("QUEUE", "/kind"),
        ("REQUESTS", "/since_start/requests_total"),
        ("USD SO FAR", "/since_start/usd"),
        ("REQUESTS/MESSAGE", "/since_start/requests_per_message"),
        ("USD/MILLION MESSAGES", "/since_start/usd_per_million_messages"),
        ("USD/DAY NOW", "/last_minute/usd_per_day"),
    ];
    let mut items = json["items"].clone();
    let numbers = columns.iter().skip(3).map(|(_, pointer)| *pointer);
    for pointer in numbers {
        for item in items.as_array_mut().into_iter().flatten() {
            if let Some(cell) = item.pointer_mut(pointer)
                && let Some(number) = cell.as_f64()
            {
                *cell = format!("{number:.6}").into();
            }
        }
    }
    let mut text = tables::list(&items, &columns);
    let part = |name: &str| tables::on_one_line(json["prices"][name].as_str().unwrap_or_default());
    text.push_str(&format!("prices of {}, {}\n", part("as_of"), part("source")));
    text
}

/// Does it; returns the exit code.
pub(super) async fn instances(args: InstancesArgs, output: Output) -> Result<u8, Failure> {
    const COLUMNS: [(&str, &str); 8] = [
        ("INSTANCE", "/name"),
        ("PHASE", "/phase"),
        ("READY", "/ready"),
        ("SHARDS", "/shards"),
        ("UPTIME S", "/uptime_s"),
        ("CPU S", "/cpu_seconds"),
        ("RESIDENT B", "/rss_bytes"),
        ("VERSION", "/version"),
    ];
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        InstanceVerb::List => {
            let json = api.get("/api/v1/instances").await?;
            show(output, &json, |json| tables::list(&json["items"], &COLUMNS));
        }
        InstanceVerb::System => {
            let json = api.get("/api/v1/system").await?;
            show(output, &json, system);
        }
        InstanceVerb::Drain { name, yes } => {
            let question = format!("{name} will receive nothing more, finish what it holds and exit.");
            session::confirm_name(&question, &name, yes)?;
            let path = format!("/api/v1/instances/{}/drain", in_path(&name));
            let json = api.ask(Method::POST, &path, Some(&json!({ "confirm": name }))).await?;
            show(output, &json, |json| tables::list(&json!([json]), &COLUMNS));
        }
    }
    Ok(exit::OK)
}

fn system(json: &Value) -> String {
    tables::one(
        json,
        &[
            ("resident, B", "/process/resident_bytes"),
            ("locked, B", "/process/locked_bytes"),
            ("threads", "/process/threads"),
            ("user time, s", "/process/user_seconds"),
            ("system time, s", "/process/system_seconds"),
            ("open descriptors", "/descriptors/open"),
            ("of at most", "/descriptors/max"),
            ("io_uring instances", "/descriptors/io_uring"),
            ("waiting for CPU, ratio", "/pressure/cpu_ratio"),
            ("waiting for memory, ratio", "/pressure/memory_ratio"),
            ("waiting for disk, ratio", "/pressure/io_ratio"),
            ("memory available, B", "/memory/available_bytes"),
            ("disk free, ratio", "/disk/free_ratio"),
        ],
    )
}

/// Does it; returns the exit code.
pub(super) async fn shards(remote: &Remote, output: Output) -> Result<u8, Failure> {
    let json = Api::open(remote)?.get("/api/v1/shards").await?;
    show(output, &json, |json| {
        let columns = [
            ("SHARD", "/shard"),
            ("CORE", "/core"),
            ("IN FLIGHT", "/in_flight"),
            ("IN FLIGHT B", "/in_flight_bytes"),
            ("LONGEST STALL µS", "/stall_us"),
            ("STILL S", "/still_s"),
            ("TURNS", "/turns"),
        ];
        tables::list(&json["items"], &columns)
    });
    Ok(exit::OK)
}

/// Does it; returns the exit code.
pub(super) async fn sessions(args: SessionsArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        SessionVerb::List { user, mine } => {
            let path = match (mine, user) {
                (true, _) => "/api/v1/me/sessions?".to_owned(),
                (false, Some(user)) => format!("/api/v1/sessions?user={}&", in_path(&user)),
                (false, None) => "/api/v1/sessions?".to_owned(),
            };
            let json = every_page(&mut api, &path).await?;
            show(output, &json, |json| {
                let columns = [
                    ("ID", "/id"),
                    ("USER", "/user"),
                    ("FROM", "/address"),
                    ("BEGAN", "/created_ms"),
                    ("USED", "/used_ms"),
                    ("ENDS", "/expires_ms"),
                ];
                tables::list(&with_times(json["items"].clone()), &columns)
            });
        }
        SessionVerb::End { id, mine, yes } => {
            session::confirm(&format!("The session {id} will end; its user must sign in again."), yes)?;
            let folder = if mine { "/api/v1/me/sessions" } else { "/api/v1/sessions" };
            api.ask(Method::DELETE, &format!("{folder}/{}", in_path(&id)), None).await?;
        }
    }
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_have_units() {
        let json = json!({ "items": [{ "stage": "sent_to_received", "percentiles": { "count": 3,
            "p50_us": 900, "p90_us": 1_234, "p99_us": 25_000, "p999_us": 400_000, "max_us": 2_500_000 } }] });
        let text = percentiles(&json);
        assert!(
            text.contains("sent_to_received  3      900 µs  1.23 ms  25.0 ms  400 ms  2.5 s\n"),
            "{text}"
        );
        let other = only(json.clone(), Some("nothing")).unwrap_err();
        assert!(other.remedy.contains("sent_to_received"), "{other}");
        assert_eq!(only(json.clone(), Some("sent_to_received")).unwrap(), json);
    }

    #[test]
    fn a_bill_names_its_prices() {
        let json = json!({ "prices": { "as_of": "2026-11", "source": "list" }, "items": [{ "pipeline": "p",
            "kind": "standard", "since_start": { "requests_total": 9, "usd": 0.0000036 }, "last_minute": null }] });
        let text = bill(&json);
        assert!(text.contains("p         standard  9         0.000004 "), "{text}");
        assert!(text.ends_with("prices of 2026-11, list\n"), "{text}");
    }

    #[test]
    fn a_stage_now_stands_beside_what_was_kept() {
        let json =
            json!({ "stages": [{ "stage": "a", "baseline": { "p50_us": 1 }, "now": { "p50_us": 2 } }] });
        assert!(compared(&json).contains("a      1 µs      2 µs     –"), "{}", compared(&json));
    }
}
