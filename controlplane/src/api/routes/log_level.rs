//! How much is logged, changed while the appliance runs.

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::api::{Changed, Code, Input, Problem, Role, Routes};
use crate::logs;

pub(crate) fn routes() -> Routes {
    Routes::new().at(Role::Viewer, routes!(show)).at(Role::Admin, routes!(set))
}

/// From which severity on Millrace's own lines are logged. Those of libraries always from `warn` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LogSeverity)]
enum Severity {
    /// Warnings and errors.
    Warn,
    /// Also what happens: starts, states, changes.
    Info,
    /// Also what is tried.
    Debug,
    /// Everything.
    Trace,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Warn => "warn",
            Severity::Info => "info",
            Severity::Debug => "debug",
            Severity::Trace => "trace",
        }
    }

    fn in_force() -> Result<Severity, Problem> {
        let all = [Severity::Warn, Severity::Info, Severity::Debug, Severity::Trace];
        let level = logs::level();
        all.into_iter().find(|one| Some(one.as_str()) == level).ok_or_else(none)
    }
}

/// The level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    /// The level.
    level: Severity,
}

/// Shows how much is logged.
#[utoipa::path(get, path = "/api/v1/log-level", operation_id = "log_level_show", tag = "system",
    responses((status = 200, description = "The level in force.", body = LogLevel)))]
async fn show() -> Result<Json<LogLevel>, Problem> {
    Ok(Json(LogLevel { level: Severity::in_force()? }))
}

/// Sets how much is logged, until the process ends.
#[utoipa::path(put, path = "/api/v1/log-level", operation_id = "log_level_set", tag = "system", request_body = LogLevel,
    responses((status = 200, description = "The level in force.", body = LogLevel)))]
async fn set(Input(wanted): Input<LogLevel>) -> Result<Changed<Json<LogLevel>>, Problem> {
    let before = LogLevel { level: Severity::in_force()? };
    if !logs::set_level(wanted.level.as_str()) {
        return Err(none());
    }
    tracing::info!(event = "log_level", level = wanted.level.as_str(), "the level of the log has changed");
    Ok(Changed::new(Json(wanted), Some(&before), Some(&wanted)))
}

fn none() -> Problem {
    Problem::new(Code::Unprocessable, "this process has no log of its own")
}
