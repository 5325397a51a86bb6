//! The configuration: what runs, whether another could, and what would differ.
//!
//! A configuration names where secrets lie and never holds one, so it can be shown.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dataplane::config::Config;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::versions::etag;
use crate::api::{Code, Ctx, FieldFault, LongInput, Problem, Role, Routes};
use crate::configs::hidden;
use crate::settings;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(show))
        .at(Role::Viewer, routes!(schema))
        .asks(Role::Viewer, routes!(validate))
        .asks(Role::Viewer, routes!(diff))
}

/// The configuration in force.
#[derive(Serialize, ToSchema)]
struct Running {
    /// As TOML, every key.
    toml: String,
    /// The same as JSON.
    config: Value,
    /// Its number; 0 is the configuration of the start. Each shard reports the number of the one that it works by.
    epoch: u64,
}

/// A configuration to look at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Proposed {
    /// A whole file, at most 4 MiB.
    toml: String,
}

/// Whether a configuration could run.
#[derive(Serialize, ToSchema)]
struct Verdict {
    /// Whether it could.
    valid: bool,
    /// Why it could not.
    errors: Vec<FieldFault>,
}

/// One key that differs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct Difference {
    /// The key; a pipeline is named by its name.
    #[schema(example = "pipeline.orders.kafka.linger")]
    key: String,
    /// Its value in the configuration that runs; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Value>,
    /// Its value in the other; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposed: Option<Value>,
    /// Whether a running appliance takes it at once; otherwise it needs a restart.
    at_once: bool,
}

/// What differs.
#[derive(Serialize, ToSchema)]
struct Differences {
    /// Keys that differ, by name.
    items: Vec<Difference>,
}

/// Shows the configuration in force.
///
/// Values of options that may hold a secret are hidden. The header `ETag` is the version to send as `If-Match`.
#[utoipa::path(get, path = "/api/v1/config", operation_id = "config_show", tag = "config",
    responses((status = 200, description = "The configuration.", body = Running)))]
async fn show(State(ctx): State<Ctx>) -> Result<Response, Problem> {
    let broken = || Problem::new(Code::Internal, "the configuration cannot be written");
    let version = ctx.configs().current();
    let shown = hidden(&version.config);
    let toml = settings::show(&shown).map_err(|_| broken())?;
    let config = serde_json::to_value(&shown).map_err(|_| broken())?;
    let running = Running { toml, config, epoch: version.epoch };
    Ok(([(header::ETAG, etag(&version.tag))], Json(running)).into_response())
}

/// Shows the JSON Schema of the configuration.
#[utoipa::path(get, path = "/api/v1/config/schema", operation_id = "config_schema", tag = "config",
    responses((status = 200, description = "The schema.", body = Value)))]
async fn schema() -> Json<Value> {
    Json(settings::schema())
}

/// Says whether a configuration could run. Nothing is connected and nothing is changed.
#[utoipa::path(post, path = "/api/v1/config/validate", operation_id = "config_validate", tag = "config",
    request_body = Proposed, responses((status = 200, description = "The verdict.", body = Verdict)))]
async fn validate(LongInput(proposed): LongInput<Proposed>) -> Json<Verdict> {
    let errors = read(&proposed.toml).err().unwrap_or_default();
    Json(Verdict { valid: errors.is_empty(), errors })
}

/// Says what differs between the configuration that runs and another.
#[utoipa::path(post, path = "/api/v1/config/diff", operation_id = "config_diff", tag = "config",
    request_body = Proposed, responses((status = 200, description = "Keys that differ.", body = Differences)))]
async fn diff(
    State(ctx): State<Ctx>,
    LongInput(proposed): LongInput<Proposed>,
) -> Result<Json<Differences>, Problem> {
    let proposed = read(&proposed.toml).map_err(|errors| {
        Problem::new(Code::InvalidConfig, "the configuration could not run").with_errors(errors)
    })?;
    Ok(Json(Differences { items: differences(&hidden(&ctx.configs().current().config), &hidden(&proposed)) }))
}

/// Reads a file as `run` would, without environment and `--set`.
pub(super) fn read(toml: &str) -> Result<Config, Vec<FieldFault>> {
    let config = settings::read_text("the body", toml).map_err(|failure| {
        let remedy = if failure.remedy.is_empty() { String::new() } else { format!(" ({})", failure.remedy) };
        vec![FieldFault { field: "toml".to_owned(), text: format!("{}{remedy}", failure.text) }]
    })?;
    let problems = config.problems();
    if problems.is_empty() {
        return Ok(config);
    }
    Err(problems.into_iter().map(|problem| FieldFault { field: problem.field, text: problem.text }).collect())
}

fn differences(running: &Config, proposed: &Config) -> Vec<Difference> {
    let adopted = flat(&running.adopting(proposed));
    let (running, proposed) = (flat(running), flat(proposed));
    let keys: BTreeSet<&String> = running.keys().chain(proposed.keys()).collect();
    keys.into_iter()
        .filter(|key| running.get(*key) != proposed.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            running: running.get(key).cloned(),
            proposed: proposed.get(key).cloned(),
            at_once: adopted.get(key) == proposed.get(key),
        })
        .collect()
}

/// Every value by its dotted key.
fn flat(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    walk("", serde_json::to_value(config).unwrap_or_default(), &mut found);
    found
}

fn walk(at: &str, value: Value, found: &mut BTreeMap<String, Value>) {
    let under = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.into_iter().for_each(|(name, value)| walk(&under(&name), value, found));
        }
        // Lists of tables: by name, so that a new first pipeline is no change of all.
        Value::Array(items) if items.iter().any(|item| item["name"].is_string()) => {
            for item in items {
                let name = under(item["name"].as_str().unwrap_or_default());
                walk(&name, item, found);
            }
        }
        other => drop(found.insert(at.to_owned(), other)),
    }
}

#[cfg(test)]
mod tests {
    use dataplane::config::{Pipeline, Time};

    use super::*;
    use crate::board::fixture;

    #[test]
    fn only_what_differs_is_listed_and_pipelines_go_by_name() {
        let running = fixture::config();
        let mut proposed = running.clone();
        assert_eq!(differences(&running, &proposed), []);
        proposed.drain.deadline = Time::from_secs(40);
        let url = "https://sqs.eu-west-1.amazonaws.com/1/refunds";
        proposed.pipeline.insert(0, Pipeline::new("refunds", url, &["b:9092"], "refunds"));
        let found = differences(&running, &proposed);
        assert!(
            found.iter().any(|one| one.key == "drain.deadline" && one.proposed == Some("40s".into())),
            "{found:?}"
        );
        assert!(found.iter().any(|one| one.key == "pipeline.refunds.route.topic" && one.running.is_none()));
        assert!(!found.iter().any(|one| one.key.starts_with("pipeline.orders.")), "{found:?}");
    }

    #[test]
    fn faults_of_the_text_and_of_the_values_are_both_told() {
        let fault = read("[drain]\ndedline = \"3s\"\n").unwrap_err();
        assert!(
            fault[0].text.contains("line 2") && fault[0].text.contains("did you mean `deadline`"),
            "{fault:?}"
        );
        let faults = read("[drain]\ndeadline = \"1ms\"\n").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["drain.deadline", "pipeline"]);
    }
}
