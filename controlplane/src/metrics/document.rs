//! `docs/metrics.md`, made from a scrape in which every family has a series, and held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use dataplane::control::{State, ThreadCpu};
use dataplane::stats::Codes;

use super::{text, watched};
use crate::board::fixture::{config, counters, report};
use crate::board::{Board, Depth, Merged, View};

/// Labels that the format itself adds.
const OF_THE_FORMAT: [&str; 1] = ["le"];

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// A scrape in which no family is empty.
fn full() -> String {
    let board = Board::new(&config(), 1);
    let mut one = report(0, 5, State::Running, counters());
    let mut codes = Codes::default();
    codes.count("code");
    one.pumps[0].kafka_errors = codes.clone();
    one.pumps[0].rejections = codes;
    board.publish(vec![one], vec![ThreadCpu { name: "shard-0".into(), cpu_ns: 1 }]);
    board.depth("orders", Depth::default());
    board.asked_attributes("orders");
    let absent = vec![("millrace-1".to_owned(), "it has closed the connection".to_owned())];
    let fleet = Some(Merged { absent, ..Merged::default() });
    text(Arc::new(View { fleet, ..View::clone(&board.view()) }), watched::fixture()).unwrap()
}

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut order = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().help = help.to_owned();
            order.push(name.to_owned());
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if let (Some((_, labels)), Some(name)) = (line.split_once('{'), order.last())
            && !line.starts_with('#')
            && let Some(family) = families.get_mut(name)
        {
            let labels = labels.rsplit_once('}').map_or("", |(labels, _)| labels);
            let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name);
            family.labels.extend(names.filter(|name| !OF_THE_FORMAT.contains(name)).map(str::to_owned));
        }
    }
    families
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `GET /metrics`, OpenMetrics text, read when it is scraped. Base units: seconds, bytes, ratios from 0 to 1. Labels\n\
         are bounded: message types and codes are capped at 64 and `other`, the rest comes from the configuration or is a\n\
         closed list. Counters begin anew with the process. A test holds this page to what the program writes.\n\n\
         Who prefers Prometheus' protobuf gets it (`Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited`), with\n\
         native histograms (schema 3, 9 % a bucket) beside the classic buckets. Prometheus asks so with `scrape_native_histograms` (from 3.8) or the feature flag\n\
         `native-histograms` (before).\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for (name, family) in families(&full()) {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        // Series of a counter end with `_total`; the family's own name does not.
        let series = if family.kind == "counter" { format!("{name}_total") } else { name };
        let _ = writeln!(page, "| `{series}` | {} | {} | {} |", family.kind, labels.join(", "), family.help);
    }
    page
}

#[test]
fn the_page_is_what_the_program_writes() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = page();
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/metrics.md has drifted: run this test with MILLRACE_WRITE_DOCS=1 and look at the difference"
    );
}

#[test]
fn names_units_and_labels_follow_the_rules() {
    let known = [
        "code",
        "commit",
        "data_plane",
        "interface",
        "kind",
        "op",
        "outcome",
        "pipeline",
        "receiver",
        "resource",
        "rule",
        "severity",
        "shard",
        "stage",
        "state",
        "thread",
        "type",
        "version",
    ];
    for (name, family) in families(&full()) {
        assert!(
            !family.help.is_empty() && family.help.ends_with('.'),
            "{name} has no sentence: {:?}",
            family.help
        );
        assert!(!name.ends_with("_total"), "{name}: the encoder adds it");
        for foreign in ["_ms", "_us", "_ns", "_kib", "_percent"] {
            assert!(!name.ends_with(foreign), "{name} is not in a base unit");
        }
        for label in &family.labels {
            assert!(known.contains(&label.as_str()), "{name} has a label `{label}` that nobody has bounded");
        }
        if family.kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
    }
}
