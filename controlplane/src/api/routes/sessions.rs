//! Sessions: who is signed in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;

use crate::api::auth::Session;
use crate::api::{Asked, At, Changed, Code, Ctx, Page, Paging, Principal, Problem, Role, Routes};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list_mine))
        .at(Role::Viewer, routes!(revoke_mine))
        .at(Role::Admin, routes!(list))
        .at(Role::Admin, routes!(revoke))
}

/// Which sessions are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this user only.
    user: Option<String>,
    /// `next` of the page before; without it the first page.
    cursor: Option<String>,
    /// Items of a page, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
}

async fn page(ctx: &Ctx, user: Option<String>, paging: Paging) -> Result<Json<Page<Session>>, Problem> {
    let limit = paging.limit()?;
    let before = paging
        .after()?
        .map(|key| {
            let (at, id) = key.split_once(' ')?;
            Some((at.parse::<i64>().ok()?, id.to_owned()))
        })
        .map(|key| {
            key.ok_or_else(|| Problem::new(Code::InvalidCursor, "the cursor was not made by this route"))
        })
        .transpose()?;
    let sessions = ctx.accounts().sessions(user, before, limit).await?;
    Ok(Json(Page::cut(sessions, limit, |session| format!("{} {}", session.created_ms, session.id))))
}

/// Lists the sessions of the user who asks.
#[utoipa::path(get, path = "/api/v1/me/sessions", operation_id = "me_sessions_list", tag = "sessions", params(Paging),
    responses((status = 200, description = "Sessions that live, newest first.", body = Page<Session>)))]
async fn list_mine(
    State(ctx): State<Ctx>,
    principal: Principal,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<Session>>, Problem> {
    page(&ctx, Some(principal.name), paging).await
}

/// Ends a session of the user who asks.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", operation_id = "me_sessions_revoke", tag = "sessions",
    params(("id" = String, Path, description = "Id of the session.")),
    responses((status = 204, description = "The session has ended.")))]
async fn revoke_mine(
    State(ctx): State<Ctx>,
    principal: Principal,
    At(id): At<String>,
) -> Result<Changed<StatusCode>, Problem> {
    let ended = ctx.accounts().revoke_session(id, Some(principal.name), "ended by its user").await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &ended))
}

/// Lists the sessions of all users, or of one.
#[utoipa::path(get, path = "/api/v1/sessions", operation_id = "sessions_list", tag = "sessions", params(Wanted),
    responses((status = 200, description = "Sessions that live, newest first.", body = Page<Session>)))]
async fn list(State(ctx): State<Ctx>, Asked(wanted): Asked<Wanted>) -> Result<Json<Page<Session>>, Problem> {
    page(&ctx, wanted.user, Paging { cursor: wanted.cursor, limit: wanted.limit }).await
}

/// Ends a session of anybody.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", operation_id = "sessions_revoke", tag = "sessions",
    params(("id" = String, Path, description = "Id of the session.")),
    responses((status = 204, description = "The session has ended.")))]
async fn revoke(State(ctx): State<Ctx>, At(id): At<String>) -> Result<Changed<StatusCode>, Problem> {
    let ended = ctx.accounts().revoke_session(id, None, "ended by an admin").await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &ended))
}
