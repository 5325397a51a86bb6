//! API keys: for programs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::auth::ApiKey;
use crate::api::{Asked, At, Changed, Ctx, Input, Page, Paging, Principal, Problem, Role, Routes, ShownOnce};
use crate::secret::Secret;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Admin, routes!(list, create)).at(Role::Admin, routes!(revoke))
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit; unique for good.
    #[schema(example = "ci", max_length = 64)]
    name: String,
    /// What it may do.
    role: Role,
    /// When it ends by itself, milliseconds since 1970; never if left out.
    expires_ms: Option<i64>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
struct MadeKey {
    /// The key itself. It is shown this once and kept nowhere.
    #[schema(value_type = String)]
    secret: Secret,
    /// What is known about it.
    key: ApiKey,
}

/// Lists the API keys, those that were revoked too.
#[utoipa::path(get, path = "/api/v1/keys", operation_id = "keys_list", tag = "keys", params(Paging),
    responses((status = 200, description = "Keys by name.", body = Page<ApiKey>)))]
async fn list(State(ctx): State<Ctx>, Asked(paging): Asked<Paging>) -> Result<Json<Page<ApiKey>>, Problem> {
    let limit = paging.limit()?;
    let keys = ctx.accounts().keys(paging.after()?.unwrap_or_default(), limit).await?;
    Ok(Json(Page::cut(keys, limit, |key| key.name.clone())))
}

type Made = Changed<(StatusCode, Extension<ShownOnce>, Json<MadeKey>)>;

/// Makes an API key.
///
/// The key itself is in this answer and nowhere else. A second request with the same Idempotency-Key does not show it again.
#[utoipa::path(post, path = "/api/v1/keys", operation_id = "keys_create", tag = "keys", request_body = NewKey,
    responses((status = 201, description = "The key.", body = MadeKey)))]
async fn create(
    State(ctx): State<Ctx>,
    principal: Principal,
    Input(new): Input<NewKey>,
) -> Result<Made, Problem> {
    let (key, secret) = ctx.accounts().add_key(new.name, new.role, new.expires_ms, principal.name).await?;
    let made = MadeKey { secret: secret.into(), key: key.clone() };
    Ok(Changed::made((StatusCode::CREATED, Extension(ShownOnce), Json(made)), &key))
}

/// Revokes an API key, at once.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", operation_id = "keys_revoke", tag = "keys",
    params(("id" = String, Path, description = "Id of the key.")),
    responses((status = 204, description = "The key is no longer accepted.")))]
async fn revoke(State(ctx): State<Ctx>, At(id): At<String>) -> Result<Changed<StatusCode>, Problem> {
    let (before, after) = ctx.accounts().revoke_key(id).await?;
    Ok(Changed::new(StatusCode::NO_CONTENT, Some(&before), Some(&after)))
}
