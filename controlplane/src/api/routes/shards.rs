//! Shards: one core each, and what they do with it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::instances::OfInstance;
use crate::api::{Asked, Code, Ctx, Problem, Role, Routes};
use crate::board::View;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(list))
}

/// One shard.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Shard {
    /// Number of the shard, from 0; of several instances, in the order in which they came.
    shard: u16,
    /// Instance that it belongs to.
    #[schema(example = "millrace-0")]
    instance: String,
    /// Number that it has there, as in that instance's log.
    instance_shard: u16,
    /// Core that it is pinned to; absent when it is not pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    core: Option<u16>,
    /// Turns of its clock: a shard that is alive goes on counting.
    turns: u64,
    /// Longest time in the last second between two turns that were due within 100 ms, microseconds.
    stall_us: u64,
    /// Seconds since it last turned.
    still_s: f64,
    /// Messages that it holds.
    in_flight: u64,
    /// Bytes that it holds.
    in_flight_bytes: u64,
}

/// CPU time of one thread of the data plane.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ShardThread)]
struct Thread {
    /// Its name.
    #[schema(example = "shard-0")]
    name: String,
    /// User and system time, seconds.
    cpu_seconds: f64,
}

/// All shards.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Shards {
    /// Shards that were started.
    started: usize,
    /// Shards that have published.
    items: Vec<Shard>,
    /// The data plane's threads.
    threads: Vec<Thread>,
}

/// Lists the shards.
#[utoipa::path(get, path = "/api/v1/shards", operation_id = "shards_list", tag = "shards",
    params(OfInstance), responses((status = 200, description = "All shards.", body = Shards)))]
async fn list(State(ctx): State<Ctx>, Asked(of): Asked<OfInstance>) -> Result<Json<Shards>, Problem> {
    Ok(Json(all(&*of.view(&ctx)?)))
}

/// Refuses the number of a shard that there is not: an empty answer would look like silence.
pub(super) fn known(view: &View, shard: u16) -> Result<(), Problem> {
    let text = || {
        format!(
            "shard: there are {}, and none has this number; /api/v1/shards lists them",
            view.reports.len()
        )
    };
    if view.has_shard(shard) { Ok(()) } else { Err(Problem::new(Code::NotFound, text())) }
}

/// Every shard of a view.
pub(super) fn all(view: &View) -> Shards {
    let shards = view.reports.iter().zip(&view.still).map(|(report, still)| Shard {
        shard: report.shard,
        instance: view.owner(report.shard).0.to_owned(),
        instance_shard: view.owner(report.shard).1,
        core: report.core,
        turns: report.turns,
        stall_us: report.stall_us,
        still_s: still.as_secs_f64(),
        in_flight: report.pumps.iter().map(|pump| pump.counters.in_flight).sum(),
        in_flight_bytes: report.pumps.iter().map(|pump| pump.counters.in_flight_bytes).sum(),
    });
    let threads = view
        .threads
        .iter()
        .map(|thread| Thread { name: thread.name.clone(), cpu_seconds: thread.cpu_ns as f64 / 1e9 });
    Shards { started: view.shards, items: shards.collect(), threads: threads.collect() }
}
