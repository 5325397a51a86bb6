//! Saved windows to compare with.
//!
//! Each function is one short piece of work on the store's connection. A baseline keeps whole histograms, so that any
//! percentile can be compared later.

use std::collections::BTreeMap;

use dataplane::stats::STAGES;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Stages, compare, empty};
use crate::store::StoreError;

/// Baselines at a time; each takes some 10 KiB.
pub(crate) const BASELINES_MAX: i64 = 100;
/// Longest name.
pub(crate) const NAME_CHARS_MAX: usize = 64;

/// What is said about a baseline in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Baseline {
    /// Its name.
    pub(crate) name: String,
    /// The pipeline, or empty for all together.
    pub(crate) pipeline: String,
    /// Beginning of the window, milliseconds since 1970.
    pub(crate) from_ms: i64,
    /// End of the window.
    pub(crate) to_ms: i64,
    /// When it was saved.
    pub(crate) saved_ms: i64,
    /// By whom.
    pub(crate) saved_by: String,
    /// What the saver said about it.
    pub(crate) note: String,
    /// Messages that were received and acked within the window.
    pub(crate) messages: u64,
}

/// Saves one.
///
/// # Errors
/// `Exists` when the name is taken, `Refused` when there are too many.
pub(crate) fn save(connection: &Connection, baseline: &Baseline, stages: &Stages) -> Result<(), StoreError> {
    let count: i64 = connection.query_row("SELECT count(*) FROM latency_baselines", [], |row| row.get(0))?;
    if count >= BASELINES_MAX {
        return Err(StoreError::Refused(format!(
            "there are {BASELINES_MAX} baselines already; delete one that is no longer needed"
        )));
    }
    let encoded: BTreeMap<&str, String> = STAGES
        .into_iter()
        .zip(stages)
        .filter(|(_, histogram)| !histogram.is_empty())
        .map(|(stage, histogram)| (stage.as_str(), compare::encoded(histogram)))
        .collect();
    let text = serde_json::to_string(&encoded).map_err(|error| StoreError::Sql(error.to_string()))?;
    connection.execute(
        "INSERT INTO latency_baselines \
         (name, pipeline, from_ms, to_ms, saved_ms, saved_by, note, messages, histograms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            baseline.name,
            baseline.pipeline,
            baseline.from_ms,
            baseline.to_ms,
            baseline.saved_ms,
            baseline.saved_by,
            baseline.note,
            i64::try_from(baseline.messages).unwrap_or(i64::MAX),
            text
        ],
    )?;
    Ok(())
}

const COLUMNS: &str = "name, pipeline, from_ms, to_ms, saved_ms, saved_by, note, messages";

/// Every baseline, by name.
pub(crate) fn list(connection: &Connection) -> Result<Vec<Baseline>, StoreError> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM latency_baselines ORDER BY name"))?;
    let rows = statement.query_map([], baseline)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One baseline with its histograms.
///
/// # Errors
/// `Missing` when there is none of this name, `Corrupt` when its histograms cannot be read.
pub(crate) fn read(connection: &Connection, name: &str) -> Result<(Baseline, Stages), StoreError> {
    let text = format!("SELECT {COLUMNS}, histograms FROM latency_baselines WHERE name = ?1");
    let (found, histograms): (Baseline, String) =
        connection.prepare(&text)?.query_row([name], |row| Ok((baseline(row)?, row.get(8)?)))?;
    let damaged = |error: String| StoreError::Corrupt(format!("baseline {name}: {error}"));
    let encoded: BTreeMap<String, String> =
        serde_json::from_str(&histograms).map_err(|error| damaged(error.to_string()))?;
    let mut stages: Stages = std::array::from_fn(|_| empty());
    for (histogram, stage) in stages.iter_mut().zip(STAGES) {
        if let Some(text) = encoded.get(stage.as_str()) {
            *histogram = compare::decoded(text).map_err(damaged)?;
        }
    }
    Ok((found, stages))
}

/// Deletes one.
///
/// # Errors
/// `Missing` when there is none of this name.
pub(crate) fn delete(connection: &Connection, name: &str) -> Result<(), StoreError> {
    match connection.execute("DELETE FROM latency_baselines WHERE name = ?1", [name])? {
        0 => Err(StoreError::Missing),
        _ => Ok(()),
    }
}

fn baseline(row: &Row<'_>) -> rusqlite::Result<Baseline> {
    Ok(Baseline {
        name: row.get(0)?,
        pipeline: row.get(1)?,
        from_ms: row.get(2)?,
        to_ms: row.get(3)?,
        saved_ms: row.get(4)?,
        saved_by: row.get(5)?,
        note: row.get(6)?,
        messages: row.get::<_, i64>(7)?.max(0) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../store/migrations/010_watch.sql")).unwrap();
        connection
    }

    fn one(name: &str) -> Baseline {
        Baseline {
            name: name.to_owned(),
            pipeline: "orders".to_owned(),
            from_ms: 1,
            to_ms: 2,
            saved_ms: 3,
            saved_by: "ada".to_owned(),
            note: "before the upgrade".to_owned(),
            messages: 7,
        }
    }

    fn stages() -> Stages {
        std::array::from_fn(|stage| {
            let mut histogram = empty();
            histogram.record_n(100 + stage as u64, 1 + stage as u64).unwrap();
            histogram
        })
    }

    #[test]
    fn a_baseline_comes_back_whole() {
        let connection = connection();
        save(&connection, &one("v1"), &stages()).unwrap();
        assert_eq!(read(&connection, "v1").unwrap(), (one("v1"), stages()));
        assert_eq!(save(&connection, &one("v1"), &stages()), Err(StoreError::Exists));
        assert_eq!(list(&connection).unwrap(), [one("v1")]);
        delete(&connection, "v1").unwrap();
        assert_eq!(delete(&connection, "v1"), Err(StoreError::Missing));
        assert_eq!(read(&connection, "v1").unwrap_err(), StoreError::Missing);
    }

    #[test]
    fn baselines_are_bounded() {
        let connection = connection();
        for number in 0..BASELINES_MAX {
            save(&connection, &one(&number.to_string()), &stages()).unwrap();
        }
        let refused = save(&connection, &one("more"), &stages()).unwrap_err();
        assert!(refused.to_string().contains("delete one"), "{refused}");
    }

    #[test]
    fn a_damaged_baseline_is_named() {
        let connection = connection();
        save(&connection, &one("v1"), &stages()).unwrap();
        connection.execute("UPDATE latency_baselines SET histograms = '{\"decode\":\"!\"}'", []).unwrap();
        let error = read(&connection, "v1").unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("baseline v1")), "{error:?}");
    }
}
