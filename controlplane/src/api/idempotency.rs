//! Idempotency keys: a change that is asked for twice happens once and gets the same answer.
//!
//! Kept in the store for a day, by principal: no one sees the answer of another. Source of the header:
//! draft-ietf-httpapi-idempotency-key-header.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ring::digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Code, Problem};
use crate::store::{Store, StoreError, now_ms};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Time that an answer is kept.
const KEPT_MS: i64 = 24 * 3_600_000;
/// A request that is under way for longer was cut off by the end of the process.
const UNDER_WAY_MS: i64 = 60_000;
/// Largest answer that is kept; larger ones are told, not shown, a second time.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Keys of all principals together.
const KEYS_MAX: i64 = 50_000;

/// Marks an answer that carries a secret: it is not stored. An extension of the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownOnce;

/// Whose key.
#[derive(Clone, Debug)]
pub(super) struct Whose {
    pub(super) principal: String,
    pub(super) key: String,
}

/// An answer of before.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
}

/// What is known about a key.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nothing: do it.
    Fresh,
    /// It was done.
    Before(Stored),
}

impl IntoResponse for Stored {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        if let Some(kind) = self.content_type.and_then(|kind| HeaderValue::from_str(&kind).ok()) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        let code = Code::ALL.iter().copied().find(|code| code.status() == response.status());
        if let Some(code) = code {
            response.extensions_mut().insert(code);
        }
        response
    }
}

/// The key of a request, if it has one.
///
/// # Errors
/// It is longer than 64 characters or has others than letters, digits, `-` and `_`; or there are two.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(KEY).iter();
    let Some(first) = keys.next() else { return Ok(None) };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let key = first.to_str().ok().filter(|key| (1..=64).contains(&key.len()) && key.chars().all(legal));
    match (key, keys.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let text = "Idempotency-Key: one key of 1 to 64 letters, digits, '-' and '_'";
            Err(Problem::new(Code::InvalidParameter, text))
        }
    }
}

/// What makes two requests the same.
pub(super) fn fingerprint(method: &Method, uri: &Uri, body: &Bytes) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let head = format!("{method} {}\n", uri.path_and_query().map_or("", |path| path.as_str()));
    hash.update(head.as_bytes());
    hash.update(body);
    hash.finish().as_ref().to_vec()
}

/// Reserves a key, or gives what is known about it.
///
/// # Errors
/// It belongs to another request, or the same is under way; or the store refuses.
pub(super) async fn begin(store: &Store, whose: Whose, fingerprint: Vec<u8>) -> Result<Begun, Problem> {
    let found = store.call(move |connection| reserve(connection, &whose, &fingerprint)).await?;
    match found {
        Found::Nothing => Ok(Begun::Fresh),
        Found::Other => {
            Err(Problem::new(Code::IdempotencyReused, "this Idempotency-Key came with another request"))
        }
        Found::UnderWay => {
            Err(Problem::new(Code::IdempotencyUnderWay, "the first request with this key has no answer yet")
                .after(1))
        }
        Found::Secret => {
            Err(Problem::new(Code::IdempotencySecret, "it was done; its answer had a secret and is not kept"))
        }
        Found::Answer(stored) => Ok(Begun::Before(stored)),
    }
}

enum Found {
    Nothing,
    Other,
    UnderWay,
    Secret,
    Answer(Stored),
}

type Known = (Vec<u8>, i64, Option<u16>, Option<String>, Option<Vec<u8>>);

fn reserve(connection: &mut Connection, whose: &Whose, fingerprint: &[u8]) -> Result<Found, StoreError> {
    let now = now_ms();
    let step = connection.transaction()?;
    step.execute("DELETE FROM idempotency WHERE at_ms < ?1", [now - KEPT_MS])?;
    let known: Option<Known> = step
        .query_row(
            "SELECT fingerprint, at_ms, status, content_type, body FROM idempotency WHERE principal = ?1 AND key = ?2",
            [&whose.principal, &whose.key],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()?;
    let found = match known {
        Some((known, ..)) if known != fingerprint => Found::Other,
        Some((_, _, Some(status), content_type, Some(body))) => {
            Found::Answer(Stored { status, content_type, body })
        }
        Some((_, _, Some(_), _, None)) => Found::Secret,
        Some((_, at_ms, None, ..)) if at_ms > now - UNDER_WAY_MS => Found::UnderWay,
        Some(_) | None => {
            let count: i64 = step.query_row("SELECT count(*) FROM idempotency", [], |row| row.get(0))?;
            if count >= KEYS_MAX {
                return Err(StoreError::Refused(format!(
                    "{KEYS_MAX} idempotency keys are in use; leave the key out"
                )));
            }
            step.execute(
                "INSERT OR REPLACE INTO idempotency (principal, key, fingerprint, at_ms) VALUES (?1, ?2, ?3, ?4)",
                params![whose.principal, whose.key, fingerprint, now],
            )?;
            Found::Nothing
        }
    };
    step.commit()?;
    Ok(found)
}

/// Keeps the answer for the next time. What may go better next time (5xx, 429) is not kept.
pub(super) async fn end(store: &Store, whose: Whose, response: Response) -> Response {
    let status = response.status();
    let passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let secret = response.extensions().get::<ShownOnce>().is_some();
    let kind =
        response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let kept = (!secret && bytes.len() <= BODY_BYTES_MAX).then(|| bytes.to_vec());
    let ended = store.call(move |connection| {
        if passing {
            connection.execute(
                "DELETE FROM idempotency WHERE principal = ?1 AND key = ?2",
                [&whose.principal, &whose.key],
            )?;
        } else {
            connection.execute(
                "UPDATE idempotency SET status = ?3, content_type = ?4, body = ?5 WHERE principal = ?1 AND key = ?2",
                params![whose.principal, whose.key, status.as_u16(), kind, kept],
            )?;
        }
        Ok(())
    });
    if let Err(error) = ended.await {
        tracing::warn!(event = "idempotency_unstored", reason = %error, "an answer could not be kept for its key");
    }
    Response::from_parts(parts, Body::from(bytes))
}
