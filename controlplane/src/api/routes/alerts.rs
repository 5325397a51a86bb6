//! Alerts as they stand: what is pending and firing, who has taken it on, what happened, and how receivers do.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{Asked, Changed, Code, Ctx, Input, Page, Paging, Principal, Problem, Role, Routes};
use crate::watch::alerts::{Acknowledged, Alert, Event, Key, rows};
use crate::watch::notify::Shown;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Viewer, routes!(events))
        .at(Role::Viewer, routes!(receivers))
        .at(Role::Operator, routes!(acknowledge))
}

/// Longest note.
const NOTE_CHARS_MAX: usize = 500;

/// Alerts.
#[derive(Serialize, ToSchema)]
pub(super) struct Alerts {
    /// Worst first: firing, pending, and what was resolved within the last hour.
    items: Vec<Alert>,
    /// Alerts for which there was no room; anything but 0 means far too many rules and pipelines.
    left_out: u64,
}

/// Lists what is pending or firing, and what was resolved within the last hour.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "alerts_list", tag = "alerts",
    responses((status = 200, description = "Alerts, worst first.", body = Alerts)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Alerts>, Problem> {
    Ok(Json(now(&ctx)))
}

/// Alerts of this moment.
pub(super) fn now(ctx: &Ctx) -> Alerts {
    let now_ms = ctx.watch().now().wall_ms;
    let (items, left_out) = ctx.watch().with(|state| (state.book.active(now_ms), state.book.left_out()));
    Alerts { items, left_out }
}

/// Something that happened to an alert, with its number.
#[derive(Serialize, ToSchema)]
struct NumberedEvent {
    /// Grows with each event.
    id: i64,
    /// What happened.
    #[serde(flatten)]
    event: Event,
}

/// Lists what happened to alerts, newest first.
#[utoipa::path(get, path = "/api/v1/alerts/events", operation_id = "alerts_events", tag = "alerts", params(Paging),
    responses((status = 200, description = "Events, newest first.", body = Page<NumberedEvent>)))]
async fn events(
    State(ctx): State<Ctx>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<NumberedEvent>>, Problem> {
    let (limit, before) = (paging.limit()?, paging.after_number()?);
    let found = ctx.store().call(move |connection| rows::events(connection, before, limit + 1)).await?;
    let items = found.into_iter().map(|(id, event)| NumberedEvent { id, event }).collect();
    Ok(Json(Page::cut(items, limit, |event: &NumberedEvent| event.id.to_string())))
}

/// Receivers.
#[derive(Serialize, ToSchema)]
struct Receivers {
    /// In the order of the file; the log is told besides.
    items: Vec<Shown>,
}

/// Lists who is told about alerts, and whether notices arrive.
#[utoipa::path(get, path = "/api/v1/alerts/receivers", operation_id = "alerts_receivers", tag = "alerts",
    responses((status = 200, description = "Receivers with their deliveries.", body = Receivers)))]
async fn receivers(State(ctx): State<Ctx>) -> Result<Json<Receivers>, Problem> {
    Ok(Json(Receivers { items: ctx.watch().receivers() }))
}

/// An alert that somebody takes on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TakenOn {
    /// Name of the rule.
    #[schema(example = "breaker-open")]
    rule: String,
    /// Pipeline, number of the shard, or empty for the appliance.
    #[serde(default)]
    #[schema(example = "orders")]
    subject: String,
    /// What the others should know.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
}

/// Takes a firing alert on: it is not told again until it is resolved.
#[utoipa::path(post, path = "/api/v1/alerts/acknowledge", operation_id = "alerts_acknowledge", tag = "alerts",
    request_body = TakenOn, responses((status = 200, description = "Who has taken it on.", body = Acknowledged)))]
async fn acknowledge(
    State(ctx): State<Ctx>,
    principal: Principal,
    Input(taken): Input<TakenOn>,
) -> Result<Changed<Json<Acknowledged>>, Problem> {
    if taken.note.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::new(Code::Unprocessable, format!("note: at most {NOTE_CHARS_MAX} characters")));
    }
    let watch = ctx.watch();
    let at_ms = watch.now().wall_ms;
    let by = Acknowledged { by: principal.name, at_ms, note: taken.note };
    let key = Key { rule: taken.rule, subject: taken.subject };
    let event = watch.with(|state| state.book.acknowledge(&key, by.clone()));
    let event = event.map_err(|text| Problem::new(Code::NotFound, text))?;
    watch.keep(vec![event]);
    Ok(Changed::made(Json(by.clone()), &(&key, &by)))
}
