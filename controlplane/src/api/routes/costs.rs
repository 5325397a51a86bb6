//! What SQS bills, and what the kernel says about the process and its machine.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{Ctx, Problem, Role, Routes};
use crate::watch::cost::{self, Bill, QueueKind};
use crate::watch::system::System;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(show_cost)).at(Role::Viewer, routes!(show_system))
}

/// Where prices come from.
#[derive(Debug, Serialize, ToSchema)]
struct Prices {
    /// A million requests to a standard queue, US dollars.
    standard_usd_per_million: f64,
    /// A million requests to a FIFO queue, US dollars.
    fifo_usd_per_million: f64,
    /// When they were looked up.
    as_of: String,
    /// Where.
    source: String,
}

/// What one queue costs.
#[derive(Debug, Serialize, ToSchema)]
struct QueueCost {
    /// Name of the pipeline.
    pipeline: String,
    /// Kind of its queue.
    kind: QueueKind,
    /// Price of a million of its requests, US dollars.
    usd_per_million_requests: f64,
    /// Requests a minute that the budget allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute_max: Option<u64>,
    /// The last minute; absent while nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_minute: Option<Bill>,
    /// Since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    since_start: Option<Bill>,
}

/// What all queues cost.
#[derive(Debug, Serialize, ToSchema)]
struct Costs {
    /// Prices that are used.
    prices: Prices,
    /// By pipeline, in the order of the file.
    items: Vec<QueueCost>,
    /// A day at the rate of the last minute, all queues together, US dollars; absent while nothing is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    usd_per_day: Option<f64>,
}

/// Shows what the requests to SQS cost: ours, not those of whoever sends.
#[utoipa::path(get, path = "/api/v1/cost", operation_id = "cost_show", tag = "cost",
    responses((status = 200, description = "Bills by queue.", body = Costs)))]
async fn show_cost(State(ctx): State<Ctx>) -> Result<Json<Costs>, Problem> {
    let (minute, total): (BTreeMap<String, Bill>, BTreeMap<String, Bill>) =
        ctx.watch().with(|state| (state.bills.clone(), state.bills_total.clone()));
    let config = ctx.configs().current().config;
    let items: Vec<QueueCost> = config
        .pipeline
        .iter()
        .map(|pipeline| {
            let kind = QueueKind::of_url(&pipeline.queue.url);
            QueueCost {
                pipeline: pipeline.name.clone(),
                kind,
                usd_per_million_requests: cost::usd_per_million(&config.cost, kind),
                requests_per_minute_max: config.cost.requests_per_minute_max,
                last_minute: minute.get(&pipeline.name).copied().filter(|bill| bill.covers_ms > 0),
                since_start: total.get(&pipeline.name).copied(),
            }
        })
        .collect();
    let days = items.iter().map(|item| item.last_minute.and_then(|bill| bill.usd_per_day));
    let usd_per_day = days.collect::<Option<Vec<f64>>>().map(|days| days.iter().sum());
    let prices = Prices {
        standard_usd_per_million: config.cost.standard_usd_per_million,
        fifo_usd_per_million: config.cost.fifo_usd_per_million,
        as_of: config.cost.as_of.clone(),
        source: config.cost.source.clone(),
    };
    Ok(Json(Costs { prices, items, usd_per_day }))
}

/// Shows CPU, memory, descriptors, disk, network and pressure, as the kernel told them within the last five seconds.
#[utoipa::path(get, path = "/api/v1/system", operation_id = "system_show", tag = "system",
    responses((status = 200, description = "Figures of the kernel; what it does not tell is null.", body = System)))]
async fn show_system(State(ctx): State<Ctx>) -> Result<Json<System>, Problem> {
    Ok(Json(ctx.watch().with(|state| state.system.clone())))
}
