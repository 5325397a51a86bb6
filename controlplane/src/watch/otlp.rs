//! Export by OpenTelemetry's protocol: what `/metrics` shows, pushed to a collector as OTLP/HTTP with JSON.
//!
//! Opt-in. Made from the text of `/metrics` itself, so that no figure has two names or two values. A push that fails is
//! told once and given up: counters are cumulative, so the next one holds it all.
//! Source of the form: OTLP specification 1.5, JSON protobuf encoding; opentelemetry-proto `metrics.proto`.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::config::Otlp;
use hyper::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use super::Watch;
use super::notify::target::Target;
use crate::board::Board;
use crate::{metrics, process};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// A collector that figures are pushed to.
pub(crate) struct Exporter {
    target: Target,
    authorization: Option<Zeroizing<String>>,
    otlp: Otlp,
}

impl Exporter {
    /// Reads address and secret.
    ///
    /// # Errors
    /// What is wrong, with the field.
    pub(crate) fn new(otlp: &Otlp) -> Result<Exporter, String> {
        let field = |name: &str, text: String| format!("export.otlp.{name}: {text}");
        let target = Target::parse(&otlp.url, otlp.allow_http).map_err(|text| field("url", text))?;
        let authorization = otlp.authorization.as_ref().map(|secret| secret.read()).transpose();
        let authorization = authorization.map_err(|error| field("authorization", error.to_string()))?;
        Ok(Exporter { target, authorization, otlp: otlp.clone() })
    }

    /// Pushes until the process ends.
    pub(crate) async fn run(self, watch: Watch, board: Arc<Board>) {
        let started_ns = unix_ns(&watch);
        let mut tick = interval(self.otlp.every.0);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut is_failing = false;
        // The first tick comes at once, before there is anything to tell.
        tick.tick().await;
        loop {
            tick.tick().await;
            let Ok(text) = metrics::text(board.view(), watch.figures()) else { continue };
            let body = serde_json::to_vec(&request(&text, started_ns, unix_ns(&watch))).unwrap_or_default();
            let headers: Vec<_> =
                self.authorization.iter().map(|value| (AUTHORIZATION, value.to_string())).collect();
            let failed = self.target.post(&headers, body).await.err();
            if let Some(failure) = &failed
                && !is_failing
            {
                tracing::warn!(event = "otlp_unsent", reason = failure.text, "figures could not be pushed");
            }
            is_failing = failed.is_some();
        }
    }
}

fn unix_ns(watch: &Watch) -> u64 {
    u64::try_from(watch.now().wall_ms).unwrap_or(0) * 1_000_000
}

/// One family of the text.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    kind: &'a str,
    series: Vec<Series<'a>>,
}

/// Labels of a series, with their texts.
type Labels<'a> = Vec<(&'a str, String)>;

/// One line of the text.
struct Series<'a> {
    name: &'a str,
    labels: Labels<'a>,
    value: f64,
}

/// An `ExportMetricsServiceRequest` of the text of a scrape.
fn request(text: &str, started_ns: u64, now_ns: u64) -> Value {
    let at = Times { started: started_ns.to_string(), now: now_ns.to_string() };
    let metrics: Vec<Value> = families(text).iter().filter_map(|family| metric(family, &at)).collect();
    json!({ "resourceMetrics": [{
        "resource": { "attributes": attributes(&[
            ("service.name", "millrace".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("host.name", process::host().to_owned()),
        ]) },
        "scopeMetrics": [{ "scope": { "name": "millrace" }, "metrics": metrics }],
    }] })
}

struct Times {
    started: String,
    now: String,
}

fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.push(Family { name, help, ..Family::default() });
        } else if let Some((_, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            if let Some(family) = families.last_mut() {
                family.kind = kind;
            }
        } else if !line.starts_with('#')
            && let Some(family) = families.last_mut()
            && let Some(series) = series(line)
        {
            family.series.push(series);
        }
    }
    families
}

/// `name{label="value",…} number`, as our own encoder writes it.
fn series(line: &str) -> Option<Series<'_>> {
    let (head, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, rest)) = head.split_once('{') else {
        return Some(Series { name: head, labels: Vec::new(), value });
    };
    let mut rest = rest.strip_suffix('}')?;
    let mut labels = Vec::new();
    while let Some((label, after)) = rest.split_once("=\"") {
        let (text, end) = unescaped(after)?;
        labels.push((label, text));
        rest = after.get(end..)?.trim_start_matches(',');
    }
    Some(Series { name, labels, value })
}

/// A quoted text up to its quote, and where what follows begins.
fn unescaped(text: &str) -> Option<(String, usize)> {
    let mut plain = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((plain, index + 1)),
            '\\' => match chars.next()?.1 {
                'n' => plain.push('\n'),
                other => plain.push(other),
            },
            other => plain.push(other),
        }
    }
    None
}

fn metric(family: &Family<'_>, at: &Times) -> Option<Value> {
    let mut metric = json!({ "name": family.name, "description": family.help });
    match family.kind {
        "counter" => {
            let points: Vec<Value> = family.series.iter().map(|one| point(one, at, true)).collect();
            metric["sum"] =
                json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points });
        }
        "gauge" => {
            let points: Vec<Value> = family.series.iter().map(|one| point(one, at, false)).collect();
            metric["gauge"] = json!({ "dataPoints": points });
        }
        "histogram" => {
            metric["histogram"] =
                json!({ "aggregationTemporality": CUMULATIVE, "dataPoints": histograms(family, at) });
            metric["unit"] = "s".into();
        }
        _ => return None,
    }
    Some(metric)
}

fn point(series: &Series<'_>, at: &Times, is_counter: bool) -> Value {
    let Series { labels, value, .. } = series;
    let mut point = json!({ "attributes": attributes(labels), "timeUnixNano": at.now, "asDouble": value });
    if is_counter {
        point["startTimeUnixNano"] = at.started.clone().into();
    }
    point
}

fn attributes(labels: &[(&str, String)]) -> Value {
    let attribute =
        |(name, value): &(&str, String)| json!({ "key": name, "value": { "stringValue": value } });
    labels.iter().map(attribute).collect()
}

/// One data point for each set of labels; counts by bucket, which the text has cumulative.
fn histograms(family: &Family<'_>, at: &Times) -> Vec<Value> {
    #[derive(Default)]
    struct Parts {
        sum: f64,
        count: f64,
        buckets: Vec<(f64, f64)>,
    }
    let mut all: BTreeMap<Labels<'_>, Parts> = BTreeMap::new();
    for Series { name, labels, value } in &family.series {
        let bound = labels.iter().find(|(label, _)| *label == "le").map(|(_, bound)| bound.parse());
        let others: Vec<_> = labels.iter().filter(|(label, _)| *label != "le").cloned().collect();
        let parts = all.entry(others).or_default();
        match (bound, name) {
            (Some(bound), _) => parts.buckets.push((bound.unwrap_or(f64::INFINITY), *value)),
            (None, name) if name.ends_with("_sum") => parts.sum = *value,
            (None, _) => parts.count = *value,
        }
    }
    let point = |(labels, parts): (Labels<'_>, Parts)| {
        let bounds: Vec<f64> =
            parts.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
        let mut before = 0.0;
        let counts: Vec<String> = parts
            .buckets
            .iter()
            .map(|(_, upto)| format!("{:.0}", upto - std::mem::replace(&mut before, *upto)))
            .collect();
        json!({
            "attributes": attributes(&labels), "startTimeUnixNano": at.started, "timeUnixNano": at.now,
            "count": format!("{:.0}", parts.count), "sum": parts.sum,
            "explicitBounds": bounds, "bucketCounts": counts,
        })
    };
    all.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::fixture::running;
    use crate::watch::Figures;

    fn made() -> Value {
        request(&metrics::text(running().view(), Figures::default()).unwrap(), 1, 2)
    }

    fn find<'a>(request: &'a Value, name: &str) -> &'a Value {
        let metrics = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
        metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn counters_gauges_and_histograms_have_the_forms_of_the_protocol() {
        let made = made();
        let received = &find(&made, "millrace_messages_received")["sum"];
        assert_eq!(
            (&received["aggregationTemporality"], &received["isMonotonic"]),
            (&json!(2), &json!(true))
        );
        let point = &received["dataPoints"][1];
        assert_eq!((&point["asDouble"], &point["startTimeUnixNano"]), (&json!(100.0), &json!("1")));
        assert_eq!(point["attributes"][1], json!({"key": "shard", "value": {"stringValue": "1"}}));
        assert_eq!(find(&made, "millrace_shards")["gauge"]["dataPoints"][0]["asDouble"], 2.0);
        let end_to_end = &find(&made, "millrace_end_to_end_seconds")["histogram"]["dataPoints"][0];
        let counts = end_to_end["bucketCounts"].as_array().unwrap();
        let bounds = end_to_end["explicitBounds"].as_array().unwrap();
        assert_eq!(counts.len(), bounds.len() + 1, "the last bucket has no bound");
        let sum: u64 = counts.iter().map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!((sum, &end_to_end["count"]), (180, &json!("180")));
    }

    #[test]
    fn what_users_send_comes_out_as_it_went_in() {
        let made = made();
        let types = &find(&made, "millrace_message_type")["sum"]["dataPoints"][0]["attributes"];
        assert!(
            types.as_array().unwrap().iter().any(|one| one["value"]["stringValue"] == "paid \"x\"\n"),
            "{types}"
        );
    }

    #[test]
    fn every_series_of_the_text_is_pushed() {
        let text = metrics::text(running().view(), Figures::default()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#')).count();
        let read: usize = families(&text).iter().map(|family| family.series.len()).sum();
        assert_eq!(read, lines);
    }

    #[test]
    fn a_wrong_address_is_refused_by_field() {
        let otlp = |url: &str| Otlp {
            url: url.to_owned(),
            every: dataplane::config::Time::from_secs(30),
            authorization: None,
            allow_http: false,
        };
        let error = Exporter::new(&otlp("http://10.0.0.1/v1/metrics")).err().unwrap();
        assert!(error.starts_with("export.otlp.url: "), "{error}");
        assert!(Exporter::new(&otlp("http://127.0.0.1:4318/v1/metrics")).is_ok());
    }
}
