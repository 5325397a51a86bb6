//! The audit log, read only.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::api::audit::{self, Recorded};
use crate::api::{Asked, Ctx, Page, Paging, Problem, Role, Routes};

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Admin, routes!(list))
}

/// Which entries are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this principal only.
    principal: Option<String>,
    /// Of this operation only, as the document names it.
    operation: Option<String>,
    /// `next` of the page before; without it the newest entries.
    cursor: Option<String>,
    /// Items of a page, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
}

/// Lists what was changed, by whom, and what came of it.
#[utoipa::path(get, path = "/api/v1/audit", operation_id = "audit_list", tag = "audit", params(Wanted),
    responses((status = 200, description = "Entries, newest first.", body = Page<Recorded>)))]
async fn list(State(ctx): State<Ctx>, Asked(wanted): Asked<Wanted>) -> Result<Json<Page<Recorded>>, Problem> {
    let paging = Paging { cursor: wanted.cursor, limit: wanted.limit };
    let limit = paging.limit()?;
    let wanted = audit::Wanted {
        before_id: paging.after_number()?,
        principal: wanted.principal,
        operation: wanted.operation,
        limit,
    };
    let entries = audit::read(ctx.store(), wanted).await?;
    Ok(Json(Page::cut(entries, limit, |entry| entry.id.to_string())))
}
