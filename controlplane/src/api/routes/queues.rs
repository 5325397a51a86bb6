//! Queues of the pipelines.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::api::{Asked, At, Code, Ctx, Problem, Role, Routes};
use crate::queues::{QueueView, Requests, requests};

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(list)).at(Role::Viewer, routes!(show))
}

/// Nothing is asked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Nothing {}

/// A queue in a list.
#[derive(Serialize, ToSchema)]
struct QueueSummary {
    /// Pipeline that receives from it.
    #[schema(example = "orders")]
    pipeline: String,
    /// Its URL.
    url: String,
    /// What the pump has asked of it since the start.
    requests: Requests,
}

/// All queues.
#[derive(Serialize, ToSchema)]
pub(super) struct QueueList {
    /// In the order of the pipelines.
    items: Vec<QueueSummary>,
}

/// Lists the queues. SQS is not asked.
#[utoipa::path(get, path = "/api/v1/queues", operation_id = "queues_list", tag = "queues", params(Nothing),
    responses((status = 200, description = "Queues of the pipelines.", body = QueueList)))]
async fn list(State(ctx): State<Ctx>, Asked(Nothing {}): Asked<Nothing>) -> Json<QueueList> {
    Json(all(&ctx))
}

/// Every queue.
pub(super) fn all(ctx: &Ctx) -> QueueList {
    let view = ctx.board().view();
    let config = ctx.configs().current().config;
    let items = config.pipeline.iter().map(|pipeline| QueueSummary {
        pipeline: pipeline.name.clone(),
        url: pipeline.queue.url.clone(),
        requests: requests(&view, &pipeline.name),
    });
    QueueList { items: items.collect() }
}

/// Shows a queue: settings, depth, dead-letter queue, requests and errors.
///
/// SQS is asked at most every 15 s; `age_s` says how old its word is.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/queue", operation_id = "queues_show", tag = "queues",
    params(("name" = String, Path, description = "Name of the pipeline."), Nothing),
    responses((status = 200, description = "The queue.", body = QueueView)))]
async fn show(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<QueueView>, Problem> {
    let config = ctx.configs().current().config;
    let unknown =
        || Problem::new(Code::NotFound, "there is no pipeline of this name; /api/v1/pipelines lists them");
    let pipeline = config.pipeline.iter().find(|pipeline| pipeline.name == name).ok_or_else(unknown)?;
    Ok(Json(ctx.queues().look(&ctx.board().view(), pipeline).await))
}
