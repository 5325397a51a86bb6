//! Latency by stage and message types, by pipeline and shard.
//!
//! Histograms of shards are added before percentiles are read: nothing is averaged.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use dataplane::stats::{Latency, STAGES};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::figures::StagePercentiles;
use crate::api::{Asked, Code, Ctx, Problem, Role, Routes};
use crate::board::View;
use crate::snapshot;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(stages)).at(Role::Viewer, routes!(types))
}

/// Of what.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Of this pipeline only; of all together otherwise.
    pipeline: Option<String>,
    /// On this shard only.
    shard: Option<u16>,
    /// On this instance only, however old its figures are; of all that answer otherwise.
    instance: Option<String>,
    /// Also the histograms themselves, some kilobytes for each stage.
    #[param(default = false)]
    histograms: Option<bool>,
}

/// One stage.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct StageLatency {
    /// The stage: `sent_to_received`, `receive`, `decode`, `pipeline`, `handoff`, `produce_to_ack`, `received_to_acked`,
    /// `ack_to_deleted` or `end_to_end`.
    #[schema(example = "produce_to_ack")]
    stage: &'static str,
    /// Its percentiles since the start.
    percentiles: StagePercentiles,
    /// The histogram in HdrHistogram's V2 encoding, compressed, in base64; microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<String>,
}

/// All stages.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Stages {
    /// In the order of the walk.
    items: Vec<StageLatency>,
}

/// Shows the latency of each stage since the start.
#[utoipa::path(get, path = "/api/v1/latency", operation_id = "latency_show", tag = "latency", params(Of),
    responses((status = 200, description = "All stages.", body = Stages)))]
async fn stages(State(ctx): State<Ctx>, Asked(of): Asked<Of>) -> Result<Json<Stages>, Problem> {
    let view = super::instances::view_of(&ctx, of.instance.as_deref())?;
    check(&view, &of)?;
    let latency = latency(&view, of.pipeline.as_deref(), of.shard);
    let histograms = of.histograms.unwrap_or(false);
    let items = STAGES
        .into_iter()
        .map(|stage| StageLatency {
            stage: stage.as_str(),
            percentiles: latency.percentiles(stage).into(),
            histogram: histograms.then(|| latency.encoded(stage)),
        })
        .collect();
    Ok(Json(Stages { items }))
}

/// Names of what there is not are refused: an empty answer would look like silence.
fn check(view: &View, of: &Of) -> Result<(), Problem> {
    if of.pipeline.as_ref().is_some_and(|name| !view.pipelines.contains(name)) {
        return Err(Problem::new(Code::NotFound, "pipeline: there is none of this name"));
    }
    of.shard.map_or(Ok(()), |shard| super::shards::known(view, shard))
}

fn latency(view: &View, pipeline: Option<&str>, shard: Option<u16>) -> Latency {
    let mut sum = Latency::new();
    let reports = view.reports.iter().filter(|report| shard.is_none_or(|shard| report.shard == shard));
    for pump in reports.flat_map(|report| &report.pumps) {
        if pipeline.is_none_or(|name| pump.pipeline == name) {
            sum.add(&pump.latency);
        }
    }
    sum
}

/// Percentiles of each pipeline by stage, for the live stream.
pub(super) fn all(view: &View) -> BTreeMap<&str, BTreeMap<&'static str, StagePercentiles>> {
    view.pipelines
        .iter()
        .map(|name| {
            let latency = snapshot::latency(view, name);
            let stages = STAGES.into_iter().map(|stage| (stage.as_str(), latency.percentiles(stage).into()));
            (name.as_str(), stages.collect())
        })
        .collect()
}

/// One message type.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct MessageType {
    /// Name of the pipeline.
    pipeline: String,
    /// Name of the type; `other` holds those beyond the bound.
    #[schema(example = "order_paid")]
    name: String,
    /// Messages received.
    count: u64,
    /// Bytes of their bodies.
    bytes: u64,
    /// Messages rejected.
    errors: u64,
}

/// All message types.
#[derive(Serialize, ToSchema)]
struct Types {
    /// The most frequent first.
    items: Vec<MessageType>,
}

/// Lists the message types with their counts since the start.
#[utoipa::path(get, path = "/api/v1/types", operation_id = "types_list", tag = "types", params(Of),
    responses((status = 200, description = "Message types, the most frequent first.", body = Types)))]
async fn types(State(ctx): State<Ctx>, Asked(of): Asked<Of>) -> Result<Json<Types>, Problem> {
    let view = super::instances::view_of(&ctx, of.instance.as_deref())?;
    check(&view, &of)?;
    let mut sums: BTreeMap<(&str, &str), MessageType> = BTreeMap::new();
    let reports = view.reports.iter().filter(|report| of.shard.is_none_or(|shard| report.shard == shard));
    for pump in reports.flat_map(|report| &report.pumps) {
        if of.pipeline.as_ref().is_some_and(|name| pump.pipeline != *name) {
            continue;
        }
        for one in &pump.types {
            let sum = sums.entry((&pump.pipeline, &one.name)).or_default();
            sum.count += one.count;
            sum.bytes += one.bytes;
            sum.errors += one.errors;
        }
    }
    let mut items: Vec<MessageType> = sums
        .into_iter()
        .map(|((pipeline, name), sum)| MessageType {
            pipeline: pipeline.to_owned(),
            name: name.to_owned(),
            ..sum
        })
        .collect();
    items.sort_by_key(|one| std::cmp::Reverse(one.count));
    Ok(Json(Types { items }))
}
