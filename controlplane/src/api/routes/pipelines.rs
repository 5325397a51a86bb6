//! Pipelines: what each does, and telling it to pause, resume or drain.
//!
//! A command goes to every shard. The answer says on how many of them it shows, because a shard reports once a
//! second.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Shared;
use dataplane::control::{Command, State};
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::figures::{PipelineState, QueueDepth, Totals};
use super::instances::{OfInstance, OnInstances, send_to};
use crate::api::{Asked, At, Changed, Code, Ctx, Problem, Role, Routes};
use crate::board::{Phase, View};
use crate::snapshot;

/// Time that an answer waits for the shards to show a command. They publish once a second.
pub(super) const SHOWN_TIMEOUT: Duration = Duration::from_secs(4);
/// Time that an answer to a drain waits for what is held.
const DRAINED_TIMEOUT: Duration = Duration::from_secs(20);
/// Time between two looks at the board.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Viewer, routes!(show))
        .at(Role::Operator, routes!(pause))
        .at(Role::Operator, routes!(resume))
        .at(Role::Operator, routes!(drain))
}

/// One pipeline over all shards.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Pipeline {
    /// Its name.
    #[schema(example = "orders")]
    name: String,
    /// The worst state of its shards.
    state: PipelineState,
    /// Why it is not running, in one sentence; empty otherwise.
    reason: String,
    /// Counters of all shards together.
    totals: Totals,
    /// Received messages that no counter accounts for: 0 when the conservation law holds.
    unaccounted: i64,
    /// Receives in flight now.
    pollers: u32,
    /// Offset of AWS's clock against ours, seconds.
    clock_skew_s: i64,
    /// Depth of the queue, if SQS has told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueDepth>,
    /// SQS errors by `operation:code`.
    sqs_errors: BTreeMap<String, u64>,
    /// Kafka errors by code.
    kafka_errors: BTreeMap<String, u64>,
    /// Rejected messages by code.
    rejections: BTreeMap<String, u64>,
    /// The pipeline on each shard.
    shards: Vec<OnShard>,
}

/// One pipeline on one shard.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct OnShard {
    /// Number of the shard.
    shard: u16,
    /// Instance that it belongs to.
    #[schema(example = "millrace-0")]
    instance: String,
    /// State on this shard.
    state: PipelineState,
    /// Why it is not running; empty otherwise.
    reason: String,
    /// Messages held now.
    in_flight: u64,
    /// Receives in flight now.
    pollers: u32,
}

/// All pipelines.
#[derive(Serialize, ToSchema)]
struct Pipelines {
    /// In the order of the file.
    items: Vec<Pipeline>,
}

/// What a command did on one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct ToldShard {
    /// Instance that the shard belongs to.
    #[schema(example = "millrace-0")]
    instance: String,
    /// Number that the shard has there.
    shard: u16,
    /// Whether it shows the command.
    applied: bool,
    /// State of the pipeline there now.
    state: PipelineState,
    /// Messages held there now.
    in_flight: u64,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Told {
    /// Name of the pipeline.
    name: String,
    /// The worst state of its shards now.
    state: PipelineState,
    /// Shards that show the command.
    shards_applied: usize,
    /// Shards that there are.
    shards: usize,
    /// Messages held now.
    in_flight: u64,
    /// Each shard that was told.
    by_shard: Vec<ToldShard>,
}

/// Lists the pipelines.
#[utoipa::path(get, path = "/api/v1/pipelines", operation_id = "pipelines_list", tag = "pipelines", params(OfInstance),
    responses((status = 200, description = "All pipelines.", body = Pipelines)))]
async fn list(Shared(ctx): Shared<Ctx>, Asked(of): Asked<OfInstance>) -> Result<Json<Pipelines>, Problem> {
    Ok(Json(Pipelines { items: all(&*of.view(&ctx)?) }))
}

/// Every pipeline of a view.
pub(super) fn all(view: &View) -> Vec<Pipeline> {
    view.pipelines.iter().map(|name| pipeline(view, name)).collect()
}

/// Shows a pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}", operation_id = "pipelines_show", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OfInstance),
    responses((status = 200, description = "The pipeline.", body = Pipeline)))]
async fn show(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(of): Asked<OfInstance>,
) -> Result<Json<Pipeline>, Problem> {
    let view = of.view(&ctx)?;
    known(&view, &name)?;
    Ok(Json(pipeline(&view, &name)))
}

/// Stops receiving for a pipeline.
///
/// What is held is finished. Pausing what is paused changes nothing.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/pause", operation_id = "pipelines_pause", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances),
    responses((status = 200, description = "On how many shards it shows.", body = Told)))]
async fn pause(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
) -> Result<Changed<Json<Told>>, Problem> {
    tell(&ctx, (&name, &on), Command::Pause { pipeline: name.clone() }, SHOWN_TIMEOUT, is_paused).await
}

/// Receives again for a paused pipeline.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/resume", operation_id = "pipelines_resume", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances),
    responses((status = 200, description = "On how many shards it shows.", body = Told)))]
async fn resume(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
) -> Result<Changed<Json<Told>>, Problem> {
    let resumed = |state, _| !matches!(state, State::Paused);
    tell(&ctx, (&name, &on), Command::Resume { pipeline: name.clone() }, SHOWN_TIMEOUT, resumed).await
}

/// Stops receiving for a pipeline and waits until nothing is held.
///
/// The answer comes after 20 s at the latest; `in_flight` says whether something is still held then.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/drain", operation_id = "pipelines_drain", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), OnInstances),
    responses((status = 200, description = "What is still held.", body = Told)))]
async fn drain(
    Shared(ctx): Shared<Ctx>,
    At(name): At<String>,
    Asked(on): Asked<OnInstances>,
) -> Result<Changed<Json<Told>>, Problem> {
    let drained = |state, in_flight| is_paused(state, in_flight) && in_flight == 0;
    tell(&ctx, (&name, &on), Command::Pause { pipeline: name.clone() }, DRAINED_TIMEOUT, drained).await
}

/// A shard that cannot receive anyway shows no pause; it is as good as paused.
fn is_paused(state: State, _: u64) -> bool {
    matches!(state, State::Paused | State::Draining | State::Stopped)
}

pub(super) async fn tell(
    ctx: &Ctx,
    (name, on): (&str, &OnInstances),
    command: Command,
    patience: Duration,
    shows: impl Fn(State, u64) -> bool,
) -> Result<Changed<Json<Told>>, Problem> {
    let names = on.names();
    let told = |view: &View| told(view, name, names.as_deref(), &shows);
    let view = ctx.board().view();
    known(&view, name)?;
    let before = told(&view);
    send(ctx, command, names.as_deref())?;
    let until = Instant::now() + patience;
    let mut after = told(&ctx.board().view());
    while after.shards_applied < after.shards && Instant::now() < until {
        sleep(LOOK).await;
        after = told(&ctx.board().view());
    }
    Ok(Changed::new(Json(after.clone()), Some(&before), Some(&after)))
}

/// Puts a command where the data plane's loop takes it, or sends it to data planes elsewhere.
pub(super) fn send(ctx: &Ctx, command: Command, to: Option<&[String]>) -> Result<(), Problem> {
    if let Some(fleet) = ctx.fleet() {
        return send_to(fleet, &command, to);
    }
    for name in to.unwrap_or_default() {
        super::instances::view_of(ctx, Some(name))?;
    }
    let ending = || Problem::new(Code::Draining, "the appliance is draining and takes no more commands");
    if ctx.board().view().phase != Phase::Running {
        return Err(ending());
    }
    ctx.commands().try_send(command).map_err(|error| match error {
        TrySendError::Full(_) => Problem::new(Code::DataPlaneBusy, "too many commands wait").after(1),
        TrySendError::Closed(_) => ending(),
    })
}

pub(super) fn known(view: &View, name: &str) -> Result<(), Problem> {
    let found = view.pipelines.iter().any(|known| known == name);
    let unknown =
        || Problem::new(Code::NotFound, "there is no pipeline of this name; /api/v1/pipelines lists them");
    found.then_some(()).ok_or_else(unknown)
}

/// How a command shows on the shards of these instances, or of all.
fn told(view: &View, name: &str, on: Option<&[String]>, shows: impl Fn(State, u64) -> bool) -> Told {
    let is_meant = |shard: u16| on.is_none_or(|names| names.iter().any(|name| name == view.owner(shard).0));
    let pumps = || snapshot::pumps(view, name).filter(|(shard, _)| is_meant(*shard));
    let (state, _) = snapshot::merge_state(pumps().map(|(_, pump)| (pump.state, pump.reason.as_str())));
    let by_shard: Vec<ToldShard> = pumps()
        .map(|(shard, pump)| ToldShard {
            instance: view.owner(shard).0.to_owned(),
            shard: view.owner(shard).1,
            applied: shows(pump.state, pump.counters.in_flight),
            state: pump.state.into(),
            in_flight: pump.counters.in_flight,
        })
        .collect();
    Told {
        name: name.to_owned(),
        state: state.into(),
        shards_applied: by_shard.iter().filter(|one| one.applied).count(),
        // A shard that has not published yet is awaited too.
        shards: if on.is_some() { by_shard.len() } else { view.shards },
        in_flight: by_shard.iter().map(|one| one.in_flight).sum(),
        by_shard,
    }
}

fn pipeline(view: &View, name: &str) -> Pipeline {
    let pumps = || snapshot::pumps(view, name);
    let (state, reason) = snapshot::merge_state(pumps().map(|(_, pump)| (pump.state, pump.reason.as_str())));
    let totals = snapshot::totals(view, name);
    let mut codes = [const { dataplane::stats::Codes(BTreeMap::new()) }; 3];
    for (_, pump) in pumps() {
        codes[0].add(&pump.sqs_errors);
        codes[1].add(&pump.kafka_errors);
        codes[2].add(&pump.rejections);
    }
    let [sqs_errors, kafka_errors, rejections] = codes.map(|codes| codes.0);
    Pipeline {
        name: name.to_owned(),
        state: state.into(),
        reason: view.troubles.get(name).map_or(reason.unwrap_or_default(), String::as_str).to_owned(),
        unaccounted: i64::try_from(totals.unaccounted()).unwrap_or(i64::MAX),
        totals: (&totals).into(),
        pollers: pumps().map(|(_, pump)| pump.pollers).sum(),
        clock_skew_s: pumps().map(|(_, pump)| pump.clock_skew_s).max_by_key(|skew| skew.abs()).unwrap_or(0),
        queue: view.depths.get(name).map(|depth| QueueDepth::from(*depth)),
        sqs_errors,
        kafka_errors,
        rejections,
        shards: pumps()
            .map(|(shard, pump)| OnShard {
                shard,
                instance: view.owner(shard).0.to_owned(),
                state: pump.state.into(),
                reason: pump.reason.clone(),
                in_flight: pump.counters.in_flight,
                pollers: pump.pollers,
            })
            .collect(),
    }
}
