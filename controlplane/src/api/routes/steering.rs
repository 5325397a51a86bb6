//! Starting and stopping a pipeline, and its limits.

use axum::Json;
use axum::extract::State as Shared;
use dataplane::config::{Bytes, Rate};
use dataplane::control::{Command, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::instances::OnInstances;
use super::pipelines::{SHOWN_TIMEOUT, Told, known, send, tell};
use crate::api::{Asked, At, Changed, Code, Ctx, FieldFault, Input, Problem, Role, Routes};
use crate::snapshot;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Operator, routes!(start))
        .at(Role::Operator, routes!(stop))
        .at(Role::Viewer, routes!(rate))
        .at(Role::Operator, routes!(set_rate))
}

/// Limits of a pipeline, of all shards of an instance together. What is null or left out has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// Messages received a second.
    #[schema(example = 5000, minimum = 1, maximum = 10000000)]
    messages_per_s: Option<u32>,
    /// Bytes of bodies received a second.
    #[schema(example = 16777216, minimum = 1024)]
    bytes_per_s: Option<u64>,
    /// Requests to SQS a second.
    #[schema(example = 500, minimum = 1, maximum = 1000000)]
    requests_per_s: Option<u32>,
}

/// Limits in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct RateInForce {
    /// The limits.
    limits: Limits,
    /// The limits of the configuration; others are in force until these change, or until a restart.
    configured: Limits,
    /// Whether receiving waits for a limit at this moment, on any shard.
    limited: bool,
}

impl From<Rate> for Limits {
    fn from(rate: Rate) -> Limits {
        Limits {
            messages_per_s: rate.messages_per_s,
            bytes_per_s: rate.bytes_per_s.map(|bytes| bytes.0),
            requests_per_s: rate.requests_per_s,
        }
    }
}

impl From<Limits> for Rate {
    fn from(limits: Limits) -> Rate {
        Rate {
            messages_per_s: limits.messages_per_s,
            bytes_per_s: limits.bytes_per_s.map(Bytes),
            requests_per_s: limits.requests_per_s,
        }
    }
}

/// Receives again, whether the pipeline is paused or stopped.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/start", operation_id = "pipelines_start", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances),
    responses((status = 200, description = "On how many shards it shows.", body = Told)))]
async fn start(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
) -> Result<Changed<Json<Told>>, Problem> {
    let started = |state, _| !matches!(state, State::Paused | State::Stopped | State::Draining);
    tell(&ctx, (&name, &on), Command::Start { pipeline: name.clone() }, SHOWN_TIMEOUT, started).await
}

/// Stops a pipeline: receives nothing, finishes what is held, and gives back what is held at `drain.deadline`.
///
/// The answer comes when every shard shows it; `in_flight` says how much is still held.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/stop", operation_id = "pipelines_stop", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances),
    responses((status = 200, description = "On how many shards it shows.", body = Told)))]
async fn stop(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
) -> Result<Changed<Json<Told>>, Problem> {
    let stopped = |state, _| matches!(state, State::Draining | State::Stopped);
    tell(&ctx, (&name, &on), Command::Stop { pipeline: name.clone() }, SHOWN_TIMEOUT, stopped).await
}

/// Shows the limits of a pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/rate", operation_id = "pipelines_rate", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline.")),
    responses((status = 200, description = "The limits.", body = RateInForce)))]
async fn rate(Shared(ctx): Shared<Ctx>, At(name): At<String>) -> Result<Json<RateInForce>, Problem> {
    known(&ctx.board().view(), &name)?;
    Ok(Json(in_force(&ctx, &name)))
}

/// Sets the limits of a pipeline, until its `rate` in the configuration changes or the appliance is started again.
///
/// Only receiving waits for a limit: what is held is produced and deleted at once.
#[utoipa::path(put, path = "/api/v1/pipelines/{name}/rate", operation_id = "pipelines_set_rate", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances), request_body = Limits,
    responses((status = 200, description = "The limits as they will be within a second.", body = RateInForce)))]
async fn set_rate(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
    Input(limits): Input<Limits>,
) -> Result<Changed<Json<RateInForce>>, Problem> {
    known(&ctx.board().view(), &name)?;
    let rate = Rate::from(limits);
    let faults: Vec<FieldFault> = rate
        .problems()
        .into_iter()
        .map(|(field, text)| FieldFault { field: field.to_owned(), text })
        .collect();
    if !faults.is_empty() {
        return Err(Problem::new(Code::Unprocessable, "a limit cannot be").with_errors(faults));
    }
    let before = in_force(&ctx, &name);
    send(&ctx, Command::Rate { pipeline: name, rate }, on.names().as_deref())?;
    let after = RateInForce { limits, ..before };
    Ok(Changed::new(Json(after), Some(&before.limits), Some(&limits)))
}

fn in_force(ctx: &Ctx, name: &str) -> RateInForce {
    let view = ctx.board().view();
    let config = ctx.configs().current().config;
    let configured =
        config.pipeline.iter().find(|pipeline| pipeline.name == name).map(|pipeline| pipeline.rate);
    let mut pumps = snapshot::pumps(&view, name).map(|(_, pump)| pump);
    let limits = pumps.next().map(|pump| (pump.rate, pump.rate_limited));
    let (rate, limited) = limits.unwrap_or_default();
    RateInForce {
        limits: rate.into(),
        configured: configured.unwrap_or_default().into(),
        limited: limited || pumps.any(|pump| pump.rate_limited),
    }
}
