//! Instances: the appliance that answers.

use std::fs;
use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use dataplane::control::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{At, Changed, Code, Ctx, Input, Problem, Role, Routes};
use crate::board::{Phase, View};
use crate::health;

/// Name of the machine, as Kubernetes and systemd see it. Source: proc(5).
static NAME: LazyLock<String> = LazyLock::new(|| {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
});

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(list)).at(Role::Admin, routes!(drain))
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum InstancePhase {
    /// Up, or coming up.
    Running,
    /// About to end.
    Draining,
    /// Its shards have ended.
    Ended,
}

/// One appliance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Instance {
    /// Its name.
    #[schema(example = "millrace-0")]
    name: String,
    /// Version of Millrace.
    version: &'static str,
    /// Commit that it was built from.
    commit: &'static str,
    /// What it is doing.
    phase: InstancePhase,
    /// Whether it is ready.
    ready: bool,
    /// Why it is not ready.
    reasons: Vec<String>,
    /// Seconds since its data plane was started.
    uptime_s: f64,
    /// Shards that it was started with.
    shards: usize,
    /// User and system time of all threads, seconds.
    cpu_seconds: f64,
    /// Memory that is resident now, bytes.
    rss_bytes: u64,
    /// Largest resident memory so far, bytes.
    rss_peak_bytes: u64,
    /// Open file descriptors.
    open_fds: u64,
}

/// All appliances.
#[derive(Serialize, ToSchema)]
struct Instances {
    /// The instances.
    items: Vec<Instance>,
}

/// A typed confirmation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    /// The name of what is to end, typed again.
    confirm: String,
}

/// Lists the instances: the one that answers.
#[utoipa::path(get, path = "/api/v1/instances", operation_id = "instances_list", tag = "instances",
    responses((status = 200, description = "All instances.", body = Instances)))]
async fn list(State(ctx): State<Ctx>) -> Json<Instances> {
    Json(Instances { items: vec![this(&ctx.board().view())] })
}

/// Ends an instance as SIGTERM does: it stops receiving, finishes what is held and exits.
///
/// Whoever started it decides whether it comes back.
#[utoipa::path(post, path = "/api/v1/instances/{name}/drain", operation_id = "instances_drain", tag = "instances",
    params(("name" = String, Path, description = "Name of the instance.")), request_body = Confirmed,
    responses((status = 200, description = "It is draining.", body = Instance)))]
async fn drain(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    Input(confirmed): Input<Confirmed>,
) -> Result<Changed<Json<Instance>>, Problem> {
    if name != *NAME {
        return Err(Problem::new(
            Code::NotFound,
            "there is no instance of this name; /api/v1/instances lists them",
        ));
    }
    if confirmed.confirm != name {
        return Err(Problem::new(Code::Unprocessable, "confirm: type the name of the instance"));
    }
    let before = this(&ctx.board().view());
    super::pipelines::send(&ctx, Command::Drain)?;
    // As at a signal: readiness first.
    ctx.board().enter(Phase::Draining);
    let after = this(&ctx.board().view());
    Ok(Changed::new(Json(after.clone()), Some(&before), Some(&after)))
}

/// The appliance of a view.
pub(super) fn this(view: &View) -> Instance {
    let reasons: Vec<String> = health::ready(view)
        .into_iter()
        .filter_map(|check| check.trouble.map(|trouble| format!("{}: {trouble}", check.name)))
        .collect();
    Instance {
        name: NAME.clone(),
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("MILLRACE_COMMIT"),
        phase: match view.phase {
            Phase::Running => InstancePhase::Running,
            Phase::Draining => InstancePhase::Draining,
            Phase::Ended => InstancePhase::Ended,
        },
        ready: reasons.is_empty(),
        reasons,
        uptime_s: view.uptime.as_secs_f64(),
        shards: view.shards,
        cpu_seconds: view.process.cpu_seconds,
        rss_bytes: view.process.rss_bytes,
        rss_peak_bytes: view.process.rss_peak_bytes,
        open_fds: view.process.open_fds,
    }
}
