//! The shape of the store, step by step: every migration that this binary knows, applied by name.
//!
//! Applied once each, in the order of the numbers, each in a transaction of its own together with its entry in
//! the table `migrations`. A store that has a migration which this binary does not know was written by a newer
//! one and is refused: it is never read by guess.

use rusqlite::Connection;

use super::StoreError;

/// Name and statements of each step, in order.
pub(super) const MIGRATIONS: &[(&str, &str)] = &[
    ("001_accounts", include_str!("migrations/001_accounts.sql")),
    ("010_watch", include_str!("migrations/010_watch.sql")),
    ("020_config_versions", include_str!("migrations/020_config_versions.sql")),
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    name TEXT PRIMARY KEY,
    applied_ms INTEGER NOT NULL
) STRICT";

/// Brings a store to the newest shape; returns the names of the steps that were needed.
///
/// # Errors
/// The store is newer than this binary, or SQLite refuses.
pub(super) fn apply(connection: &mut Connection) -> Result<Vec<&'static str>, StoreError> {
    connection.execute_batch(TABLE)?;
    let missing = missing(&applied(connection)?)?;
    for (name, statements) in &missing {
        let step = connection.transaction()?;
        step.execute_batch(statements)?;
        step.execute("INSERT INTO migrations (name, applied_ms) VALUES (?1, ?2)", (name, super::now_ms()))?;
        step.commit()?;
    }
    Ok(missing.into_iter().map(|(name, _)| name).collect())
}

/// Names of the steps that a store has taken; none for a file without the table.
pub(super) fn applied(connection: &Connection) -> Result<Vec<String>, StoreError> {
    if !connection.table_exists(None, "migrations")? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare("SELECT name FROM migrations ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// The steps that a store still needs.
///
/// # Errors
/// It has taken one that this binary does not know.
pub(super) fn missing(applied: &[String]) -> Result<Vec<(&'static str, &'static str)>, StoreError> {
    let unknown = applied.iter().find(|name| !MIGRATIONS.iter().any(|(known, _)| known == name));
    if let Some(name) = unknown {
        return Err(StoreError::Refused(format!(
            "it was written by a newer Millrace (it has {name}, which {} does not know); use that version",
            env!("CARGO_PKG_VERSION")
        )));
    }
    Ok(MIGRATIONS.iter().copied().filter(|(name, _)| !applied.iter().any(|have| have == name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_taken_once_and_in_the_order_of_its_number() {
        let mut connection = Connection::open_in_memory().unwrap();
        let names: Vec<&str> = MIGRATIONS.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(apply(&mut connection).unwrap(), names);
        assert_eq!(apply(&mut connection).unwrap(), Vec::<&str>::new());
        assert_eq!(applied(&connection).unwrap(), names);
    }

    #[test]
    fn numbers_and_names_are_unique() {
        let mut numbers: Vec<&str> = MIGRATIONS.iter().map(|(name, _)| &name[..3]).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), MIGRATIONS.len());
    }

    #[test]
    fn a_step_that_an_older_binary_left_out_is_taken_later() {
        // Branches add steps between others: the table has names, not a highest number.
        let known: Vec<String> = MIGRATIONS[1..].iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(missing(&known).unwrap()[0].0, MIGRATIONS[0].0);
    }

    #[test]
    fn a_newer_store_is_refused_and_left_as_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection).unwrap();
        connection.execute("INSERT INTO migrations VALUES ('999_later', 0)", []).unwrap();
        let error = apply(&mut connection).unwrap_err();
        assert!(error.to_string().contains("999_later"), "{error}");
        assert!(error.to_string().contains("newer Millrace"), "{error}");
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE users (a) STRICT").unwrap_err();
        connection.execute_batch("CREATE TABLE audit (a TEXT) STRICT").unwrap();
        apply(&mut connection).unwrap_err();
        assert_eq!(applied(&connection).unwrap(), Vec::<String>::new());
        assert!(!connection.table_exists(None, "users").unwrap());
    }
}
