//! `millrace alerts`: what is wrong now, taking it on, silences, rules and receivers.

use clap::{Args, Subcommand};
use dataplane::config::Time;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Api, in_path, show};
use super::tables::{self, with_times};
use super::{Remote, session};
use crate::cli::Output;
use crate::exit::{self, Failure};
use crate::store::now_ms;
use crate::term;

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the alerts: pending, firing, and resolved lately
    List,
    /// Show what happened to alerts, newest first
    Events {
        /// Newest events
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Take an alert on: it is told to nobody again, and all see who has it
    Ack {
        /// Name of the rule
        #[arg(value_name = "RULE")]
        rule: String,
        /// Pipeline or number of the shard; nothing for the appliance
        #[arg(value_name = "SUBJECT", default_value = "")]
        subject: String,
        /// What the others should know
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Tell nobody about alerts that match, for a while
    Silence {
        /// A label that must match, e.g. pipeline=orders or rule=queue-*; all of them must
        #[arg(value_name = "LABEL=VALUE", required = true, value_parser = matcher)]
        matchers: Vec<(String, String)>,
        /// How long
        #[arg(long = "for", value_name = "TIME", value_parser = Time::parse)]
        time: Time,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// List the silences
    Silences,
    /// End a silence
    Unsilence {
        /// Its number
        #[arg(value_name = "ID")]
        id: u32,
    },
    /// List the rules, or print one as JSON
    Rules {
        /// This rule only
        #[arg(value_name = "RULE")]
        rule: Option<String>,
    },
    /// Remove a rule that was made over the API; what ships or is in the file holds again
    RemoveRule {
        /// Name of the rule
        #[arg(value_name = "RULE")]
        rule: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Send a notice of a rule to its receivers, marked as a test
    Test {
        /// Name of the rule
        #[arg(value_name = "RULE")]
        rule: String,
    },
    /// List the receivers and how their deliveries went
    Receivers,
}

fn matcher(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((label, value)) if !label.is_empty() && !value.is_empty() => {
            Ok((label.to_owned(), value.to_owned()))
        }
        _ => Err(format!("`{text}` is no LABEL=VALUE, for example pipeline=orders")),
    }
}

/// Does it; returns the exit code.
pub(super) async fn run(args: AlertsArgs, output: Output) -> Result<u8, Failure> {
    let mut api = Api::open(&args.remote)?;
    match args.verb {
        Verb::List => show(output, &api.get("/api/v1/alerts").await?, alerts),
        Verb::Events { limit } => {
            let json = api.get(&format!("/api/v1/alerts/events?limit={limit}")).await?;
            show(output, &json, events);
        }
        Verb::Ack { rule, subject, note } => {
            let body = json!({ "rule": rule, "subject": subject, "note": note });
            let json = api.ask(Method::POST, "/api/v1/alerts/acknowledge", Some(&body)).await?;
            show(output, &json, |json| {
                tables::on_one_line(&format!("taken on by {}", json["by"].as_str().unwrap_or_default()))
                    + "\n"
            });
        }
        Verb::Silence { matchers, time, why } => {
            let ends_ms = now_ms().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
            let matchers: Vec<Value> = matchers
                .into_iter()
                .map(|(label, value)| json!({ "label": label, "value": value }))
                .collect();
            let body = json!({ "matchers": matchers, "ends_ms": ends_ms, "why": why });
            let json = api.ask(Method::POST, "/api/v1/alerts/silences", Some(&body)).await?;
            show(output, &json, |json| silences(&json!([json])));
        }
        Verb::Silences => {
            let json = api.get("/api/v1/alerts/silences").await?;
            show(output, &json, |json| silences(&json["items"]));
        }
        Verb::Unsilence { id } => {
            api.ask(Method::DELETE, &format!("/api/v1/alerts/silences/{id}"), None).await?;
        }
        Verb::Rules { rule } => rules(&mut api, output, rule).await?,
        Verb::RemoveRule { rule, yes } => {
            session::confirm(&format!("The rule {rule} that was made over the API will be removed."), yes)?;
            api.ask(Method::DELETE, &format!("/api/v1/alerts/rules/{}", in_path(&rule)), None).await?;
        }
        Verb::Test { rule } => {
            let path = format!("/api/v1/alerts/rules/{}/test", in_path(&rule));
            api.ask(Method::POST, &path, None).await?;
            term::note("on its way; `millrace alerts receivers` says whether it arrived");
        }
        Verb::Receivers => show(output, &api.get("/api/v1/alerts/receivers").await?, receivers),
    }
    Ok(exit::OK)
}

async fn rules(api: &mut Api, output: Output, rule: Option<String>) -> Result<(), Failure> {
    let json = api.get("/api/v1/alerts/rules").await?;
    let Some(name) = rule else {
        show(output, &json, listed);
        return Ok(());
    };
    let found = json["items"].as_array().into_iter().flatten().find(|item| item["rule"]["name"] == *name);
    let missing = || {
        let text = format!("there is no rule {name}");
        Failure::new(exit::CHECK_FAILED, text, "millrace alerts rules lists them")
    };
    term::line(&format!("{:#}", found.ok_or_else(missing)?));
    Ok(())
}

fn alerts(json: &Value) -> String {
    let columns = [
        ("STATE", "/state"),
        ("SEVERITY", "/severity"),
        ("RULE", "/rule"),
        ("ON", "/subject"),
        ("SINCE", "/since_ms"),
        ("TAKEN ON BY", "/acknowledged/by"),
        ("SILENCED BY", "/silenced_by"),
        ("WHAT", "/description"),
    ];
    let mut text = tables::list(&with_times(json["items"].clone()), &columns);
    if let Some(count) = json["left_out"].as_u64().filter(|count| *count > 0) {
        text.push_str(&format!("and {count} more\n"));
    }
    text
}

fn events(json: &Value) -> String {
    let columns = [
        ("AT", "/at_ms"),
        ("EVENT", "/event"),
        ("SEVERITY", "/severity"),
        ("RULE", "/rule"),
        ("ON", "/subject"),
        ("WHAT", "/text"),
    ];
    tables::list(&with_times(json["items"].clone()), &columns)
}

fn silences(items: &Value) -> String {
    let mut items = with_times(items.clone());
    for item in items.as_array_mut().into_iter().flatten() {
        let pair = |matcher: &Value| {
            let text = |name: &str| matcher[name].as_str().unwrap_or_default().to_owned();
            format!("{}={}", text("label"), text("value"))
        };
        let pairs: Vec<String> = item["matchers"].as_array().into_iter().flatten().map(pair).collect();
        item["matches"] = pairs.join(" ").into();
    }
    let columns = [
        ("ID", "/id"),
        ("MATCHES", "/matches"),
        ("FROM", "/starts_ms"),
        ("UNTIL", "/ends_ms"),
        ("BY", "/created_by"),
        ("WHY", "/why"),
    ];
    tables::list(&items, &columns)
}

fn listed(json: &Value) -> String {
    let columns = [
        ("RULE", "/rule/name"),
        ("FROM", "/origin"),
        ("ENABLED", "/rule/enabled"),
        ("SEVERITY", "/rule/severity"),
        ("LOOKS AT", "/rule/source"),
        ("ABOVE", "/rule/above"),
        ("BELOW", "/rule/below"),
        ("FOR", "/rule/for"),
        ("SUMMARY", "/rule/summary"),
    ];
    tables::list(&json["items"], &columns)
}

fn receivers(json: &Value) -> String {
    let columns = [
        ("RECEIVER", "/name"),
        ("KIND", "/kind"),
        ("PAGES ONLY", "/pages_only"),
        ("DELIVERED", "/deliveries/delivered"),
        ("RETRIED", "/deliveries/retried"),
        ("FAILED", "/deliveries/failed"),
        ("DROPPED", "/deliveries/dropped"),
        ("LAST ERROR", "/deliveries/last_error"),
    ];
    tables::list(&json["items"], &columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_a_line_and_those_left_out_are_counted() {
        let json = json!({ "left_out": 2, "items": [{ "state": "firing", "severity": "page",
            "rule": "breaker-open", "subject": "orders", "since_ms": 0, "silenced_by": [],
            "acknowledged": { "by": "ada" }, "description": "open\u{1b}" }] });
        let text = alerts(&json);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row,
            "firing  page      breaker-open  orders  1970-01-01T00:00:00Z  ada          –            open\u{fffd}"
        );
        assert!(text.ends_with("and 2 more\n"), "{text}");
    }

    #[test]
    fn a_silence_is_shown_with_what_it_matches() {
        let items = json!([{ "id": 3, "matchers": [{ "label": "rule", "value": "a*" },
            { "label": "pipeline", "value": "p" }], "starts_ms": 0, "ends_ms": 1_000, "created_by": "ada",
            "why": "upgrade" }]);
        assert!(
            silences(&items).contains("3   rule=a* pipeline=p  1970-01-01T00:00:00Z"),
            "{}",
            silences(&items)
        );
        assert!(matcher("pipeline=").is_err() && matcher("=x").is_err() && matcher("x").is_err());
        assert_eq!(matcher("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    }
}
