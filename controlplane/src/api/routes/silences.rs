//! Silences: for a while, matching alerts are shown and not told.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{At, Changed, Code, Ctx, FieldFault, Input, Principal, Problem, Role, Routes};
use crate::watch::alerts::rows;
use crate::watch::alerts::silence::{Matcher, Silence};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Operator, routes!(create))
        .at(Role::Operator, routes!(end))
}

/// Silences.
#[derive(Serialize, ToSchema)]
struct Silences {
    /// Newest first; those that ended within thirty days too.
    items: Vec<Silence>,
}

/// Lists the silences.
#[utoipa::path(get, path = "/api/v1/alerts/silences", operation_id = "silences_list", tag = "alerts",
    responses((status = 200, description = "Silences, newest first.", body = Silences)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Silences>, Problem> {
    Ok(Json(Silences { items: ctx.store().call(|connection| rows::silences(connection)).await? }))
}

/// A silence to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    /// Labels that must all match.
    matchers: Vec<Matcher>,
    /// Beginning, milliseconds since 1970; now if left out.
    starts_ms: Option<i64>,
    /// End, milliseconds since 1970; at most thirty days from now.
    ends_ms: i64,
    /// Why.
    #[schema(example = "upgrade of the brokers", max_length = 500)]
    why: String,
}

/// Silences matching alerts for a while.
#[utoipa::path(post, path = "/api/v1/alerts/silences", operation_id = "silences_create", tag = "alerts",
    request_body = NewSilence, responses((status = 201, description = "The silence.", body = Silence)))]
async fn create(
    State(ctx): State<Ctx>,
    principal: Principal,
    Input(new): Input<NewSilence>,
) -> Result<Changed<(StatusCode, Json<Silence>)>, Problem> {
    let now_ms = ctx.watch().now().wall_ms;
    let silence = Silence {
        id: 0,
        matchers: new.matchers,
        starts_ms: new.starts_ms.unwrap_or(now_ms),
        ends_ms: new.ends_ms,
        created_by: principal.name,
        why: new.why,
    };
    let faults: Vec<FieldFault> = silence
        .problems(now_ms)
        .into_iter()
        .map(|(field, text)| FieldFault { field: field.to_owned(), text })
        .collect();
    if !faults.is_empty() {
        return Err(Problem::new(Code::Unprocessable, "the silence cannot be made").with_errors(faults));
    }
    let made = ctx.store().call(move |connection| rows::add_silence(connection, &silence, now_ms)).await?;
    ctx.watch().reload().await;
    Ok(Changed::made((StatusCode::CREATED, Json(made.clone())), &made))
}

/// Ends a silence now.
#[utoipa::path(delete, path = "/api/v1/alerts/silences/{id}", operation_id = "silences_end", tag = "alerts",
    params(("id" = i64, Path, description = "Number of the silence.")),
    responses((status = 204, description = "It has ended.")))]
async fn end(State(ctx): State<Ctx>, At(id): At<i64>) -> Result<Changed<StatusCode>, Problem> {
    let now_ms = ctx.watch().now().wall_ms;
    ctx.store().call(move |connection| rows::end_silence(connection, id, now_ms)).await?;
    ctx.watch().reload().await;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &id))
}
