//! Users in the store.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::Role;
use crate::store::{StoreError, now_ms};

/// Users at most.
const USERS_MAX: i64 = 1_000;
/// Names that others in the audit log have.
const RESERVED: [&str; 3] = ["bootstrap", "millrace", "system"];

/// A user as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct User {
    /// Name: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit.
    #[schema(example = "ada")]
    pub(crate) name: String,
    /// What the user may do.
    pub(crate) role: Role,
    /// Whether the user may not sign in.
    pub(crate) disabled: bool,
    /// When it was made, milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it was last changed, milliseconds since 1970.
    pub(crate) changed_ms: i64,
}

/// What is changed of a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct UserChange {
    pub(super) role: Option<Role>,
    pub(super) disabled: Option<bool>,
    /// Hash of a new password.
    pub(super) password: Option<String>,
}

/// Whether a name can be a user's.
pub(super) fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && name.len() <= 64 && name.chars().all(legal) && !RESERVED.contains(&name)
}

const COLUMNS: &str = "name, role, disabled, created_ms, changed_ms";

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        role: row.get::<_, String>(1).map(|role| Role::parse(&role).unwrap_or(Role::Viewer))?,
        disabled: row.get(2)?,
        created_ms: row.get(3)?,
        changed_ms: row.get(4)?,
    })
}

pub(super) fn find(connection: &Connection, name: &str) -> Result<User, StoreError> {
    Ok(connection.query_row(&format!("SELECT {COLUMNS} FROM users WHERE name = ?1"), [name], user)?)
}

/// Hash of the password of a user who may sign in.
pub(super) fn password(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT password FROM users WHERE name = ?1 AND disabled = 0";
    Ok(connection.query_row(sql, [name], |row| row.get(0)).optional()?)
}

/// Users by name, after one, one more than the limit if there are more.
pub(super) fn list(connection: &Connection, after: &str, limit: usize) -> Result<Vec<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE name > ?1 ORDER BY name LIMIT ?2");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(params![after, limit as i64 + 1], user)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn add(
    connection: &mut Connection,
    name: &str,
    password: &str,
    role: Role,
) -> Result<User, StoreError> {
    let step = connection.transaction()?;
    let count: i64 = step.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
    if count >= USERS_MAX {
        return Err(StoreError::Refused(format!("there are {USERS_MAX} users, the most there can be")));
    }
    let now = now_ms();
    step.execute(
        "INSERT INTO users (name, password, role, created_ms, changed_ms) VALUES (?1, ?2, ?3, ?4, ?4)",
        params![name, password, role.as_str(), now],
    )?;
    let made = find(&step, name)?;
    step.commit()?;
    Ok(made)
}

/// Changes a user; gives it before and after. A new password and a disabling end the user's sessions.
pub(super) fn change(
    connection: &mut Connection,
    name: &str,
    change: &UserChange,
) -> Result<(User, User), StoreError> {
    let step = connection.transaction()?;
    let before = find(&step, name)?;
    step.execute(
        "UPDATE users SET role = coalesce(?2, role), disabled = coalesce(?3, disabled),
         password = coalesce(?4, password), changed_ms = ?5, version = version + 1 WHERE name = ?1",
        params![name, change.role.map(Role::as_str), change.disabled, change.password, now_ms()],
    )?;
    keep_an_admin(&step, &before)?;
    if change.password.is_some() || change.disabled == Some(true) {
        super::sessions::end_all(&step, name, "the user was changed")?;
    }
    let after = find(&step, name)?;
    step.commit()?;
    Ok((before, after))
}

pub(super) fn remove(connection: &mut Connection, name: &str) -> Result<User, StoreError> {
    let step = connection.transaction()?;
    let before = find(&step, name)?;
    step.execute("DELETE FROM users WHERE name = ?1", [name])?;
    keep_an_admin(&step, &before)?;
    step.commit()?;
    Ok(before)
}

/// The last admin who can sign in stays one: nobody else could make another.
fn keep_an_admin(step: &Transaction<'_>, before: &User) -> Result<(), StoreError> {
    if before.role == Role::Admin && !before.disabled && !has_admin(step)? {
        return Err(StoreError::Refused(format!(
            "{} is the last admin who can sign in; make another first",
            before.name
        )));
    }
    Ok(())
}

/// Whether an admin can sign in.
pub(super) fn has_admin(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND disabled = 0)";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}
