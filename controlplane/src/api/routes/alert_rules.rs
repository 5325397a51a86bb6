//! Rules of alerts: those that ship, those of the file, and those that are made here.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{At, Changed, Code, Ctx, FieldFault, Input, Principal, Problem, Role, Routes};
use crate::store::StoreError;
use crate::watch::alerts::rule::{RULES_MAX, Rule};
use crate::watch::alerts::{Origin, rows};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Admin, routes!(put))
        .at(Role::Admin, routes!(delete))
        .at(Role::Operator, routes!(test))
}

/// A rule with where it comes from.
#[derive(Serialize, ToSchema)]
struct ShownRule {
    /// Where it comes from; one of the API replaces one of the file, which replaces one that ships.
    origin: Origin,
    /// Version of a rule of the API, for If-Match.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    /// Who changed it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_by: Option<String>,
    /// When, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_ms: Option<i64>,
    /// The rule.
    rule: Rule,
}

/// Rules.
#[derive(Serialize, ToSchema)]
struct Rules {
    /// By name.
    items: Vec<ShownRule>,
}

/// Lists the rules that hold.
#[utoipa::path(get, path = "/api/v1/alerts/rules", operation_id = "alert_rules_list", tag = "alerts",
    responses((status = 200, description = "Rules by name.", body = Rules)))]
async fn list(State(ctx): State<Ctx>) -> Result<Json<Rules>, Problem> {
    // Without a store the rules that ship and those of the file still hold and are shown.
    let stored = match ctx.store().call(|connection| rows::rules(connection)).await {
        Err(StoreError::Unavailable(_)) => Vec::new(),
        stored => stored?,
    };
    let shown = |(rule, origin): (&Rule, Origin)| {
        let own = stored.iter().find(|stored| origin == Origin::Api && stored.rule.name == rule.name);
        ShownRule {
            origin,
            version: own.map(|stored| stored.version),
            changed_by: own.map(|stored| stored.changed_by.clone()),
            changed_ms: own.map(|stored| stored.changed_ms),
            rule: rule.clone(),
        }
    };
    Ok(Json(Rules { items: ctx.watch().with(|state| state.book.rules().map(shown).collect()) }))
}

/// Makes a rule, or replaces one.
///
/// With `If-Match` only that version is replaced; `"0"` means that there must be none.
#[utoipa::path(put, path = "/api/v1/alerts/rules/{name}", operation_id = "alert_rules_put", tag = "alerts",
    params(("name" = String, Path, description = "Name of the rule, the same as in the body."),
           ("If-Match" = Option<String>, Header, description = "Version that is replaced.")),
    request_body = Rule, responses((status = 200, description = "The rule as it holds.", body = ShownRule)))]
async fn put(
    State(ctx): State<Ctx>,
    principal: Principal,
    At(name): At<String>,
    headers: HeaderMap,
    Input(rule): Input<Rule>,
) -> Result<Changed<Json<ShownRule>>, Problem> {
    if rule.name != name {
        return Err(Problem::new(
            Code::Unprocessable,
            format!("name: it is `{}` here and `{name}` in the path", rule.name),
        ));
    }
    let faults: Vec<FieldFault> = rule
        .problems()
        .into_iter()
        .map(|problem| FieldFault { field: problem.field.to_owned(), text: problem.text })
        .collect();
    if !faults.is_empty() {
        return Err(Problem::new(Code::Unprocessable, "the rule cannot work").with_errors(faults));
    }
    let version = version(&headers)?;
    let before = ctx.watch().with(|state| state.book.rule(&name).map(|(rule, _)| rule.clone()));
    let count = ctx.watch().with(|state| state.book.rules().count());
    if before.is_none() && count >= RULES_MAX {
        return Err(Problem::new(
            Code::Unprocessable,
            format!("there are {RULES_MAX} rules already; delete one first"),
        ));
    }
    let (by, now_ms, new) = (principal.name, ctx.watch().now().wall_ms, rule.clone());
    let stored =
        ctx.store().call(move |connection| rows::put_rule(connection, &new, version, &by, now_ms)).await;
    let stored = stored.map_err(|error| match error {
        StoreError::Refused(text) => Problem::new(Code::PreconditionFailed, text),
        other => other.into(),
    })?;
    ctx.watch().reload().await;
    let shown = ShownRule {
        origin: Origin::Api,
        version: Some(stored.version),
        changed_by: Some(stored.changed_by),
        changed_ms: Some(stored.changed_ms),
        rule: stored.rule,
    };
    Ok(Changed::new(Json(shown), before.as_ref(), Some(&rule)))
}

/// The version that If-Match names.
fn version(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(text) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let number = text.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::new(Code::InvalidParameter, "If-Match: give the version of the rule, for example \"3\"")
    })
}

/// Deletes a rule of the API; one of the file or that ships holds again.
#[utoipa::path(delete, path = "/api/v1/alerts/rules/{name}", operation_id = "alert_rules_delete", tag = "alerts",
    params(("name" = String, Path, description = "Name of the rule.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete(State(ctx): State<Ctx>, At(name): At<String>) -> Result<Changed<StatusCode>, Problem> {
    let before =
        ctx.watch().with(|state| state.book.rule(&name).map(|(rule, origin)| (rule.clone(), origin)));
    if let Some((_, Origin::Default | Origin::File)) = before {
        let text =
            "the rule ships or stands in the file; put one of the same name with `enabled` false instead";
        return Err(Problem::new(Code::Unprocessable, text));
    }
    let gone = name.clone();
    ctx.store().call(move |connection| rows::delete_rule(connection, &gone)).await?;
    ctx.watch().reload().await;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &before.map(|(rule, _)| rule)))
}

/// Tells every receiver a test, to see whether notices arrive.
#[utoipa::path(post, path = "/api/v1/alerts/rules/{name}/test", operation_id = "alert_rules_test", tag = "alerts",
    params(("name" = String, Path, description = "Name of the rule.")),
    responses((status = 202, description = "It is on its way; look at the receivers.")))]
async fn test(State(ctx): State<Ctx>, At(name): At<String>) -> Result<Changed<StatusCode>, Problem> {
    let now_ms = ctx.watch().now().wall_ms;
    let notice = ctx.watch().with(|state| state.book.test_notice(&name, now_ms));
    let notice = notice.ok_or_else(|| Problem::new(Code::NotFound, "there is no rule of this name"))?;
    ctx.watch().tell(&notice);
    Ok(Changed::made(StatusCode::ACCEPTED, &name))
}
