//! Topics of the clusters that the pipelines use.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::clusters::{Cluster, meant};
use crate::api::{Asked, At, Changed, Ctx, Input, Page, Paging, Problem, Role, Routes};
use crate::kafka_admin::topics::{self, KEYS_MOVE, NewTopicPlan, TopicDetail, TopicSummary};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Viewer, routes!(show))
        .at(Role::Operator, routes!(create))
        .at(Role::Operator, routes!(alter))
        .at(Role::Operator, routes!(add_partitions))
        .at(Role::Admin, routes!(remove))
}

/// Which topics are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pipeline: Option<String>,
    /// Also Kafka's own topics.
    #[param(default = false)]
    internal: Option<bool>,
    /// `next` of the page before; without it the first page.
    cursor: Option<String>,
    /// Items of a page, 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u16>,
}

/// Which cluster, and whether it is to be done.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pipeline: Option<String>,
    /// Only ask the cluster whether it would.
    #[param(default = false)]
    dry_run: Option<bool>,
}

/// Which cluster, and the topic's name typed again.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Confirmed {
    /// A pipeline whose cluster is meant. It may be left out when all pipelines have the same.
    pipeline: Option<String>,
    /// Name of the topic, typed again: all of its records are lost for good.
    confirm: Option<String>,
}

/// A topic to be made.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTopic {
    /// 1 to 249 of letters, digits, `.`, `_` and `-`.
    #[schema(example = "orders", max_length = 249)]
    name: String,
    /// Number of partitions.
    #[schema(example = 12, minimum = 1, maximum = 10000)]
    partitions: u32,
    /// Number of replicas; the brokers' default without it.
    #[serde(default)]
    #[schema(example = 3, minimum = 1, maximum = 1000)]
    replication: Option<u32>,
    /// Configs, as Kafka names them; at most 64.
    #[serde(default)]
    configs: BTreeMap<String, String>,
}

/// Configs to be changed.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfigPatch {
    /// Values by name; null takes a config back to its default. What is not named stays as it is. At most 64.
    configs: BTreeMap<String, Option<String>>,
}

/// More partitions.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MorePartitions {
    /// Number of partitions that there are to be.
    #[schema(example = 24, minimum = 1, maximum = 10000)]
    partitions: u32,
    /// Name of the topic, typed again: keys move to other partitions, and partitions cannot be taken away.
    confirm: Option<String>,
}

/// What was done, or would be.
#[derive(Clone, Serialize, ToSchema)]
struct TopicDone {
    /// Name of the topic.
    #[schema(example = "orders")]
    topic: String,
    /// Whether nothing was done: the cluster only said that it would.
    dry_run: bool,
    /// What to think of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Lists the topics.
#[utoipa::path(get, path = "/api/v1/topics", operation_id = "topics_list", tag = "topics", params(Wanted),
    responses((status = 200, description = "Topics by name.", body = Page<TopicSummary>)))]
async fn list(
    State(ctx): State<Ctx>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Page<TopicSummary>>, Problem> {
    let paging = Paging { cursor: wanted.cursor, limit: wanted.limit };
    let (limit, after) = (paging.limit()?, paging.after()?.unwrap_or_default());
    let (config, kafka) = meant(&ctx, wanted.pipeline.as_deref())?;
    let internal = wanted.internal.unwrap_or(false);
    let brokers = kafka.brokers.clone();
    let found = ctx
        .visits()
        .visit(kafka, &[], move |session| topics::list(session, &config, &brokers, internal))
        .await?;
    let page = found.into_iter().filter(|topic| topic.name > after).take(limit + 1).collect();
    Ok(Json(Page::cut(page, limit, |topic| topic.name.clone())))
}

/// Shows a topic: partitions with leader, replicas and offsets, and its configs.
#[utoipa::path(get, path = "/api/v1/topics/{topic}", operation_id = "topics_show", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic."), Cluster),
    responses((status = 200, description = "The topic.", body = TopicDetail)))]
async fn show(
    State(ctx): State<Ctx>,
    At(topic): At<String>,
    Asked(cluster): Asked<Cluster>,
) -> Result<Json<TopicDetail>, Problem> {
    let (config, kafka) = meant(&ctx, cluster.pipeline.as_deref())?;
    let brokers = kafka.brokers.clone();
    let detail = ctx
        .visits()
        .visit(kafka, &[], move |session| topics::describe(session, &config, &brokers, &topic))
        .await?;
    Ok(Json(detail))
}

/// Makes a topic, or asks the cluster whether it would.
#[utoipa::path(post, path = "/api/v1/topics", operation_id = "topics_create", tag = "topics", params(How),
    request_body = NewTopic,
    responses((status = 201, description = "The topic is made.", body = TopicDone),
        (status = 200, description = "The cluster would make it.", body = TopicDone)))]
async fn create(
    State(ctx): State<Ctx>,
    Asked(how): Asked<How>,
    Input(new): Input<NewTopic>,
) -> Result<Changed<(StatusCode, Json<TopicDone>)>, Problem> {
    let (_, kafka) = meant(&ctx, how.pipeline.as_deref())?;
    let dry_run = how.dry_run.unwrap_or(false);
    let NewTopic { name, partitions, replication, configs } = new.clone();
    let plan = NewTopicPlan { name, partitions, replication, configs };
    ctx.visits().visit(kafka, &[], move |session| topics::create(session, &plan, dry_run)).await?;
    let warnings = match new.replication {
        Some(1) => vec!["one replica: with its broker, its records are lost".to_owned()],
        _ => Vec::new(),
    };
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let done = TopicDone { topic: new.name.clone(), dry_run, warnings };
    Ok(Changed::made((status, Json(done)), &new))
}

/// Changes configs of a topic, or asks the cluster whether it would.
///
/// What is not named stays as it is, also what somebody else changes at the same time.
#[utoipa::path(patch, path = "/api/v1/topics/{topic}/configs", operation_id = "topics_alter", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic."), How), request_body = ConfigPatch,
    responses((status = 200, description = "The configs are changed, or would be.", body = TopicDone)))]
async fn alter(
    State(ctx): State<Ctx>,
    At(topic): At<String>,
    Asked(how): Asked<How>,
    Input(patch): Input<ConfigPatch>,
) -> Result<Changed<Json<TopicDone>>, Problem> {
    let (_, kafka) = meant(&ctx, how.pipeline.as_deref())?;
    let dry_run = how.dry_run.unwrap_or(false);
    let (name, changes) = (topic.clone(), patch.configs.clone());
    let before = ctx
        .visits()
        .visit(kafka, &[], move |session| {
            let before = topics::values(session, &name, changes.keys())?;
            topics::alter(session, &name, &changes, dry_run)?;
            Ok(before)
        })
        .await?;
    let done = TopicDone { topic, dry_run, warnings: Vec::new() };
    Ok(Changed::new(Json(done), Some(&ConfigPatch { configs: before }), Some(&patch)))
}

/// Gives a topic more partitions, or asks the cluster whether it would.
///
/// Keys move to other partitions, and partitions cannot be taken away; so its name must be typed again.
#[utoipa::path(post, path = "/api/v1/topics/{topic}/partitions", operation_id = "topics_add_partitions", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic."), How), request_body = MorePartitions,
    responses((status = 200, description = "The partitions are added, or would be.", body = TopicDone)))]
async fn add_partitions(
    State(ctx): State<Ctx>,
    At(topic): At<String>,
    Asked(how): Asked<How>,
    Input(more): Input<MorePartitions>,
) -> Result<Changed<Json<TopicDone>>, Problem> {
    let (_, kafka) = meant(&ctx, how.pipeline.as_deref())?;
    let dry_run = how.dry_run.unwrap_or(false);
    let (name, total, confirm) = (topic.clone(), more.partitions, more.confirm.clone());
    ctx.visits()
        .visit(kafka, &[], move |session| {
            topics::add_partitions(session, &name, total, confirm.as_deref(), dry_run)
        })
        .await?;
    let done = TopicDone { topic, dry_run, warnings: vec![KEYS_MOVE.to_owned()] };
    Ok(Changed::made(Json(done), &more))
}

/// Deletes a topic.
///
/// All of its records are lost for good, so its name must be typed again. A topic that a pipeline uses is not deleted.
#[utoipa::path(delete, path = "/api/v1/topics/{topic}", operation_id = "topics_remove", tag = "topics",
    params(("topic" = String, Path, description = "Name of the topic."), Confirmed),
    responses((status = 204, description = "The topic is gone.")))]
async fn remove(
    State(ctx): State<Ctx>,
    At(topic): At<String>,
    Asked(confirmed): Asked<Confirmed>,
) -> Result<Changed<StatusCode>, Problem> {
    let (config, kafka) = meant(&ctx, confirmed.pipeline.as_deref())?;
    let used_by = topics::uses(&config, &kafka.brokers, &topic);
    let name = topic.clone();
    ctx.visits()
        .visit(kafka, &[], move |session| {
            topics::delete(session, &name, &used_by, confirmed.confirm.as_deref())
        })
        .await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &serde_json::json!({ "topic": topic })))
}
