//! Backups of the store.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::api::{Asked, At, Changed, Ctx, Problem, Role, Routes};
use crate::store::{Backup, Restore};

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Admin, routes!(list, create)).at(Role::Admin, routes!(restore))
}

/// All backups.
#[derive(Serialize, ToSchema)]
struct Backups {
    /// The backups, newest first.
    items: Vec<Backup>,
}

/// How to restore.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Only say what would change.
    #[param(default = false)]
    dry_run: Option<bool>,
}

/// Lists the backups.
#[utoipa::path(get, path = "/api/v1/backups", operation_id = "backups_list", tag = "backups",
    responses((status = 200, description = "Backups, newest first.", body = Backups)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Backups>, Problem> {
    Ok(Json(Backups { items: ctx.store().backups().await? }))
}

/// Takes a backup now.
///
/// It holds users, keys (as hashes), audit log and history, and no secret that could be used. It lies in the folder
/// `backups` of the store.
#[utoipa::path(post, path = "/api/v1/backups", operation_id = "backups_create", tag = "backups",
    responses((status = 201, description = "The backup.", body = Backup)))]
async fn create(State(ctx): State<Ctx>) -> Result<Changed<(StatusCode, Json<Backup>)>, Problem> {
    let backup = ctx.store().backup().await?;
    Ok(Changed::made((StatusCode::CREATED, Json(backup.clone())), &backup))
}

/// Brings a backup back, or says what that would change.
///
/// What was there before is backed up first. All sessions end, what was revoked stays revoked, and the audit log is
/// added to, never rewritten.
#[utoipa::path(post, path = "/api/v1/backups/{name}/restore", operation_id = "backups_restore", tag = "backups",
    params(("name" = String, Path, description = "Name of the backup."), How),
    responses((status = 200, description = "What has changed, or would.", body = Restore)))]
async fn restore(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    Asked(how): Asked<How>,
) -> Result<Changed<Json<Restore>>, Problem> {
    let restored = ctx.store().restore(&name, how.dry_run.unwrap_or(false)).await?;
    Ok(Changed::made(Json(restored.clone()), &restored))
}
