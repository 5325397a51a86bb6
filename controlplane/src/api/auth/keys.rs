//! API keys in the store.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Role;
use crate::store::{StoreError, now_ms};

/// Keys at most, revoked ones included.
const KEYS_MAX: i64 = 1_000;

/// An API key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// Its id.
    #[schema(example = "k5b1f0c2d3e4a6978")]
    pub(crate) id: String,
    /// Its name, unique for good: the audit log names it.
    #[schema(example = "ci")]
    pub(crate) name: String,
    /// How it begins.
    #[schema(example = "mk_Zt3a91bc")]
    pub(crate) prefix: String,
    /// What it may do.
    pub(crate) role: Role,
    /// Who made it.
    pub(crate) created_by: String,
    /// When it was made, milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it ends by itself, milliseconds since 1970; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<i64>,
    /// When it was revoked, milliseconds since 1970; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_ms: Option<i64>,
}

const COLUMNS: &str = "id, name, prefix, role, created_by, created_ms, expires_ms, revoked_ms";

fn key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get(0)?,
        name: row.get(1)?,
        prefix: row.get(2)?,
        role: row.get::<_, String>(3).map(|role| Role::parse(&role).unwrap_or(Role::Viewer))?,
        created_by: row.get(4)?,
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        revoked_ms: row.get(7)?,
    })
}

pub(super) fn add(connection: &mut Connection, key: &ApiKey, hash: &[u8]) -> Result<(), StoreError> {
    let step = connection.transaction()?;
    let count: i64 = step.query_row("SELECT count(*) FROM api_keys", [], |row| row.get(0))?;
    if count >= KEYS_MAX {
        return Err(StoreError::Refused(format!("there are {KEYS_MAX} API keys, the most there can be")));
    }
    step.execute(
        "INSERT INTO api_keys (id, name, prefix, hash, role, created_by, created_ms, expires_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            key.id,
            key.name,
            key.prefix,
            hash,
            key.role.as_str(),
            key.created_by,
            key.created_ms,
            key.expires_ms
        ],
    )?;
    step.commit()?;
    Ok(())
}

/// Id, name and role of the key with this hash, if it is valid now.
pub(super) fn valid(
    connection: &Connection,
    hash: &[u8],
) -> Result<Option<(String, String, Role)>, StoreError> {
    let found: Option<ApiKey> = connection
        .query_row(
            &format!(
                "SELECT {COLUMNS} FROM api_keys WHERE hash = ?1 AND revoked_ms IS NULL
                 AND (expires_ms IS NULL OR expires_ms > ?2)"
            ),
            params![hash, now_ms()],
            key,
        )
        .optional()?;
    Ok(found.map(|key| (key.id, key.name, key.role)))
}

/// Keys by name, after one; one more than the limit if there are more.
pub(super) fn list(connection: &Connection, after: &str, limit: usize) -> Result<Vec<ApiKey>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE name > ?1 ORDER BY name LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![after, limit as i64 + 1], key)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Revokes a key; gives it before and after.
pub(super) fn revoke(connection: &mut Connection, id: &str) -> Result<(ApiKey, ApiKey), StoreError> {
    let step = connection.transaction()?;
    let find = format!("SELECT {COLUMNS} FROM api_keys WHERE id = ?1");
    let before = step.query_row(&find, [id], key)?;
    step.execute(
        "UPDATE api_keys SET revoked_ms = ?2 WHERE id = ?1 AND revoked_ms IS NULL",
        params![id, now_ms()],
    )?;
    let after = step.query_row(&find, [id], key)?;
    step.commit()?;
    Ok((before, after))
}
