//! The snapshot: every figure of the appliance as one JSON document, merged over the shards and by shard.
//!
//! Pure. Latencies are merged as histograms before percentiles are read, so that nothing is averaged.

use std::collections::BTreeMap;

use dataplane::config::Rate;
use dataplane::control::{PumpReport, Refused, State, ThreadCpu, TypeReport};
use dataplane::stats::{Codes, Counters, Latency, Percentiles, STAGES};
use serde::Serialize;

use crate::board::{Depth, Phase, View};
use crate::health;
use crate::process::Usage;

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Snapshot {
    version: &'static str,
    uptime_s: f64,
    phase: Phase,
    ready: bool,
    reasons: Vec<String>,
    /// All pipelines together.
    pub(crate) totals: Counters,
    law: Law,
    /// Each pipeline, in the order of the file.
    pub(crate) pipelines: Vec<Pipeline>,
    shards: Vec<Shard>,
    threads: Vec<ThreadCpu>,
    process: Usage,
}

/// The conservation law: 0 when every received message is accounted for.
#[derive(Clone, Copy, Debug, Serialize)]
struct Law {
    unaccounted: i128,
}

/// One pipeline over all shards.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pipeline {
    /// Its name.
    pub(crate) name: String,
    /// Its state: the worst of the shards.
    pub(crate) state: State,
    /// Why it is not running; empty otherwise.
    pub(crate) reason: String,
    /// Counters of all shards together.
    pub(crate) totals: Counters,
    law: Law,
    /// Percentiles of each stage, in the order of the walk, microseconds.
    pub(crate) latency_us: BTreeMap<&'static str, Percentiles>,
    /// The histograms themselves, when they were asked for: see [`Latency::encoded`].
    #[serde(skip_serializing_if = "Option::is_none")]
    histograms: Option<BTreeMap<&'static str, String>>,
    /// Message types, most frequent first.
    pub(crate) types: Vec<TypeReport>,
    sqs_errors: Codes,
    kafka_errors: Codes,
    rejections: Codes,
    pollers: u32,
    clock_skew_s: i64,
    rate: Rate,
    rate_limited: bool,
    queue: Option<Depth>,
    shards: Vec<PipelineShard>,
}

/// One pipeline on one shard.
#[derive(Clone, Debug, Serialize)]
struct PipelineShard {
    shard: u16,
    state: State,
    reason: String,
    totals: Counters,
    latency_us: BTreeMap<&'static str, Percentiles>,
    pollers: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Shard {
    shard: u16,
    core: Option<u16>,
    cooperative_rings: bool,
    turns: u64,
    stall_us: u64,
    still_s: f64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Refused>,
}

/// Makes the document.
pub(crate) fn take(view: &View) -> Snapshot {
    let pipelines: Vec<Pipeline> = view.pipelines.iter().map(|name| pipeline(view, name)).collect();
    let mut totals = Counters::default();
    for pipeline in &pipelines {
        totals.add(&pipeline.totals);
    }
    let checks = health::ready(view);
    let reasons: Vec<String> = checks
        .into_iter()
        .filter_map(|check| check.trouble.map(|trouble| format!("{}: {trouble}", check.name)))
        .collect();
    Snapshot {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: view.uptime.as_secs_f64(),
        phase: view.phase,
        ready: reasons.is_empty(),
        reasons,
        law: law(&totals),
        totals,
        pipelines,
        shards: view
            .reports
            .iter()
            .zip(&view.still)
            .map(|(report, still)| Shard {
                shard: report.shard,
                core: report.core,
                cooperative_rings: report.cooperative_rings,
                turns: report.turns,
                stall_us: report.stall_us,
                still_s: still.as_secs_f64(),
                epoch: report.epoch,
                refused: report.refused.clone(),
            })
            .collect(),
        threads: view.threads.clone(),
        process: view.process,
    }
}

impl Snapshot {
    /// Adds each pipeline's histograms over all shards.
    pub(crate) fn add_histograms(&mut self, view: &View) {
        for pipeline in &mut self.pipelines {
            let latency = latency(view, &pipeline.name);
            let encoded = STAGES.into_iter().map(|stage| (stage.as_str(), latency.encoded(stage)));
            pipeline.histograms = Some(encoded.collect());
        }
    }
}

/// The reports of one pipeline, with the shard of each.
pub(crate) fn pumps<'a>(view: &'a View, name: &'a str) -> impl Iterator<Item = (u16, &'a PumpReport)> {
    view.reports
        .iter()
        .flat_map(|report| report.pumps.iter().map(|pump| (report.shard, pump)))
        .filter(move |(_, pump)| pump.pipeline == name)
}

/// Counters of one pipeline over all shards.
pub(crate) fn totals(view: &View, name: &str) -> Counters {
    let mut totals = Counters::default();
    for (_, pump) in pumps(view, name) {
        totals.add(&pump.counters);
    }
    totals
}

/// Latencies of one pipeline over all shards.
pub(crate) fn latency(view: &View, name: &str) -> Latency {
    let mut latency = Latency::new();
    for (_, pump) in pumps(view, name) {
        latency.add(&pump.latency);
    }
    latency
}

fn pipeline(view: &View, name: &str) -> Pipeline {
    let (state, reason) = merge_state(pumps(view, name).map(|(_, pump)| (pump.state, pump.reason.as_str())));
    let totals = totals(view, name);
    let mut types: BTreeMap<&str, TypeReport> = BTreeMap::new();
    let [mut sqs_errors, mut kafka_errors, mut rejections] = [const { Codes(BTreeMap::new()) }; 3];
    for (_, pump) in pumps(view, name) {
        sqs_errors.add(&pump.sqs_errors);
        kafka_errors.add(&pump.kafka_errors);
        rejections.add(&pump.rejections);
        for one in &pump.types {
            let sum = types
                .entry(&one.name)
                .or_insert_with(|| TypeReport { name: one.name.clone(), ..TypeReport::default() });
            sum.count += one.count;
            sum.bytes += one.bytes;
            sum.errors += one.errors;
        }
    }
    let mut types: Vec<TypeReport> = types.into_values().collect();
    types.sort_by_key(|one| std::cmp::Reverse(one.count));
    Pipeline {
        name: name.to_owned(),
        state,
        reason: view.troubles.get(name).map_or(reason.unwrap_or_default(), String::as_str).to_owned(),
        law: law(&totals),
        totals,
        latency_us: percentiles(&latency(view, name)),
        histograms: None,
        types,
        sqs_errors,
        kafka_errors,
        rejections,
        pollers: pumps(view, name).map(|(_, pump)| pump.pollers).sum(),
        clock_skew_s: pumps(view, name)
            .map(|(_, pump)| pump.clock_skew_s)
            .max_by_key(|skew| skew.abs())
            .unwrap_or(0),
        rate: pumps(view, name).map(|(_, pump)| pump.rate).next().unwrap_or_default(),
        rate_limited: pumps(view, name).any(|(_, pump)| pump.rate_limited),
        queue: view.depths.get(name).copied(),
        shards: pumps(view, name).map(|(shard, pump)| on_shard(shard, pump)).collect(),
    }
}

fn on_shard(shard: u16, pump: &PumpReport) -> PipelineShard {
    PipelineShard {
        shard,
        state: pump.state,
        reason: pump.reason.clone(),
        totals: pump.counters.clone(),
        latency_us: percentiles(&pump.latency),
        pollers: pump.pollers,
    }
}

/// Percentiles by the stage's name.
pub(crate) fn percentiles(latency: &Latency) -> BTreeMap<&'static str, Percentiles> {
    STAGES.into_iter().map(|stage| (stage.as_str(), latency.percentiles(stage))).collect()
}

fn law(totals: &Counters) -> Law {
    Law { unaccounted: totals.unaccounted() }
}

/// The worst state of several shards, and its reason. No shard at all: starting.
pub(crate) fn merge_state<'a>(states: impl Iterator<Item = (State, &'a str)>) -> (State, Option<&'a str>) {
    states.max_by_key(|(state, _)| badness(*state)).map_or((State::Starting, None), |(state, reason)| {
        (state, Some(reason).filter(|text| !text.is_empty()))
    })
}

fn badness(state: State) -> u8 {
    match state {
        State::Broken => 5,
        State::Starting => 4,
        State::Draining => 3,
        State::Paused => 2,
        State::Running => 1,
        State::Stopped => 0,
    }
}

/// Stable text of a state, as in metrics and JSON.
pub(crate) fn state_text(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Paused => "paused",
        State::Broken => "broken",
        State::Draining => "draining",
        State::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::board::fixture::{counters, report, running};

    #[test]
    fn the_document_adds_shards_up_and_keeps_them_apart() {
        let json: Value = serde_json::to_value(take(&running().view())).unwrap();
        assert_eq!(json["ready"], true);
        assert_eq!(json["totals"]["received"], 200);
        assert_eq!(json["law"]["unaccounted"], 0);
        let pipeline = &json["pipelines"][0];
        assert_eq!(pipeline["state"], "running");
        assert_eq!(pipeline["totals"]["delivered"], 180);
        assert_eq!(pipeline["latency_us"]["produce_to_ack"]["count"], 180);
        assert_eq!(pipeline["types"][0]["count"], 14);
        assert_eq!(pipeline["sqs_errors"]["delete:ThrottlingException"], 2);
        assert_eq!(pipeline["shards"][1]["totals"]["received"], 100);
        assert_eq!(json["shards"][0]["stall_us"], 120);
        assert_eq!(json["threads"][0]["cpu_ns"], 2_000_000_000_u64);
    }

    #[test]
    fn a_message_that_is_unaccounted_for_is_seen() {
        let board = running();
        let lost = Counters { in_flight: 9, ..counters() };
        board.publish(
            vec![report(0, 6, State::Running, lost), report(1, 6, State::Running, counters())],
            Vec::new(),
        );
        let json = serde_json::to_value(take(&board.view())).unwrap();
        assert_eq!(json["law"]["unaccounted"], 1);
        assert_eq!(json["pipelines"][0]["law"]["unaccounted"], 1);
    }

    #[test]
    fn the_worst_state_is_the_pipelines() {
        let merged =
            merge_state([(State::Running, ""), (State::Broken, "x"), (State::Draining, "y")].into_iter());
        assert_eq!(merged, (State::Broken, Some("x")));
        assert_eq!(merge_state(std::iter::empty()), (State::Starting, None));
        assert_eq!(merge_state([(State::Stopped, ""), (State::Stopped, "")].into_iter()).0, State::Stopped);
    }
}
