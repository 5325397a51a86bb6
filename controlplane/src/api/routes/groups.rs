//! Consumer groups of the clusters that the pipelines use, and how far they are behind.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use super::clusters::meant;
use crate::api::{Asked, At, Ctx, Page, Paging, Problem, Role, Routes};
use crate::kafka_admin::groups::{self, GroupDetail, GroupSummary};

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(list)).at(Role::Viewer, routes!(show))
}

/// Which groups are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pipeline: Option<String>,
    /// `next` of the page before; without it the first page.
    cursor: Option<String>,
    /// Items of a page, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
}

/// Which cluster and topic.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Of {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pipeline: Option<String>,
    /// Positions in this topic only.
    topic: Option<String>,
}

/// Lists the consumer groups.
#[utoipa::path(get, path = "/api/v1/groups", operation_id = "groups_list", tag = "groups", params(Wanted),
    responses((status = 200, description = "Groups by name.", body = Page<GroupSummary>)))]
async fn list(
    State(ctx): State<Ctx>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Page<GroupSummary>>, Problem> {
    let paging = Paging { cursor: wanted.cursor, limit: wanted.limit };
    let (limit, after) = (paging.limit()?, paging.after()?.unwrap_or_default());
    let (_, kafka) = meant(&ctx, wanted.pipeline.as_deref())?;
    let found = ctx.visits().visit(kafka, &[], groups::list).await?;
    let page = found.into_iter().filter(|group| group.name > after).take(limit + 1).collect();
    Ok(Json(Page::cut(page, limit, |group| group.name.clone())))
}

/// Shows a consumer group: its positions and its lag.
#[utoipa::path(get, path = "/api/v1/groups/{group}", operation_id = "groups_show", tag = "groups",
    params(("group" = String, Path, description = "Name of the group."), Of),
    responses((status = 200, description = "The group.", body = GroupDetail)))]
async fn show(
    State(ctx): State<Ctx>,
    At(group): At<String>,
    Asked(of): Asked<Of>,
) -> Result<Json<GroupDetail>, Problem> {
    let (_, kafka) = meant(&ctx, of.pipeline.as_deref())?;
    let detail = ctx
        .visits()
        .visit(kafka, &[], move |session| groups::describe(session, &group, of.topic.as_deref()))
        .await?;
    Ok(Json(detail))
}
