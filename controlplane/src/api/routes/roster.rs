//! Pipelines that come, change and go while the appliance runs.
//!
//! Each of these is a change of the configuration: it goes the way of a whole file, on all shards or not at all, and into the
//! history.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dataplane::config::{Config, Pipeline};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::configuration::read;
use super::versions::{self, ConfigInForce, etag, if_match, invalid};
use crate::api::{Asked, At, Changed, Code, Ctx, LongInput, Principal, Problem, Role, Routes};
use crate::configs::hidden;
use crate::settings;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(settings_of))
        .at(Role::Admin, routes!(create))
        .at(Role::Admin, routes!(replace))
        .at(Role::Admin, routes!(remove))
}

/// A pipeline as it should be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PipelineWanted {
    /// One `[[pipeline]]` table as in the file, and nothing else.
    #[schema(
        example = "[[pipeline]]\nname = \"refunds\"\nqueue.url = \"https://sqs.eu-west-1.amazonaws.com/111122223333/refunds\"\nkafka.brokers = [\"b-1:9092\"]\nroute.topic = \"refunds\"\n"
    )]
    toml: String,
    /// Why, for the history.
    #[serde(default)]
    #[schema(max_length = 1000)]
    comment: String,
}

/// The settings of a pipeline.
#[derive(Serialize, ToSchema)]
struct PipelineSettings {
    /// Its table of the file, every key; values that may be secrets are hidden.
    toml: String,
}

/// That a pipeline is really meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Removal {
    /// Name of the pipeline, typed again.
    confirm: Option<String>,
    /// Why, for the history.
    #[param(max_length = 1000)]
    comment: Option<String>,
}

/// Shows the settings of a pipeline.
///
/// The header `ETag` is the version of the whole configuration, to send as `If-Match`.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/settings", operation_id = "pipelines_settings", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline.")),
    responses((status = 200, description = "The settings.", body = PipelineSettings)))]
async fn settings_of(State(ctx): State<Ctx>, At(name): At<String>) -> Result<Response, Problem> {
    let version = ctx.configs().current();
    let mut shown = hidden(&version.config);
    shown.pipeline.retain(|pipeline| pipeline.name == name);
    if shown.pipeline.is_empty() {
        return Err(unknown());
    }
    let toml = settings::show_pipelines(&shown)
        .map_err(|_| Problem::new(Code::Internal, "the settings cannot be written"))?;
    Ok(([(header::ETAG, etag(&version.tag))], Json(PipelineSettings { toml })).into_response())
}

/// Adds a pipeline, on all shards or not at all.
///
/// It begins to receive as soon as it has credentials, its queue's attributes and a producer. `If-Match` names the
/// configuration that it is added to: the ETag of `GET /api/v1/config`.
#[utoipa::path(post, path = "/api/v1/pipelines", operation_id = "pipelines_create", tag = "pipelines",
    request_body = PipelineWanted,
    params(("If-Match" = String, Header, description = "ETag of the configuration in force.")),
    responses((status = 201, description = "It is in force.", body = ConfigInForce),
        (status = 412, description = "Another configuration is in force meanwhile.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn create(
    State(ctx): State<Ctx>,
    principal: Principal,
    headers: HeaderMap,
    LongInput(wanted): LongInput<PipelineWanted>,
) -> Result<Changed<Response>, Problem> {
    let made_from = if_match(&headers)?;
    let new = one(&wanted.toml)?;
    let mut config = hidden(&ctx.configs().current().config);
    if config.pipeline.iter().any(|pipeline| pipeline.name == new.name) {
        return Err(Problem::new(Code::Exists, format!("there is a pipeline `{}`", new.name)));
    }
    config.pipeline.push(new);
    let changed = versions::put(&ctx, &principal, config, &made_from, "api", wanted.comment).await?;
    Ok(changed.with_status(StatusCode::CREATED))
}

/// Changes the settings of a pipeline, on all shards or not at all.
///
/// Keys that a running pipeline cannot change (queue, brokers, producer) are refused by name: remove the pipeline and add
/// it again, or restart. `If-Match` names the configuration that they were made from.
#[utoipa::path(put, path = "/api/v1/pipelines/{name}", operation_id = "pipelines_replace", tag = "pipelines",
    request_body = PipelineWanted,
    params(("name" = String, Path, description = "Name of the pipeline."),
        ("If-Match" = String, Header, description = "ETag of the configuration in force.")),
    responses((status = 200, description = "It is in force.", body = ConfigInForce),
        (status = 412, description = "Another configuration is in force meanwhile.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn replace(
    State(ctx): State<Ctx>,
    principal: Principal,
    At(name): At<String>,
    headers: HeaderMap,
    LongInput(wanted): LongInput<PipelineWanted>,
) -> Result<Changed<Response>, Problem> {
    let made_from = if_match(&headers)?;
    let new = one(&wanted.toml)?;
    let mut config = hidden(&ctx.configs().current().config);
    let place = config.pipeline.iter_mut().find(|pipeline| pipeline.name == name).ok_or_else(unknown)?;
    if new.name != name {
        let text = format!("name: it is `{}`, the path says `{name}`; a pipeline keeps its name", new.name);
        return Err(Problem::new(Code::Unprocessable, text));
    }
    *place = new;
    versions::put(&ctx, &principal, config, &made_from, "api", wanted.comment).await
}

/// Removes a pipeline, from all shards or none.
///
/// It receives no more; what is held is finished, and at the drain's deadline the rest goes back to the queue. Then it is
/// gone; its name is free again. Nothing of the queue or of Kafka is deleted. The last pipeline cannot be removed.
#[utoipa::path(delete, path = "/api/v1/pipelines/{name}", operation_id = "pipelines_remove", tag = "pipelines",
    params(("name" = String, Path, description = "Name of the pipeline."), Removal,
        ("If-Match" = String, Header, description = "ETag of the configuration in force.")),
    responses((status = 200, description = "It receives no more.", body = ConfigInForce),
        (status = 412, description = "Another configuration is in force meanwhile.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "`If-Match` is missing.",
            body = crate::api::problem::ProblemBody, content_type = "application/problem+json")))]
async fn remove(
    State(ctx): State<Ctx>,
    principal: Principal,
    At(name): At<String>,
    headers: HeaderMap,
    Asked(removal): Asked<Removal>,
) -> Result<Changed<Response>, Problem> {
    let made_from = if_match(&headers)?;
    let mut config = hidden(&ctx.configs().current().config);
    let before = config.pipeline.len();
    config.pipeline.retain(|pipeline| pipeline.name != name);
    if config.pipeline.len() == before {
        return Err(unknown());
    }
    if removal.confirm.as_deref() != Some(name.as_str()) {
        let text = format!("to remove the pipeline, send `confirm` with its name, `{name}`");
        return Err(Problem::new(Code::Conflict, text));
    }
    versions::put(&ctx, &principal, config, &made_from, "api", removal.comment.unwrap_or_default()).await
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "no pipeline of this name is configured; /api/v1/pipelines lists them")
}

/// The one pipeline of a text.
fn one(toml: &str) -> Result<Pipeline, Problem> {
    let Config { pipeline, .. } = read(toml).map_err(invalid)?;
    let rest = read_rest(toml)?;
    let count = pipeline.len();
    match <[Pipeline; 1]>::try_from(pipeline) {
        Ok([pipeline]) if rest.is_empty() => Ok(pipeline),
        Ok(_) => Err(Problem::new(
            Code::Unprocessable,
            format!(
                "toml: it has `{}` beside the pipeline; send that with the whole configuration",
                rest.join("`, `")
            ),
        )),
        Err(_) => Err(Problem::new(
            Code::Unprocessable,
            format!("toml: it has {count} pipelines; send one at a time"),
        )),
    }
}

/// Tables and keys beside the pipelines.
fn read_rest(toml: &str) -> Result<Vec<String>, Problem> {
    let table: toml::Table =
        toml.parse().map_err(|error| Problem::new(Code::Unprocessable, format!("toml: {error}")))?;
    Ok(table.keys().filter(|key| *key != "pipeline").cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUNDS: &str = "[[pipeline]]\nname = \"refunds\"\n\
        queue.url = \"https://sqs.eu-west-1.amazonaws.com/1/refunds\"\n\
        kafka.brokers = [\"b:9092\"]\nroute.topic = \"refunds\"\n";

    #[test]
    fn a_text_is_one_pipeline_and_nothing_else() {
        assert_eq!(one(REFUNDS).unwrap().name, "refunds");
        let detail = |toml: &str| one(toml).unwrap_err().detail().to_owned();
        let two = format!("{REFUNDS}{}", REFUNDS.replace("name = \"refunds\"", "name = \"more\""));
        assert!(detail(&two).contains("2 pipelines"), "{}", detail(&two));
        let more = format!("[drain]\ndeadline = \"9s\"\n{REFUNDS}");
        assert!(detail(&more).contains("`drain`"), "{}", detail(&more));
        assert_eq!(one("[[pipeline]]\nname = \"x\"").unwrap_err().code(), Code::InvalidConfig);
    }
}
