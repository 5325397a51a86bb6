//! Latency in full: percentile curves, histograms and heatmaps of a window within the last ten minutes, columns of the last
//! thirty days, and comparison with a saved baseline.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dataplane::stats::{Percentiles, STAGES, Stage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::figures::StagePercentiles;
use crate::api::{Asked, At, Changed, Code, Ctx, Input, Principal, Problem, Role, Routes};
use crate::watch::latency::baselines::{self, Baseline, NAME_CHARS_MAX};
use crate::watch::latency::buckets::{BUCKETS, Counts, lower_us};
use crate::watch::latency::compare::{self, Change};
use crate::watch::latency::curve::{self, CurvePoint};
use crate::watch::latency::{Of, Window, rows};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .at(Role::Viewer, routes!(show_curve))
        .at(Role::Viewer, routes!(show_hgrm))
        .at(Role::Viewer, routes!(show_heatmap))
        .at(Role::Viewer, routes!(show_comparison))
        .at(Role::Viewer, routes!(list_baselines))
        .at(Role::Operator, routes!(save_baseline))
        .at(Role::Operator, routes!(delete_baseline))
}

/// Longest window: what is kept second by second.
const WINDOW_S_MAX: u32 = 600;
/// Longest note of a baseline.
const NOTE_CHARS_MAX: usize = 500;

/// Which window.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this pipeline; of all together otherwise.
    pipeline: Option<String>,
    /// Length of the window, seconds, 10 to 600; it is widened to whole slices of ten seconds.
    #[param(minimum = 10, maximum = 600, default = 60)]
    window_s: Option<u32>,
    /// End of the window, milliseconds since 1970; now if left out.
    to_ms: Option<i64>,
    /// This stage only.
    #[param(example = "received_to_acked")]
    stage: Option<String>,
    /// Points of a curve between two halvings of the distance to 100 %, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 5)]
    ticks: Option<u32>,
    /// Also the histograms themselves, in HdrHistogram's V2 encoding.
    #[param(default = false)]
    histograms: Option<bool>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct Point {
    /// 0 to 100.
    percentile: f64,
    /// Values at or below this, microseconds.
    value_us: u64,
    /// How many there are at or below it.
    count: u64,
}

impl From<CurvePoint> for Point {
    fn from(point: CurvePoint) -> Point {
        Point { percentile: point.percentile, value_us: point.value_us, count: point.count }
    }
}

fn points(curve: Vec<CurvePoint>) -> Vec<Point> {
    curve.into_iter().map(Point::from).collect()
}

/// One stage of a window.
#[derive(Debug, Serialize, ToSchema)]
struct StageCurve {
    /// Name of the stage.
    stage: &'static str,
    /// Its percentiles.
    percentiles: StagePercentiles,
    /// Its curve: each nine has as many points as the one before.
    points: Vec<Point>,
    /// The histogram in V2 encoding, compressed, in base64; microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<String>,
}

/// A window that was recorded.
#[derive(Debug, Serialize, ToSchema)]
struct Curves {
    /// Beginning, milliseconds since 1970.
    from_ms: i64,
    /// End.
    to_ms: i64,
    /// Whether a part of it is not known.
    has_gap: bool,
    /// Stages in the order of the walk.
    stages: Vec<StageCurve>,
}

/// Shows the percentile curves of a window.
#[utoipa::path(get, path = "/api/v1/latency/curve", operation_id = "latency_curve", tag = "latency", params(Wanted),
    responses((status = 200, description = "Curves by stage.", body = Curves)))]
async fn show_curve(State(ctx): State<Ctx>, Asked(wanted): Asked<Wanted>) -> Result<Json<Curves>, Problem> {
    let stages = stages(wanted.stage.as_deref())?;
    let ticks = wanted.ticks.unwrap_or(curve::TICKS);
    if !(1..=curve::TICKS_MAX).contains(&ticks) {
        return Err(Problem::new(
            Code::InvalidParameter,
            format!("ticks: they are 1 to {}", curve::TICKS_MAX),
        ));
    }
    let window = window(&ctx, &wanted)?;
    let encode = wanted.histograms.unwrap_or(false);
    let of = |stage: Stage| {
        let histogram = &window.stages[stage as usize];
        StageCurve {
            stage: stage.as_str(),
            percentiles: Percentiles::of(histogram).into(),
            points: points(curve::curve(histogram, ticks)),
            histogram: encode.then(|| compare::encoded(histogram)),
        }
    };
    let stages = stages.into_iter().map(of).collect();
    Ok(Json(Curves { from_ms: window.from_ms, to_ms: window.to_ms, has_gap: window.has_gap, stages }))
}

/// Exports the percentile distribution of one stage as HdrHistogram's text.
///
/// Values are milliseconds; the plotters of HdrHistogram read it.
#[utoipa::path(get, path = "/api/v1/latency/hgrm", operation_id = "latency_hgrm", tag = "latency", params(Wanted),
    responses((status = 200, description = "The distribution.", body = String, content_type = "text/plain")))]
async fn show_hgrm(State(ctx): State<Ctx>, Asked(wanted): Asked<Wanted>) -> Result<Response, Problem> {
    let stages = stages(wanted.stage.as_deref())?;
    let [stage] = stages.as_slice() else {
        return Err(Problem::new(Code::InvalidParameter, "stage: name one, for example received_to_acked"));
    };
    let window = window(&ctx, &wanted)?;
    let ticks = wanted.ticks.unwrap_or(curve::TICKS).clamp(1, curve::TICKS_MAX);
    let text = curve::hgrm(&window.stages[*stage as usize], ticks);
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

fn stages(name: Option<&str>) -> Result<Vec<Stage>, Problem> {
    let Some(name) = name else { return Ok(STAGES.to_vec()) };
    STAGES.into_iter().find(|stage| stage.as_str() == name).map(|stage| vec![stage]).ok_or_else(|| {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.as_str()).collect();
        Problem::new(Code::InvalidParameter, format!("stage: it is one of {}", names.join(", ")))
    })
}

/// The pipeline, if there is one of this name.
fn pipeline(ctx: &Ctx, name: Option<&String>) -> Result<Of, Problem> {
    match name {
        Some(name) if !ctx.board().view().pipelines.contains(name) => {
            Err(Problem::new(Code::NotFound, "pipeline: there is none of this name"))
        }
        name => Ok(name.cloned()),
    }
}

fn window(ctx: &Ctx, wanted: &Wanted) -> Result<Window, Problem> {
    let of = pipeline(ctx, wanted.pipeline.as_ref())?;
    span(ctx, &of, wanted.window_s, wanted.to_ms)
}

fn span(ctx: &Ctx, of: &Of, window_s: Option<u32>, to_ms: Option<i64>) -> Result<Window, Problem> {
    let seconds = window_s.unwrap_or(60);
    if !(10..=WINDOW_S_MAX).contains(&seconds) {
        return Err(Problem::new(Code::InvalidParameter, format!("window_s: it is 10 to {WINDOW_S_MAX}")));
    }
    let to_ms = to_ms.unwrap_or_else(|| ctx.watch().now().wall_ms);
    let from_ms = to_ms.saturating_sub(i64::from(seconds) * 1_000);
    let window = ctx.watch().with(|state| state.latency.window(of, from_ms, to_ms));
    window.ok_or_else(|| {
        Problem::new(Code::NotFound, "nothing is kept of this window: the last ten minutes are")
    })
}

/// Which columns.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Columns {
    /// Of this pipeline; of all together otherwise.
    pipeline: Option<String>,
    /// The stage.
    #[param(example = "received_to_acked")]
    stage: String,
    /// Minutes of the last thirty days instead of seconds of the last ten minutes.
    #[param(default = false)]
    minutes: Option<bool>,
    /// Beginning, milliseconds since 1970; ten minutes, or a day, before `to_ms` if left out.
    from_ms: Option<i64>,
    /// End, milliseconds since 1970; now if left out.
    to_ms: Option<i64>,
}

/// One column.
#[derive(Debug, Serialize, ToSchema)]
struct Column {
    /// End of the interval, milliseconds since 1970.
    at_ms: i64,
    /// Its percentiles; absent for a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentiles: Option<StagePercentiles>,
    /// Number of a bucket and how many values it has; absent for a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Vec<u64>>>)]
    counts: Option<Counts>,
}

/// A heatmap.
#[derive(Debug, Serialize, ToSchema)]
struct Heatmap {
    /// Length of an interval, milliseconds.
    step_ms: i64,
    /// Lower border of each bucket, microseconds; a bucket ends where the next begins.
    bucket_lower_us: Vec<u64>,
    /// Columns, oldest first. A minute that was not stored has none.
    columns: Vec<Column>,
}

/// Shows how many messages took how long, over time.
#[utoipa::path(get, path = "/api/v1/latency/heatmap", operation_id = "latency_heatmap", tag = "latency", params(Columns),
    responses((status = 200, description = "Columns of counts by bucket.", body = Heatmap)))]
async fn show_heatmap(
    State(ctx): State<Ctx>,
    Asked(wanted): Asked<Columns>,
) -> Result<Json<Heatmap>, Problem> {
    let stage = stages(Some(&wanted.stage))?[0] as usize;
    let of = pipeline(&ctx, wanted.pipeline.as_ref())?;
    let minutes = wanted.minutes.unwrap_or(false);
    let to_ms = wanted.to_ms.unwrap_or_else(|| ctx.watch().now().wall_ms);
    let from_ms = wanted.from_ms.unwrap_or(to_ms.saturating_sub(if minutes { 86_400_000 } else { 600_000 }));
    if from_ms >= to_ms {
        return Err(Problem::new(Code::InvalidParameter, "from_ms: it is not before to_ms"));
    }
    let columns = if minutes {
        if to_ms.saturating_sub(from_ms) > rows::MINUTES_MAX as i64 * 60_000 {
            return Err(Problem::new(
                Code::InvalidParameter,
                "from_ms: one answer has at most a day of minutes; ask in parts",
            ));
        }
        let found = ctx.store().call(move |connection| rows::read(connection, &of, from_ms, to_ms)).await?;
        let of = |(minute_ms, mut columns): (i64, crate::watch::latency::buckets::Columns)| {
            let column = std::mem::take(&mut columns[stage]);
            Column {
                at_ms: minute_ms + 60_000,
                percentiles: Some(column.percentiles.into()),
                counts: Some(column.counts),
            }
        };
        found.into_iter().map(of).collect()
    } else {
        let seconds =
            ctx.watch().with(|state| state.latency.seconds(&of, from_ms, to_ms)).unwrap_or_default();
        let of = |second: crate::watch::latency::Second| {
            let column = second.columns.map(|mut columns| std::mem::take(&mut columns[stage]));
            let (percentiles, counts) =
                column.map(|column| (column.percentiles.into(), column.counts)).unzip();
            Column { at_ms: second.at_ms, percentiles, counts }
        };
        seconds.into_iter().map(of).collect()
    };
    let step_ms = if minutes { 60_000 } else { 1_000 };
    Ok(Json(Heatmap { step_ms, bucket_lower_us: (0..BUCKETS as u8).map(lower_us).collect(), columns }))
}

/// A baseline to be saved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBaseline {
    /// 1 to 64 letters, digits, `.`, `_` and `-`.
    #[schema(example = "before-upgrade", max_length = 64)]
    name: String,
    /// Of this pipeline; of all together if left out.
    pipeline: Option<String>,
    /// Length of the window, seconds, 10 to 600.
    #[schema(minimum = 10, maximum = 600)]
    window_s: Option<u32>,
    /// End of the window, milliseconds since 1970; now if left out.
    to_ms: Option<i64>,
    /// What a reader should know.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
}

/// Saved baselines.
#[derive(Serialize, ToSchema)]
struct Baselines {
    /// By name; at most 100.
    items: Vec<Baseline>,
}

/// Lists the saved baselines.
#[utoipa::path(get, path = "/api/v1/latency/baselines", operation_id = "baselines_list", tag = "latency",
    responses((status = 200, description = "Baselines by name.", body = Baselines)))]
async fn list_baselines(State(ctx): State<Ctx>) -> Result<Json<Baselines>, Problem> {
    Ok(Json(Baselines { items: ctx.store().call(|connection| baselines::list(connection)).await? }))
}

/// Saves a window to compare with later.
#[utoipa::path(post, path = "/api/v1/latency/baselines", operation_id = "baselines_save", tag = "latency",
    request_body = NewBaseline, responses((status = 201, description = "It is saved.", body = Baseline)))]
async fn save_baseline(
    State(ctx): State<Ctx>,
    principal: Principal,
    Input(new): Input<NewBaseline>,
) -> Result<Changed<(StatusCode, Json<Baseline>)>, Problem> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if !(1..=NAME_CHARS_MAX).contains(&new.name.len()) || !new.name.chars().all(legal) {
        return Err(Problem::new(Code::Unprocessable, "name: 1 to 64 letters, digits, `.`, `_` and `-`"));
    }
    if new.note.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::new(Code::Unprocessable, format!("note: at most {NOTE_CHARS_MAX} characters")));
    }
    let of = pipeline(&ctx, new.pipeline.as_ref())?;
    let window = span(&ctx, &of, new.window_s, new.to_ms)?;
    let messages = window.stages[Stage::ReceivedToAcked as usize].len();
    if window.stages.iter().all(|histogram| histogram.is_empty()) {
        return Err(Problem::new(
            Code::Unprocessable,
            "window_s: nothing was recorded within it; a baseline needs messages",
        ));
    }
    let baseline = Baseline {
        name: new.name,
        pipeline: of.unwrap_or_default(),
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        saved_ms: ctx.watch().now().wall_ms,
        saved_by: principal.name,
        note: new.note,
        messages,
    };
    let (kept, stages) = (baseline.clone(), window.stages);
    ctx.store().call(move |connection| baselines::save(connection, &kept, &stages)).await?;
    Ok(Changed::made((StatusCode::CREATED, Json(baseline.clone())), &baseline))
}

/// Deletes a baseline.
#[utoipa::path(delete, path = "/api/v1/latency/baselines/{name}", operation_id = "baselines_delete", tag = "latency",
    params(("name" = String, Path, description = "Name of the baseline.")),
    responses((status = 204, description = "It is gone.")))]
async fn delete_baseline(
    State(ctx): State<Ctx>,
    At(name): At<String>,
) -> Result<Changed<StatusCode>, Problem> {
    let gone = name.clone();
    ctx.store().call(move |connection| baselines::delete(connection, &gone)).await?;
    Ok(Changed::removed(StatusCode::NO_CONTENT, &name))
}

/// What to compare.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Compared {
    /// Name of the baseline; its pipeline is compared.
    baseline: String,
    /// Length of the window, seconds, 10 to 600.
    #[param(minimum = 10, maximum = 600, default = 60)]
    window_s: Option<u32>,
    /// End of the window, milliseconds since 1970; now if left out.
    to_ms: Option<i64>,
}

/// One stage, then and now.
#[derive(Debug, Serialize, ToSchema)]
struct StageComparison {
    /// Name of the stage.
    stage: &'static str,
    /// Percentiles then.
    baseline: StagePercentiles,
    /// Percentiles now.
    now: StagePercentiles,
    /// Percentile by percentile.
    changes: Vec<Change>,
    /// The curve then.
    baseline_points: Vec<Point>,
    /// The curve now.
    now_points: Vec<Point>,
}

/// A window beside a baseline.
#[derive(Debug, Serialize, ToSchema)]
struct Comparison {
    /// The baseline.
    baseline: Baseline,
    /// Beginning of the window, milliseconds since 1970.
    from_ms: i64,
    /// End of the window.
    to_ms: i64,
    /// Whether a part of the window is not known.
    has_gap: bool,
    /// Stages in the order of the walk.
    stages: Vec<StageComparison>,
}

/// Compares a window with a saved baseline.
#[utoipa::path(get, path = "/api/v1/latency/compare", operation_id = "latency_compare", tag = "latency", params(Compared),
    responses((status = 200, description = "Both, stage by stage.", body = Comparison)))]
async fn show_comparison(
    State(ctx): State<Ctx>,
    Asked(wanted): Asked<Compared>,
) -> Result<Json<Comparison>, Problem> {
    let name = wanted.baseline.clone();
    let (baseline, then) = ctx.store().call(move |connection| baselines::read(connection, &name)).await?;
    let of = Some(baseline.pipeline.clone()).filter(|name| !name.is_empty());
    let of = pipeline(&ctx, of.as_ref())?;
    let window = span(&ctx, &of, wanted.window_s, wanted.to_ms)?;
    let stages = compare::compare(&then, &window.stages)
        .into_iter()
        .map(|one| StageComparison {
            stage: one.stage,
            baseline: one.baseline.into(),
            now: one.now.into(),
            changes: one.changes,
            baseline_points: points(one.baseline_curve),
            now_points: points(one.now_curve),
        })
        .collect();
    Ok(Json(Comparison {
        baseline,
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        has_gap: window.has_gap,
        stages,
    }))
}
