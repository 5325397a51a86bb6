//! Instances: the appliance that answers, or the data planes that this control plane attaches.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use dataplane::control::Command;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::api::{At, Changed, Code, Ctx, Input, Problem, Role, Routes};
use crate::board::{Phase, View};
use crate::fleet::{Fleet, Member, Unsent};
use crate::{health, process};

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
    /// Where it is attached; absent for the one that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Version of Millrace.
    version: String,
    /// Commit that it was built from.
    commit: String,
    /// Whether it does not answer: its figures are its last ones and count in no sum.
    stale: bool,
    /// Age of its figures, seconds; absent when it has never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_s: Option<f64>,
    /// Keys in which its configuration differs from the one that `/api/v1/config` shows.
    config_differs: Vec<String>,
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
pub(super) struct Instances {
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

/// Of which instance.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfInstance {
    /// Of this instance only, however old its figures are; of all that answer otherwise.
    instance: Option<String>,
}

impl OfInstance {
    /// The view that is asked for.
    pub(super) fn view(&self, ctx: &Ctx) -> Result<Arc<View>, Problem> {
        view_of(ctx, self.instance.as_deref())
    }
}

/// To which instances.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OnInstances {
    /// To these instances only, separated by commas; to all that answer otherwise.
    #[param(example = "millrace-0,millrace-1")]
    instance: Option<String>,
}

impl OnInstances {
    /// The names; `None` for all.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        self.instance.as_ref().map(|names| names.split(',').map(|name| name.trim().to_owned()).collect())
    }
}

/// Lists the instances: the one that answers, or every data plane that is to be attached.
#[utoipa::path(get, path = "/api/v1/instances", operation_id = "instances_list", tag = "instances",
    responses((status = 200, description = "All instances.", body = Instances)))]
async fn list(State(ctx): State<Ctx>) -> Json<Instances> {
    Json(all(&ctx))
}

/// Every instance.
pub(super) fn all(ctx: &Ctx) -> Instances {
    let items = match ctx.fleet() {
        None => vec![this(&ctx.board().view())],
        Some(fleet) => fleet.members().iter().map(attached).collect(),
    };
    Instances { items }
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
    let find = || all(&ctx).items.into_iter().find(|instance| instance.name == name);
    let before = find().ok_or_else(unknown)?;
    if confirmed.confirm != name {
        return Err(Problem::new(Code::Unprocessable, "confirm: type the name of the instance"));
    }
    super::pipelines::send(&ctx, Command::Drain, Some(std::slice::from_ref(&name)))?;
    if ctx.fleet().is_none() {
        // As at a signal: readiness first.
        ctx.board().enter(Phase::Draining);
    }
    let mut after = find().ok_or_else(unknown)?;
    // A data plane elsewhere shows it within a second.
    after.phase = InstancePhase::Draining;
    Ok(Changed::new(Json(after.clone()), Some(&before), Some(&after)))
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "there is no instance of this name; /api/v1/instances lists them")
}

/// The view of one instance, or of all together.
///
/// # Errors
/// There is no instance of this name, or it has never answered.
pub(super) fn view_of(ctx: &Ctx, instance: Option<&str>) -> Result<Arc<View>, Problem> {
    let Some(name) = instance else { return Ok(ctx.board().view()) };
    match ctx.fleet() {
        None if name == process::host() => Ok(ctx.board().view()),
        None => Err(unknown()),
        Some(fleet) => fleet.view_of(name).map(Arc::new).ok_or_else(unknown),
    }
}

/// Sends a command to data planes elsewhere.
pub(super) fn send_to(fleet: &Fleet, command: &Command, to: Option<&[String]>) -> Result<(), Problem> {
    fleet.send(command, to).map_err(|unsent| match unsent {
        Unsent::Unknown(name) => Problem::new(
            Code::NotFound,
            format!("instance: there is none named `{name}`; /api/v1/instances lists them"),
        ),
        Unsent::Absent(name) => {
            Problem::new(Code::DataPlaneBusy, format!("instance `{name}` does not answer")).after(5)
        }
        Unsent::Busy(name) => {
            Problem::new(Code::DataPlaneBusy, format!("too many commands wait at instance `{name}`")).after(1)
        }
        Unsent::Nobody => Problem::new(Code::DataPlaneBusy, "no data plane answers").after(5),
    })
}

/// The appliance of a view.
pub(super) fn this(view: &View) -> Instance {
    let reasons: Vec<String> = health::ready(view)
        .into_iter()
        .filter_map(|check| check.trouble.map(|trouble| format!("{}: {trouble}", check.name)))
        .collect();
    Instance {
        name: process::host().to_owned(),
        address: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: env!("MILLRACE_COMMIT").to_owned(),
        stale: false,
        age_s: Some(0.0),
        config_differs: Vec::new(),
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

/// A data plane elsewhere: what it last said, and since when it says nothing.
fn attached(member: &Member) -> Instance {
    let known = member.view.as_deref().map(this);
    let mut shown = known.unwrap_or_else(|| Instance {
        // Nothing is known, so nothing is claimed.
        uptime_s: 0.0,
        shards: 0,
        cpu_seconds: 0.0,
        rss_bytes: 0,
        rss_peak_bytes: 0,
        open_fds: 0,
        ready: false,
        reasons: Vec::new(),
        ..this(&View::default())
    });
    shown.name = member.name.to_string();
    shown.address = Some(member.address.clone());
    shown.version.clone_from(&member.version);
    shown.commit.clone_from(&member.commit);
    shown.age_s = member.age.map(|age| age.as_secs_f64());
    shown.config_differs.clone_from(&member.differs);
    if let Some(reason) = &member.absent {
        shown.stale = true;
        shown.ready = false;
        shown.reasons = vec![reason.clone()];
    }
    shown
}
