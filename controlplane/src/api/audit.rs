//! The audit log: every change and what came of it, append-only, in the store.
//!
//! An entry that cannot be stored (a full disk) goes to the log as an error, and the change stays done: pausing a
//! pipeline must work on a box whose disk is full. Entries hold no secret: what changed comes from the types that
//! the API shows.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Role;
use crate::store::{Store, StoreError, now_ms};

/// Entries kept; older ones go. At 300 bytes an entry this is 300 MB.
const ENTRIES_MAX: i64 = 1_000_000;
/// Longest text of what changed.
const CHANGE_BYTES_MAX: usize = 64 << 10;

/// What a change changed; an extension of its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// What was there; `None` if nothing was.
    pub(crate) before: Option<Value>,
    /// What is there now; `None` if nothing is.
    pub(crate) after: Option<Value>,
}

/// An answer together with what it changed.
#[derive(Debug)]
pub(crate) struct Changed<R> {
    answer: R,
    change: Change,
}

impl<R: IntoResponse> Changed<R> {
    /// An answer to a change from `before` to `after`.
    pub(crate) fn new(
        answer: R,
        before: Option<&impl Serialize>,
        after: Option<&impl Serialize>,
    ) -> Changed<R> {
        let change = Change { before: before.map(json), after: after.map(json) };
        Changed { answer, change }
    }

    /// An answer to a change that made something.
    pub(crate) fn made(answer: R, after: &impl Serialize) -> Changed<R> {
        Changed { answer, change: Change { before: None, after: Some(json(after)) } }
    }

    /// An answer to a change that removed something.
    pub(crate) fn removed(answer: R, before: &impl Serialize) -> Changed<R> {
        Changed { answer, change: Change { before: Some(json(before)), after: None } }
    }
}

impl Changed<Response> {
    /// The same with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Changed<Response> {
        *self.answer.status_mut() = status;
        self
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

impl<R: IntoResponse> IntoResponse for Changed<R> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        response.extensions_mut().insert(self.change);
        response
    }
}

/// What is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) principal: String,
    pub(crate) role: Option<Role>,
    pub(crate) address: String,
    pub(crate) operation: String,
    pub(crate) target: String,
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

/// Records an entry, or says in the log that it could not be.
pub(crate) async fn record(store: &Store, entry: Entry) {
    let kept = entry.clone();
    if let Err(error) = store.call(move |connection| insert(connection, &kept)).await {
        tracing::error!(
            event = "audit_unstored",
            principal = entry.principal,
            address = entry.address,
            operation = entry.operation,
            target = entry.target,
            status = entry.status,
            reason = %error,
            "an entry of the audit log could not be stored and stands here instead"
        );
    }
}

fn insert(connection: &mut Connection, entry: &Entry) -> Result<(), StoreError> {
    let text = |value: &Option<Value>| {
        let text = value.as_ref().map(Value::to_string)?;
        let short = text.len() <= CHANGE_BYTES_MAX;
        Some(if short { text } else { format!("{{\"omitted_bytes\":{}}}", text.len()) })
    };
    connection.execute(
        "INSERT INTO audit (at_ms, principal, role, address, operation, target, status, code, before, after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            now_ms(),
            entry.principal,
            entry.role.map(Role::as_str),
            entry.address,
            entry.operation,
            entry.target,
            entry.status,
            entry.code,
            text(&entry.before),
            text(&entry.after),
        ],
    )?;
    Ok(())
}

/// Forgets the oldest entries beyond the bound.
///
/// # Errors
/// The store refuses.
pub(crate) async fn prune(store: &Store) -> Result<usize, StoreError> {
    store
        .call(|connection| {
            Ok(connection
                .execute("DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1", [ENTRIES_MAX])?)
        })
        .await
}

/// An entry as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Recorded {
    /// Number of the entry; later ones are larger.
    pub(crate) id: i64,
    /// When, milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Who.
    #[schema(example = "ada")]
    pub(crate) principal: String,
    /// With which role; absent for an attempt to sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<Role>,
    /// From where.
    pub(crate) address: String,
    /// Which operation of the document.
    #[schema(example = "pipelines_pause")]
    pub(crate) operation: String,
    /// On what: the path.
    #[schema(example = "/api/v1/pipelines/orders/pause")]
    pub(crate) target: String,
    /// HTTP status of the answer.
    pub(crate) status: u16,
    /// Code of the problem, if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// What was there before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    /// What is there after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// Which entries are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) before_id: Option<i64>,
    pub(crate) principal: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) limit: usize,
}

/// Entries, newest first; one more than the limit if there are more.
///
/// # Errors
/// The store refuses.
pub(crate) async fn read(store: &Store, wanted: Wanted) -> Result<Vec<Recorded>, StoreError> {
    store
        .call(move |connection| {
            let mut statement = connection.prepare(
                "SELECT id, at_ms, principal, role, address, operation, target, status, code, before, after FROM audit
                 WHERE id < ?1 AND (?2 IS NULL OR principal = ?2) AND (?3 IS NULL OR operation = ?3)
                 ORDER BY id DESC LIMIT ?4",
            )?;
            let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX).saturating_add(1);
            let rows = statement.query_map(
                params![wanted.before_id.unwrap_or(i64::MAX), wanted.principal, wanted.operation, limit],
                recorded,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Recorded {
        id: row.get(0)?,
        at_ms: row.get(1)?,
        principal: row.get(2)?,
        role: row.get::<_, Option<String>>(3)?.as_deref().and_then(Role::parse),
        address: row.get(4)?,
        operation: row.get(5)?,
        target: row.get(6)?,
        status: row.get(7)?,
        code: row.get(8)?,
        before: value(row.get(9)?),
        after: value(row.get(10)?),
    })
}
