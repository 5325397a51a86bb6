//! Rejected messages of a pipeline, and samples of what passes. Values are covered; an admin may uncover one record, and
//! the audit log tells.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dataplane::config::{Kafka, Pipeline};
use futures_lite::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::api::{Asked, At, Changed, Code, Ctx, Input, Problem, Role, Routes};
use crate::kafka_admin::mask::Cover;
use crate::kafka_admin::records::{self, PAGE_MAX, Place, READING};
use crate::kafka_admin::rejected::{self, RecordView, RejectedPage};
use crate::kafka_admin::{Trouble, Visits};

/// Bytes of a body that is asked for alone: the largest message of SQS.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Records and seconds of one sample at most.
const SAMPLE_MAX: usize = 200;
const SAMPLE_S_MAX: u64 = 60;
/// Seconds of a sample that is answered whole: a request may take half a minute.
const WHOLE_S_MAX: u64 = 20;
/// Records of a sample that wait for a slow reader.
const SAMPLE_WAITING_MAX: usize = 16;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(list))
        .at(Role::Viewer, routes!(show))
        .at(Role::Admin, routes!(uncover))
        .at(Role::Operator, routes!(sample))
}

/// Which rejected messages are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this code only, among the records that a page reads.
    code: Option<String>,
    /// `next` of the page before; without it the newest.
    cursor: Option<String>,
    /// Records that a page reads, 1 to 50.
    #[param(minimum = 1, maximum = 50, default = 20)]
    limit: Option<u16>,
}

/// Nothing is asked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Nothing {}

/// What is to be sampled.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SampleWanted {
    /// `delivered` (topics of the route) or `rejected` (the dead letter's).
    #[serde(default)]
    at: SampleStage,
    /// Records at most.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 200)]
    messages: usize,
    /// Seconds at most; beyond 20 only as a stream.
    #[serde(default = "ten_s")]
    #[schema(minimum = 1, maximum = 60)]
    seconds: u64,
}

fn ten() -> usize {
    10
}

fn ten_s() -> u64 {
    10
}

/// Where a sample is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SampleStage {
    /// Records of the route's topics.
    #[default]
    Delivered,
    /// Records of the dead-letter topic.
    Rejected,
}

/// A sample.
#[derive(Serialize, ToSchema)]
struct Sampled {
    /// Records in the order in which they came.
    items: Vec<RecordView>,
}

/// Lists rejected messages, newest first, with their values covered.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/rejected", operation_id = "rejected_list", tag = "rejected",
    params(("name" = String, Path, description = "Name of the pipeline."), Wanted),
    responses((status = 200, description = "A page of the dead-letter topic.", body = RejectedPage)))]
async fn list(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<RejectedPage>, Problem> {
    let limit = wanted.limit.map_or(20, usize::from);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::new(Code::InvalidParameter, format!("limit: it is 1 to {PAGE_MAX}")));
    }
    let wrong = |trouble: Trouble| Problem::new(Code::InvalidCursor, trouble.to_string());
    let before = wanted.cursor.as_deref().map(Place::parse).transpose().map_err(wrong)?;
    let pipeline = pipeline(&ctx, &name)?;
    let (kafka, topic) = dead_letter(&pipeline)?;
    let cover = Cover::Except(pipeline.masking.visible.clone());
    let code = wanted.code;
    let page = ctx
        .visits()
        .visit(kafka, READING, move |session| {
            let read = records::page_back(session, &topic, before.as_ref(), limit)?;
            Ok(rejected::page(&topic, &read, code.as_deref(), &cover))
        })
        .await?;
    Ok(Json(page))
}

/// Shows one rejected message with its values covered.
#[utoipa::path(get, path = "/api/v1/pipelines/{name}/rejected/{partition}/{offset}", operation_id = "rejected_show",
    tag = "rejected",
    params(("name" = String, Path, description = "Name of the pipeline."),
        ("partition" = i32, Path, description = "Partition of the dead-letter topic."),
        ("offset" = i64, Path, description = "Offset in the partition."), Nothing),
    responses((status = 200, description = "The record.", body = RecordView)))]
async fn show(
    State(ctx): State<Ctx>,
    At((name, partition, offset)): At<(String, i32, i64)>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<RecordView>, Problem> {
    let pipeline = pipeline(&ctx, &name)?;
    let cover = Cover::Except(pipeline.masking.visible.clone());
    Ok(Json(one(ctx.visits(), &pipeline, partition, offset, cover).await?))
}

/// Shows one rejected message as it was sent. The audit log tells who asked.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/rejected/{partition}/{offset}/uncover",
    operation_id = "rejected_uncover", tag = "rejected",
    params(("name" = String, Path, description = "Name of the pipeline."),
        ("partition" = i32, Path, description = "Partition of the dead-letter topic."),
        ("offset" = i64, Path, description = "Offset in the partition."), Nothing),
    responses((status = 200, description = "The record.", body = RecordView)))]
async fn uncover(
    State(ctx): State<Ctx>,
    At((name, partition, offset)): At<(String, i32, i64)>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Changed<Json<RecordView>>, Problem> {
    let pipeline = pipeline(&ctx, &name)?;
    let record = one(ctx.visits(), &pipeline, partition, offset, Cover::Nothing).await?;
    // Which record was looked at, not what it says.
    let place = serde_json::json!({ "topic": record.topic, "partition": partition, "offset": offset });
    Ok(Changed::made(Json(record), &place))
}

/// Samples records as they come, with their values covered.
///
/// Ends after `messages` records or `seconds`, whichever is first. With `Accept: text/event-stream` each record is an event
/// `record` as it comes, and an event `end` is the last; otherwise the answer comes when the sample is complete.
#[utoipa::path(post, path = "/api/v1/pipelines/{name}/sample", operation_id = "sample_take", tag = "rejected",
    params(("name" = String, Path, description = "Name of the pipeline.")), request_body = SampleWanted,
    responses((status = 200, description = "The sample.",
        content((Sampled = "application/json"), (String = "text/event-stream")))))]
async fn sample(
    State(ctx): State<Ctx>,
    At(name): At<String>,
    headers: HeaderMap,
    Input(wanted): Input<SampleWanted>,
) -> Result<Changed<Response>, Problem> {
    if !(1..=SAMPLE_MAX).contains(&wanted.messages) {
        return Err(Problem::new(Code::Unprocessable, format!("messages: it is 1 to {SAMPLE_MAX}")));
    }
    if !(1..=SAMPLE_S_MAX).contains(&wanted.seconds) {
        return Err(Problem::new(Code::Unprocessable, format!("seconds: it is 1 to {SAMPLE_S_MAX}")));
    }
    let kind = headers.get(header::ACCEPT).and_then(|kind| kind.to_str().ok());
    let streams = kind.is_some_and(|kind| kind.contains("text/event-stream"));
    if !streams && wanted.seconds > WHOLE_S_MAX {
        let text = format!("seconds: beyond {WHOLE_S_MAX} only with `Accept: text/event-stream`");
        return Err(Problem::new(Code::Unprocessable, text));
    }
    let pipeline = pipeline(&ctx, &name)?;
    let (kafka, topics) = match wanted.at {
        SampleStage::Delivered => (pipeline.kafka.clone(), pipeline.route.all_topics().to_vec()),
        SampleStage::Rejected => {
            let (kafka, topic) = dead_letter(&pipeline)?;
            (kafka, vec![topic])
        }
    };
    let cover = Cover::Except(pipeline.masking.visible.clone());
    let (sender, mut records) = mpsc::channel(SAMPLE_WAITING_MAX);
    let (count, time) = (wanted.messages, Duration::from_secs(wanted.seconds));
    let visits = ctx.samples().clone();
    let taking = tokio::spawn(async move {
        let take =
            move |topic: &str, record| sender.blocking_send(rejected::view(topic, &record, &cover)).is_ok();
        visits.visit(kafka, READING, move |session| records::tail(session, &topics, count, time, take)).await
    });
    if streams {
        return Ok(Changed::made(stream(records, taking), &wanted));
    }
    let mut items = Vec::new();
    while let Some(record) = records.recv().await {
        items.push(record);
    }
    let panicked = |_| Problem::new(Code::Internal, "the sample panicked");
    taking.await.map_err(panicked)??;
    Ok(Changed::made(Json(Sampled { items }).into_response(), &wanted))
}

type Taking = tokio::task::JoinHandle<Result<usize, Trouble>>;

/// Each record as an event, and one at the end.
fn stream(records: mpsc::Receiver<RecordView>, taking: Taking) -> Response {
    let events = unfold(Some((records, taking)), |state| async {
        let (mut records, taking) = state?;
        if let Some(record) = records.recv().await {
            let event = Event::default().event("record").json_data(&record).unwrap_or_default();
            return Some((Ok::<Event, std::convert::Infallible>(event), Some((records, taking))));
        }
        let end = match taking.await {
            Ok(Ok(count)) => serde_json::json!({ "records": count }),
            Ok(Err(trouble)) => serde_json::json!({ "trouble": trouble.to_string() }),
            Err(_) => serde_json::json!({ "trouble": "the sample panicked" }),
        };
        let event = Event::default().event("end").data(end.to_string());
        Some((Ok(event), None))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn pipeline(ctx: &Ctx, name: &str) -> Result<Pipeline, Problem> {
    let config = ctx.configs().current().config;
    let found = config.pipeline.iter().find(|pipeline| pipeline.name == name).cloned();
    found.ok_or_else(|| {
        Problem::new(Code::NotFound, "there is no pipeline of this name; /api/v1/pipelines lists them")
    })
}

/// The cluster and the dead-letter topic of a pipeline.
fn dead_letter(pipeline: &Pipeline) -> Result<(Kafka, String), Problem> {
    let topic = pipeline.dead_letter.as_ref().map(|dead_letter| dead_letter.topic.clone());
    let none = || {
        let text =
            format!("pipeline {} has no dead_letter: what it rejects goes back to the queue", pipeline.name);
        Problem::new(Code::NotFound, text)
    };
    Ok((pipeline.kafka.clone(), topic.ok_or_else(none)?))
}

async fn one(
    visits: &Visits,
    pipeline: &Pipeline,
    partition: i32,
    offset: i64,
    cover: Cover,
) -> Result<RecordView, Problem> {
    let (kafka, topic) = dead_letter(pipeline)?;
    let record = visits
        .visit(kafka, READING, move |session| {
            let record = records::one(session, &topic, partition, offset, BODY_BYTES_MAX)?;
            Ok(rejected::view(&topic, &record, &cover))
        })
        .await?;
    Ok(record)
}
