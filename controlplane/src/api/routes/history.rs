//! What the appliance did: seconds of the last ten minutes, minutes of the last thirty days.
//!
//! Columns, because a chart wants columns. Gaps are `null` with a reason, never a guess.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::figures::PipelineState;
use crate::api::{Asked, Code, Ctx, Problem, Role, Routes};
use crate::watch::flows::{FLOWS, GAUGES, flow_index, gauge_index};
use crate::watch::history::MINUTE_MS;
use crate::watch::rows;
use crate::watch::sampler::{Cell, Gap, Point, Subject};

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(show))
}

/// Length of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Seconds, of the last ten minutes.
    #[default]
    Second,
    /// Minutes, of the last thirty days.
    Minute,
}

/// Of what, and when.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this pipeline; of the appliance otherwise.
    pipeline: Option<String>,
    /// Of this shard; not together with `pipeline`.
    shard: Option<u16>,
    /// Length of a step.
    #[param(inline)]
    step: Option<Step>,
    /// Beginning, milliseconds since 1970; ten minutes before `to_ms` for seconds, a day for minutes.
    from_ms: Option<i64>,
    /// End, milliseconds since 1970; now if left out.
    to_ms: Option<i64>,
    /// Names of rates and gauges, separated by commas; all if left out.
    #[param(example = "received,delivered,in_flight")]
    fields: Option<String>,
}

/// Why there is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GapReason {
    /// Seen for the first time: nothing to compare with.
    Start,
    /// A shard has published nothing new.
    Stale,
    /// The control plane was not looking.
    Missed,
    /// A counter began anew.
    Reset,
    /// The minute was not stored.
    Unstored,
}

impl From<Gap> for GapReason {
    fn from(gap: Gap) -> GapReason {
        match gap {
            Gap::Start => GapReason::Start,
            Gap::Stale => GapReason::Stale,
            Gap::Missed => GapReason::Missed,
            Gap::Reset => GapReason::Reset,
        }
    }
}

/// One series by column; all columns have the same length.
#[derive(Debug, Default, Serialize, ToSchema)]
struct History {
    /// Length of a step, milliseconds.
    step_ms: i64,
    /// Oldest moment that is kept at this step; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ms: Option<i64>,
    /// End of each step, milliseconds since 1970.
    at_ms: Vec<i64>,
    /// How much of each step is known, milliseconds; 0 for a gap.
    covers_ms: Vec<u64>,
    /// Why a step is not known.
    gaps: Vec<Option<GapReason>>,
    /// Worst state in each step; `null` where there is none.
    states: Vec<Option<PipelineState>>,
    /// Per second, by name of the counter.
    rates: BTreeMap<&'static str, Vec<Option<f64>>>,
    /// At the end of a second, or the mean of a minute (of `stall_seconds` the worst), by name.
    gauges: BTreeMap<&'static str, Vec<Option<f64>>>,
}

/// Shows rates and gauges over time.
#[utoipa::path(get, path = "/api/v1/history", operation_id = "history_show", tag = "history", params(Wanted),
    responses((status = 200, description = "One series by column.", body = History)))]
async fn show(State(ctx): State<Ctx>, Asked(wanted): Asked<Wanted>) -> Result<Json<History>, Problem> {
    let subject = subject(&ctx, &wanted)?;
    let fields = fields(wanted.fields.as_deref())?;
    let watch = ctx.watch();
    let to_ms = wanted.to_ms.unwrap_or_else(|| watch.now().wall_ms);
    let step = wanted.step.unwrap_or_default();
    let span_ms = if step == Step::Second { 600_000 } else { 86_400_000 };
    let from_ms = wanted.from_ms.unwrap_or(to_ms.saturating_sub(span_ms));
    if from_ms >= to_ms {
        return Err(Problem::new(Code::InvalidParameter, "from_ms: it is not before to_ms"));
    }
    match step {
        Step::Second => {
            let (cells, oldest_ms) = watch.with(|state| {
                let kept = state.history.cells(&subject, i64::MIN, i64::MAX).unwrap_or_default();
                (
                    state.history.cells(&subject, from_ms, to_ms).unwrap_or_default(),
                    kept.first().map(|cell| cell.0),
                )
            });
            let mut history = History { step_ms: 1_000, oldest_ms, ..History::new(&fields) };
            for (at_ms, cell) in &cells {
                match cell {
                    Cell::Point(point) => history.add(*at_ms, point),
                    Cell::Gap(gap) => history.add_gap(*at_ms, (*gap).into()),
                }
            }
            Ok(Json(history))
        }
        Step::Minute => minutes(&ctx, subject, from_ms, to_ms, &fields).await,
    }
}

async fn minutes(
    ctx: &Ctx,
    subject: Subject,
    from_ms: i64,
    to_ms: i64,
    fields: &[&'static str],
) -> Result<Json<History>, Problem> {
    if to_ms.saturating_sub(from_ms) > rows::MINUTES_MAX as i64 * MINUTE_MS {
        return Err(Problem::new(
            Code::InvalidParameter,
            "from_ms: one answer has at most seven days; ask in parts",
        ));
    }
    let (found, oldest_ms) = ctx
        .store()
        .call(move |connection| {
            Ok((rows::read(connection, &subject, from_ms, to_ms)?, rows::oldest(connection, &subject)?))
        })
        .await?;
    let mut history = History { step_ms: MINUTE_MS, oldest_ms, ..History::new(fields) };
    let mut expected = None;
    for row in &found {
        // Minutes in between were not stored; each is a gap of its own, so that steps stay even.
        let mut at_ms = expected.unwrap_or(row.minute_ms);
        while at_ms < row.minute_ms {
            history.add_gap(at_ms + MINUTE_MS, GapReason::Unstored);
            at_ms += MINUTE_MS;
        }
        history.add(row.minute_ms + MINUTE_MS, &row.point());
        expected = Some(row.minute_ms + MINUTE_MS);
    }
    Ok(Json(history))
}

fn subject(ctx: &Ctx, wanted: &Wanted) -> Result<Subject, Problem> {
    let view = ctx.board().view();
    match (&wanted.pipeline, wanted.shard) {
        (Some(_), Some(_)) => Err(Problem::new(Code::InvalidParameter, "shard: not together with pipeline")),
        (Some(name), None) if view.pipelines.contains(name) => Ok(Subject::Pipeline(name.clone())),
        (Some(_), None) => Err(Problem::new(Code::NotFound, "pipeline: there is none of this name")),
        (None, Some(shard)) => super::shards::known(&view, shard).map(|()| Subject::Shard(shard)),
        (None, None) => Ok(Subject::Appliance),
    }
}

fn fields(text: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let known = || FLOWS.iter().map(|(name, _)| *name).chain(GAUGES.iter().map(|(_, name)| *name));
    let Some(text) = text else { return Ok(known().collect()) };
    let find = |name: &str| {
        let found = known().find(|known| *known == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = known().collect();
            Problem::new(Code::InvalidParameter, format!("fields: they are {}", names.join(", ")))
        })
    };
    text.split(',').map(find).collect()
}

impl History {
    fn new(fields: &[&'static str]) -> History {
        let mut history = History::default();
        for name in fields {
            let columns = if flow_index(name).is_some() { &mut history.rates } else { &mut history.gauges };
            columns.insert(name, Vec::new());
        }
        history
    }

    fn add(&mut self, at_ms: i64, point: &Point) {
        self.head(at_ms, point.covers_ms, None, point.state.map(PipelineState::from));
        for (name, column) in &mut self.rates {
            column.push(flow_index(name).map(|index| point.rate(index)));
        }
        for (name, column) in &mut self.gauges {
            column.push(gauge_index(name).and_then(|index| point.gauges.0[index]));
        }
    }

    fn add_gap(&mut self, at_ms: i64, reason: GapReason) {
        self.head(at_ms, 0, Some(reason), None);
        for column in self.rates.values_mut().chain(self.gauges.values_mut()) {
            column.push(None);
        }
    }

    fn head(&mut self, at_ms: i64, covers_ms: u64, gap: Option<GapReason>, state: Option<PipelineState>) {
        self.at_ms.push(at_ms);
        self.covers_ms.push(covers_ms);
        self.gaps.push(gap);
        self.states.push(state);
    }
}
