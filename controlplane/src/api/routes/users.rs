//! Users.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::auth::User;
use crate::api::{Asked, At, Changed, Code, Ctx, Input, Page, Paging, Problem, Role, Routes};
use crate::secret::Secret;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Admin, routes!(list, create)).at(Role::Admin, routes!(show, change, remove))
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit.
    #[schema(example = "ada", max_length = 64)]
    name: String,
    /// At least 12 characters.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 512)]
    password: Secret,
    /// What the user may do.
    role: Role,
}

/// What is to change; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserPatch {
    /// What the user may do.
    role: Option<Role>,
    /// Whether the user may not sign in. Ends the user's sessions.
    disabled: Option<bool>,
    /// A new password, at least 12 characters. Ends the user's sessions.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
}

/// Lists the users.
#[utoipa::path(get, path = "/api/v1/users", operation_id = "users_list", tag = "users", params(Paging),
    responses((status = 200, description = "Users by name.", body = Page<User>)))]
async fn list(State(ctx): State<Ctx>, Asked(paging): Asked<Paging>) -> Result<Json<Page<User>>, Problem> {
    let limit = paging.limit()?;
    let users = ctx.accounts().users(paging.after()?.unwrap_or_default(), limit).await?;
    Ok(Json(Page::cut(users, limit, |user| user.name.clone())))
}

/// Makes a user.
///
/// The first admin ends the token of the first start.
#[utoipa::path(post, path = "/api/v1/users", operation_id = "users_create", tag = "users", request_body = NewUser,
    responses((status = 201, description = "The user.", body = User)))]
async fn create(
    State(ctx): State<Ctx>,
    Input(new): Input<NewUser>,
) -> Result<Changed<(StatusCode, Json<User>)>, Problem> {
    let user = ctx.accounts().add_user(new.name, new.password.into_inner(), new.role).await?;
    Ok(Changed::made((StatusCode::CREATED, Json(user.clone())), &user))
}

/// Shows a user.
#[utoipa::path(get, path = "/api/v1/users/{name}", operation_id = "users_show", tag = "users",
    params(("name" = String, Path, description = "Name of the user.")),
    responses((status = 200, description = "The user.", body = User)))]
async fn show(State(ctx): State<Ctx>, At(name): At<String>) -> Result<Json<User>, Problem> {
    Ok(Json(ctx.accounts().user(name).await?))
}

/// Changes a user.
#[utoipa::path(patch, path = "/api/v1/users/{name}", operation_id = "users_change", tag = "users",
    params(("name" = String, Path, description = "Name of the user.")), request_body = UserPatch,
    responses((status = 200, description = "The user as it is now.", body = User)))]
async fn change(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    Input(patch): Input<UserPatch>,
) -> Result<Changed<Json<User>>, Problem> {
    if patch.role.is_none() && patch.disabled.is_none() && patch.password.is_none() {
        return Err(Problem::new(
            Code::Unprocessable,
            "nothing is to change: give role, disabled or password",
        ));
    }
    let password = patch.password.map(Secret::into_inner);
    let (before, after) = ctx.accounts().change_user(name, patch.role, patch.disabled, password).await?;
    Ok(Changed::new(Json(after.clone()), Some(&before), Some(&after)))
}

/// Removes a user and the user's sessions.
#[utoipa::path(delete, path = "/api/v1/users/{name}", operation_id = "users_remove", tag = "users",
    params(("name" = String, Path, description = "Name of the user.")),
    responses((status = 204, description = "The user is gone.")))]
async fn remove(State(ctx): State<Ctx>, At(name): At<String>) -> Result<Changed<StatusCode>, Problem> {
    let before = ctx.accounts().remove_user(name).await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &before))
}
