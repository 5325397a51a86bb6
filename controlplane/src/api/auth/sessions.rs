//! Sessions and refresh tokens in the store.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Role;
use crate::store::{StoreError, now_ms};

/// Sessions of one user; beyond it, the oldest ends.
const SESSIONS_PER_USER: i64 = 32;

/// For how long a refresh token may come again after its use: the answer was lost, as by a reload, or two tabs sent it at
/// once. Longer than the dashboard waits for an answer (15 s) and then to ask again (2 s).
pub(super) const AGAIN_MS: i64 = 30_000;

/// A session as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Its id.
    #[schema(example = "n3f09a2b5c7d8e1f0")]
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) user: String,
    /// Where it was begun.
    pub(crate) address: String,
    /// When it was begun, milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it was last renewed, milliseconds since 1970.
    pub(crate) used_ms: i64,
    /// When it ends by itself, milliseconds since 1970.
    pub(crate) expires_ms: i64,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rotated {
    /// It was good, and is used up now.
    Renewed { user: String, session: String },
    /// It had been used long before: its session has ended.
    Reused { user: String, session: String },
    /// It is not known, or its session has ended.
    Refused,
}

const COLUMNS: &str = "id, user, address, created_ms, used_ms, expires_ms";

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        user: row.get(1)?,
        address: row.get(2)?,
        created_ms: row.get(3)?,
        used_ms: row.get(4)?,
        expires_ms: row.get(5)?,
    })
}

pub(super) fn begin(
    connection: &mut Connection,
    session: &Session,
    refresh_hash: &[u8],
) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    step.execute(
        "INSERT INTO sessions (id, user, address, created_ms, used_ms, expires_ms) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
        params![session.id, session.user, session.address, session.created_ms, session.expires_ms],
    )?;
    step.execute(
        "INSERT INTO refresh_tokens (hash, session, issued_ms) VALUES (?1, ?2, ?3)",
        params![refresh_hash, session.id, session.created_ms],
    )?;
    step.execute(
        "DELETE FROM sessions WHERE user = ?1 AND id NOT IN
         (SELECT id FROM sessions WHERE user = ?1 ORDER BY created_ms DESC, rowid DESC LIMIT ?2)",
        params![session.user, SESSIONS_PER_USER],
    )?;
    step.commit()?;
    Ok(())
}

/// Uses a refresh token up and puts another in its place.
///
/// One that comes again within [`AGAIN_MS`] gets another too, and what was given in its place before is used up: at most
/// one token of a session is unused, so whoever was overtaken, thief or owner, comes with a used one and ends the session.
pub(super) fn rotate(connection: &mut Connection, old: &[u8], new: &[u8]) -> Result<Rotated, StoreError> {
    let step = connection.transaction()?;
    let now = now_ms();
    let known: Option<(String, String, Option<i64>, bool)> = step
        .query_row(
            "SELECT s.id, s.user, t.used_ms, s.revoked_ms IS NULL AND s.expires_ms > ?2 AND u.disabled = 0
             FROM refresh_tokens t JOIN sessions s ON s.id = t.session JOIN users u ON u.name = s.user WHERE t.hash = ?1",
            params![old, now],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .optional()?;
    let rotated = match known {
        None | Some((.., false)) => Rotated::Refused,
        Some((session, user, Some(used), true)) if now - used > AGAIN_MS => {
            revoke_in(&step, &session, "a refresh token came twice")?;
            Rotated::Reused { user, session }
        }
        Some((session, user, _, true)) => {
            step.execute(
                "UPDATE refresh_tokens SET used_ms = ?2 WHERE session = ?1 AND used_ms IS NULL",
                params![session, now],
            )?;
            step.execute(
                "INSERT INTO refresh_tokens (hash, session, issued_ms) VALUES (?1, ?2, ?3)",
                params![new, session, now],
            )?;
            step.execute("UPDATE sessions SET used_ms = ?2 WHERE id = ?1", params![session, now])?;
            Rotated::Renewed { user, session }
        }
    };
    step.commit()?;
    Ok(rotated)
}

/// The role of a session's user, if the session lives and the user may sign in.
pub(super) fn role(connection: &Connection, id: &str, user: &str) -> Result<Option<Role>, StoreError> {
    let role: Option<String> = connection
        .query_row(
            "SELECT u.role FROM sessions s JOIN users u ON u.name = s.user
             WHERE s.id = ?1 AND s.user = ?2 AND s.revoked_ms IS NULL AND s.expires_ms > ?3 AND u.disabled = 0",
            params![id, user, now_ms()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(role.as_deref().and_then(Role::parse))
}

/// Sessions that live, newest first, of one user or of all; one more than the limit if there are more.
pub(super) fn list(
    connection: &Connection,
    user: Option<&str>,
    before: Option<&(i64, String)>,
    limit: usize,
) -> Result<Vec<Session>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE revoked_ms IS NULL AND expires_ms > ?1 AND (?2 IS NULL OR user = ?2)
         AND (created_ms, id) < (?3, ?4) ORDER BY created_ms DESC, id DESC LIMIT ?5"
    );
    let (at, id) = before.map_or((i64::MAX, ""), |(at, id)| (*at, id.as_str()));
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![now_ms(), user, at, id, limit as i64 + 1], session)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends a session; of one user only, if one is given.
pub(super) fn revoke(
    connection: &mut Connection,
    id: &str,
    user: Option<&str>,
    reason: &str,
) -> Result<Session, StoreError> {
    let step = connection.transaction()?;
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE id = ?1 AND (?2 IS NULL OR user = ?2) AND revoked_ms IS NULL"
    );
    let ended = step.query_row(&sql, params![id, user], session)?;
    revoke_in(&step, id, reason)?;
    step.commit()?;
    Ok(ended)
}

fn revoke_in(connection: &Connection, id: &str, reason: &str) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET revoked_ms = ?2, reason = ?3 WHERE id = ?1";
    connection.execute(sql, params![id, now_ms(), reason])?;
    Ok(())
}

/// Ends all sessions of a user.
pub(super) fn end_all(connection: &Connection, user: &str, reason: &str) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET revoked_ms = ?2, reason = ?3 WHERE user = ?1 AND revoked_ms IS NULL";
    connection.execute(sql, params![user, now_ms(), reason])?;
    Ok(())
}

/// Removes sessions that ended a day ago or longer.
pub(super) fn prune(connection: &mut Connection) -> Result<usize, StoreError> {
    let old = now_ms() - 24 * 3_600_000;
    Ok(connection.execute("DELETE FROM sessions WHERE expires_ms < ?1 OR revoked_ms < ?1", [old])?)
}
