//! Putting another configuration into force, and the history of those that were.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use dataplane::config::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::configuration::read;
use crate::api::{
    Asked, At, Changed, Code, Ctx, FieldFault, Input, LongInput, Page, Paging, Principal, Problem, Role,
    Routes,
};
use crate::configs::versions::{self, KeptVersion, Note};
use crate::configs::{Applied, Refusal, revealed};

/// Longest comment.
const COMMENT_BYTES_MAX: usize = 1_000;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Admin, routes!(apply))
        .at(Role::Viewer, routes!(history))
        .at(Role::Viewer, routes!(version))
        .at(Role::Admin, routes!(rollback))
}

/// A configuration to put into force.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfigWanted {
    /// A whole file, at most 4 MiB.
    toml: String,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 1000)]
    comment: String,
}

/// Why a version is brought back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RollbackWanted {
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 1000)]
    comment: String,
}

/// One key that has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct ChangedKey {
    /// Its path.
    #[schema(example = "pipeline.orders.queue.wait_time")]
    field: String,
    /// Its value before, as JSON; null when it was unset.
    before: Option<String>,
    /// Its value now, as JSON; null when it is unset.
    after: Option<String>,
}

/// What has come into force.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ConfigInForce {
    /// Its number; each shard reports the number of the one that it works by.
    epoch: u64,
    /// Its tag, as in the header `ETag`.
    tag: String,
    /// What has changed; empty when it was in force already.
    changes: Vec<ChangedKey>,
    /// Shards that have said that they work by it.
    shards_applied: usize,
    /// Shards that there are.
    shards: usize,
    /// Always true: it is in force until the next start, which reads the file. Write it there to keep it.
    until_restart: bool,
}

/// A version with its text.
#[derive(Serialize, ToSchema)]
struct WithText {
    /// As in the list.
    #[serde(flatten)]
    kept: KeptVersion,
    /// The file; values that may be secrets are hidden, and taken from the configuration in force when it is sent back.
    toml: String,
}

/// Puts another configuration into force, on all shards or not at all.
///
/// `If-Match` names the version that it was made from: the ETag of `GET /api/v1/config`. A change of a key that needs a
/// restart is refused with the keys.
#[utoipa::path(put, path = "/api/v1/config", operation_id = "config_apply", tag = "config", request_body = ConfigWanted,
    params(("If-Match" = String, Header, description = "ETag of the configuration that this one was made from.")),
    responses((status = 200, description = "It is in force.", body = ConfigInForce),
        (status = 412, description = "Another one is in force meanwhile.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn apply(
    State(ctx): State<Ctx>,
    principal: Principal,
    headers: HeaderMap,
    LongInput(wanted): LongInput<ConfigWanted>,
) -> Result<Changed<Response>, Problem> {
    let made_from = if_match(&headers)?;
    let shown = read(&wanted.toml).map_err(invalid)?;
    put(&ctx, &principal, shown, &made_from, "api", wanted.comment).await
}

/// Lists the configurations that were in force, newest first.
#[utoipa::path(get, path = "/api/v1/config/versions", operation_id = "config_history", tag = "config", params(Paging),
    responses((status = 200, description = "Versions, newest first.", body = Page<KeptVersion>)))]
async fn history(
    State(ctx): State<Ctx>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<KeptVersion>>, Problem> {
    let limit = paging.limit()?;
    let found = versions::list(ctx.store(), paging.after_number()?, limit).await?;
    Ok(Json(Page::cut(found, limit, |kept| kept.id.to_string())))
}

/// Shows a configuration that was in force.
#[utoipa::path(get, path = "/api/v1/config/versions/{version}", operation_id = "config_version", tag = "config",
    params(("version" = i64, Path, description = "Number in the history.")),
    responses((status = 200, description = "The version.", body = WithText)))]
async fn version(State(ctx): State<Ctx>, At(id): At<i64>) -> Result<Json<WithText>, Problem> {
    let (kept, toml) = versions::one(ctx.store(), id).await?;
    Ok(Json(WithText { kept, toml }))
}

/// Puts a configuration of the history into force again, on all shards or not at all.
///
/// `If-Match` names the version that is in force: the ETag of `GET /api/v1/config`.
#[utoipa::path(post, path = "/api/v1/config/versions/{version}/rollback", operation_id = "config_rollback",
    tag = "config", request_body = RollbackWanted,
    params(("version" = i64, Path, description = "Number in the history."),
        ("If-Match" = String, Header, description = "ETag of the configuration in force.")),
    responses((status = 200, description = "It is in force.", body = ConfigInForce),
        (status = 412, description = "Another one is in force meanwhile.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn rollback(
    State(ctx): State<Ctx>,
    principal: Principal,
    At(id): At<i64>,
    headers: HeaderMap,
    Input(back): Input<RollbackWanted>,
) -> Result<Changed<Response>, Problem> {
    let made_from = if_match(&headers)?;
    let (_, toml) = versions::one(ctx.store(), id).await?;
    let shown = versions::parse(id, &toml).map_err(|text| Problem::new(Code::Unprocessable, text))?;
    let comment = if back.comment.is_empty() { format!("back to version {id}") } else { back.comment };
    put(&ctx, &principal, shown, &made_from, "rollback", comment).await
}

/// Puts a configuration into force as it is shown: what is hidden in it stays as it was.
pub(super) async fn put(
    ctx: &Ctx,
    principal: &Principal,
    shown: dataplane::config::Config,
    made_from: &str,
    origin: &'static str,
    comment: String,
) -> Result<Changed<Response>, Problem> {
    if comment.len() > COMMENT_BYTES_MAX {
        let text = format!("comment: it is longer than {COMMENT_BYTES_MAX} bytes");
        return Err(Problem::new(Code::Unprocessable, text));
    }
    let before = ctx.configs().current();
    let config = revealed(&shown, &before.config).map_err(|path| {
        Problem::new(
            Code::Unprocessable,
            format!("{path}: it is hidden, and the configuration in force has none; write its value"),
        )
    })?;
    let applied = ctx.configs().apply(config, Some(made_from)).await.map_err(Problem::from)?;
    let now = ctx.configs().current();
    let note = Note { principal: principal.name.clone(), origin, comment };
    versions::keep(ctx.store(), &now, note).await;
    let answer = in_force(&applied, &now.tag);
    let changes = answer.changes.clone();
    let response = ([(header::ETAG, etag(&now.tag))], Json(answer)).into_response();
    let was = serde_json::json!({ "tag": before.tag });
    let is = serde_json::json!({ "tag": now.tag, "epoch": now.epoch, "changes": changes });
    Ok(Changed::new(response, Some(&was), Some(&is)))
}

fn in_force(applied: &Applied, tag: &str) -> ConfigInForce {
    let key = |change: &Change| ChangedKey {
        field: change.field.clone(),
        before: change.before.clone(),
        after: change.after.clone(),
    };
    ConfigInForce {
        epoch: applied.epoch,
        tag: tag.to_owned(),
        changes: applied.changes.iter().map(key).collect(),
        shards_applied: applied.taken_by,
        shards: applied.shards,
        until_restart: true,
    }
}

/// A tag as a header.
pub(super) fn etag(tag: &str) -> HeaderValue {
    // Hexadecimal digits between quotes are always a header's value.
    HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The tag that the caller has seen. `*` is refused: it would say "whatever is there".
pub(super) fn if_match(headers: &HeaderMap) -> Result<String, Problem> {
    let missing = || {
        let text = "If-Match is missing: read /api/v1/config first and send its ETag";
        Problem::new(Code::PreconditionRequired, text)
    };
    let value = headers.get(header::IF_MATCH).ok_or_else(missing)?;
    let value = value.to_str().unwrap_or_default().trim().trim_start_matches("W/").trim_matches('"');
    if value.is_empty() || value == "*" { Err(missing()) } else { Ok(value.to_owned()) }
}

/// A text that could not run.
pub(super) fn invalid(errors: Vec<FieldFault>) -> Problem {
    Problem::new(Code::InvalidConfig, "the configuration could not run").with_errors(errors)
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Problems(problems) => {
                let fault = |problem: dataplane::config::Problem| FieldFault {
                    field: problem.field,
                    text: problem.text,
                };
                invalid(problems.into_iter().map(fault).collect())
            }
            Refusal::NeedsRestart(changes) => {
                let fault = |change: Change| {
                    let shown = |value: Option<String>| value.unwrap_or_else(|| "unset".to_owned());
                    let text =
                        format!("from {} to {}: needs a restart", shown(change.before), shown(change.after));
                    FieldFault { field: change.field, text }
                };
                let text = "these keys cannot change while the appliance runs; nothing was changed";
                Problem::new(Code::NeedsRestart, text).with_errors(changes.into_iter().map(fault).collect())
            }
            Refusal::Stale { tag } => Problem::new(
                Code::PreconditionFailed,
                format!("the configuration in force has the ETag \"{tag}\""),
            ),
            Refusal::Shards(reason) => Problem::new(Code::Unprocessable, reason),
            Refusal::Ending => {
                Problem::new(Code::Draining, "the appliance is draining and takes no configuration")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_what_it_was_made_from() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            if_match(&headers)
        };
        assert_eq!(with("\"9f86\"").unwrap(), "9f86");
        assert_eq!(with("W/\"9f86\"").unwrap(), "9f86");
        for value in ["*", "", "\"\""] {
            assert_eq!(with(value).unwrap_err().code(), Code::PreconditionRequired, "{value}");
        }
        assert_eq!(if_match(&HeaderMap::new()).unwrap_err().code(), Code::PreconditionRequired);
    }

    #[test]
    fn keys_that_need_a_restart_are_named() {
        let change = Change {
            field: "pipeline.orders.queue.url".into(),
            before: Some("\"a\"".into()),
            after: Some("\"b\"".into()),
            live: false,
        };
        let problem = Problem::from(Refusal::NeedsRestart(vec![change]));
        assert_eq!(problem.code(), Code::NeedsRestart);
        assert_eq!(problem.errors()[0].field, "pipeline.orders.queue.url");
        assert!(problem.errors()[0].text.contains("needs a restart"));
    }
}
